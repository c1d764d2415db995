"""The protocol page, section 6: who falls behind gets what it missed, or a gap and the newest.

A writer task wakes only after whoever publishes has given up the loop. So ticks published in one
go find the reader behind by all of them, without a clock in the test. The direct path waits for
nobody: there the wire is kept busy by a message that the kernel does not take as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from schema.fields import GapReason
from tests.clients import Client, Message, Want, seq_of
from tests.serving import SERVERS
from tests.synthetic import SyntheticSource

if TYPE_CHECKING:  # pytest wants to be the first to import a plugin
    from tests.stage import Opener, Stage

pytest_plugins = ["tests.stage"]
# Not the ordinary path under TLS: there uvicorn's own classes, which we do not have in hand, keep
# 64 KiB above what the kernel refused, and so these small messages all go out.
pytestmark = pytest.mark.parametrize("server", [*SERVERS, "httptools+tls"])
streams = pytest.mark.parametrize("wire", ["websocket", "sse"])

EVERY_TICK = Want("alpha", 1000)
BOTH = (EVERY_TICK, Want("beta", 1000))
# More than the kernel takes for a reader with a small buffer, and asyncio holds before it waits.
FLOOD = 8 * 1024 * 1024
BUFFER = 256 * 1024


def seqs(messages: list[Message]) -> list[int]:
    return [message.seq for message in messages]


def outline(gap: Message) -> tuple[object, ...]:
    """Tell what a gap says."""
    assert gap.kind == "gap"
    return tuple(gap.body[key] for key in ("channel", "reason", "from", "to", "missed"))


async def reader(at: Stage, wire: str, *wants: Want, **options: Any) -> Client:  # noqa: ANN401
    """Let a client in, and give it its snapshots; it reads no further than it is asked to."""
    lazy: dict[str, Any] = {"lazy": True} if wire == "websocket" else {}
    client = await at.join(wire, *wants, rcvbuf=BUFFER, **lazy, **options)
    await client.news(len(wants))
    return client


async def behind(
    at: Stage, server: str, client: Client, tick: int, publish: Callable[[], None], *, held: int = 1
) -> None:
    """Publish while the wire of a reader is not free.

    It still gets the ``held`` messages of one tick before, which on the direct path are what keeps
    its wire busy.
    """
    *_, source = (sampler.source for sampler in at.hub.samplers.values())
    assert isinstance(source, SyntheticSource)
    if server.startswith("httptools"):
        source.padding = FLOOD
        at.tick(tick)
        source.padding = 0
        if at.served.trust is not None:
            # asyncio's TLS tells with the next write, whatever that is, that the wire is not free.
            for session in at.hub.sessions:
                session.beat()
        publish()
        await client.news(held)
    else:
        at.tick(tick)
        await client.news(held)
        publish()


@streams
@pytest.mark.parametrize("missed", [5, 30])
async def test_who_is_a_little_behind_gets_all_of_it(
    stage: Opener, server: str, wire: str, missed: int
) -> None:
    """One by one and in order, up to thirty."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await reader(at, wire, EVERY_TICK)
        await behind(at, server, client, 2, lambda: at.tick(3, 2 + missed))
        assert seqs(await client.news(missed)) == list(range(3, 3 + missed))


@streams
@pytest.mark.parametrize("missed", [31, 50])
async def test_who_is_far_behind_gets_a_gap_and_the_newest(
    stage: Opener, server: str, wire: str, missed: int
) -> None:
    """The gap counts all but the newest; then it goes on as before."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await reader(at, wire, EVERY_TICK)
        await behind(at, server, client, 2, lambda: at.tick(3, 2 + missed))
        gap, newest = await client.news(2)
        at.tick(3 + missed)
        to = at.cursor(2 + missed)
        assert outline(gap) == ("alpha", "slow", at.cursor(2), to, missed - 1)
        assert newest.seq == 2 + missed
        assert seqs(await client.news()) == [3 + missed]


@pytest.mark.parametrize("missed", [5, 50, 360])
async def test_a_poller_may_be_far_behind(stage: Opener, missed: int) -> None:
    """It comes with its cursor each time, and resumes up to 360."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await at.join("longpoll", EVERY_TICK)
        await client.news()
        at.tick(2, 1 + missed)
        assert seqs(await client.news(missed)) == list(range(2, 2 + missed))
        assert {message.kind for message in client.received} == {"alpha"}


async def test_a_heritage_reader_gets_the_newest_alone(stage: Opener, server: str) -> None:
    """It knows no gaps."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await reader(at, "websocket", EVERY_TICK, heritage=True)
        await behind(at, server, client, 2, lambda: at.tick(3, 52))
        newest = await client.news()
        at.tick(53)
        assert seqs(newest + await client.news()) == [52, 53]


@streams
async def test_only_what_is_due_counts(stage: Opener, server: str, wire: str) -> None:
    """Fifty ticks are ten messages to who asked for one in five."""
    async with stage("alpha") as at:
        at.tick(1, 4)
        client = await reader(at, wire, Want("alpha", 5000))
        await behind(at, server, client, 5, lambda: at.tick(6, 55))
        assert seqs(await client.news(10)) == list(range(10, 56, 5))


@streams
async def test_all_channels_of_a_reader_count_together(
    stage: Opener, server: str, wire: str
) -> None:
    """A little of each is too much of all; and the gaps come before all that is above them."""
    async with stage("alpha", "beta") as at:
        at.tick(1)
        client = await reader(at, wire, *BOTH)
        await behind(at, server, client, 2, lambda: at.tick(3, 22), held=2)
        told = await client.news(4)
        gaps = [(gap.body["channel"], gap.body["to"], gap.body["missed"]) for gap in told[:2]]
        assert sorted(gaps) == [("alpha", at.cursor(43), 19), ("beta", at.cursor(44), 19)]
        assert {seq_of(gap.body["from"]) for gap in told[:2]} <= {3, 4}
        assert [(m.kind, m.seq) for m in told[2:]] == [("alpha", 43), ("beta", 44)]


@streams
async def test_a_channel_of_which_little_was_missed_has_no_gap(
    stage: Opener, server: str, wire: str
) -> None:
    """Nothing is declared lost that is not."""
    async with stage("beta", "alpha") as at:
        at.tick(1, 58)
        client = await reader(at, wire, EVERY_TICK, Want("beta", 60_000))
        await behind(at, server, client, 59, lambda: at.tick(60, 119))
        gap, *told = await client.news(3)
        assert (gap.body["channel"], gap.body["missed"]) == ("alpha", 59)
        assert [(m.kind, m.seq) for m in told] == [("beta", 119), ("alpha", 238)]


@streams
async def test_a_hole_that_was_missed_lies_in_the_gap(
    stage: Opener, server: str, wire: str
) -> None:
    """One that the newest message bears is told beside."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await reader(at, wire, EVERY_TICK)

        def publish() -> None:
            at.tick(3, 40)
            at.tick(45, hole=GapReason.SOURCE)
            at.tick(46, 50)
            at.tick(55, hole=GapReason.SUSPEND)

        await behind(at, server, client, 2, publish)
        slow, hole, newest = await client.news(3)
        assert outline(slow) == ("alpha", "slow", at.cursor(2), at.cursor(47), 44)
        assert outline(hole) == ("alpha", "suspend", at.cursor(46), at.cursor(47), None)
        assert newest.seq == 47


@streams
async def test_what_is_no_longer_held_is_not_counted(stage: Opener, server: str, wire: str) -> None:
    """Slow beyond all that is kept."""
    async with stage("alpha", history=60) as at:
        at.tick(1)
        client = await reader(at, wire, EVERY_TICK)
        await behind(at, server, client, 2, lambda: at.tick(3, 400))
        gap, newest = await client.news(2)
        assert outline(gap) == ("alpha", "slow", at.cursor(2), at.cursor(400), None)
        assert newest.seq == 400


async def stalled(at: Stage, source: SyntheticSource, wire: str) -> Client:
    """Let a client in that takes one message and then does not read one of 8 MiB."""
    client = await reader(at, wire, EVERY_TICK)
    renders = at.hub.counters.renders
    source.padding = FLOOD
    at.tick(2)
    await at.rendered(renders + 1)
    source.padding = 0
    return client


@streams
async def test_who_does_not_read_delays_nobody(stage: Opener, wire: str) -> None:
    """And when it reads again, it gets what it was being sent, a gap, and the newest."""
    source = SyntheticSource("alpha")
    async with stage(sources=[source]) as at:
        at.tick(1)
        slow = await stalled(at, source, wire)
        quick = await at.join(wire, EVERY_TICK, since=at.cursor(2))
        for tick in range(3, 53):
            at.tick(tick)
            assert seqs(await quick.news()) == [tick]
        *taken, gap = await slow.until("gap")
        # A server may call the wire free once more before it notices.
        last = taken[-1].seq
        assert seqs(taken) == list(range(2, last + 1))
        assert last <= 4
        assert outline(gap) == ("alpha", "slow", at.cursor(last), at.cursor(52), 51 - last)
        assert seqs(await slow.news()) == [52]
        at.tick(53)
        assert [seqs(await client.news()) for client in (slow, quick)] == [[53], [53]]


@streams
async def test_who_does_not_read_and_goes_leaves_nothing(stage: Opener, wire: str) -> None:
    """Torn away with eight MiB on their way."""
    source = SyntheticSource("alpha")
    async with stage(sources=[source]) as at:
        at.tick(1)
        await (await stalled(at, source, wire)).reset()
        await at.gone(left=0)
