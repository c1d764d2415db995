"""The start: which transport gets through."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from attrs import define, frozen

from app.client.wire import End, Wire

GIVE_UP_S = 10.0
"""How long a candidate has to show that it works."""
PROBE_AGAIN_S = 3.0
# A server that was slow to answer a plain request will answer the candidate about as late.
GRACE_S = 0.4


@frozen
class Head:
    """How many seconds without proof it takes for a plain request, and for the next to start."""

    doubt: float
    start: float


HEADS = {"websocket": Head(2.0, 2.5), "sse": Head(3.0, 4.0), "longpoll": Head(3.0, math.inf)}


class Track(Protocol):
    """Where the race is run."""

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds."""

    def launch(self, name: str) -> Wire:
        """Start a candidate."""

    def deserted(self) -> bool:
        """Tell whether no candidate runs any more."""

    async def reachable(self) -> bool:
        """Tell whether plain requests work at this moment."""

    def lost(self, end: End, *, barred: bool) -> None:
        """Take note that none of them worked; ``barred`` if each of them was refused."""


@define(eq=False)
class Race:
    """One transport after another, the next one only if the last is in doubt or has failed.

    And only if plain requests work: a server that is down is no reason to go on to the next.
    Beside the ``trusted`` one, which has worked before, nothing is started.
    """

    _queue: list[str]
    _trusted: str | None
    _track: Track
    over: bool = False
    _newest: Wire | None = None
    _probed_at: float = -math.inf
    _barred: bool = True

    def start(self) -> None:
        """Start the first."""
        self._next()

    def _next(self) -> bool:
        if not self._queue:
            return False
        self._newest = self._track.launch(self._queue.pop(0))
        return True

    async def look(self, wire: Wire) -> None:
        """See whether the next one should be started beside a candidate that takes long."""
        if self.over or wire is not self._newest or self._trusted == wire.NAME:
            return
        head = HEADS[wire.NAME]
        now = self._track.clock()
        age = now - wire.started_at
        if wire.cleared_at is not None:
            if age >= head.start and now - wire.cleared_at >= GRACE_S:
                self._next()
        elif age >= head.doubt and now - self._probed_at >= PROBE_AGAIN_S:
            self._probed_at = now
            if await self._track.reachable():
                wire.cleared_at = self._track.clock()

    async def failed(self, wire: Wire, end: End) -> None:
        """Take note that a candidate has failed."""
        self._barred = self._barred and end.barred
        if end.spoken or end.final:
            self._track.lost(end, barred=False)
            return
        quick = self._track.clock() - wire.started_at < GIVE_UP_S
        cleared = wire.cleared_at is not None or end.barred
        works = cleared or await self._track.reachable()
        if self.over:
            return
        is_last = wire is self._newest
        if works and is_last and quick and not cleared:
            # The server may have come up just in between: once more, now that it is there.
            self._newest = self._track.launch(wire.NAME)
            self._newest.cleared_at = self._track.clock()
        elif not (works and is_last and self._next()) and self._track.deserted():
            self._track.lost(end, barred=self._barred)
