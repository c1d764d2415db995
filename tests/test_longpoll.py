"""What only a poll has: batches, waiting, and a cursor that covers what was not sent."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from app.core.source import Window
from app.drain import drain
from schema.fields import Detail, GapReason
from tests.clients import PollClient, RefusedError, Want, seq_of
from tests.synthetic import Numbers, SyntheticSource

if TYPE_CHECKING:  # pytest wants to be the first to import a plugin
    from tests.stage import Opener, Stage

pytest_plugins = ["tests.stage"]

EVERY_TICK = Want("alpha", 1000)
MINUTE = Want("alpha", 60_000)


async def join(at: Stage, *wants: Want, **options: Any) -> PollClient:  # noqa: ANN401
    client = await at.join("longpoll", *wants, **options)
    assert isinstance(client, PollClient)
    return client


async def test_an_answer_is_a_batch(stage: Opener) -> None:
    """Exactly these keys, in this order."""
    async with stage("alpha", "beta") as at:
        at.tick(1, 3)
        client = await join(at, EVERY_TICK, Want("beta"), since=at.cursor(2))
        body = (await client.poll()).body
        assert list(body) == ["type", "timestamp", "cursor", "resume", "messages"]
        assert abs(body["timestamp"] / 1000 - time.time()) < 60
        assert body["cursor"] == at.head
        assert body["resume"] == {
            "alpha": {"recovered": True, "reason": "ok", "missed": 2},
            "beta": {"recovered": True, "reason": "ok", "missed": 0},
        }
        assert [message["cursor"] for message in body["messages"]] == [at.cursor(3), at.cursor(5)]


async def test_no_answer_may_be_kept_by_a_cache(stage: Opener) -> None:
    """A cache without `no-store` gives two clients one stream; an ETag invites one."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await join(at, EVERY_TICK)
        headers = (await client.poll()).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["Content-Type"] == "application/json"
        assert "ETag" not in headers
        with pytest.raises(RefusedError) as refused:
            await client.poll(history="x")
        assert refused.value.headers["Cache-Control"] == "no-store"


async def test_without_waiting_there_may_be_no_messages(stage: Opener) -> None:
    """Plain short polling: `wait=0`, and the same cursor again."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await join(at, EVERY_TICK, since=at.head)
        body = (await client.poll(wait=0)).body
        assert (body["messages"], body["cursor"]) == ([], at.head)


@pytest.mark.parametrize("preference", ["wait=0", "respond-async, wait=0", 'foo; bar, Wait="0"'])
async def test_a_preference_means_the_same_as_wait(stage: Opener, preference: str) -> None:
    """RFC 7240; else this would take 25 s."""
    async with stage("alpha") as at:
        client = await join(at, EVERY_TICK, headers={"Prefer": preference})
        assert (await client.poll()).messages == []


async def test_wait_wins_over_a_preference(stage: Opener) -> None:
    """Either alone would do."""
    async with stage("alpha") as at:
        client = await join(at, EVERY_TICK, headers={"Prefer": "wait=60"})
        assert (await client.poll(wait=0)).messages == []


@pytest.mark.parametrize("wait", ["-1", "60.1", "61", "soon", "", "nan", "inf", "1e3"])
async def test_a_wait_out_of_range_is_refused_by_its_name(stage: Opener, wait: str) -> None:
    """0 to 60 seconds."""
    async with stage("alpha") as at:
        with pytest.raises(RefusedError) as refused:
            await (await join(at, EVERY_TICK)).poll(wait=wait)
        assert refused.value.status == 400
        assert refused.value.body["code"] == "INVALID_MESSAGE"
        assert "wait" in refused.value.body["message"]


async def test_a_poll_is_held_until_the_next_message(stage: Opener) -> None:
    """Not until the next publication, which may not be due."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await join(at, MINUTE, since=at.head)
        await at.settled(client)
        at.tick(2, 59)
        assert at.hub.clients()["longpoll"] == 1
        at.tick(60)
        assert (await client.news())[0].seq == 60
        assert len(client.batches) == 1


async def test_a_poll_is_answered_when_its_time_is_over(stage: Opener) -> None:
    """Without messages, but with a cursor that goes on."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await join(at, MINUTE, since=at.head)
        polling = asyncio.ensure_future(client.poll(wait=0.2))
        await at.parked(1)
        at.tick(2, 5)
        body = (await polling).body
        assert body["messages"] == []
        assert seq_of(body["cursor"]) in {1, 5}


async def test_the_cursor_advances_without_messages(stage: Opener) -> None:
    """So it is not outrun by a log that goes on: nothing of mine was in between."""
    async with stage("alpha", "beta") as at:
        at.tick(1)
        client = await join(at, MINUTE, since=at.head)
        at.tick(2, 5)
        body = (await client.poll(wait=0)).body
        assert body["messages"] == []
        assert body["cursor"] == at.head
        assert body["resume"]["alpha"] == {"recovered": True, "reason": "ok", "missed": 0}


async def test_all_channels_of_a_tick_come_together(stage: Opener) -> None:
    """One answer for each tick, and none for half of it."""
    async with stage("alpha", "beta", "gamma") as at:
        at.tick(1)
        wants = (EVERY_TICK, Want("beta", 1000), Want("gamma", 1000))
        client = await join(at, *wants, since=at.head)
        for tick in range(2, 5):
            await at.settled(client)
            at.tick(tick)
            await client.news(3)
            assert [len(batch.messages) for batch in client.batches] == [3] * (tick - 1)


async def test_history_comes_first(stage: Opener) -> None:
    """As one message, before the snapshots."""
    async with stage("alpha", "beta") as at:
        at.tick(1, 6)
        client = await join(at, EVERY_TICK, Want("beta"), history=3)
        messages = (await client.poll()).messages
        assert [m.kind for m in messages] == ["history", "history", "alpha", "beta"]
        assert [m.seq for m in messages[0].items] == [5, 7, 9]
        assert messages[2].seq == 11


async def test_a_first_poll_waits_for_the_first_sample(stage: Opener) -> None:
    """There is nothing to take a snapshot of; and `resume` says that it was the first time."""
    async with stage("alpha") as at:
        client = await join(at, EVERY_TICK)
        empty = await client.poll(wait=0)
        assert empty.messages == []
        assert empty.body["resume"]["alpha"]["reason"] == "first"
        await at.settled(client)
        at.tick(1)
        assert (await client.news())[0].seq == 1


async def test_a_source_that_slept_is_waited_for(stage: Opener) -> None:
    """Its old newest sample is no snapshot; the first message comes when it exists."""
    async with stage("alpha") as at:
        at.tick(1)
        at.hub.log.ring("alpha", at.hub.settings.host).asleep = True
        client = await join(at, EVERY_TICK)
        await at.settled(client)
        at.tick(9, hole=GapReason.IDLE)
        assert [m.seq for m in await client.news() if m.is_data] == [2]


async def test_nothing_falls_between_an_answer_and_its_cursor(stage: Opener) -> None:
    """A poll is answered with one message; a few turns of the loop later there is another."""
    async with stage("alpha", "beta") as at:
        at.tick(1)
        client = await join(at, EVERY_TICK, Want("beta", 1000), since=at.head)
        for turns in range(8):
            await at.settled(client)
            at.hub.tick(turns + 2, "alpha")
            for _ in range(turns):
                await asyncio.sleep(0)
            at.hub.tick(turns + 2, "beta")
            told = await client.news(2)
            assert [message.seq for message in told] == [2 * turns + 3, 2 * turns + 4]


async def test_nothing_falls_between_two_polls(stage: Opener) -> None:
    """However publications fall, also just when the time of a poll is over."""
    async with stage("alpha", "beta") as at:
        at.tick(1)
        client = await join(at, EVERY_TICK, Want("beta", 2000), since=at.head)
        writing = asyncio.ensure_future(write(at, 60))
        told = []
        while not writing.done():
            told += (await client.poll(wait=0.001)).messages
        told += (await client.poll(wait=0)).messages
        due = [seq for seq in range(3, 2 * 61 + 1) if seq % 2 or seq % 4 == 0]
        assert [message.seq for message in told] == due


async def write(at: Stage, ticks: int) -> None:
    chance = random.Random(7)
    for tick in range(2, ticks + 2):
        for channel in ("alpha", "beta"):
            for _ in range(chance.randrange(40)):
                await asyncio.sleep(0)
            at.hub.tick(tick, channel)


async def test_a_poll_that_is_woken_for_nothing_goes_on_waiting(stage: Opener) -> None:
    """An empty answer would only be asked again."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await join(at, EVERY_TICK, since=at.head)
        await at.settled(client)
        for session in at.hub.sessions:
            session.notify()
        for _ in range(10):
            await asyncio.sleep(0)
        at.tick(2)
        assert [m.kind for m in (await client.poll()).messages] == ["alpha"]


class Slow(SyntheticSource):
    """Takes longer to render a few messages than one session may at a time."""

    def render(self, window: Window, detail: Detail) -> Numbers:
        deadline = time.monotonic() + 0.002
        while time.monotonic() < deadline:
            pass
        return super().render(window, detail)


@pytest.mark.parametrize("wait", [0, 0.001])
async def test_a_wait_does_not_end_before_what_is_there_was_rendered(
    stage: Opener, wait: float
) -> None:
    """Nor before the verdict on the cursor, however long that takes."""
    async with stage(sources=[Slow("alpha")]) as at:
        at.tick(1, 40)
        client = await join(at, EVERY_TICK, since=at.cursor(10))
        batch = await client.poll(wait=wait)
        assert batch.body["resume"]["alpha"] == {"recovered": True, "reason": "ok", "missed": 30}
        assert len(batch.messages) == 30


async def test_an_error_does_not_come_instead_of_what_takes_long(stage: Opener) -> None:
    """A channel is not there, the other takes a while: the first answer holds both."""
    async with stage(sources=[SyntheticSource("alpha"), Slow("beta")]) as at:
        at.hub.tick(1, "alpha")
        for tick in range(1, 30):
            at.hub.tick(tick, "beta")
        at.hub._publisher.lost["alpha"] = "nobody knows"
        client = await join(at, EVERY_TICK, Want("beta", 1000), history=20)
        batch = await client.poll()
        assert batch.body["cursor"] == at.head
        assert sorted(m.kind for m in batch.messages) == [
            "alpha",
            "beta",
            "error",
            *["history"] * 2,
        ]


async def test_who_hangs_up_is_forgotten(stage: Opener) -> None:
    """At once, and not when its time is over; so is who is torn away."""
    async with stage("alpha") as at:
        for leave in (PollClient.aclose, PollClient.reset):
            client = await join(at, EVERY_TICK)
            await at.settled(client)
            await leave(client)
            await at.gone(left=0)


async def test_a_drain_answers_at_once_and_keeps_the_cursor(stage: Opener) -> None:
    """The parked and the new, with `reconnect`; and the connection is not used again."""
    async with stage("alpha") as at:
        at.tick(1, 3)
        parked = await join(at, EVERY_TICK, since=at.head)
        polling = asyncio.ensure_future(parked.poll())
        await at.parked(1)
        await drain(at.hub, 0)
        late = await join(at, EVERY_TICK, since=at.cursor(2))
        for batch, cursor in ((await polling, at.head), (await late.poll(), at.cursor(2))):
            assert [m.kind for m in batch.messages] == ["reconnect"]
            assert batch.body["cursor"] == cursor
            assert batch.headers["Connection"] == "close"


async def test_one_poll_too_many_is_refused(stage: Opener) -> None:
    """With 503, and when to come back."""
    async with stage("alpha", max_clients=1) as at:
        parked = await join(at, EVERY_TICK)
        await at.settled(parked)
        with pytest.raises(RefusedError) as refused:
            await (await join(at, EVERY_TICK)).poll()
        assert refused.value.status == 503
        assert refused.value.body["code"] == "OVERLOADED"
        assert int(refused.value.headers["Retry-After"]) > 0
