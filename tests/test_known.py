"""What is known of things by name is looked up when there is a reason to."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import pytest

from app.sources.devices.known import EVERY_S, Known
from tests.manual_clock import ManualClock


def test_it_is_looked_up_when_a_name_comes_or_goes_and_every_so_often() -> None:
    """And not else."""
    asked: list[AbstractSet[str]] = []
    clock = ManualClock()

    def look_up(names: AbstractSet[str]) -> int:
        asked.append(set(names))
        return len(asked)

    known = Known(look_up, clock.clock.monotonic)
    assert [known({"a"}), known({"a"}), known({"a", "b"}), known({"b"})] == [1, 1, 2, 3]
    clock.now += EVERY_S - 0.1
    assert known({"b"}) == 3
    clock.now += 0.1
    assert known({"b"}) == 4
    assert asked == [{"a"}, {"a", "b"}, {"b"}, {"b"}]


def test_what_cannot_be_looked_up_is_tried_again() -> None:
    """At the next call."""
    failures = [OSError("not now")]

    def look_up(_: AbstractSet[str]) -> int:
        if failures:
            raise failures.pop()
        return 7

    known = Known(look_up, lambda: 0.0)
    with pytest.raises(OSError, match="not now"):
        known({"a"})
    assert known({"a"}) == 7
