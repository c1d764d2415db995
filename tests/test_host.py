"""The host source against the machine it runs on, and when the machine does not answer."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import orjson
import psutil
import pytest
from attrs import define

from app.core.clock import Clock
from app.core.source import Resting, Source, Window
from app.factory import default_sources
from app.settings import Settings
from app.sources.groups.machine import Machine
from app.sources.groups.reader import RARELY_S
from app.sources.groups.sample import HostSample
from app.sources.host import HostSource
from schema.codec import encode
from schema.cursor import Cursor
from schema.fields import Detail
from schema.metrics import Full, MetricsMessage, Simple, Standard

# What other programs may take or give back between two looks at a shared machine, in bytes.
STIR = 256 * 2**20

# Burns one second of processor time, between two lines of output.
BURN = """
import time
print("on", flush=True)
while time.process_time() < 1.0:
    pass
print("off", flush=True)
time.sleep(60)
"""

PATHS = ["/", "/proc", "/dev/shm", str(Path(__file__).parent)]  # noqa: S108 - only looked at


def standard(source: HostSource, *samples: HostSample) -> Standard:
    """Render the heritage payload of one sample, or of a window."""
    window = Window([samples[0], *samples], 1.0)
    payload = source.render(window, Detail.STANDARD)
    assert isinstance(payload, Standard)
    return payload


def output(*command: str) -> str:
    """Run an outside program and give what it printed, in the words that its manual uses."""
    environment = os.environ | {"LC_ALL": "C"}
    return subprocess.run(
        command, capture_output=True, check=True, env=environment, text=True, timeout=10
    ).stdout


# ---- against the machine


@pytest.mark.external("free")
def test_memory_is_what_free_says() -> None:
    """Total to the byte; available as near as a running machine allows."""
    source = HostSource()
    memory = standard(source, source.sample()).memory
    names, values = (line.split() for line in output("free", "-b").splitlines()[:2])
    shown = dict(zip(names, map(int, values[1:]), strict=True))
    assert memory.total == shown["total"]
    assert memory.free == pytest.approx(shown["available"], abs=STIR)
    assert memory.used + memory.free == memory.total
    assert memory.usage == pytest.approx(100 * memory.used / memory.total, abs=0.005)


@pytest.mark.external("df")
@pytest.mark.parametrize("path", PATHS)
def test_disk_is_what_df_says(path: str) -> None:
    """On the root, on a file system of no size, on one in memory, and below a mount's root."""
    source = HostSource(path)
    disk = standard(source, source.sample()).disk
    shown = output("df", "-B1", "--output=size,used,avail,pcent", path).splitlines()[1].split()
    total, used, free = map(int, shown[:3])
    assert (disk.path, disk.total) == (path, total)
    assert disk.used == pytest.approx(used, abs=STIR)
    assert disk.free == pytest.approx(free, abs=STIR)
    # df rounds up to a whole percent, and has none for a file system without a size.
    rounded_up = 0 if shown[3] == "-" else int(shown[3].rstrip("%"))
    assert rounded_up - 2 < disk.usage < rounded_up + 1


def test_uptime_is_what_the_kernel_says() -> None:
    """It lies between two readings of /proc/uptime, and bears two decimals."""
    source = HostSource()
    earlier, sample, later = kernel_uptime(), source.sample(), kernel_uptime()
    uptime = standard(source, sample).uptime
    assert earlier <= uptime <= later
    assert uptime == round(uptime, 2)


def kernel_uptime() -> float:
    return float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])


def test_hostname_cores_and_load_are_what_the_kernel_says() -> None:
    """As /proc has them."""
    source = HostSource()
    payload = standard(source, source.sample())
    load = Path("/proc/loadavg").read_text(encoding="ascii").split()[:3]
    name = Path("/proc/sys/kernel/hostname").read_text(encoding="utf-8").strip()
    assert payload.hostname == name
    assert payload.cpu.cores == os.sysconf("SC_NPROCESSORS_ONLN")
    assert payload.cpu.load_avg == pytest.approx([float(mean) for mean in load], abs=1)


def test_cpu_usage_is_what_the_kernel_counts_while_a_program_burns_a_core() -> None:
    """Within the bounds of readings of /proc/stat right before and right after each sample."""
    source = HostSource()
    with burning() as lines:
        next(lines)
        outer, first, inner = kernel_times(), source.sample(), kernel_times()
        next(lines)
        inner_end, last, outer_end = kernel_times(), source.sample(), kernel_times()
    most_busy, most_idle = (end - begin for begin, end in zip(outer, outer_end, strict=True))
    least_busy, least_idle = (end - begin for begin, end in zip(inner, inner_end, strict=True))
    usage = standard(source, first, last).cpu.usage
    assert usage >= 100 * least_busy / (least_busy + most_idle) - 0.01
    assert usage <= 100 * most_busy / (most_busy + least_idle) + 0.01
    assert last.cpu.busy - first.cpu.busy > 800_000


@contextmanager
def burning() -> Iterator[Iterator[str]]:
    """Run a program that burns a core between its two lines of output."""
    with subprocess.Popen([sys.executable, "-c", BURN], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            yield iter(child.stdout)
        finally:
            child.kill()


def kernel_times() -> tuple[int, int]:
    """Give busy and idle jiffies of all processors (proc_stat(5))."""
    first_line = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    user, nice, system, idle, iowait, irq, softirq, steal = map(int, first_line.split()[1:9])
    return user + nice + system + irq + softirq + steal, idle + iowait


# ---- as a source


def test_it_is_a_source_of_the_metrics_channel() -> None:
    """What the core asks of it, and the shapes that it renders."""
    source: Source = HostSource()
    assert (source.channel, source.message, source.always) == ("metrics", MetricsMessage, True)
    assert source.details == (Detail.SIMPLE, Detail.STANDARD, Detail.FULL)
    samples = [source.sample(), source.sample()]
    window = Window(samples, 1.0)
    simple, plain, full = (source.render(window, detail) for detail in source.details)
    assert isinstance(plain, Standard)
    assert isinstance(full, Full)
    assert simple == Simple(plain.cpu.usage, plain.memory.usage, plain.disk.usage, plain.uptime)


def test_full_is_standard_and_more() -> None:
    """Whatever standard has, it has too, with the same values."""
    source = HostSource()
    window = Window([source.sample(), source.sample()], 1.0)
    plain, full = (
        message(source.render(window, detail)) for detail in (Detail.STANDARD, Detail.FULL)
    )
    assert within(plain, full)
    assert list(full)[: len(plain)] == list(plain)


def message(payload: object) -> dict[str, Any]:
    """Give the data of a payload as it is sent."""
    assert isinstance(payload, Simple | Standard | Full)
    body = orjson.loads(encode(MetricsMessage(0, Cursor("e", 1), "h", 1000, 1000, payload)))
    data: dict[str, Any] = body["data"]
    return data


def within(part: object, whole: object) -> bool:
    """Tell whether all keys of one object are in another, at any depth, with the same values."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and within(value, whole[key]) for key, value in part.items())
    return part == whole


def test_rendering_is_pure() -> None:
    """Any source gives the same payload of a window, whenever asked."""
    source = HostSource("/proc")
    window = Window([source.sample(), source.sample()], 1.0)
    for detail in source.details:
        assert source.render(window, detail) == HostSource("/").render(window, detail)


def test_at_rest_it_holds_nothing() -> None:
    """No descriptor, no thread; it can be sampled again, and nothing follows from before."""
    source: Source = HostSource()
    gc.collect()  # what others left behind
    before = open_files()
    first = source.sample()
    assert open_files() > before
    assert isinstance(source, Resting)
    source.rest()
    # At once, and not when the collector comes to it.
    assert open_files() == before
    payload = source.render(Window([first, source.sample()], 1.0), Detail.STANDARD)
    assert 0 <= payload.cpu.usage <= 100


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_sample_cannot_be_changed() -> None:
    """It is kept and shared."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        HostSource().sample().uptime = 0.0  # type: ignore[misc]


def test_no_percentage_is_taken_from_psutil(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its helpers keep their state by thread, so that another thread gets a 0.0."""
    asked: list[str] = []
    for owner, name in [
        (psutil, "cpu_percent"),
        (psutil, "cpu_times_percent"),
        (psutil.Process, "cpu_percent"),
        (psutil, "disk_usage"),
    ]:
        monkeypatch.setattr(owner, name, lambda *_, name=name, **__: asked.append(name))
    source = HostSource()
    samples = [source.sample(), source.sample()]
    standard(source, *samples)
    assert asked == []


def test_counters_are_read_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release of psutil that orders them otherwise makes no difference."""
    before = psutil.cpu_times()
    after = before._replace(user=before.user + 0.25, idle=before.idle + 0.75)
    reordered = namedtuple("reordered", reversed(before._fields))  # type: ignore[misc] # noqa: PYI024
    source, samples = HostSource(machine=Machine(root=Path("/nowhere"))), []
    for times in (before, after):
        shown = reordered(**times._asdict())
        both = {False: shown, True: [shown]}
        monkeypatch.setattr(psutil, "cpu_times", lambda percpu=False, both=both: both[percpu])
        samples.append(source.sample())
    assert standard(source, *samples).cpu.usage == 25.0


# ---- when the machine does not answer


@define
class HandClock:
    """A monotonic clock that is moved by hand."""

    now: float = 0.0

    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.now)


def fail(*_: object, **__: object) -> None:
    raise RuntimeError("out of order")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a place with a `proc` of its own, as this machine has it at this moment."""
    (tmp_path / "proc").mkdir()
    for name in ("stat", "meminfo", "vmstat", "uptime"):
        text = Path("/proc", name).read_bytes()
        (tmp_path / "proc" / name).write_bytes(text)
    return tmp_path


# What is asked of the system, or read, which of a sample's figures come of it, and by which key a
# message tells that it failed.
GROUPS = [
    ("stat", "cpu", "cpu"),
    ("psutil.cpu_count", "cores", "cpu.cores"),
    ("os.getloadavg", "load_avg", "cpu.loadAvg"),
    ("meminfo", "memory", "memory"),
    ("os.statvfs", "disk", "disk"),
    ("uptime", "uptime", "uptime"),
    ("socket.gethostname", "hostname", "hostname"),
]
groups = pytest.mark.parametrize(("asked", "figure", "key"), GROUPS)


@contextmanager
def broken(asked: str, root: Path) -> Iterator[None]:
    """Let a question fail, or a file of `proc` hold nonsense."""
    file = root / "proc" / asked
    if not file.exists():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asked, fail)
            yield
        return
    text = file.read_bytes()
    file.write_bytes(b"out of order\n")
    yield
    file.write_bytes(text)


@groups
def test_a_figure_that_was_never_read_fails_the_sample(
    root: Path, asked: str, figure: str, key: str
) -> None:
    """No figure is made up, and the source works once the machine answers."""
    source = HostSource(machine=Machine(root=root))
    wrong = pytest.raises((RuntimeError, ValueError), match=rf"out of order|proc/{asked}: ")
    with broken(asked, root), wrong:
        source.sample()
    assert getattr(source.sample(), figure) is not None


@groups
def test_a_figure_that_cannot_be_read_again_keeps_its_last_value(
    root: Path, asked: str, figure: str, key: str
) -> None:
    """A sample is taken all the same, and tells which group is not what it should be."""
    hand = HandClock()
    source = HostSource(machine=Machine(hand.clock(), root))
    first = source.sample()
    with broken(asked, root):
        hand.now += RARELY_S
        second = source.sample()
    third = source.sample()
    assert getattr(second, figure) == getattr(first, figure)
    codes = [{failure.group: failure.code for failure in s.errors} for s in (first, second, third)]
    assert codes[1][key] in {"RuntimeError", "ValueError"}
    assert key not in codes[0].keys() | codes[2].keys()


def test_the_log_tells_once_that_a_figure_cannot_be_read_and_once_that_it_can(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Not every second, as long as it lasts."""
    caplog.set_level(logging.INFO)
    mount = tmp_path / "mount"
    mount.mkdir()
    source = HostSource(str(mount))
    source.sample()
    mount.rmdir()
    source.sample()
    source.sample()
    (told,) = caplog.messages
    assert str(mount) in told
    assert "No such file" in told
    mount.mkdir()
    source.sample()
    source.sample()
    assert caplog.messages[1:] == [f"file system of {mount}: can be read again"]


@pytest.mark.parametrize(
    ("asked", "figure"), [("socket.gethostname", "hostname"), ("psutil.cpu_count", "cores")]
)
def test_name_and_cores_are_read_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, asked: str, figure: str
) -> None:
    """They hardly ever change."""
    hand = HandClock()
    source = HostSource(machine=Machine(clock=hand.clock()))
    first = getattr(source.sample(), figure)
    monkeypatch.setattr(asked, lambda **_: "another")
    hand.now += RARELY_S - 0.1
    assert getattr(source.sample(), figure) == first
    hand.now += 0.1
    assert getattr(source.sample(), figure) == "another"


def test_a_machine_without_cores_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """What psutil gives where it does not know is no figure."""
    monkeypatch.setattr(psutil, "cpu_count", lambda: None)
    with pytest.raises(OSError, match="cores"):
        Machine().cores()


def test_the_settings_reach_the_source() -> None:
    """Those of what is measured."""
    source, *_ = default_sources(Settings(disk_path="/proc", remote_disks=True))
    assert isinstance(source, HostSource)
    assert source.sample().disk.path == "/proc"
    assert source._remote_disks
