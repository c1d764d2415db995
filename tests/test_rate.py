"""The rate limit: bursts pass, a flood does not."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from app.core.rate import BURST, RATE_PER_S, TokenBucket


def test_a_burst_passes_and_then_what_the_rate_allows() -> None:
    """40 at once, 20 a second."""
    bucket = TokenBucket(100.0)
    assert [bucket.take(100.0) for _ in range(41)] == [True] * 40 + [False]

    flood = [bucket.take(100.0 + at / 64) for at in range(1, 641)]

    assert sum(flood[:64]) == 20
    assert sum(flood) == 200


def test_who_was_silent_for_long_has_no_more_than_a_burst() -> None:
    """Tokens are not saved up."""
    bucket = TokenBucket(0.0)

    assert sum(bucket.take(3600.0) for _ in range(100)) == BURST


@given(st.lists(st.floats(0, 3), min_size=1, max_size=200), st.floats(0, 1e6))
def test_no_stretch_of_time_lets_more_through_than_burst_and_rate(
    pauses: list[float], start: float
) -> None:
    """Whichever two messages are looked at; and who keeps to the rate is never refused."""
    moments = list(accumulate(pauses, initial=start))
    bucket = TokenBucket(start)

    passed = [moment for moment in moments if bucket.take(moment)]

    for first in range(len(passed)):
        for last in range(first, len(passed)):
            allowed = BURST + (passed[last] - passed[first]) * RATE_PER_S
            assert last - first + 1 <= allowed + 1e-3
    if all(pause >= 1 / RATE_PER_S for pause in pauses):
        assert passed == moments
