"""The full picture against the machine: what the kernel counts at the same moments."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import orjson
import pytest
from attrs import frozen

from app.core.source import Window
from app.sources.host import HostSource
from schema.fields import Detail
from schema.metrics import Full

T = TypeVar("T")
Jiffies = dict[str, list[int]]

# What other programs may take or give back between two looks at a shared machine, in bytes.
STIR = 256 * 2**20
MIB = 2**20


def full(source: HostSource, window: Window) -> Full:
    payload = source.render(window, Detail.FULL)
    assert isinstance(payload, Full)
    return payload


@frozen
class Look(Generic[T]):
    """A message, and the test's own readings right before and after each of its two samples.

    Other programs may run in between at any time: what was counted between the samples is no less
    than between the ``inner`` readings, and no more than between the ``outer`` ones.
    """

    payload: Full
    inner: tuple[T, T]
    outer: tuple[T, T]


def look(read: Callable[[], T], seconds: float) -> Look[T]:
    """Sample twice, so far apart; rates are reckoned as if it had been exactly that."""
    source = HostSource()
    begin, first, inner = read(), source.sample(), read()
    time.sleep(seconds)
    inner_end, last, end = read(), source.sample(), read()
    payload = full(source, Window([first, last], seconds))
    return Look(payload, (inner, inner_end), (begin, end))


# ---- processors


def jiffies() -> Jiffies:
    """Give the lines of processors as the kernel has them, guests left out (proc_stat(5))."""
    lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    rows = [line.split() for line in lines if line.startswith("cpu")]
    return {name: [int(value) for value in values[:8]] for name, *values in rows}


def passed(ends: tuple[Jiffies, Jiffies], name: str) -> list[int]:
    return [end - begin for begin, end in zip(ends[0][name], ends[1][name], strict=True)]


def bounds(taken: Look[Jiffies], name: str) -> tuple[float, float]:
    """Reckon the least and the most that one processor's usage can have been, or that of all."""
    least, most = passed(taken.inner, name), passed(taken.outer, name)
    least_idle, most_idle = (times[3] + times[4] for times in (least, most))
    least_busy, most_busy = sum(least) - least_idle, sum(most) - most_idle
    return (
        100 * least_busy / (least_busy + most_idle) - 0.01,
        100 * most_busy / (most_busy + least_idle) + 0.01,
    )


@contextmanager
def loaded(core: int) -> Iterator[None]:
    """Keep one processor busy for half of the time."""
    command = ["stress-ng", "--cpu", "1", "--cpu-load", "50", "--timeout", "20", "--quiet"]
    with subprocess.Popen(["taskset", "-c", str(core), *command]) as child:
        try:
            yield
        finally:
            child.terminate()


@pytest.mark.external("stress-ng")
@pytest.mark.external("taskset")
def test_processors_are_as_busy_as_the_kernel_counts_under_half_a_load() -> None:
    """One by one, together, and by what their time was spent for."""
    core = min(os.sched_getaffinity(0))
    with loaded(core):
        time.sleep(0.3)  # for what it takes to start is no half a load
        taken = look(jiffies, 1.5)
    cpu = taken.payload.cpu
    least, most = bounds(taken, "cpu")
    assert least <= cpu.usage <= most
    for number, share in enumerate(cpu.per_core):
        name = f"cpu{number}"
        assert (share is None) == (name not in taken.outer[0])
        if share is not None:
            least, most = bounds(taken, name)
            assert least <= share <= most, name
    assert (cpu.per_core[core] or 0) > 25
    told = [cpu.user, cpu.nice, cpu.system, cpu.irq, cpu.softirq, cpu.steal]
    inner, outer = passed(taken.inner, "cpu"), passed(taken.outer, "cpu")
    # Not idle and iowait: time moves between the two.
    for share, column in zip(told, (0, 1, 2, 5, 6, 7), strict=True):
        assert share is not None
        assert 100 * inner[column] / sum(outer) - 0.01 <= share
        assert share <= 100 * outer[column] / sum(inner) + 0.01


# ---- switches, interrupts, waits


def counters() -> dict[str, int]:
    """Give single counters of the kernel."""
    found = {}
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        name, *values = line.split()
        if name in {"ctxt", "intr"}:
            found[name] = int(values[0])
    for name in ("cpu", "memory", "io"):
        file = Path("/proc/pressure", name)
        if file.exists():
            found[name] = int(file.read_text().splitlines()[0].rpartition("=")[2])
    return found


def test_rates_are_those_of_the_kernels_counters() -> None:
    """Switches, interrupts, and pressure where it is counted."""
    seconds = 0.5
    taken = look(counters, seconds)
    least, most = (
        {name: (ends[1][name] - ends[0][name]) / seconds for name in ends[0]}
        for ends in (taken.inner, taken.outer)
    )
    cpu, pressure = taken.payload.cpu, taken.payload.pressure
    assert least["ctxt"] <= (cpu.context_switches_per_sec or 0) <= most["ctxt"]
    assert least["intr"] <= (cpu.interrupts_per_sec or 0) <= most["intr"]
    for name in least.keys() - {"ctxt", "intr"}:
        # Microseconds in a second, so ten thousand of them are a percent.
        some = getattr(pressure, name).some
        assert min(least[name] / 10_000, 100) - 0.01 <= some <= most[name] / 10_000 + 0.01, name


# ---- memory


@pytest.mark.external("free")
def test_memory_and_swap_are_what_free_says() -> None:
    """All that it shows, as near as a running machine allows."""
    environment = os.environ | {"LC_ALL": "C"}
    source = HostSource()
    sample = source.sample()
    shown = subprocess.run(
        ["free", "-b", "-w"], capture_output=True, check=True, env=environment, text=True
    ).stdout
    names, memory, swap = (line.split() for line in shown.splitlines())
    told = dict(zip(names, map(int, memory[1:]), strict=True))
    mine = full(source, Window([sample, sample], 0.0))
    assert mine.memory.total == told["total"]
    for value, name in [
        (mine.memory.unused, "free"),
        (mine.memory.shared, "shared"),
        (mine.memory.buffers, "buffers"),
        (mine.memory.cached, "cache"),
        (mine.memory.available, "available"),
    ]:
        assert value == pytest.approx(told[name], abs=STIR), name
    assert mine.swap is not None
    space = [mine.swap.total, mine.swap.used, mine.swap.free]
    assert space == pytest.approx([int(value) for value in swap[1:]], abs=STIR)


# ---- limits of a real control group

# Joins the groups, takes 64 MiB, burns, and tells of itself.
CONFINED = """
import os, sys, time
from pathlib import Path
from app.core.source import Window
from app.sources.host import HostSource
from schema.codec import encode
from schema.cursor import Cursor
from schema.fields import Detail
from schema.metrics import MetricsMessage

for folder in sys.argv[1:]:
    Path(folder, "cgroup.procs").write_text(str(os.getpid()))
taken = b"x" * (64 * 2**20)
source = HostSource()
samples, used = [source.sample()], time.process_time()
while time.process_time() < used + 0.05:
    pass
samples.append(source.sample())
payload = source.render(Window(samples, 1.0), Detail.FULL)
print(encode(MetricsMessage(0, Cursor("e", 1), "h", 1000, 1000, payload)).decode())
"""
ONE = {
    "cpu": {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "5000"},
    "memory": {"memory.limit_in_bytes": str(256 * MIB)},
}


@contextmanager
def confinement() -> Iterator[list[Path]]:
    """Make control groups of version 1 for processors and memory, with limits."""
    groups = [Path("/sys/fs/cgroup", name, f"pulsewire-{os.getpid()}") for name in ONE]
    made: list[Path] = []
    try:
        for group in groups:
            if not (group.parent / "cgroup.procs").exists():
                pytest.skip("needs control groups of version 1")
            try:
                group.mkdir()
            except OSError as error:
                pytest.skip(f"needs the right to make control groups: {error}")
            made.append(group)
            for name, value in ONE[group.parent.name].items():
                (group / name).write_text(value)
        yield groups
    finally:
        for group in made:
            group.rmdir()


def test_a_process_in_a_real_control_group_tells_its_limits() -> None:
    """What it may use, what it does, and for how long it was held back."""
    with confinement() as groups:
        told = subprocess.run(
            [sys.executable, "-c", CONFINED, *map(str, groups)],
            capture_output=True,
            check=True,
            cwd=Path(__file__).parent.parent,
            timeout=30,
        ).stdout
    data: dict[str, Any] = orjson.loads(told)["data"]
    assert data["cpu"]["limitCores"] == 0.05
    assert data["cpu"]["throttledPercent"] > 20
    assert data["memory"]["limit"] == 256 * MIB
    assert 25 <= data["memory"]["limitUsage"] <= 75
    assert data["memory"]["scope"] == "cgroup"
    assert not {"cpu.limitCores", "memory.limit"} & {error["group"] for error in data["errors"]}
