"""What the control groups of this process bound it to: processors' time, and memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from attrs import define, field, frozen

from app.sources.counters import Counted, Lives, grown
from app.sources.groups.cgroup import ControlGroups, Group, Version, tightest
from app.sources.groups.cpu import percent
from app.sources.groups.kept import Cached

# Limits are set at the start of a container and hardly ever after.
SEARCH_S = 10.0


class Periods(NamedTuple):
    """Periods in which the group had something to do, and those in which it was held back."""

    all: int
    throttled: int


@frozen
class CpuLimit:
    """Processors' time that may be used, as a number of cores; ``periods`` counts since its start.

    ``periods`` is None where the kernel does not count them.
    """

    cores: float
    periods: Counted[Periods] | None


@define(eq=False)
class CpuLimitStat:
    """Reads the tightest limit of processors' time; ``clock`` gives monotonic seconds."""

    groups: ControlGroups
    clock: Callable[[], float]
    _find: Cached[tuple[Group, float] | None] = field(init=False)
    _lives: Lives[Periods] = field(init=False, factory=Lives)

    def __attrs_post_init__(self) -> None:
        self._find = Cached(self._search, self.clock, SEARCH_S)

    def __call__(self) -> CpuLimit | None:
        """Read it; None if there is none.

        Raises:
            OSError: it cannot be read.
            ValueError: it cannot be understood.
        """
        found = self._find()
        if found is None:
            return None
        group, cores = found
        periods = group.count("cpu.stat", "nr_periods")
        throttled = group.count("cpu.stat", "nr_throttled")
        if periods is None or throttled is None:
            # Gone, most likely: this process was moved.
            self._find.forget()
            return CpuLimit(cores, None)
        name = str(group.path)
        return CpuLimit(cores, self._lives({name: Periods(periods, throttled)})[name])

    def _search(self) -> tuple[Group, float] | None:
        return tightest(self.groups.of("cpu"), cpu_limit)


def cpu_limit(group: Group) -> float | None:
    """Give what one group may use, as a number of cores; None if it is not limited.

    Raises:
        OSError: it cannot be read.
        ValueError: it cannot be understood.
    """
    name = "cpu.max" if group.version is Version.TWO else "cpu.cfs_quota_us"
    limit = group.read(name)
    if limit is None:
        return None
    quota, _, period = limit.partition(" ")
    if group.version is Version.ONE:
        period = group.read("cpu.cfs_period_us") or ""
    if quota in {"max", "-1"}:
        return None
    cores = group.number(name, quota) / (group.number(name, period) or math.inf)
    if cores <= 0:
        raise ValueError(f"{group.path / name}: {quota} of {period} is no limit")
    return cores


def render_throttled(first: CpuLimit | None, last: CpuLimit | None) -> float | None:
    """Give the percentage of a window's periods in which the group was held back."""
    if first is None or last is None or last.periods is None:
        return None
    ends = grown(first.periods, last.periods)
    if ends is None:
        return None
    before, after = ends
    return percent(after.throttled - before.throttled, after.all - before.all)


class MemoryLimit(NamedTuple):
    """Bytes that may be used, and that are, without what can be dropped at once."""

    limit: int
    used: int


class _Names(NamedTuple):
    """The files of a group that tell of its memory, and the key of inactive file cache."""

    limit: str
    used: str
    inactive: str


_NAMES = {
    Version.ONE: _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    Version.TWO: _Names("memory.max", "memory.current", "inactive_file"),
}


@define(eq=False)
class MemoryLimitStat:
    """Reads the tightest limit of memory; ``clock`` gives monotonic seconds."""

    groups: ControlGroups
    clock: Callable[[], float]
    _find: Cached[tuple[Group, int] | None] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._find = Cached(self._search, self.clock, SEARCH_S)

    def __call__(self, total: int) -> MemoryLimit | None:
        """Read it; None if there is none below ``total``, what the machine has.

        Raises:
            OSError: it cannot be read.
            ValueError: it cannot be understood.
        """
        found = self._find()
        if found is None or found[1] >= total:
            return None
        group, limit = found
        names = _NAMES[group.version]
        used = group.read(names.used)
        if used is None:
            self._find.forget()
            raise FileNotFoundError(f"{group.path}: the control group is gone")
        inactive = group.count("memory.stat", names.inactive) or 0
        return MemoryLimit(limit, max(group.number(names.used, used) - inactive, 0))

    def _search(self) -> tuple[Group, int] | None:
        return tightest(self.groups.of("memory"), memory_limit)


def memory_limit(group: Group) -> int | None:
    """Give the bytes that one group may use; None if it is not limited.

    Raises:
        OSError: it cannot be read.
        ValueError: it cannot be understood.
    """
    name = _NAMES[group.version].limit
    limit = group.read(name)
    return None if limit is None or limit == "max" else group.number(name, limit)
