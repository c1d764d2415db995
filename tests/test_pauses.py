"""The pauses of the loop: the newest, the longest, and the longest of late."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from app.core.pauses import RECENT_S, Pauses

seconds = st.floats(0, 100)


def test_before_the_first_beat_nothing_was_held_up() -> None:
    """Zero is what was seen."""
    pauses = Pauses()

    assert (pauses.newest, pauses.recent(1000.0), pauses.longest) == (0, 0, 0)


def test_a_beat_that_is_early_by_a_hair_was_not_held_up() -> None:
    """A timer may fire so."""
    pauses = Pauses()

    pauses.beat(99.999, 100.0)

    assert (pauses.newest, pauses.recent(100.0), pauses.longest) == (0, 0, 0)


def test_work_is_a_pause_but_not_the_newest_beat() -> None:
    """That tells how the loop is at the moment."""
    pauses = Pauses()

    pauses.beat(100.5, 100.0)
    pauses.work(100.9, 0.75)

    assert (pauses.newest, pauses.recent(101.0), pauses.longest) == (0.5, 0.75, 0.75)


@given(st.lists(st.tuples(seconds, seconds), max_size=30), seconds)
def test_the_longest_of_late_is_forgotten_after_a_minute(
    pauses: list[tuple[float, float]], later: float
) -> None:
    """To the moment, however many there were; the longest of all stays."""
    kept = Pauses()
    moments = list(accumulate(after for after, _ in pauses))
    lengths = [took for _, took in pauses]
    for moment, took in zip(moments, lengths, strict=True):
        kept.work(moment, took)
    now = (moments[-1] if moments else 0.0) + later

    recent = [t for at, t in zip(moments, lengths, strict=True) if at > now - RECENT_S]
    assert kept.recent(now) == max(recent, default=0.0)
    assert kept.longest == max(lengths, default=0.0)
