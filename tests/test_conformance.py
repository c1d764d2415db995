"""The protocol page, sections 2, 5 and 6: the same scenarios on every transport and server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from app.core.source import Window
from schema.fields import Detail, GapReason
from tests.clients import WIRES, Client, Message, RefusedError, Want
from tests.serving import SERVERS, TLS_SERVERS
from tests.synthetic import SyntheticSource

if TYPE_CHECKING:  # pytest wants to be the first to import a plugin
    from tests.stage import Opener, Stage

pytest_plugins = ["tests.stage"]
pytestmark = pytest.mark.parametrize("server", [*SERVERS, *TLS_SERVERS])
streams = pytest.mark.parametrize("wire", ["websocket", "sse"])

EVERY_TICK = Want("alpha", 1000)


def seqs(messages: Sequence[Message]) -> list[int]:
    return [message.seq for message in messages]


def texts(messages: Sequence[Message]) -> list[str]:
    return [message.text for message in messages]


async def refusal(
    at: Stage,
    wire: str,
    *wants: Want,
    **options: Any,  # noqa: ANN401 - of the client
) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        await (await at.join(wire, *wants, **options)).receive()
    return caught.value


async def all_wires(at: Stage, *wants: Want) -> list[Client]:
    return [await at.join(wire, *wants) for wire in WIRES]


# Grid and snapshot


async def test_a_snapshot_of_the_newest_sample_comes_at_once(stage: Opener, wire: str) -> None:
    """Nobody waits for the next grid point to see something."""
    async with stage("alpha") as at:
        at.tick(1, 7)
        client = await at.join(wire, Want("alpha", 5000))
        (first,) = await client.news()
        assert first.body == {
            "type": "alpha",
            "timestamp": 1_700_000_007_000,
            "cursor": at.cursor(7),
            "host": at.hub.settings.host,
            "intervalMs": 5000,
            "windowMs": 5000,
            "data": {"value": 7, "span": 5, "padding": ""},
        }
        assert client.resumes == {"alpha": {"recovered": False, "reason": "first", "missed": None}}


@pytest.mark.parametrize(
    ("interval", "due"),
    [
        (1000, [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
        (2000, [3, 4, 6, 8, 10, 12, 14, 16]),
        (5000, [3, 5, 10, 15]),
    ],
)
async def test_an_interval_is_respected(
    stage: Opener, wire: str, interval: int, due: list[int]
) -> None:
    """After the snapshot come the grid points of the interval, each once, and nothing else."""
    async with stage("alpha") as at:
        at.tick(1, 3)
        client = await at.join(wire, Want("alpha", interval))
        told = await client.news()
        at.tick(4, 16)
        at.tick(41)
        # Beyond a grid point of all, though on none; whatever else there was would come before it.
        told += await client.news(len(due))
        assert seqs(told) == [*due, 17]


async def test_an_interval_is_rounded_up_to_the_tick(stage: Opener, wire: str) -> None:
    """`intervalMs` tells what came of it."""
    async with stage("alpha") as at:
        at.tick(1, 2)
        client = await at.join(wire, Want("alpha", 1001))
        at.tick(3, 4)
        assert {m.body["intervalMs"] for m in await client.news()} == {2000}


async def test_interval_and_detail_have_defaults(stage: Opener, wire: str) -> None:
    """5000 ms and `standard`: whoever asks for that gets the same bytes."""
    async with stage("alpha") as at:
        at.tick(1, 7)
        plain = await at.join(wire, Want("alpha"))
        named = await at.join(wire, Want("alpha", 5000, "standard"))
        assert texts(await plain.news()) == texts(await named.news())


async def test_a_cohort_gets_the_same_bytes_on_every_transport(stage: Opener) -> None:
    """An off-grid snapshot, live messages and a hole among them, in both dialects."""
    async with stage("alpha") as at:
        at.tick(1, 7)
        wanted = Want("alpha", 5000)
        clients = await all_wires(at, wanted)
        snapshots = [await client.news() for client in clients]
        at.tick(8, 10)
        at.tick(14, hole=GapReason.SUSPEND)
        at.tick(15, 20)
        told = [
            first + await client.news(4) for first, client in zip(snapshots, clients, strict=True)
        ]
        assert [m.kind for m in told[0]] == ["alpha", "alpha", "gap", "alpha", "alpha"]
        assert texts(told[0]) == texts(told[1]) == texts(told[2])
        assert at.hub.counters.encodes == 4


async def test_who_asks_again_at_a_tick_gets_the_same_snapshot(stage: Opener, wire: str) -> None:
    """The snapshot belongs to the cohort and the tick, not to the client."""
    async with stage("alpha") as at:
        at.tick(1, 7)
        one = await (await at.join(wire, Want("alpha", 5000))).news()
        two = await (await at.join(wire, Want("alpha", 5000))).news()
        assert texts(one) == texts(two)
        assert at.hub.counters.renders == 1


# Windows and holes


async def test_a_window_is_the_interval_and_never_spans_a_hole(stage: Opener, wire: str) -> None:
    """It is shorter only while the source is young, and after a hole."""
    async with stage("alpha") as at:
        client = await at.join(wire, Want("alpha", 2000))
        await at.settled(client)
        at.tick(1)
        young = await client.news()
        at.tick(2, 4)
        at.tick(8, hole=GapReason.SOURCE)
        at.tick(9, 12)
        told = [m for m in young + await client.news(6) if m.is_data]
        windows = {m.seq: (m.body["windowMs"], m.body["data"]["span"]) for m in told}
        assert windows == {
            1: (200, 0),
            2: (1200, 1),
            4: (2000, 2),
            5: (200, 0),
            7: (2000, 2),
            9: (2000, 2),
        }


async def test_every_interval_has_its_own_exact_window(stage: Opener, wire: str) -> None:
    """A second and a minute, over the same samples."""
    async with stage("alpha") as at:
        at.tick(1, 120)
        for interval in (1000, 60_000):
            (message,) = await (await at.join(wire, Want("alpha", interval))).news()
            assert message.body["windowMs"] == interval
            assert message.body["data"]["span"] == interval // 1000


@pytest.mark.parametrize("reason", ["source", "suspend", "overload", "idle"])
async def test_who_is_there_passes_a_hole_as_a_gap(stage: Opener, wire: str, reason: str) -> None:
    """Also where the publication that bears the mark is not due: nothing is kept from anybody."""
    async with stage("alpha") as at:
        at.tick(1, 6)
        client = await at.join(wire, Want("alpha", 10_000))
        await client.news()
        at.tick(9, hole=GapReason(reason))
        (gap,) = await client.news()
        assert gap.body == {
            "type": "gap",
            "timestamp": 1_700_000_009_000,
            "channel": "alpha",
            "reason": reason,
            "from": at.cursor(6),
            "to": at.cursor(7),
            "missed": None,
        }
        at.tick(10)
        assert seqs(await client.news()) == [8]


async def test_who_resumes_passes_a_hole_as_a_gap(stage: Opener, wire: str) -> None:
    """At its place among what was missed."""
    async with stage("alpha") as at:
        at.tick(1, 3)
        at.tick(6, hole=GapReason.SUSPEND)
        at.tick(7)
        client = await at.join(wire, EVERY_TICK, since=at.cursor(2))
        told = await client.news(4)
        assert [m.kind for m in told] == ["alpha", "gap", "alpha", "alpha"]
        assert (told[1].body["from"], told[1].body["to"]) == (at.cursor(3), at.cursor(4))
        assert client.resumes["alpha"] == {"recovered": True, "reason": "ok", "missed": 3}


# History


async def test_history_is_what_was_sent_live(stage: Opener, wire: str) -> None:
    """Grid messages, oldest first, older than the snapshot, with the gaps between them."""
    async with stage("alpha") as at:
        at.tick(1)
        witness = await at.join(wire, Want("alpha", 2000))
        live = await witness.news()
        at.tick(2, 7)
        at.tick(10, hole=GapReason.SOURCE)
        at.tick(11, 13)
        live += await witness.news(6)
        client = await at.join(wire, Want("alpha", 2000), history=5)
        history, snapshot = await client.news(2)
        assert (history.kind, history.body["channel"]) == ("history", "alpha")
        assert [m.kind for m in history.items] == ["alpha"] * 3 + ["gap"] + ["alpha"] * 2
        assert texts(history.items) == texts(live[1:])
        assert snapshot.seq == 11


@pytest.mark.parametrize(("asked", "held"), [(0, []), (1, [8]), (360, [1, 2, 3, 4, 5, 6, 7, 8])])
async def test_history_holds_at_most_what_was_asked_for_and_is_there(
    stage: Opener, wire: str, asked: int, held: list[int]
) -> None:
    """None is none: no message at all."""
    async with stage("alpha") as at:
        at.tick(1, 9)
        client = await at.join(wire, EVERY_TICK, history=asked)
        *histories, snapshot = await client.news(2 if asked else 1)
        assert [seqs(history.items) for history in histories] == [held] * bool(asked)
        assert snapshot.seq == 9


async def test_history_is_joined_to_live_without_a_seam(stage: Opener, wire: str) -> None:
    """However the request falls between two publications."""
    async with stage("alpha") as at:
        at.tick(1, 50)
        client = await at.join(wire, EVERY_TICK, history=20)
        reading = asyncio.ensure_future(client.news(2))
        tick = 50
        while not reading.done():
            at.tick(tick := tick + 1)
            await asyncio.sleep(0)
        history, snapshot = reading.result()
        assert seqs(history.items) == list(range(snapshot.seq - 20, snapshot.seq))
        at.tick(tick + 1)
        live = await client.news(tick + 1 - snapshot.seq)
        assert seqs(live) == list(range(snapshot.seq + 1, tick + 2))


# Several channels


async def test_messages_of_all_channels_come_in_the_order_of_seq(stage: Opener, wire: str) -> None:
    """Live, and when they are caught up with."""
    async with stage("alpha", "beta") as at:
        at.tick(1, 4)
        wants = (Want("beta", 2000), Want("alpha", 1000))
        client = await at.join(wire, *wants, since=at.cursor(2))
        late = seqs(await client.news(5))
        assert sorted(late) == [3, 4, 5, 7, 8]
        # A WebSocket subscribes channel by channel, and so it may also be answered.
        assert late == sorted(late) or wire == "websocket"
        at.tick(5, 8)
        assert seqs(await client.news(6)) == [9, 11, 12, 13, 15, 16]


async def test_one_channel_may_be_asked_for_in_another_way_than_the_next(
    stage: Opener, wire: str
) -> None:
    """Interval and detail are a channel's own."""
    async with stage("alpha", "beta") as at:
        at.tick(1, 12)
        client = await at.join(wire, Want("alpha", 1000, "simple"), Want("beta", 5000))
        told = {m.kind: m.body["intervalMs"] for m in await client.news(2)}
        assert told == {"alpha": 1000, "beta": 5000}


async def test_a_source_that_sleeps_is_waited_for(stage: Opener, wire: str) -> None:
    """The first message comes when it exists; the other channel does not wait."""
    sources = [SyntheticSource("alpha"), SyntheticSource("beta", always=False)]
    async with stage(sources=sources) as at:
        at.hub.tick(1, "alpha", "beta")
        at.hub.log.ring("beta", at.hub.settings.host).asleep = True
        client = await at.join(wire, Want("alpha", 1000), Want("beta", 1000))
        assert [m.kind for m in await client.news()] == ["alpha"]
        at.hub.tick(2, "alpha")
        assert seqs(await client.news()) == [3]
        at.hub.tick(3, "beta", hole=GapReason.IDLE)
        # A poller has come by the hole: its first answer was of a time before.
        told = await client.news(2 if wire == "longpoll" else 1)
        assert (told[-1].kind, told[-1].seq) == ("beta", 4)


# Liveness


@streams
async def test_a_silent_stream_beats(stage: Opener, wire: str) -> None:
    """Unasked, and with the cursor up to which everything has been sent, null if nothing was."""
    async with stage("alpha") as at:
        client = await at.join(wire, Want("alpha", 60_000))
        await at.settled(client)
        at.time.ahead += 15
        (beat,) = await client.until("heartbeat")
        assert beat.body["cursor"] is None
        at.tick(1, 9)
        await client.news()
        at.time.ahead += 15
        (beat,) = await client.until("heartbeat")
        assert beat.body["cursor"] == at.head


@streams
async def test_a_heartbeat_comes_in_its_time(stage: Opener, wire: str) -> None:
    """Within the time after which a client may take the stream for dead."""
    async with stage("alpha", heartbeat=1000) as at:
        client = await at.join(wire, EVERY_TICK)
        greeting = (await client.until("subscribed"))[0].body
        assert greeting["heartbeatMs"] == 1000
        beat = await client.receive(timeout=2 * greeting["heartbeatMs"] / 1000 + 5)
        assert beat.kind == "heartbeat"


# Errors


class Gauge(SyntheticSource):
    """Cannot tell what it has counted when the count is 3."""

    def render(self, window: Window, detail: Detail) -> Any:  # noqa: ANN401
        if window.last == 3:
            msg = "three"
            raise ValueError(msg)
        return super().render(window, detail)


async def test_what_cannot_be_rendered_is_a_gap(stage: Opener, wire: str) -> None:
    """A fault of the source ends no stream."""
    async with stage(sources=[Gauge("alpha")]) as at:
        at.tick(1, 2)
        client = await at.join(wire, EVERY_TICK)
        await client.news()
        at.tick(3, 4)
        gap, message = await client.news(2)
        assert (gap.body["reason"], gap.body["to"]) == ("source", at.cursor(3))
        assert message.seq == 4


async def test_a_foreign_page_is_refused(stage: Opener, server: str, wire: str) -> None:
    """With 403, before anything else; the body needs a server that lets us send one."""
    async with stage("alpha") as at:
        refused = await refusal(at, wire, EVERY_TICK, headers={"Origin": "http://evil.example"})
        assert refused.status == 403
        bare = (server, wire) == ("hypercorn", "websocket")
        assert bare or refused.body["code"] == "FORBIDDEN"


# One render and one encode


async def test_work_does_not_grow_with_clients(stage: Opener) -> None:
    """One client or fifty: one render and one encode for each cohort and tick."""
    async with stage("alpha") as at:
        at.tick(1, 7)
        history = 3
        spent = []
        for wires in (["sse"], [*WIRES * 16, "sse"]):
            before = at.hub.counters.renders, at.hub.counters.encodes
            clients = [await at.join(wire, EVERY_TICK, history=history) for wire in wires]
            await asyncio.gather(*(client.news(2) for client in clients))
            at.tick(at.hub.log.head + 1, at.hub.log.head + 5)
            last = [told[-1] for told in await asyncio.gather(*(c.news(5) for c in clients))]
            assert len({message.text for message in last}) == 1
            after = at.hub.counters.renders, at.hub.counters.encodes
            spent.append((after[0] - before[0], after[1] - before[1]))
        # The first one also rendered the snapshot and the history, which the fifty found.
        assert spent == [(9, 9), (5, 5)]
