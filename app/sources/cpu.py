"""Processor time as a source counts it: the system's counters, mended.

The counters are meant to grow by no more than the time that passes. They do not always: one that
is missing in one reading, a reset after a migration, a processor taken away, a ``steal`` that
wraps below zero. Differences of such readings are false spikes, so every reading is judged before
its step is counted, and what is counted only ever grows. A window's mean is then the difference of
its two ends, whatever happened in between.
"""

from __future__ import annotations

from collections.abc import Callable

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


def percent(part: int, whole: int) -> float:
    """Give a share as 0 to 100 with two decimals; the share of nothing is 0."""
    return round(100 * min(max(part, 0), whole) / whole, 2) if whole > 0 else 0.0


@frozen
class CpuTime:
    """Time of all processors together, in microseconds, since its source began to count.

    ``usage`` is the busy percentage of the newest step in which time passed; before there was
    one, the mean since boot.
    """

    busy: int
    idle: int
    usage: float


def usage_between(first: CpuTime, last: CpuTime) -> float:
    """Give the mean busy percentage from one count to a later one.

    If nothing was counted between them, what ``last`` knows of the time before stands.
    """
    busy, idle = last.busy - first.busy, last.idle - first.idle
    return percent(busy, busy + idle) if busy + idle > 0 else last.usage


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
        return cls(sum(busy), idle, after.ended - before.began)


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
        each = (LENIENCE * step.seconds + SLACK_S) * MICROSECONDS
        total = step.busy + step.idle
        if total > each * self._processors:
            # Counted when it matters only: some may have been plugged in since.
            self._processors = self.processors()
        return total <= each * self._processors

    def _add(self, step: _Step) -> CpuTime:
        time = step.busy + step.idle
        usage = percent(step.busy, time) if time else self._count.usage
        return CpuTime(self._count.busy + step.busy, self._count.idle + step.idle, usage)


def _since_boot(reading: _Reading) -> CpuTime:
    busy, idle = reading.total(BUSY), reading.total(IDLE)
    if busy + idle <= 0:
        raise ValueError("the system counts no processor time")
    return CpuTime(0, 0, percent(busy, busy + idle))
