"""Groups of figures that cannot be read: what stands, what is left out, and who is told."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator

import pytest
from attrs import define

from app.core.clock import Clock
from app.sources.groups.kept import Cached, Failure, Groups, error_code


@define
class Reading:
    """Gives what a test puts into it, one after the other; an error is raised."""

    values: Iterator[object]

    def __call__(self) -> object:
        value = next(self.values)
        if isinstance(value, Exception):
            raise value
        return value


@define
class Hands:
    """A wall clock that is set by hand, in seconds."""

    wall: float = 1.0

    def clock(self) -> Clock:
        return Clock(wall=lambda: self.wall)


def reading(*values: object) -> Callable[[], object]:
    return Reading(iter(values))


BROKEN = OSError(errno.EACCES, "no")


def test_a_kept_value_stands_and_an_optional_one_is_left_out() -> None:
    """As long as it cannot be read."""
    groups = Groups(Clock())
    kept = groups.kept("a", "A", reading(1, BROKEN, 3))
    optional = groups.optional("b", "B", reading(1, BROKEN, 3))
    assert [kept(), kept(), kept()] == [1, 1, 3]
    assert [optional(), optional(), optional()] == [1, None, 3]


def test_a_kept_value_that_never_was_read_is_an_error() -> None:
    """Whatever the reading raised; an optional one is missing from the start."""
    groups = Groups(Clock())
    with pytest.raises(OSError, match="no"):
        groups.kept("a", "A", reading(BROKEN))()
    assert groups.optional("b", "B", reading(BROKEN))() is None


def test_a_failure_tells_since_when_it_lasts() -> None:
    """The code may change meanwhile; a new one begins anew."""
    hands = Hands()
    groups = Groups(hands.clock())
    kept = groups.kept("a", "A", reading(1, BROKEN, BROKEN, ValueError("x"), 2, BROKEN))
    told = []
    for hands.wall in range(6):
        kept()
        told.append(groups.failures())
    assert told == [
        (),
        (Failure("a", "EACCES", 1000),),
        (Failure("a", "EACCES", 1000),),
        (Failure("a", "ValueError", 1000),),
        (),
        (Failure("a", "EACCES", 5000),),
    ]
    assert told[1][0] is told[2][0]


def test_failures_are_told_in_the_order_of_the_groups() -> None:
    """All that last."""
    groups = Groups(Clock())
    readings = [groups.optional(name, name, reading(BROKEN)) for name in ("b", "a", "c")]
    for read in reversed(readings):
        read()
    assert [failure.group for failure in groups.failures()] == ["b", "a", "c"]


@pytest.mark.parametrize("kind", ["kept", "optional"])
def test_the_log_is_told_when_it_begins_and_when_it_is_over(
    caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """Once each."""
    caplog.set_level(logging.INFO)
    groups = Groups(Clock())
    read = getattr(groups, kind)("a", "the A", reading(1, BROKEN, BROKEN, 2, 3))
    for _ in range(5):
        read()
    begun, over = caplog.messages
    assert begun.startswith("the A: ")
    assert "Error(13, 'no')" in begun
    assert over == "the A: can be read again"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PermissionError(errno.EACCES, "no"), "EACCES"),
        (OSError(errno.EIO, "no"), "EIO"),
        (OSError(4711, "no"), "4711"),
        (OSError("no"), "OSError"),
        (TimeoutError("no"), "TIMEOUT"),
        (OSError(errno.ETIMEDOUT, "no"), "TIMEOUT"),
        (ValueError("no"), "ValueError"),
    ],
)
def test_an_error_has_a_short_name(error: Exception, code: str) -> None:
    """The system's, if it has one."""
    assert error_code(error) == code


def test_a_cached_value_is_read_anew_when_it_is_too_old() -> None:
    """Or when it is to be forgotten; a failure is not kept."""
    now = [0.0]
    cached = Cached(reading(1, BROKEN, 2, 3), lambda: now[0], 10.0)
    assert [cached(), cached()] == [1, 1]
    now[0] = 10.0
    with pytest.raises(OSError, match="no"):
        cached()
    assert [cached(), cached()] == [2, 2]
    cached.forget()
    assert cached() == 3
