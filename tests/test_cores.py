"""How busy each processor is, whatever its counters do."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from app.sources.groups.cores import OFFLINE, CoreMeter, CoreTimes, render_cores
from app.sources.groups.procstat import CoreTime

SECOND = 1_000_000


def metered(*readings: dict[int, CoreTime], seconds: float = 1.0) -> list[CoreTimes]:
    meter = CoreMeter()
    return [meter(reading, number * seconds) for number, reading in enumerate(readings)]


def test_each_has_its_own_mean() -> None:
    """Over the window's two ends, by its number."""
    first, last = metered(
        {0: CoreTime(0, 0), 1: CoreTime(SECOND, 0)},
        {0: CoreTime(SECOND // 4, 3 * SECOND // 4), 1: CoreTime(2 * SECOND, 0)},
    )
    assert render_cores(first, last) == [25.0, 100.0]
    assert last.lives == first.lives
    assert last.lives is first.lives


def test_one_that_is_offline_is_not_known_and_keeps_its_place() -> None:
    """From the start, from now on, and until it has counted for a whole window."""
    on = {0: CoreTime(0, 0), 2: CoreTime(0, 0)}
    later = {0: CoreTime(0, SECOND), 2: CoreTime(SECOND, 0)}
    first, second = metered(on, later)
    assert render_cores(first, second) == [0.0, None, 100.0]
    meter = CoreMeter()
    counts = [meter(reading, float(at)) for at, reading in enumerate([on, {0: on[0]}, later])]
    assert counts[1].lives[1:] == (OFFLINE, OFFLINE)
    assert [render_cores(*ends)[2] for ends in combinations(counts, 2)] == [None, None, None]


def test_one_that_is_plugged_in_is_not_known_at_first() -> None:
    """There is nothing to compare with."""
    first, last = metered({0: CoreTime(0, 0)}, {0: CoreTime(0, SECOND), 1: CoreTime(0, SECOND)})
    assert render_cores(first, last) == [0.0, None]


def test_one_that_counted_nothing_is_not_known() -> None:
    """No fake zero."""
    first, last = metered(*[{0: CoreTime(5, 5)}] * 2)
    assert render_cores(first, last) == [None]


def test_without_a_reading_nothing_is_known() -> None:
    """At the end of a window, or at its beginning."""
    (counts,) = metered({0: CoreTime(0, 0), 1: CoreTime(0, 0)})
    assert render_cores(counts, None) == []
    assert render_cores(None, counts) == [None, None]


def test_without_processors_there_are_none() -> None:
    """Whatever the machine says."""
    first, last = metered({}, {})
    assert render_cores(first, last) == []


def test_more_time_than_there_was_is_no_time() -> None:
    """A counter that fell below zero shows a huge number, and then comes back."""
    steady = [{0: CoreTime(0, at * SECOND)} for at in range(4)]
    steady[1] = {0: CoreTime(2**63 - 1, SECOND)}
    counts = metered(*steady)
    assert [render_cores(*ends) for ends in combinations(counts, 2)] == [[None]] * 5 + [[0.0]]


numbers = st.integers(0, 3)
amounts = st.integers(0, 2**63 - 1) | st.integers(0, 3 * SECOND)
readings = st.dictionaries(numbers, st.builds(CoreTime, amounts, amounts))


@given(st.lists(readings, min_size=2, max_size=8))
def test_whatever_the_counters_do_a_percentage_is_0_to_100(
    stream: list[dict[int, CoreTime]],
) -> None:
    """Or not known; and every processor of the last reading has its place."""
    for first, last in combinations(metered(*stream), 2):
        shares = render_cores(first, last)
        assert len(shares) == len(last.lives)
        assert all(share is None or 0 <= share <= 100 for share in shares)


honest = st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=2, max_size=20)


@given(honest)
def test_no_reset_is_seen_as_a_load(story: list[tuple[int, bool]]) -> None:
    """A steady load of one half; now and then the counters begin anew."""
    core, stream = CoreTime(0, 0), []
    for _, reset in story:
        core = CoreTime(0, 0) if reset else CoreTime(core.busy + 50, core.idle + 50)
        stream.append({0: core})
    for first, last in combinations(metered(*stream), 2):
        assert render_cores(first, last)[0] in {50.0, None}
