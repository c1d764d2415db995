"""What has come and was not taken yet."""

from __future__ import annotations

import asyncio
from collections import deque

from attrs import define, field

from app.client.messages import Received

ROOM = 16
"""A wire reads on while fewer messages than this wait to be taken."""


@define(eq=False)
class Inbox:
    """Messages wait here; while they do, no wire reads more than it has begun to.

    So a reader that is slow is slow to the server too, which tells it with a ``gap`` what it did
    not get, and no memory grows.
    """

    _waiting: deque[Received] = field(factory=deque)
    _news: asyncio.Event = field(factory=asyncio.Event)
    _room: asyncio.Event = field(factory=asyncio.Event)
    _over: bool = False
    _error: Exception | None = None

    def __attrs_post_init__(self) -> None:
        self._room.set()

    def put(self, received: Received) -> None:
        """Add a message."""
        self._waiting.append(received)
        self._news.set()
        if len(self._waiting) >= ROOM:
            self._room.clear()

    async def room(self) -> None:
        """Wait until more may come."""
        await self._room.wait()

    def close(self, error: Exception | None = None) -> None:
        """Let it end when all has been taken, perhaps with an error; the first one counts."""
        if not self._over:
            self._over, self._error = True, error
            self._news.set()

    def clear(self) -> None:
        """Throw away what waits."""
        self._waiting.clear()

    async def take(self) -> Received:
        """Return the next message, as soon as there is one.

        Raises:
            StopAsyncIteration: the end; and whatever it was closed with.
        """
        while not self._waiting:
            if self._over:
                error, self._error = self._error, None
                raise error or StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        received = self._waiting.popleft()
        if len(self._waiting) < ROOM:
            self._room.set()
        return received
