"""What becomes of a group of figures when it cannot be read: the sample is taken all the same."""

from __future__ import annotations

import errno
import logging
import math
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

from attrs import define, field, frozen

from app.core.clock import Clock

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


@frozen
class Failure:
    """A group that cannot be read: its key in ``data``, the name of the error, and since when."""

    group: str
    code: str
    since_ms: int


@define(eq=False)
class Health:
    """Whether a group of figures can be read; the log is told when that changes, and only then.

    ``group`` is the key of ``data`` that it is about, ``name`` what the log calls it.
    """

    group: str
    name: str
    clock: Clock
    failure: Failure | None = field(init=False, default=None)

    def failed(self, error: Exception, meanwhile: str) -> None:
        """Take note that a reading failed, and what is shown meanwhile."""
        if self.failure is None:
            logger.warning("%s: %s, as it cannot be read: %r", self.name, meanwhile, error)
        since_ms = self.failure.since_ms if self.failure else self.clock.timestamp()
        failure = Failure(self.group, error_code(error), since_ms)
        # Kept in every sample while it lasts: one object is enough.
        if failure != self.failure:
            self.failure = failure

    def succeeded(self) -> None:
        """Take note that a reading did not fail."""
        if self.failure is not None:
            logger.info("%s: can be read again", self.name)
            self.failure = None


def error_code(error: Exception) -> str:
    """Name an error: EACCES and the like, TIMEOUT, or its class."""
    if isinstance(error, TimeoutError):
        return "TIMEOUT"
    number = error.errno if isinstance(error, OSError) else None
    return type(error).__name__ if number is None else errno.errorcode.get(number, str(number))


@define(eq=False)
class Cached(Generic[T]):
    """A reading that is good for ``every`` seconds by ``clock``; a failed one is tried again."""

    read: Callable[[], T]
    clock: Callable[[], float]
    every: float
    _value: T = field(init=False)
    _due: float = field(init=False, default=-math.inf)

    def __call__(self) -> T:
        """Give the value, read anew if it is too old.

        Raises:
            Exception: whatever the reading raised.
        """
        now = self.clock()
        if now >= self._due:
            self._value = self.read()
            self._due = now + self.every
        return self._value

    def forget(self) -> None:
        """Read anew at the next call."""
        self._due = -math.inf


@define(eq=False)
class Kept(Generic[T]):
    """A reading that stands until there is a newer one, also when it cannot be taken anew."""

    health: Health
    read: Callable[[], T]
    _value: T | None = field(init=False, default=None)

    def __call__(self) -> T:
        """Give the newest value there is.

        Raises:
            Exception: it cannot be read and never was; whatever the reading raised.
        """
        try:
            self._value = self.read()
        except Exception as error:
            if self._value is None:
                raise
            self.health.failed(error, "last value stands")
            return self._value
        self.health.succeeded()
        return self._value


@define(eq=False)
class LeftOut(Generic[P, T]):
    """A reading that may be missing: while it cannot be taken there is no value.

    The last one does not stand, since a rate made of it would be a 0 that nobody counted.
    """

    health: Health
    read: Callable[P, T]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Give the value, or None while it cannot be read."""
        try:
            value = self.read(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - whatever one group does, the others go on
            self.health.failed(error, "left out")
            return None
        self.health.succeeded()
        return value


@define(eq=False)
class Groups:
    """The groups of figures of one source, and what is wrong with them."""

    clock: Clock
    _healths: list[Health] = field(init=False, factory=list)

    def kept(self, group: str, name: str, read: Callable[[], T]) -> Kept[T]:
        """Make a reading whose last value stands; ``group`` and ``name`` as for `Health`."""
        return Kept(self._health(group, name), read)

    def optional(self, group: str, name: str, read: Callable[P, T]) -> LeftOut[P, T]:
        """Make a reading that may be missing; ``group`` and ``name`` as for `Health`."""
        return LeftOut(self._health(group, name), read)

    def failures(self) -> tuple[Failure, ...]:
        """Give what cannot be read at present, in the order in which the readings were made."""
        return tuple(health.failure for health in self._healths if health.failure is not None)

    def _health(self, group: str, name: str) -> Health:
        health = Health(group, name, self.clock)
        self._healths.append(health)
        return health
