"""What the kernel counts of the processors: all of it in one reading of ``/proc/stat``.

psutil would read that file three times, and cannot tell which processors are offline. It stands in
where there is no such file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import psutil
from attrs import define, field, frozen

from app.sources.groups.cpu import BUSY, IDLE, MICROSECONDS
from app.sources.groups.held import HeldFile

# In what the kernel counts times for programs.
HERTZ = os.sysconf("SC_CLK_TCK")
# The columns of a processor's line, as far as they are counted (proc_stat(5)).
COLUMNS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


class CoreTime(NamedTuple):
    """Busy and idle microseconds of one processor since boot."""

    busy: int
    idle: int


class Activity(NamedTuple):
    """Switches between tasks, and hardware interrupts, of all processors since boot."""

    switches: int | None
    interrupts: int | None


@frozen
class Counts:
    """One reading: ``times`` of all processors in seconds, as attributes; ``cores`` by number.

    ``boot`` is the moment of boot in seconds since the epoch, None where the system does not tell.
    """

    times: object
    cores: Mapping[int, CoreTime]
    activity: Activity
    boot: int | None


@define(eq=False)
class ProcessorStat:
    """Reads the counters; ``newest`` is what the last reading gave, None if it failed."""

    proc: Path = Path("/proc")
    newest: Counts | None = field(init=False, default=None)
    _file: HeldFile = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._file = HeldFile(self.proc / "stat")

    def times(self) -> object:
        """Read, and give the times of all processors together in seconds, as attributes.

        Raises:
            OSError: they cannot be read.
            ValueError: they cannot be understood.
        """
        self.newest = None
        try:
            self.newest = self._file.parsed(parse)
        except FileNotFoundError:
            self.newest = _by_psutil()
        return self.newest.times

    def processors(self) -> int:
        """Give the number of processors behind the counters of the newest reading.

        Not the number of cores: that may be what this process is confined to.
        """
        return len(self.newest.cores) if self.newest else 0

    def boot(self) -> int | None:
        """Give the moment of boot as the newest reading has it, in seconds since the epoch."""
        return self.newest.boot if self.newest else None


def parse(text: bytes) -> Counts:
    """Understand ``/proc/stat``.

    Raises:
        ValueError: it is not that file.
    """
    times: object = None
    cores: dict[int, CoreTime] = {}
    singles: dict[bytes, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(b" ")
        if name == b"cpu":
            seconds = [int(value) / HERTZ for value in rest.split()]
            times = SimpleNamespace(**dict(zip(COLUMNS, seconds, strict=False)))
        elif name.startswith(b"cpu"):
            cores[int(name[3:])] = _core_time(rest)
        elif name in {b"ctxt", b"intr", b"btime"}:
            # The first number of `intr` is the sum of all the others, which can be thousands.
            singles[name] = int(rest.partition(b" ")[0])
    if times is None:
        raise ValueError("there is no line of all processors")
    activity = Activity(singles.get(b"ctxt"), singles.get(b"intr"))
    return Counts(times, cores, activity, singles.get(b"btime"))


def _core_time(columns: bytes) -> CoreTime:
    counted = dict(zip(COLUMNS, map(int, columns.split()), strict=False))
    idle = sum(counted.get(name, 0) for name in IDLE)
    unit = MICROSECONDS // HERTZ
    return CoreTime((sum(counted.values()) - idle) * unit, idle * unit)


def _by_psutil() -> Counts:
    stats = psutil.cpu_stats()
    return Counts(
        psutil.cpu_times(),
        {
            number: CoreTime(_microseconds(times, BUSY), _microseconds(times, IDLE))
            for number, times in enumerate(psutil.cpu_times(percpu=True))
        },
        Activity(stats.ctx_switches, stats.interrupts),
        round(psutil.boot_time()),
    )


def _microseconds(times: object, names: tuple[str, ...]) -> int:
    return round(sum(getattr(times, name, 0.0) for name in names) * MICROSECONDS)
