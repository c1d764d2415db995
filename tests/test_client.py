"""The Python client against real servers, through what may stand between the two."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import warnings
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from attrs import define

from app.client import ChannelMessage, Client, RefusedError, Status, Want
from app.client.chooser import WIRES
from app.client.websocket import WebSocketWire
from app.client.wire import End
from app.settings import Settings
from schema.codec import encode
from schema.errors import ErrorCode, InvalidMessage
from schema.fields import Detail, GapReason, ResumeReason
from schema.messages import Connected, Error, History, Resume, Subscribed
from schema.metrics import MetricsMessage
from tests import process
from tests.clients import Want as AskedFor
from tests.clients import connect
from tests.fence import POLL, SSE, WEBSOCKET, Fence, answering, fence
from tests.reading import ALPHA, Reader, reading
from tests.relay import Relay, relaying
from tests.serving import DrivenHub, Served, driven_hub, serving
from tests.synthetic import SyntheticSource

NAMES = tuple(WIRES)
BOTH = {"alpha": Want(1000), "beta": Want(1000)}
LEAVING: list[asyncio.Future[None]] = []
"""Servers on their way out: uvicorn sleeps for 0.2 s of that, and the next test need not."""


@pytest.fixture(scope="module", autouse=True)
async def _gone() -> AsyncIterator[None]:
    yield
    await asyncio.gather(*LEAVING)


@define(eq=False)
class Scene:
    """A server with two channels, its log in the test's hand, a fence and a relay before it."""

    served: Served
    hub: DrivenHub
    fence: Fence
    relay: Relay
    now: int = 0

    @property
    def url(self) -> str:
        """Where the client goes."""
        return self.relay.url

    def tick(self, count: int = 1, *channels: str, hole: GapReason | None = None) -> None:
        """Publish at so many ticks more."""
        for _ in range(count):
            self.now += 1
            self.hub.tick(self.now, *channels, hole=hole)

    async def next(self, reader: Reader, count: int = 1) -> None:
        """Publish one message of the first channel after the other, and wait for each."""
        for _ in range(count):
            self.tick(1, "alpha")
            await reader.until(lambda: reader.seqs and reader.seqs[-1] == self.hub.log.head)


@contextlib.asynccontextmanager
async def scene(epoch: str = "first", **settings: Any) -> AsyncIterator[Scene]:  # noqa: ANN401 - as Settings has them
    chosen = Settings(**settings)
    sources = [SyntheticSource("alpha"), SyntheticSource("beta")]
    hub = driven_hub(sources, chosen, epoch=epoch)
    stack = contextlib.AsyncExitStack()
    served = await stack.enter_async_context(serving(hub, chosen))
    fenced = fence(served)
    try:
        async with relaying(served.port) as relay:
            yield Scene(served, hub, fenced, relay)
    finally:
        fenced.tear_down()
        LEAVING.append(asyncio.ensure_future(stack.aclose()))


@pytest.fixture(params=NAMES)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# What comes


async def test_all_comes_once_and_in_order(transport: str) -> None:
    """A snapshot at once, then each message; the history first where it was asked for."""
    async with scene() as at:
        at.tick(3)
        async with reading(at.url, {"alpha": Want(1000, history=2)}, transport=transport) as reader:
            await reader.until(lambda: reader.data)
            (history,) = [m for m in reader.messages if isinstance(m, History)]
            assert [item["cursor"] for item in history.items] == ["first:1", "first:3"]
            assert reader.seqs == [5]
            await at.next(reader, 3)
    assert reader.seqs == [5, 7, 8, 9]
    assert reader.transports == [transport]
    assert reader.client.state.status is Status.CLOSED


async def test_a_channel_without_a_class_comes_as_plain_data(transport: str) -> None:
    """So whoever adds a source can read it."""
    async with scene() as at, reading(at.url, BOTH, transport=transport) as reader:
        at.tick()
        await reader.until(lambda: len(reader.data) == 2)
    alpha, beta = reader.data
    assert isinstance(alpha, ChannelMessage)
    assert isinstance(beta, ChannelMessage)
    assert (alpha.channel, beta.channel) == ("alpha", "beta")
    assert alpha.data == {"value": 1, "span": alpha.data["span"], "padding": ""}


async def test_the_text_is_the_server_s_own(transport: str) -> None:
    """Byte for byte, by long-poll too."""
    async with scene() as at, reading(at.url, transport=transport) as reader:
        at.tick()
        await reader.until(lambda: reader.data)
        other = await connect("websocket", at.served)
        await other.subscribe(AskedFor("alpha", 1000))
        (told,) = [message.text for message in await other.until("alpha") if message.is_data]
        await other.aclose()
    assert reader.texts[-1] == told


async def test_the_metrics_of_a_real_server_are_their_classes(transport: str) -> None:
    """As `texts` they are JSON; leaving the block in the middle ends all."""
    async with serving() as served:
        wants = {"metrics": Want(1000)}
        async with Client(served.http, wants, transport=transport, proxy=False) as client:
            async for message in client:
                if isinstance(message, MetricsMessage):
                    break
            async for text in client.texts():
                assert encode(message) != text.encode()
                break
        assert client.state.status is Status.CLOSED
        with pytest.raises(StopAsyncIteration):
            await anext(client)
        assert [text async for text in client.texts()] == []


async def test_tls_unix_sockets_and_sub_paths_work(transport: str, tmp_path: Path) -> None:
    """And what cannot be trusted is told."""
    wants = {"metrics": Want(1000)}
    settings = Settings(root_path="/pulse")
    async with serving(settings=settings, server="httptools+tls") as served:
        url = f"https://localhost:{served.port}/pulse"
        pem = tmp_path / "authority.pem"
        assert served.trust is not None
        (root,) = served.trust.get_ca_certs(binary_form=True)
        pem.write_text(ssl.DER_cert_to_PEM_cert(root), encoding="ascii")
        for verify in (served.trust, False, str(pem)):
            async with reading(url, wants, transport=transport, verify=verify) as reader:
                await reader.arrived()
        async with reading(url, wants, transport=transport) as reader:
            await reader.until(lambda: reader.client.state.error)
            assert "certificate" in str(reader.client.state.error)
    path = tmp_path / "socket"
    async with process.running("--uds", str(path)) as server:
        await server.line("Pulsewire is at ")
        async with reading("localhost", wants, transport=transport, uds=str(path)) as reader:
            await reader.until(lambda: reader.data)


async def test_headers_and_the_token_are_sent(transport: str) -> None:
    """With every request."""
    seen: list[dict[bytes, bytes]] = []
    async with scene() as at:
        inner = at.fence.app

        async def look(scope, receive, send) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
            seen.append(dict(scope["headers"]))
            await inner(scope, receive, send)

        at.fence.app = look
        headers: dict[str, str] = {"X-Way": "here"}
        token: dict[str, Any] = {"token": "mine"}
        async with reading(at.url, transport=transport, headers=headers, **token) as reader:
            await reader.on(transport)
    assert {(one[b"x-way"], one[b"authorization"]) for one in seen} == {(b"here", b"Bearer mine")}


# Which transport


@pytest.mark.parametrize("status", [403, 404])
async def test_a_refused_websocket_is_followed_by_an_event_stream(status: int) -> None:
    """Something on the way does not pass the upgrade on."""
    async with scene() as at:
        at.fence.refused = {WEBSOCKET: status}
        async with reading(at.url) as reader:
            await reader.on("sse")
            await at.next(reader, 2)
    assert reader.seqs == [1, 2]
    assert reader.transports == ["sse"]


async def test_where_no_stream_gets_through_it_polls() -> None:
    """With a proxy's answer in place of each."""
    async with scene() as at:
        at.fence.refused = {WEBSOCKET: 502, SSE: 502}
        async with reading(at.url) as reader:
            await reader.on("longpoll")
            await at.next(reader, 2)
            assert reader.client.state.server is None
    assert reader.seqs == [1, 2]


async def test_a_websocket_that_hangs_is_followed_by_an_event_stream() -> None:
    """And goes on as a trial: when it answers at last it is taken, and nothing comes twice."""
    async with scene() as at:
        at.fence.hanging = {WEBSOCKET}
        async with reading(at.url) as reader:
            await reader.until(lambda: WEBSOCKET in at.fence.asked)
            at.relay.refusing = True
            reader.advance(2.1)
            await reader.until(lambda: at.relay.accepted == 2)
            at.relay.refusing = False
            reader.advance(3)
            await reader.until(reader.cleared)
            reader.advance(1)
            await reader.on("sse")
            assert at.fence.asked.index("/api/status") < at.fence.asked.index(SSE)
            await at.next(reader, 2)
            at.fence.tear_down()
            await reader.on("websocket")
            await at.next(reader, 2)
    assert reader.seqs == [1, 2, 3, 4]
    assert reader.transports == ["sse", "websocket"]


async def test_event_streams_that_are_held_back_are_followed_by_polls() -> None:
    """From the beginning: the stream connects, and nothing comes."""
    async with scene() as at:
        at.fence.refused = {WEBSOCKET: 404}
        at.fence.hold()
        async with reading(at.url) as reader:
            await reader.until(lambda: SSE in at.fence.asked)
            reader.advance(3.1)
            await reader.until(reader.cleared)
            reader.advance(1)
            await reader.on("longpoll")
            await at.next(reader, 2)
            # Too late: it began before there was a cursor, so it cannot go on beside the other.
            at.fence.release()
            await reader.until(lambda: not at.hub.clients()["sse"])
            await at.next(reader)
    assert reader.seqs == [1, 2, 3]
    assert reader.transports == ["longpoll"]


async def test_an_event_stream_that_is_held_back_later_is_found_out() -> None:
    """A poll beside it is first with what it should have brought."""
    async with scene() as at:
        at.fence.refused = {WEBSOCKET: 404}
        async with reading(at.url) as reader:
            await reader.on("sse")
            await at.next(reader, 2)
            at.fence.hold()
            at.tick(1, "alpha")
            reader.advance(3.1)
            await reader.until(lambda: reader.seqs == [1, 2, 3])
            assert reader.client.state.transport == "sse"
            reader.advance(1.1)
            await reader.on("longpoll")
            at.fence.release()
            await at.next(reader, 2)
    assert reader.seqs == [1, 2, 3, 4, 5]


async def test_a_witness_is_dismissed_when_the_stream_is_first_after_all() -> None:
    """It was quiet because there was nothing to say."""
    async with scene() as at:
        at.fence.refused = {WEBSOCKET: 404}
        async with reading(at.url) as reader:
            await reader.on("sse")
            await at.next(reader)
            at.fence.refused[POLL] = 502
            reader.advance(3.1)
            await reader.until(lambda: POLL in at.fence.asked)
            del at.fence.refused[POLL]
            reader.advance(3.1)
            await reader.until(lambda: at.hub.clients()["longpoll"])
            polls = at.fence.asked.count(POLL)
            # The poll hangs at the relay, so that the stream brings it first.
            at.fence.hanging.add(POLL)
            witness = reader.client._feed.chooser._witness
            assert witness is not None
            assert witness.wire is not None
            witness.wire.held = True
            witness.dismiss()
            await at.next(reader, 2)
            await asyncio.sleep(0)
            assert reader.client.state.transport == "sse"
            assert at.fence.asked.count(POLL) <= polls + 1
    assert reader.seqs == [1, 2, 3]


async def test_a_better_transport_is_tried_again_and_taken() -> None:
    """A poller finds that event streams pass by now, then that WebSockets do."""
    async with scene() as at:
        at.fence.refused = {WEBSOCKET: 404, SSE: 404}
        async with reading(at.url) as reader:
            await reader.on("longpoll")
            await at.next(reader)
            reader.advance(31)
            await reader.until(lambda: at.fence.asked.count(SSE) == 2)
            del at.fence.refused[SSE]
            for _ in range(2):  # the pause has doubled
                await at.next(reader)
                reader.advance(31)
            await reader.until(lambda: at.hub.clients()["sse"] == 1)
            await at.next(reader)
            await reader.on("sse")
            del at.fence.refused[WEBSOCKET]
            for _ in range(2):
                await at.next(reader)
                reader.advance(31)
            await reader.on("websocket")
            await at.next(reader)
    assert reader.seqs == list(range(1, 8))
    assert reader.transports == ["longpoll", "sse", "websocket"]


async def test_a_transport_that_is_cut_again_and_again_is_left() -> None:
    """Though plain requests work: after three short lives it begins with the next."""
    async with scene() as at, reading(at.url) as reader:
        for lives in range(1, 4):
            await reader.on("websocket")
            await at.next(reader)
            at.relay.cut()
            await reader.until(partial(noted_lives, reader, lives))
            reader.advance(1)
        await reader.on("sse")
        await at.next(reader)
    assert reader.seqs == [1, 2, 3, 4]


def noted_lives(reader: Reader, lives: int) -> bool:
    return reader.client._feed.chooser._ranking._short_lives == lives


# Coming back


async def test_after_a_cut_it_goes_on_where_it_was(transport: str) -> None:
    """With what was published meanwhile, and nothing twice."""
    async with scene() as at, reading(at.url, BOTH, transport=transport) as reader:
        at.tick(2)
        await reader.until(lambda: len(reader.data) >= 2)
        at.relay.refusing = True
        at.relay.cut()
        await reader.until(lambda: reader.client.state.status is Status.RECONNECTING)
        at.tick(2)
        assert (reader.client.latency, reader.client.retry_in is None) == (None, False)
        await reader.until(lambda: reader.client.state.attempts >= 2, advancing=0.1)
        at.relay.refusing = False
        reader.advance(2)
        await reader.on(transport)
        await reader.until(lambda: reader.seqs[-1] == at.hub.log.head)
        assert (reader.client.latency is None, reader.client.retry_in) == (False, None)
    for channel, seqs in (("alpha", [3, 5, 7]), ("beta", [4, 6, 8])):
        assert [m.cursor.seq for m in reader.data if channel in repr(m)] == seqs
    assert not reader.gaps


async def test_a_restart_of_the_server_is_a_gap(transport: str) -> None:
    """The log has another epoch; what lies between is not coming."""
    async with (
        scene(epoch="one") as at,
        scene(epoch="two") as other,
        reading(at.url, transport=transport) as reader,
    ):
        await reader.on(transport)
        await at.next(reader, 2)
        other.tick()
        at.relay.target = other.served.port
        at.relay.cut()
        await reader.again(transport)
        await reader.until(lambda: reader.gaps)
        await other.next(reader)
    (gap,) = reader.gaps
    assert (str(gap.from_), str(gap.to), gap.reason) == ("one:2", "two:1", "epoch_changed")
    assert [str(message.cursor) for message in reader.data] == ["one:1", "one:2", "two:1", "two:3"]


async def test_two_epochs_at_one_time_are_both_told(transport: str) -> None:
    """A channel that has been told of a restart, and one that has not."""
    async with scene(epoch="two") as at, reading(at.url, BOTH, transport=transport) as reader:
        reader.client._feed.cursors._all.clear()
        await reader.on(transport)
        at.tick()
        await reader.until(lambda: len(reader.data) == 2)
        cursors = reader.client._feed.cursors
        cursors._all["beta"] = type(cursors._all["beta"])("one", 7)
        at.relay.cut()
        await reader.until(lambda: reader.client.state.status is Status.RECONNECTING)
        at.tick()
        reader.advance(1)
        await reader.until(lambda: len(reader.data) >= 4)
    assert {gap.channel for gap in reader.gaps} >= {"beta"}


async def test_it_comes_back_when_the_server_said(transport: str) -> None:
    """A drain tells each client when."""
    async with scene(drain=0) as at, reading(at.url, transport=transport) as reader:
        await reader.on(transport)
        await at.next(reader)
        if transport == "longpoll":
            await reader.until(lambda: at.hub.clients()["longpoll"])
        for session in list(at.hub.sessions):
            session.farewell(7000)
        await reader.until(lambda: reader.client.state.status is Status.RECONNECTING)
        assert "drain" in str(reader.client.state.error)
        assert 6 < (reader.client.retry_in or 0) <= 7
        reader.advance(7)
        await reader.on(transport)
        await at.next(reader)
    assert reader.seqs == [1, 2]


async def test_a_connection_that_is_silent_for_too_long_is_left(transport: str) -> None:
    """The other end is gone, and nobody has said so: twice the heartbeat and 5 seconds."""
    async with scene() as at, reading(at.url, transport=transport) as reader:
        await reader.on(transport)
        await at.next(reader)
        if transport == "longpoll":
            await reader.until(lambda: at.hub.clients()["longpoll"])
        else:
            await reader.until(lambda: reader.client.latency is not None)
        at.relay.half_open()
        reader.advance(34)
        await asyncio.sleep(0.05)
        assert reader.client.state.transport == transport
        reader.advance(2)
        await reader.until(lambda: reader.client.state.status is Status.RECONNECTING)
        assert reader.client.state.error == "nothing comes any more"
        reader.advance(1)
        await reader.on(transport)
        await at.next(reader)
    assert reader.seqs == [1, 2]


async def test_quiet_ways_are_kept_busy() -> None:
    """A way that cut a connection after some silence: from then on pings are more frequent."""
    async with scene() as at, reading(at.url, transport="websocket") as reader:
        await reader.on("websocket")
        await at.next(reader)
        reader.advance(12)
        at.relay.cut()
        chooser = reader.client._feed.chooser
        await reader.until(lambda: chooser.path.quiet < 12)
        reader.advance(1)
        await reader.on("websocket")
        await reader.until(lambda: reader.client.latency is not None)
        before = chooser._pinged_at
        reader.advance(8)
        await reader.until(lambda: chooser._pinged_at > before)
        wire = chooser.active
        assert isinstance(wire, WebSocketWire)
        wire.ping()
        wire.ping()
        wire.end(End("it is enough"))
        wire.end(End("once"))
        assert reader.client.state.error == "it is enough"


async def test_a_server_that_is_not_there_yet_is_waited_for(transport: str) -> None:
    """However long; what failed so far is told."""
    async with scene() as at:
        at.relay.refusing = True
        async with reading(at.url, transport=transport) as reader:
            await reader.until(lambda: reader.client.state.attempts == 3, advancing=1)
            assert reader.client.state.status is Status.CONNECTING
            assert reader.client.state.error
            at.relay.refusing = False
            reader.advance(9)
            await reader.on(transport)
            assert reader.client.state.attempts == 0


async def test_a_candidate_that_never_answers_is_given_up(transport: str) -> None:
    """After ten seconds, and then tried again."""
    async with scene() as at:
        at.relay.hold()
        async with reading(at.url, transport=transport) as reader:
            await reader.until(lambda: at.relay.connections)
            reader.advance(11)
            await reader.until(lambda: at.relay.accepted > 1)
            reader.advance(4)
            await asyncio.sleep(0)
            at.relay.release()
            await reader.until(lambda: reader.client.state.transport, advancing=1)


# A slow reader


async def test_a_slow_reader_is_told_what_it_missed(transport: str) -> None:
    """No memory grows meanwhile, and its own clock does not take the stream for dead."""
    async with scene() as at, reading(at.url, transport=transport) as reader:
        await reader.on(transport)
        await at.next(reader)
        reader.reading.clear()
        for _ in range(100):
            at.tick(10, "alpha")
            await asyncio.sleep(0)
        inbox = reader.client._feed.inbox
        await reader.until(lambda: not inbox._room.is_set())
        assert len(inbox._waiting) <= 400
        reader.advance(100)
        await asyncio.sleep(0.05)
        assert reader.client.state.transport == transport
        reader.reading.set()
        at.tick(1, "alpha")
        await reader.until(lambda: reader.seqs[-1] == at.hub.log.head)
    assert sorted(set(reader.seqs)) == reader.seqs
    missing = set(range(1, at.hub.log.head + 1)) - set(reader.seqs)
    declared = {
        seq
        for gap in reader.gaps
        if gap.from_ is not None
        for seq in range(gap.from_.seq + 1, gap.to.seq)
    }
    assert missing <= declared


# Refusals


async def test_an_unknown_channel_is_told_and_the_others_go_on(transport: str) -> None:
    """On HTTP it has the whole request refused."""
    channels = {"nowhere": Want(1000), **ALPHA}
    async with scene() as at, reading(at.url, channels, transport=transport) as reader:
        at.tick()
        await reader.until(lambda: reader.data)
        (error,) = [m for m in reader.messages if isinstance(m, Error)]
        assert (error.code, error.channel) == (ErrorCode.UNKNOWN_CHANNEL, "nowhere")
        assert set(reader.client.wanted) == {"alpha"}
        await at.next(reader)


async def test_where_nothing_is_left_it_is_refused(transport: str) -> None:
    """With what the server said."""
    async with scene() as at, reading(at.url, {"no": Want()}, transport=transport) as reader:
        refused = await reader.refused()
        assert refused.error is not None
        assert refused.error.code is ErrorCode.UNKNOWN_CHANNEL
        assert reader.client.state.status is Status.CLOSED
        assert reader.client.retry_in is None


async def test_a_detail_that_is_refused_gives_way_to_the_other(transport: str) -> None:
    """If there is another; else that is the end."""
    full = Want(1000, Detail.FULL)
    async with scene() as at:
        wants = {"alpha": Want(1000, "full", otherwise="simple")}
        async with reading(at.url, wants, transport=transport) as reader:
            await reader.on(transport)
            await at.next(reader, 2)
            assert reader.client.wanted["alpha"].detail is Detail.SIMPLE
        assert reader.seqs == [1, 2]
        async with reading(at.url, {"alpha": full}, transport=transport) as reader:
            refused = await reader.refused()
            assert "detail: must be one of simple, standard" in str(refused)
        wants = {"alpha": full, "beta": Want(1000)}
        async with reading(at.url, wants, transport=transport) as reader:
            if transport == "websocket":
                await reader.until(lambda: [m for m in reader.messages if isinstance(m, Error)])
                at.tick(1)
                await reader.until(lambda: reader.data)
            else:
                await reader.refused()


async def test_a_name_that_the_server_does_not_go_by_is_final() -> None:
    """The guard's answer is a plain 403 with the error."""
    async with scene() as at:
        headers = {"Origin": "http://elsewhere.example"}
        async with reading(at.url, headers=headers) as reader:
            refused = await reader.refused()
    assert refused.error is not None
    assert refused.error.code is ErrorCode.FORBIDDEN
    assert "elsewhere.example" in str(refused)


async def test_what_is_no_pulsewire_is_final() -> None:
    """All transports are refused by something else; but not for one that has had a connection."""
    async with scene() as at:
        at.fence.refused = {WEBSOCKET: 404, SSE: 404, POLL: 404}
        async with reading(at.url) as reader:
            refused = await reader.refused()
        assert refused.error is None
        assert str(refused) == "unexpected answer (HTTP 404)"
        at.fence.refused.clear()
        async with reading(at.url, transport="sse") as reader:
            await reader.on("sse")
            at.fence.refused = {SSE: 404}
            at.relay.cut()
            await reader.until(lambda: reader.client.state.attempts)
            reader.advance(1)
            await reader.until(lambda: reader.client.state.attempts == 2)
            assert reader.client.state.status is Status.RECONNECTING


async def test_too_many_clients_are_final_on_a_websocket_alone() -> None:
    """Its close code says do not come back; the others say when."""
    async with scene(max_clients=1) as at, reading(at.url, transport="sse") as first:
        await first.on("sse")
        async with reading(at.url, transport="websocket") as reader:
            refused = await reader.refused()
            assert refused.error is not None
            assert refused.error.code is ErrorCode.OVERLOADED
        async with reading(at.url, transport="sse") as reader:
            await reader.until(lambda: reader.client.retry_in)
            assert 4 < (reader.client.retry_in or 0) <= 30
            assert [m.code for m in reader.messages if isinstance(m, Error)] == ["OVERLOADED"]
        async with reading(at.url, transport="longpoll") as reader:
            await reader.until(lambda: reader.client.retry_in)
            assert 4 < (reader.client.retry_in or 0) <= 5


async def test_too_many_messages_end_a_websocket_for_a_while() -> None:
    """The server says so, and it comes back."""
    async with scene() as at, reading(at.url, transport="websocket") as reader:
        await reader.on("websocket")
        for number in range(60):
            reader.client.subscribe("alpha", Want(1000 + 1000 * (number % 2)))
        await reader.until(lambda: "too many messages" in str(reader.client.state.error))
        reader.advance(1)
        await reader.on("websocket")


async def test_a_channel_that_is_not_available_is_told(transport: str) -> None:
    """The subscription stays."""
    async with scene() as at:
        at.hub._publisher.lost["beta"] = "no engine"
        async with reading(at.url, BOTH, transport=transport) as reader:
            await reader.on(transport)
            at.tick(1, "alpha")
            await reader.until(lambda: reader.data)
            (error,) = [m for m in reader.messages if isinstance(m, Error)]
            assert (error.code, error.channel) == ("CHANNEL_UNAVAILABLE", "beta")
            assert set(reader.client.wanted) == {"alpha", "beta"}


# Changes as it goes


async def test_what_is_wanted_may_change(transport: str) -> None:
    """Another channel, another interval, one less, none."""
    async with scene() as at, reading(at.url, transport=transport) as reader:
        await reader.on(transport)
        at.tick(2)
        await reader.until(lambda: reader.data)
        reader.client.subscribe("alpha", Want(1000))  # as it is
        reader.client.subscribe("beta", Want(2000))
        await reader.until(lambda: "beta" in kinds(reader))
        reader.client.subscribe("alpha", Want(3000))
        await reader.until(lambda: [m for m in reader.data if m.interval_ms == 3000])
        reader.client.unsubscribe("beta")
        reader.client.unsubscribe("nowhere")
        before = kinds(reader).count("beta")
        at.tick(3)
        await reader.until(lambda: reader.data[-1].cursor.seq >= at.hub.log.head - 5)
        assert kinds(reader).count("beta") == before
        reader.client.unsubscribe("alpha")
        await reader.until(lambda: not at.hub.sessions)
        reader.client.subscribe("beta", Want(1000))
        await reader.until(lambda: kinds(reader).count("beta") > before)
        at.relay.cut()
        await reader.until(lambda: reader.client.state.status is Status.RECONNECTING)
        reader.client.subscribe("alpha", Want(1000))
        assert reader.client.retry_in is not None


def kinds(reader: Reader) -> list[str]:
    return [m.channel for m in reader.data if isinstance(m, ChannelMessage)]


async def test_who_wants_nothing_is_not_connected() -> None:
    """Until there is something to be wanted."""
    async with scene() as at, reading(at.url, {}) as reader:
        await asyncio.sleep(0.05)
        assert not at.relay.accepted
        reader.client.subscribe("alpha", Want(1000))
        await at.next(reader)


# What a server may say that ours does not


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("{", "what cannot be read: message is not JSON"),
        ("[]", "what cannot be read: message must be a JSON object"),
        ('{"type":"heartbeat","timestamp":1,"cursor":null}', "must be batch"),
        ('{"type":"batch","timestamp":1,"cursor":1}', "what cannot be read: cursor"),
    ],
)
async def test_what_cannot_be_read_is_told(body: str, told: str) -> None:
    """And is tried again."""
    async with scene() as at:
        at.fence.altered[POLL] = answering(200, body, content_type="application/json")
        async with reading(at.url, transport="longpoll") as reader:
            await reader.until(lambda: told in str(reader.client.state.error))
            at.fence.altered.clear()
            reader.advance(5)
            await reader.until(lambda: reader.client.state.transport, advancing=1)


async def test_messages_of_a_newer_server_are_passed_over() -> None:
    """Types that are not known, and events without data."""
    async with scene() as at:
        resume = Resume(recovered=False, reason=ResumeReason.FIRST, missed=None)
        subscribed = Subscribed(1, "alpha", 1000, Detail.STANDARD, resume)
        lines = [
            ": nothing",
            "",
            "retry: 99",
            "data: " + encode(await greeting(at)).decode(),
            "",
            'data: {"type":"weather","timestamp":1}',
            "",
            f"data: {encode(subscribed).decode()}",
            "",
            "",
        ]
        stream = answering(200, "\r\n".join(lines), content_type="text/event-stream")
        at.fence.altered[SSE] = stream
        async with reading(at.url, transport="sse") as reader:
            await reader.until(lambda: reader.client.state.error == "the stream ended")
    assert [type(message) for message in reader.messages] == [Connected]


async def greeting(at: Scene) -> Connected:
    async with reading(at.url, transport="websocket") as reader:
        await reader.until(lambda: reader.client.state.server)
        server = reader.client.state.server
        assert server is not None
        return server


async def test_204_tells_it_to_stay_away() -> None:
    """As it does an EventSource."""
    async with scene() as at:
        at.fence.altered[SSE] = answering(204, "")
        async with reading(at.url, transport="sse") as reader:
            assert str(await reader.refused()) == "unexpected answer (HTTP 204)"


async def test_a_cache_that_answers_polls_is_not_asked_too_often() -> None:
    """The same answer again and again, at once."""
    async with scene() as at, reading(at.url, transport="longpoll") as reader:
        await reader.on("longpoll")
        await at.next(reader)
        await reader.until(lambda: at.hub.clients()["longpoll"])
        body = (
            '{"type":"batch","timestamp":1,"cursor":"first:1","resume":{},"messages":'
            '[{"type":"heartbeat","timestamp":1,"cursor":null}]}'
        )
        at.fence.altered[POLL] = answering(200, body, content_type="application/json")
        await at.next(reader, 1)
        await asyncio.sleep(0.3)
        assert at.fence.asked.count(POLL) < 10


async def test_a_heritage_server_is_no_server_for_it() -> None:
    """It does not speak the protocol: neither gaps nor cursors are to be had."""
    old = await greeting_heritage()

    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "pulsewire.v1"})
        await send({"type": "websocket.send", "bytes": b"noise"})
        await send({"type": "websocket.send", "text": '{"type":"weather"}'})
        await send(
            {"type": "websocket.send", "text": '{"type":"heartbeat","timestamp":1,"cursor":null}'}
        )
        await send({"type": "websocket.send", "text": old})
        await receive()

    async with scene() as at:
        at.fence.altered[WEBSOCKET] = app
        async with reading(at.url, transport="websocket") as reader:
            await reader.until(lambda: "does not speak" in str(reader.client.state.error))


async def greeting_heritage() -> str:
    async with scene() as at:
        client = await connect("websocket", at.served, heritage=True)
        text = (await client.receive()).text
        await client.aclose()
        return text


# Mistakes


def test_a_wrong_transport_and_a_wrong_want_are_named() -> None:
    """Before anything is connected."""
    with pytest.raises(ValueError, match="transport must be one of auto, websocket, sse, longpoll"):
        Client("localhost", transport="pigeon")
    with pytest.raises(InvalidMessage, match="interval: must be an integer from 1000 to 60000"):
        Want(interval=5)
    with pytest.raises(InvalidMessage, match="detail: must be one of simple, standard, full"):
        Want(detail="most")
    with pytest.raises(InvalidMessage, match="history: must be an integer from 0 to 360"):
        Want(history=361)


@pytest.mark.parametrize("where", ["chooser", "wire"])
async def test_a_mistake_in_the_program_reaches_the_reader(where: str) -> None:
    """It does not end in a task that nobody awaits."""
    async with scene() as at:

        def broken() -> float:
            raise ZeroDivisionError

        client = Client(at.url, ALPHA, proxy=False)
        async with client:
            await anext(client)
            if where == "chooser":
                client._feed.chooser.path = cast("Any", None)
                client._feed.chooser._nudge.set()
            else:
                client._feed._clock = broken
                at.tick()
            with pytest.raises((ZeroDivisionError, AttributeError)):
                await drained(client)
            with pytest.raises(StopAsyncIteration):
                await anext(client)


async def test_nothing_is_left_wherever_it_is_left(transport: str) -> None:
    """In the middle of connecting, of shaking hands under TLS, of closing; no socket either."""
    with warnings.catch_warnings(), socket.create_server(("127.0.0.1", 0)) as deaf:
        warnings.simplefilter("error")
        port = deaf.getsockname()[1]
        for scheme in ("http", "https"):
            async with reading(f"{scheme}://127.0.0.1:{port}", transport=transport, verify=False):
                await asyncio.sleep(0.05)
        gc.collect()
    client = Client("localhost")
    await client.aclose()
    assert client.retry_in is None


async def test_whoever_is_cancelled_while_waiting_loses_nothing() -> None:
    """A timeout around the next message."""
    async with scene() as at, Client(at.url, ALPHA, proxy=False) as client:
        assert isinstance(await anext(client), Connected)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(client), 0.01)
        at.tick(1, "alpha")
        message = await anext(client)
        assert isinstance(message, ChannelMessage)
        assert message.cursor.seq == 1


async def test_whoever_waits_is_told_of_the_end() -> None:
    """When somebody else closes the client."""
    async with scene() as at:
        connected = asyncio.Event()
        client = Client(at.url, ALPHA, proxy=False, on_state=lambda _state: connected.set())
        async with client:
            waiting = asyncio.ensure_future(drained(client))
            await connected.wait()
        assert await waiting == 1


async def drained(client: Client) -> int:
    return len([message async for message in client])


def test_a_refusal_tells_what_the_server_said() -> None:
    """As an attribute; nothing if it was another server."""
    assert RefusedError("no").error is None
