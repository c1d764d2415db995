"""Who goes leaves nothing behind: no session, no task, no descriptor, however they go."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from tests.clients import WIRES, Client, Want, WebSocketClient

if TYPE_CHECKING:  # pytest wants to be the first to import a plugin
    from tests.stage import Opener, Stage

pytest_plugins = ["tests.stage"]

WANT = Want("alpha", 1000)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def come_and_go(at: Stage, wire: str, turn: int) -> None:
    """Tear a connection down at one of the moments in its life."""
    client = await at.connect(wire)
    if turn % 4:
        await client.subscribe(WANT)
    if turn % 4 == 1:
        client.ask()
        await asyncio.sleep(0)
    if turn % 4 > 1:
        await client.news()
    if turn % 4 > 2:
        at.tick(at.hub.log.head + 1)
    await client.reset()


async def test_two_hundred_resets_leave_nothing(
    stage: Opener, leaving: list[asyncio.Future[None]]
) -> None:
    """On all transports, before and after the first message, and with one on its way."""
    await asyncio.gather(*leaving)
    async with stage("alpha") as at:
        at.tick(1)
        await asyncio.gather(*(come_and_go(at, wire, 2) for wire in WIRES))
        await at.gone(left=0)
        tasks, files = len(asyncio.all_tasks()), descriptors()
        for turn in range(70):
            await asyncio.gather(*(come_and_go(at, wire, turn) for wire in WIRES))
        await at.gone(left=0)
        await at.calm(tasks)
        await at.until(lambda: descriptors() <= files)
        assert at.hub.cohorts == 0


async def test_who_unsubscribes_leaves_no_cohort(stage: Opener) -> None:
    """The connection is still there, and can begin again."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await at.join("websocket", WANT)
        assert isinstance(client, WebSocketClient)
        await client.news()
        await client.unsubscribe("alpha")
        await client.fence()
        assert (at.hub.cohorts, len(at.hub.sessions)) == (0, 1)
        await client.subscribe(WANT)
        assert (await client.news())[0].seq == 1


async def test_who_says_goodbye_leaves_nothing(stage: Opener, wire: str) -> None:
    """Also in the middle of what it waits for."""
    async with stage("alpha") as at:
        client: Client = await at.join(wire, WANT)
        await at.settled(client)
        if isinstance(client, WebSocketClient):
            await client.goodbye()
        await client.aclose()
        await at.gone(left=0)
        assert at.hub.cohorts == 0
