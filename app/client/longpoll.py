"""The long-poll wire."""

from __future__ import annotations

import asyncio
import math
from typing import ClassVar

from attrs import define

from app.client.plain import PlainWire

WAIT_S = 25.0
GRACE_S = 10.0
# What answers sooner than this without anything new is no server that waits: a cache, for one.
HASTY_S = 0.5
PAUSE_S = 1.0


@define(eq=False)
class LongPollWire(PlainWire):
    """Long-poll; it works once a poll was answered."""

    NAME: ClassVar[str] = "longpoll"

    async def run(self) -> None:
        """Poll again and again."""
        await self.prime()
        # The first answer, which may be empty, shows that polls get through.
        wait = 0
        while True:
            asked_at, before = self.host.clock(), self.host.cursors.snapshot()
            self.liveness.excuse()
            self.liveness.limit = wait + GRACE_S
            answer = await self.poll(self.host.wanted(), wait)
            self.prove()
            self.unpack(answer)
            await self.rest()
            hasty = self.host.clock() - asked_at < HASTY_S
            if wait and hasty and self.host.cursors.snapshot() == before:
                await asyncio.sleep(PAUSE_S)
            wait = max(1, math.floor(min(WAIT_S, self.host.path.quiet)))
