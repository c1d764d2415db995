"""The full picture against the machine: what the kernel counts at the same moments."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest

from app.core.source import Window
from app.sources.host import HostSource
from app.sources.sample import HostSample
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


def look(
    source: HostSource, read: Callable[[], T], wait: Callable[[], None]
) -> tuple[Full, T, T, float]:
    """Sample twice, with readings of the test's own right before; give those, and the seconds."""
    before, began = read(), time.monotonic()
    first: HostSample = source.sample()
    wait()
    after, ended = read(), time.monotonic()
    last: HostSample = source.sample()
    payload = full(source, Window([first, last], ended - began))
    return payload, before, after, ended - began


# ---- processors


def jiffies() -> Jiffies:
    """Give the lines of processors as the kernel has them, guests left out (proc_stat(5))."""
    lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    rows = [line.split() for line in lines if line.startswith("cpu")]
    return {name: [int(value) for value in values[:8]] for name, *values in rows}


def busy(before: list[int], after: list[int]) -> float:
    """Reckon a busy percentage in the plainest way."""
    passed = [end - begin for begin, end in zip(before, after, strict=True)]
    return 100 * (sum(passed) - passed[3] - passed[4]) / sum(passed)


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
        payload, before, after, _ = look(HostSource(), jiffies, lambda: time.sleep(1.5))
    cpu = payload.cpu
    assert cpu.usage == pytest.approx(busy(before["cpu"], after["cpu"]), abs=2)
    for number, share in enumerate(cpu.per_core):
        name = f"cpu{number}"
        assert (share is None) == (name not in before)
        assert share is None or share == pytest.approx(busy(before[name], after[name]), abs=5)
    assert (cpu.per_core[core] or 0) > 25
    passed = [end - begin for begin, end in zip(before["cpu"], after["cpu"], strict=True)]
    shares = [100 * part / sum(passed) for part in passed]
    told = [cpu.user, cpu.nice, cpu.system, None, cpu.iowait, cpu.irq, cpu.softirq, cpu.steal]
    for share, mine in zip(shares, told, strict=True):
        assert mine is None or mine == pytest.approx(share, abs=2)


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
    """Switches, interrupts, and pressure where it is counted; to what happens in a moment."""
    payload, before, after, seconds = look(HostSource(), counters, lambda: time.sleep(0.5))
    rates = {name: (after[name] - before[name]) / seconds for name in before}
    assert payload.cpu.context_switches_per_sec == pytest.approx(rates["ctxt"], rel=0.25, abs=200)
    assert payload.cpu.interrupts_per_sec == pytest.approx(rates["intr"], rel=0.25, abs=200)
    for name in before.keys() - {"ctxt", "intr"}:
        stall = getattr(payload.pressure, name)
        assert stall.some == pytest.approx(rates[name] / 10_000, abs=5)


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
