"""Counters that only grow, until they do not: a reset, a wrap, a device that went and came back.

A rate is the difference of a window's two ends. It is true only if the counter lived on between
them, so each reading bears the ``life`` of its counters: another one after any step back. What
went backwards in between gives no rate, never a spike, and never a figure that is a little wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from attrs import define, field, frozen

# A NamedTuple of counters; one that the system does not have is None.
Counters = TypeVar("Counters", bound="Sequence[int | None]")


@frozen
class Counted(Generic[Counters]):
    """The counters of one thing (a disk, an interface), and which of their lives this is."""

    counters: Counters
    life: int


@define(eq=False)
class Lives(Generic[Counters]):
    """Tells the lives of counters apart; one call a reading, all things of a kind in it.

    A thing that was not in the reading before begins a new life, so nothing is remembered of
    what has gone.
    """

    _before: Mapping[str, Counted[Counters]] = field(init=False, factory=dict)
    _lives: itertools.count[int] = field(init=False, factory=itertools.count)

    def __call__(self, reading: Mapping[str, Counters]) -> Mapping[str, Counted[Counters]]:
        """Give each thing's counters their life."""
        self._before = {
            name: _counted(self._before.get(name), counters, self._lives)
            for name, counters in reading.items()
        }
        return self._before


def _counted(
    before: Counted[Counters] | None, now: Counters, lives: Iterator[int]
) -> Counted[Counters]:
    if before is None or not _follows(before.counters, now):
        return Counted(now, next(lives))
    # Samples are kept for long, and most things stand still: one object for all of them.
    return before if before.counters == now else Counted(now, before.life)


def _follows(before: Sequence[int | None], now: Sequence[int | None]) -> bool:
    """Tell whether no counter came, went or stepped back."""
    return all(
        old == new if old is None or new is None else old <= new
        for old, new in zip(before, now, strict=True)
    )


def grown(
    first: Counted[Counters] | None, last: Counted[Counters]
) -> tuple[Counters, Counters] | None:
    """Return the counters at both ends of a window, or None if they did not live through it."""
    if first is None or first.life != last.life:
        return None
    return first.counters, last.counters


def rate(before: int | None, after: int | None, seconds: float) -> float | None:
    """Give what was counted a second, with two decimals; None where it is not counted."""
    if before is None or after is None or seconds <= 0:
        return None
    return round((after - before) / seconds, 2)
