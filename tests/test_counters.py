"""Rates of counters: of any stream, a true one or none."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sources.counters import Counted, Lives, grown, rate


class Traffic(NamedTuple):
    """Two counters of one thing; one that is not counted is None."""

    taken: int | None
    given: int | None


GOES = st.integers(0, 2**40)
STEPS = st.one_of(
    st.tuples(st.just("step"), GOES, GOES),
    st.tuples(st.just("wrap"), GOES, GOES),
    st.tuples(st.just("reset"), GOES, GOES),
    st.tuples(st.just("lose one"), GOES, GOES),
    st.tuples(st.just("vanish"), GOES, GOES),
)
WRAP = 2**32


@st.composite
def streams(draw: st.DrawFn) -> list[dict[str, Traffic]]:
    """Draw readings of a thing whose counters step, wrap, begin anew, vanish, and come back."""
    taken, given_ = draw(GOES), draw(GOES)
    readings = []
    for kind, more, most in draw(st.lists(STEPS, min_size=2, max_size=12)):
        taken, given_ = taken + more, given_ + most
        if kind == "wrap":
            taken %= WRAP
        elif kind == "reset":
            taken = given_ = 0
        shown = Traffic(taken, None if kind == "lose one" else given_)
        readings.append({} if kind == "vanish" else {"it": shown})
    return readings


def went_on(readings: list[Traffic | None]) -> bool:
    """Tell whether the counters were there all the time, and never lower than before."""
    there = [reading for reading in readings if reading is not None]
    return len(there) == len(readings) and all(
        (old is None) == (new is None) and (old or 0) <= (new or 0)
        for before, after in itertools.pairwise(there)
        for old, new in zip(before, after, strict=True)
    )


@given(readings=streams(), seconds=st.floats(0.001, 1000))
def test_a_rate_is_the_true_one_if_nothing_went_back_and_else_none(
    readings: list[dict[str, Traffic]], seconds: float
) -> None:
    """Between any two readings of any stream."""
    lives: Lives[Traffic] = Lives()
    counted = [lives(reading).get("it") for reading in readings]
    for begin in range(len(readings)):
        for end in range(begin, len(readings)):
            first, last = counted[begin], counted[end]
            if last is None:
                continue
            ends = grown(first, last)
            passed = [reading.get("it") for reading in readings[begin : end + 1]]
            if not went_on(passed):
                assert ends is None
                continue
            assert ends == (passed[0], passed[-1])
            for before, after in zip(*ends, strict=True):
                found = rate(before, after, seconds)
                if before is None or after is None:
                    assert found is None
                else:
                    assert found is not None
                    assert found >= 0
                    assert found == round((after - before) / seconds, 2)


def test_things_live_each_for_themselves() -> None:
    """One that begins anew leaves the others alone."""
    lives: Lives[Traffic] = Lives()
    first = lives({"a": Traffic(5, 5), "b": Traffic(5, 5)})
    last = lives({"a": Traffic(4, 6), "b": Traffic(6, 6)})
    assert grown(first["a"], last["a"]) is None
    assert grown(first["b"], last["b"]) == (Traffic(5, 5), Traffic(6, 6))


def test_what_has_gone_is_not_remembered() -> None:
    """It begins a new life when it comes back, though its counters went on."""
    lives: Lives[Traffic] = Lives()
    first = lives({"a": Traffic(5, 5)})
    lives({})
    assert grown(first["a"], lives({"a": Traffic(6, 6)})["a"]) is None


def test_counters_that_stand_still_are_one_object() -> None:
    """Samples are kept for long."""
    lives: Lives[Traffic] = Lives()
    first = lives({"a": Traffic(5, 5)})["a"]
    assert lives({"a": Traffic(5, 5)})["a"] is first


def test_what_was_not_there_at_the_beginning_has_not_grown() -> None:
    """On first sight there is no rate."""
    assert grown(None, Counted(Traffic(5, 5), 0)) is None


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_no_time_gives_no_rate(seconds: float) -> None:
    """Nor does time that ran backwards."""
    assert rate(1, 2, seconds) is None
