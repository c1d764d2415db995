"""Reads what takes its time, and costs nobody anything by it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from attrs import define, field, frozen

T = TypeVar("T")


@frozen
class _Outcome(Generic[T]):
    """What came of a reading: a value, or what it raised."""

    value: T | None = None
    error: Exception | None = None


@define(eq=False)
class Background(Generic[T]):
    """Takes readings on a daemon thread, and gives the newest at once.

    Never more than one reading at a time: while one hangs, there is one thread that hangs with it
    and nothing else. The thread lives for one reading, so there is nothing to stop: what nobody
    asks for is not read. No pool, which waits for its threads when the process ends.

    ``name`` is the thread's and the errors', ``read`` takes a reading, ``every`` and ``deadline``
    are seconds: between two readings, and until one is late; ``clock`` gives monotonic seconds.
    """

    name: str
    read: Callable[[], T]
    clock: Callable[[], float]
    every: float
    deadline: float
    _newest: _Outcome[T] = field(init=False, factory=_Outcome)
    _coming: _Outcome[T] = field(init=False, factory=_Outcome)
    _done: threading.Event = field(init=False, factory=threading.Event)
    _began: float | None = field(init=False, default=None)
    _due: float = field(init=False, default=-math.inf)

    def __call__(self) -> T | None:
        """Give the newest value, None before there is one; have it read anew if it is time.

        Raises:
            TimeoutError: the reading that should have replaced it is late.
            Exception: what the last reading raised.
        """
        now = self.clock()
        if self._began is not None and self._done.is_set():
            self._newest, self._began = self._coming, None
        if self._began is None and now >= self._due:
            self._begin(now)
        if self._began is not None and now - self._began >= self.deadline:
            raise TimeoutError(f"{self.name}: no answer for {now - self._began:.0f} s")
        if self._newest.error is not None:
            raise self._newest.error
        return self._newest.value

    def wait(self, seconds: float) -> bool:
        """Wait for the reading that is on its way, at most so long; tell whether it came."""
        return self._done.wait(seconds)

    def _begin(self, now: float) -> None:
        self._began, self._due = now, now + self.every
        self._done.clear()
        threading.Thread(target=self._run, name=f"pulsewire-{self.name}", daemon=True).start()

    def _run(self) -> None:
        try:
            self._coming = _Outcome(self.read())
        except Exception as error:  # noqa: BLE001 - raised where the value is asked for
            self._coming = _Outcome(error=error)
        self._done.set()
