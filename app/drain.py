"""The way out: every client is told, and nobody comes back all at once."""

from __future__ import annotations

import asyncio
import logging
import random

from app.core.broadcaster import Broadcaster
from app.core.session import Session
from transports.base import Wire

logger = logging.getLogger(__name__)

# Farewells said between two turns of the loop.
BATCH = 200


async def drain(hub: Broadcaster, window_s: float) -> None:
    """Say goodbye to all clients, and go on listening for the window.

    A load balancer needs the window to see that ``/readyz`` is red; without any client there is
    none. Parked polls and clients that understand ``reconnect`` are told at once, and come back
    at moments spread over the window; heritage clients cannot be told when, so their closing
    itself is spread.
    """
    hub.draining = True
    sessions = list(hub.sessions)
    if not sessions:
        return
    logger.info("Draining %d clients for %g s", len(sessions), window_s)
    random.shuffle(sessions)
    heritage = [s for s in sessions if s.heritage]
    polls = [s for s in sessions if s.wire is Wire.LONGPOLL]
    streams = [s for s in sessions if not s.heritage and s.wire is not Wire.LONGPOLL]
    closing = asyncio.ensure_future(_close_spread(heritage, window_s))
    await asyncio.gather(
        asyncio.sleep(window_s), _tell([*polls, *streams], window_s), return_exceptions=True
    )
    await closing


async def _tell(sessions: list[Session], window_s: float) -> None:
    for at, session in enumerate(sessions):
        session.farewell(round((at + random.random()) / len(sessions) * window_s * 1000))
        if at % BATCH == BATCH - 1:
            await asyncio.sleep(0)


async def _close_spread(sessions: list[Session], window_s: float) -> None:
    pause = window_s / (len(sessions) + 1)
    for session in sessions:
        await asyncio.sleep(pause)
        session.farewell(0)
