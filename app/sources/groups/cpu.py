"""Processor time as a source counts it: the system's counters, mended.

The counters are meant to grow by no more than the time that passes. They do not always: one that
is missing in one reading, a reset after a migration, a processor taken away, a ``steal`` that
wraps below zero. Differences of such readings are false spikes, so every reading is judged before
its step is counted, and what is counted only ever grows. A window's mean is then the difference of
its two ends, whatever happened in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from attrs import define, field, frozen

# psutil's names, and never its order: 8.0 moves the fields of the tuple. Where a platform lacks
# one, nothing is counted for it. `guest` and `guest_nice` are absent on purpose: the kernel has
# them in `user` and `nice` already (proc_stat(5)).
BUSY = ("user", "nice", "system", "irq", "softirq", "steal")
# Judged as one: `iowait` by itself may decrease (proc_stat(5)), and is idle time like the other.
IDLE = ("idle", "iowait")

MICROSECONDS = 1_000_000
# A step may be twice what the processors had to give, and a second of each more: the bound keeps
# out nonsense, and leaves hypervisors and tickless kernels room in how they credit time.
LENIENCE = 2
SLACK_S = 1.0


def possible_us(seconds: float) -> float:
    """Give the most microseconds that one processor can have counted within so many seconds."""
    return (LENIENCE * seconds + SLACK_S) * MICROSECONDS


def percent(part: int, whole: int) -> float:
    """Give a share as 0 to 100 with two decimals; the share of nothing is 0."""
    return round(100 * min(max(part, 0), whole) / whole, 2) if whole > 0 else 0.0


class Modes(NamedTuple):
    """Microseconds by what they were spent for; None for what the system does not count.

    ``iowait`` may shrink, as time moves from it to idle.
    """

    user: int | None = None
    nice: int | None = None
    system: int | None = None
    irq: int | None = None
    softirq: int | None = None
    steal: int | None = None
    iowait: int | None = None


class Shares(NamedTuple):
    """Percentages of all processors' time by what it was spent for; None for what is not known."""

    user: float | None = None
    nice: float | None = None
    system: float | None = None
    irq: float | None = None
    softirq: float | None = None
    steal: float | None = None
    iowait: float | None = None


NO_MODES = Modes()


@frozen
class CpuTime:
    """Time of all processors together, in microseconds, since its source began to count.

    ``usage`` is the busy percentage of the newest step in which time passed; before there was
    one, the mean since boot. ``modes`` is the same time in detail; it begins anew, with another
    ``life``, when the system counts other modes than before.
    """

    busy: int
    idle: int
    usage: float
    modes: Modes = NO_MODES
    life: int = 0


def usage_between(first: CpuTime, last: CpuTime) -> float:
    """Give the mean busy percentage from one count to a later one.

    If nothing was counted between them, what ``last`` knows of the time before stands.
    """
    busy, idle = last.busy - first.busy, last.idle - first.idle
    return percent(busy, busy + idle) if busy + idle > 0 else last.usage


def usage_max(counts: Sequence[CpuTime]) -> float:
    """Give the highest mean busy percentage from one count to the next, of two counts at least."""
    steps = [
        usage_between(before, after)
        for before, after in pairwise(counts)
        if before.busy != after.busy or before.idle != after.idle
    ]
    return max(steps, default=counts[-1].usage)


def shares_between(first: CpuTime, last: CpuTime) -> Shares:
    """Give the percentages of all processors' time by what it was spent for.

    None for what was not counted all through. All but ``iowait`` add up to the usage.
    """
    total = last.busy + last.idle - first.busy - first.idle
    if total <= 0 or first.life != last.life:
        return Shares()
    return Shares(
        *(
            None if before is None or after is None else percent(after - before, total)
            for before, after in zip(first.modes, last.modes, strict=True)
        )
    )


@frozen
class _Reading:
    """The counters at one moment, by name, in microseconds: as integers, they subtract exactly.

    The moment lies between ``began`` and ``ended``, in monotonic seconds.
    """

    counters: dict[str, int]
    began: float
    ended: float

    def total(self, names: tuple[str, ...]) -> int:
        """Give the sum of some counters, as far as they are there."""
        return sum(self.counters.get(name, 0) for name in names)


@frozen
class _Step:
    """What passed between two readings: processor microseconds, and at most so many seconds."""

    busy: int
    idle: int
    seconds: float
    modes: Modes

    @classmethod
    def between(cls, before: _Reading, after: _Reading) -> _Step | None:
        """Give the step, or None if a counter came, went, or stepped back."""
        if before.counters.keys() != after.counters.keys():
            return None
        idle = after.total(IDLE) - before.total(IDLE)
        busy = [
            after.counters[name] - before.counters[name] for name in BUSY if name in after.counters
        ]
        if min([idle, *busy]) < 0:
            return None
        passed = {name: value - before.counters[name] for name, value in after.counters.items()}
        return cls(sum(busy), idle, after.ended - before.began, _modes(passed))


@define
class CpuMeter:
    """Counts processor time, one reading a call.

    A reading that does not follow from the one before (a counter came, went, stepped back, or
    further ahead than time allows) is put aside and nothing is counted. The next one tells what it
    was: if that follows from the last good reading, the odd one was a glitch, and no time is lost;
    if it follows from the odd one, the counters have begun anew, and counting goes on from there.

    ``times`` gives an object with the counters in seconds (``psutil.cpu_times``), ``processors``
    the number of processors that those are sums over, ``clock`` monotonic seconds.
    """

    times: Callable[[], object]
    processors: Callable[[], int]
    clock: Callable[[], float]
    _count: CpuTime = field(init=False, default=CpuTime(0, 0, 0.0))
    _good: _Reading | None = field(init=False, default=None)
    _odd: _Reading | None = field(init=False, default=None)
    _processors: int = field(init=False, default=0)

    def __call__(self) -> CpuTime:
        """Read the counters and give what has been counted so far.

        Raises:
            ValueError: no figure can be made of the counters: no idle time, or no time at all.
            Exception: whatever reading them raised.
        """
        now = self._read()
        if self._good is None:
            self._good, self._count = now, _since_boot(now)
        elif (step := self._follows(self._good, now) or self._follows(self._odd, now)) is None:
            self._odd = now
        else:
            self._good, self._odd, self._count = now, None, self._add(step)
        return self._count

    def _read(self) -> _Reading:
        began = self.clock()
        times = self.times()
        ended = self.clock()
        seconds = {name: getattr(times, name, None) for name in BUSY + IDLE}
        if seconds["idle"] is None:
            raise ValueError("the system counts no idle time")
        counters = {
            name: round(value * MICROSECONDS)
            for name, value in seconds.items()
            if value is not None
        }
        return _Reading(counters, began, ended)

    def _follows(self, before: _Reading | None, now: _Reading) -> _Step | None:
        """Give the step from one reading to another, or None if it cannot be true."""
        step = before and _Step.between(before, now)
        return step if step and self._fits(step) else None

    def _fits(self, step: _Step) -> bool:
        """Tell whether the processors had so much time to give."""
        each = possible_us(step.seconds)
        total = step.busy + step.idle
        if total > each * self._processors:
            # Counted when it matters only: some may have been plugged in since.
            self._processors = self.processors()
        return total <= each * self._processors

    def _add(self, step: _Step) -> CpuTime:
        time = step.busy + step.idle
        usage = percent(step.busy, time) if time else self._count.usage
        before = self._count
        modes, life = step.modes, before.life
        if _counted(modes) == _counted(before.modes):
            modes = Modes(*map(_sum, before.modes, modes))
        else:
            life += 1
        return CpuTime(before.busy + step.busy, before.idle + step.idle, usage, modes, life)


def _modes(counters: dict[str, int]) -> Modes:
    return Modes(*map(counters.get, Modes._fields))


def _counted(modes: Modes) -> list[bool]:
    return [time is not None for time in modes]


def _sum(known: int | None, passed: int | None) -> int | None:
    return None if known is None or passed is None else known + passed


def _since_boot(reading: _Reading) -> CpuTime:
    busy, idle = reading.total(BUSY), reading.total(IDLE)
    if busy + idle <= 0:
        raise ValueError("the system counts no processor time")
    begun = _modes(dict.fromkeys(reading.counters, 0))
    return CpuTime(0, 0, percent(busy, busy + idle), begun)
