"""How busy each processor is, out of counters that are judged as those of all together are."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Mapping

from attrs import define, field, frozen

from app.sources.groups.cpu import percent, possible_us
from app.sources.groups.procstat import CoreTime

# In place of a life: the processor is offline.
OFFLINE = -1


@frozen
class CoreTimes:
    """Times of the processors by number, and which life of its counters each has (or OFFLINE).

    ``times`` holds busy and idle microseconds in turn. An array, as thousands of these are kept:
    so it takes 16 bytes a processor instead of 100.
    """

    times: array[int]
    lives: tuple[int, ...]

    def of(self, number: int) -> CoreTime:
        """Give the times of one processor."""
        return CoreTime(self.times[2 * number], self.times[2 * number + 1])


@define(eq=False)
class CoreMeter:
    """Tells the lives of the processors' counters apart; one reading a call.

    A new life begins when a processor comes, when its counters step back, or further ahead than
    time allows. What was seen once keeps its place when it goes offline.
    """

    _before: CoreTimes = field(init=False, factory=lambda: CoreTimes(array("q"), ()))
    _at: float = field(init=False, default=0.0)
    _lives: itertools.count[int] = field(init=False, factory=itertools.count)

    def __call__(self, cores: Mapping[int, CoreTime], now: float) -> CoreTimes:
        """Take a reading; ``now`` is its moment, in monotonic seconds."""
        before, possible = self._before, possible_us(now - self._at)
        size = max(len(before.lives), max(cores, default=-1) + 1)
        times, lives = array("q", bytes(16 * size)), [OFFLINE] * size
        for number, core in cores.items():
            times[2 * number : 2 * number + 2] = array("q", core)
            lives[number] = self._life(number, core, possible)
        # Nearly always the same ones, and kept in every sample.
        same = tuple(lives) == before.lives
        self._before = CoreTimes(times, before.lives if same else tuple(lives))
        self._at = now
        return self._before

    def _life(self, number: int, now: CoreTime, possible: float) -> int:
        before = self._before
        if number < len(before.lives) and before.lives[number] != OFFLINE:
            then = before.of(number)
            busy, idle = now.busy - then.busy, now.idle - then.idle
            if busy >= 0 and idle >= 0 and busy + idle <= possible:
                return before.lives[number]
        return next(self._lives)


def render_cores(first: CoreTimes | None, last: CoreTimes | None) -> list[float | None]:
    """Give the busy percentage of each processor; None for one that did not count all through."""
    if last is None:
        return []
    if first is None:
        return [None] * len(last.lives)
    known = len(first.lives)
    return [
        _usage(first.of(number), last.of(number))
        if number < known and life != OFFLINE and first.lives[number] == life
        else None
        for number, life in enumerate(last.lives)
    ]


def _usage(first: CoreTime, last: CoreTime) -> float | None:
    busy, idle = last.busy - first.busy, last.idle - first.idle
    return percent(busy, busy + idle) if busy + idle > 0 else None
