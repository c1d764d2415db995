"""The ``metrics`` channel's source: processors, memory, one file system, uptime, name."""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import psutil
from attrs import define, field, frozen

from app.core.clock import Clock
from app.core.source import Window
from app.sources.cpu import CpuMeter, CpuTime, percent, usage_between
from schema.fields import Detail
from schema.messages import DataMessage
from schema.metrics import Cpu, Disk, Memory, MetricsMessage, Simple, Standard

logger = logging.getLogger(__name__)

T = TypeVar("T")

# What hardly ever changes (number of cores, host name) is read once in so many seconds.
RARELY_S = 60.0
# The largest size that any JSON reader's 64-bit integer holds, in bytes.
SIZE_MAX = 2**63 - 1


@frozen
class MemorySpace:
    """Main memory in bytes; ``available`` is what programs could still take without swapping."""

    total: int
    available: int


@frozen
class DiskSpace:
    """The file system that holds ``path``, in bytes, as ``df`` has it."""

    path: str
    total: int
    used: int
    free: int


@frozen
class HostSample:
    """One look at a machine: raw figures only, percentages are made of two of them.

    ``load_avg`` are the system's means over 1, 5 and 15 minutes, ``uptime`` is seconds since boot.
    """

    cpu: CpuTime
    cores: int
    load_avg: tuple[float, float, float]
    memory: MemorySpace
    disk: DiskSpace
    uptime: float
    hostname: str


@frozen
class Machine:
    """Where the figures come from: psutil and the system; tests override what is hard to come by.

    ``/proc/uptime`` goes before the boot-time clock, which equals it on a plain machine: in an LXC
    container only the file knows when the container was started (lxcfs).
    """

    clock: Clock = field(factory=Clock)
    uptime_file: Path = Path("/proc/uptime")

    def cpu_times(self) -> object:
        """Give the counters of all processors together, in seconds, as attributes."""
        return psutil.cpu_times()

    def processors(self) -> int:
        """Give the number of processors behind ``cpu_times``, from the same file.

        Not the number of cores: that may be what this process is confined to.
        """
        return len(psutil.cpu_times(percpu=True))

    def cores(self) -> int:
        """Give the number of logical processors.

        Raises:
            OSError: the system does not tell.
        """
        cores = psutil.cpu_count()
        if cores is None:
            raise OSError("the number of cores is not known")
        return cores

    def load_avg(self) -> tuple[float, float, float]:
        """Give the mean numbers of runnable tasks over 1, 5 and 15 minutes (``getloadavg(3)``)."""
        return os.getloadavg()

    def memory(self) -> MemorySpace:
        """Give main memory (``MemTotal`` and ``MemAvailable`` of ``/proc/meminfo``).

        Raises:
            ValueError: the machine claims to have none.
        """
        memory = psutil.virtual_memory()
        if memory.total <= 0:
            raise ValueError("the system counts no memory")
        return MemorySpace(memory.total, min(max(memory.available, 0), memory.total))

    def disk(self, path: str) -> DiskSpace:
        """Give the file system that holds a path, as ``df`` reckons it (``statvfs(3)``).

        Raises:
            OSError: there is no such path, or it cannot be reached.
        """
        status = os.statvfs(path)
        unit = status.f_frsize
        return DiskSpace(
            path,
            total=_size(status.f_blocks, unit),
            used=_size(status.f_blocks - status.f_bfree, unit),
            free=_size(status.f_bavail, unit),
        )

    def uptime(self) -> float:
        """Give the seconds since boot, those in suspend included."""
        try:
            text = self.uptime_file.read_text(encoding="ascii")
        except OSError:
            return self.clock.boottime()
        return float(text.split()[0])

    def hostname(self) -> str:
        """Give the machine's own name for itself."""
        return socket.gethostname()


def _size(blocks: int, unit: int) -> int:
    # Below zero when more is used than there is for all but root, which some file systems give as
    # a huge unsigned number (as df(1) knows too); others call "unlimited" what no 64 bits hold.
    return min(blocks * unit, SIZE_MAX) if 0 <= blocks < 2**63 else 0


@define
class Kept(Generic[T]):
    """A reading that stands until there is a newer one, also when it cannot be taken anew.

    ``every`` is for how many seconds a value is good enough not to be read again; ``name`` is for
    the log, which is told when it begins to fail, and when it is back.
    """

    name: str
    read: Callable[[], T]
    clock: Callable[[], float]
    every: float = 0.0
    _value: T | None = field(init=False, default=None)
    _due: float = field(init=False, default=-math.inf)
    _failing: bool = field(init=False, default=False)

    def __call__(self) -> T:
        """Give the newest value there is.

        Raises:
            Exception: it cannot be read and never was; whatever the reading raised.
        """
        now = self.clock()
        if self._value is not None and now < self._due:
            return self._value
        self._value = self._renewed()
        self._due = now + self.every
        return self._value

    def _renewed(self) -> T:
        try:
            value = self.read()
        except Exception as error:
            if self._value is None:
                raise
            if not self._failing:
                logger.warning("%s: last value stands, as it cannot be read: %r", self.name, error)
            self._failing = True
            return self._value
        if self._failing:
            logger.info("%s: can be read again", self.name)
        self._failing = False
        return value


class HostSource:
    """Samples the machine that it runs on; ``disk_path`` says of which file system to tell.

    Each figure that cannot be read keeps its last value; one that never could be read fails the
    sample. A mount that hangs holds up ``sample``, and so its thread. One call at a time.
    """

    channel: ClassVar[str] = MetricsMessage.TAG
    message: ClassVar[type[DataMessage]] = MetricsMessage
    details: ClassVar[tuple[Detail, ...]] = (Detail.SIMPLE, Detail.STANDARD)
    always: ClassVar[bool] = True

    def __init__(self, disk_path: str = "/", machine: Machine | None = None) -> None:
        machine = machine or Machine()
        clock = machine.clock.monotonic
        meter = CpuMeter(machine.cpu_times, machine.processors, clock)
        self._cpu = Kept("processor times", meter, clock)
        self._cores = Kept("number of cores", machine.cores, clock, RARELY_S)
        self._load_avg = Kept("load average", machine.load_avg, clock)
        self._memory = Kept("memory", machine.memory, clock)
        self._disk = Kept(f"file system of {disk_path}", lambda: machine.disk(disk_path), clock)
        self._uptime = Kept("uptime", machine.uptime, clock)
        self._hostname = Kept("host name", machine.hostname, clock, RARELY_S)

    def sample(self) -> HostSample:
        """Read the machine once.

        Raises:
            Exception: a figure cannot be read and never was; whatever reading it raised.
        """
        return HostSample(
            cpu=self._cpu(),  # first, so as to be nearest to the moment of asking
            cores=self._cores(),
            load_avg=self._load_avg(),
            memory=self._memory(),
            disk=self._disk(),
            uptime=self._uptime(),
            hostname=self._hostname(),
        )

    def render(self, window: Window, detail: Detail) -> Simple | Standard:
        """Make the payload for the window's last sample, with the processors' mean over all of it.

        Raises:
            KeyError: the detail is not among ``details``.
        """
        return _RENDERERS[detail](window.first, window.last)


def _simple(first: HostSample, last: HostSample) -> Simple:
    standard = _standard(first, last)
    return Simple(
        cpu=standard.cpu.usage,
        memory=standard.memory.usage,
        disk=standard.disk.usage,
        uptime=standard.uptime,
    )


def _standard(first: HostSample, last: HostSample) -> Standard:
    return Standard(
        cpu=Cpu(
            usage=usage_between(first.cpu, last.cpu),
            cores=last.cores,
            load_avg=[round(mean, 2) for mean in last.load_avg],
        ),
        memory=_memory(last.memory),
        disk=_disk(last.disk),
        uptime=round(last.uptime, 2),
        hostname=last.hostname,
    )


def _memory(space: MemorySpace) -> Memory:
    used = space.total - space.available
    return Memory(
        total=space.total, used=used, free=space.available, usage=percent(used, space.total)
    )


def _disk(space: DiskSpace) -> Disk:
    return Disk(
        total=space.total,
        used=space.used,
        free=space.free,
        usage=percent(space.used, space.used + space.free),
        path=space.path,
    )


_RENDERERS: dict[Detail, Callable[[HostSample, HostSample], Simple | Standard]] = {
    Detail.SIMPLE: _simple,
    Detail.STANDARD: _standard,
}
