"""The way out: every client is told, and nobody comes back all at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Sequence

from app.core.broadcaster import Broadcaster
from app.core.session import Session

__all__ = ["drain"]

logger = logging.getLogger(__name__)

TURN_S = 0.2
"""Processor time for farewells, in seconds, before all others have a turn; see `_tell`."""
LOOK_AT = 50
"""Farewells between two looks at that."""
STILL_S = 0.25
"""Whoever is left when nobody has gone for so long does not read."""
LOOKS = 10
"""How often it is looked in that time whether somebody has gone."""
FLUSH_S = 1.2
"""Time after the window in which everybody must have gone, also of thousands on a slow machine."""


async def drain(hub: Broadcaster, window_s: float) -> None:
    """Say goodbye to all clients, and go on listening for the window, in seconds.

    A load balancer needs the window to see that ``/readyz`` is red; without any client there is
    none. Parked polls and clients that understand ``reconnect`` are told at once, and come back
    at moments spread over the window; heritage clients cannot be told when, so their closing
    itself is spread. Returns when all have gone but those who do not read, at the latest
    `FLUSH_S` after the window, unless not all have been told by then.
    """
    hub.draining = True
    sessions = list(hub.sessions)
    if not sessions:
        return
    # Polls that wait together are one session, and are told one by one when that is ended.
    hub.return_ms = 0, round(window_s * 1000)
    logger.info("Draining %d clients for %g s", sum(hub.clients().values()), window_s)
    random.shuffle(sessions)
    end = asyncio.get_running_loop().time() + window_s + FLUSH_S
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(window_s))
        group.create_task(_tell([s for s in sessions if not s.heritage], window_s))
        group.create_task(_close_spread([s for s in sessions if s.heritage], window_s))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(end):
            await _flush(hub)
    if hub.sessions:
        logger.info("%d clients did not take their goodbye", len(hub.sessions))


async def _tell(sessions: Sequence[Session], window_s: float) -> None:
    """Say goodbye, with hardly a turn for anybody else.

    Each who is told makes work for the loop: tasks end, connections are closed. On a machine that
    has other things to do, thousands would wait for that work to be told anything at all.
    """
    until = time.thread_time() + TURN_S
    for at, session in enumerate(sessions, start=1):
        share = (at - random.random()) / len(sessions)
        session.farewell(round(share * window_s * 1000))
        if at % LOOK_AT == 0 and time.thread_time() > until:
            await asyncio.sleep(0)
            until = time.thread_time() + TURN_S


async def _close_spread(sessions: Sequence[Session], window_s: float) -> None:
    loop = asyncio.get_running_loop()
    begin, step = loop.time(), window_s / (len(sessions) + 1)
    for at, session in enumerate(sessions, start=1):
        # By the clock: thousands of pauses, each a little late, would add up to more than a window.
        if (pause := begin + at * step - loop.time()) > 0:
            await asyncio.sleep(pause)
        session.farewell(0)


async def _flush(hub: Broadcaster) -> None:
    """Wait until all have gone, or nobody goes any more."""
    while left := len(hub.sessions):
        for _ in range(LOOKS):
            await asyncio.sleep(STILL_S / LOOKS)
            if len(hub.sessions) < left:
                break
        else:
            return
