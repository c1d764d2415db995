"""A bare Future for one sleeper: a quarter of what an ``asyncio.Event`` costs in memory."""

from __future__ import annotations

import asyncio


class Wakeup:
    """Wakes the one task of a connection; a call that comes before the wait is not lost."""

    __slots__ = ("_future", "_set")

    def __init__(self) -> None:
        self._future: asyncio.Future[None] | None = None
        self._set = False

    def set(self) -> None:
        """Wake the sleeper."""
        self._set = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self) -> None:
        """Sleep until ``set`` was called since the last return."""
        if not self._set:
            self._future = asyncio.get_running_loop().create_future()
            try:
                await self._future
            finally:
                self._future = None
        self._set = False
