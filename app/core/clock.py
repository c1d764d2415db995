"""Time as the core sees it: injected, so that tests move it by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from attrs import frozen

# Seconds since boot including suspend; elsewhere than on Linux a suspend cannot be told from it.
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


async def sleep_until(moment: float) -> None:
    """Sleep until ``time.monotonic()`` has reached a moment; several sleepers wake together."""
    loop = asyncio.get_running_loop()
    # asyncio's clock is monotonic too, but uvloop's has an origin of its own.
    when = loop.time() + (moment - time.monotonic())
    woken = loop.create_future()
    handle = loop.call_at(when, _wake, woken)
    try:
        await woken
    finally:
        handle.cancel()


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


@frozen
class Clock:
    """The three clocks of a host, in seconds, and a way to wait.

    ``monotonic`` measures windows and stands still while the machine sleeps, ``boottime`` does
    not, ``wall`` is what people read and may be set at any time.
    """

    monotonic: Callable[[], float] = time.monotonic
    boottime: Callable[[], float] = lambda: time.clock_gettime(_BOOTTIME)
    wall: Callable[[], float] = time.time
    sleep_until: Callable[[float], Awaitable[None]] = sleep_until

    def timestamp(self) -> int:
        """Milliseconds since the epoch, as messages bear them."""
        return int(self.wall() * 1000)
