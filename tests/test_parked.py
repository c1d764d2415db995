"""Polls that ask the same: one session and one body for all, and yet each a client of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import attrs
import pytest

from app.drain import drain
from schema.errors import ErrorCode
from tests.clients import Batch, PollClient, RefusedError, Want

if TYPE_CHECKING:  # pytest wants to be the first to import a plugin
    from tests.stage import Opener, Stage

pytest_plugins = ["tests.stage"]

EVERY_TICK = Want("alpha", 1000)
CLIENTS = 5


async def park(at: Stage, *wants: Want, clients: int = CLIENTS) -> list[asyncio.Task[Batch]]:
    """Let clients wait from the same cursor, each on a connection of its own."""
    polls = []
    for count in range(clients):
        client = await at.join("longpoll", *wants, since=at.head)
        assert isinstance(client, PollClient)
        polls.append(asyncio.ensure_future(client.poll()))
        await at.parked(count + 1)
    return polls


async def test_those_who_ask_the_same_share_a_session(stage: Opener) -> None:
    """And get the same bytes; the status page counts heads all the same."""
    async with stage("alpha") as at:
        at.tick(1)
        polls = await park(at, EVERY_TICK)
        assert len(at.hub.sessions) == 1
        assert at.hub.clients()["longpoll"] == CLIENTS
        at.tick(2)
        bodies = [(await poll).body for poll in polls]
        assert all(body == bodies[0] for body in bodies)
        assert [message["cursor"] for message in bodies[0]["messages"]] == [at.head]
        await at.parked(0)
        assert not at.hub.sessions


async def test_those_who_ask_for_something_else_do_not(stage: Opener) -> None:
    """Another interval is another answer."""
    async with stage("alpha") as at:
        at.tick(1)
        (fast,) = await park(at, EVERY_TICK, clients=1)
        client = await at.join("longpoll", Want("alpha", 2000), since=at.head)
        assert isinstance(client, PollClient)
        slow = asyncio.ensure_future(client.poll())
        await at.parked(2)
        assert len(at.hub.sessions) == 2
        at.tick(3)
        assert (await fast).body["messages"][0]["intervalMs"] == 1000
        assert (await slow).body["messages"][0]["intervalMs"] == 2000


async def test_who_leaves_takes_nobody_along(stage: Opener) -> None:
    """Not even the one whose poll came first."""
    async with stage("alpha") as at:
        at.tick(1)
        first, *others = await park(at, EVERY_TICK)
        first.cancel()
        await at.parked(CLIENTS - 1)
        at.tick(2)
        assert {len((await poll).messages) for poll in others} == {1}
        await at.parked(0)
        assert not at.hub.sessions


async def test_who_has_waited_long_enough_leaves_the_others_waiting(stage: Opener) -> None:
    """Each waits from the moment it came."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await at.join("longpoll", EVERY_TICK, since=at.head)
        assert isinstance(client, PollClient)
        first = asyncio.ensure_future(client.poll(wait=1))
        await at.parked(1)
        await asyncio.sleep(0.6)
        other = await at.join("longpoll", EVERY_TICK, since=at.head)
        assert isinstance(other, PollClient)
        second = asyncio.ensure_future(other.poll(wait=1))
        assert (await first).messages == []
        assert at.hub.clients()["longpoll"] == 1
        at.tick(2)
        assert len((await second).messages) == 1


async def test_each_is_told_a_moment_of_its_own_to_come_back_at(stage: Opener) -> None:
    """Or all would come back at once."""
    async with stage("alpha") as at:
        at.tick(1)
        polls = await park(at, EVERY_TICK)
        draining = asyncio.ensure_future(drain(at.hub, 1.0))
        answers = [await poll for poll in polls]
        for answer in answers:
            assert [message["type"] for message in answer.body["messages"]] == ["reconnect"]
            assert answer.body["cursor"] == at.head
            assert answer.headers["Connection"] == "close"
        moments = {answer.body["messages"][0]["afterMs"] for answer in answers}
        assert len(moments) > 1
        assert max(moments) <= 1000
        await draining


async def test_each_counts_as_a_client_of_those_there_may_be(stage: Opener) -> None:
    """Sharing a session is no way in."""
    async with stage("alpha") as at:
        at.tick(1)
        at.hub.settings = attrs.evolve(at.hub.settings, max_clients=CLIENTS)
        polls = await park(at, EVERY_TICK)
        late = await at.join("longpoll", EVERY_TICK, since=at.head)
        assert isinstance(late, PollClient)
        with pytest.raises(RefusedError) as refused:
            await late.poll()
        assert refused.value.body["code"] == ErrorCode.OVERLOADED
        assert at.hub.clients()["longpoll"] == CLIENTS
        at.tick(2)
        for poll in polls:
            await poll
        await at.parked(0)
