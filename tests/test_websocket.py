"""What only a WebSocket can do: talk back, in both senses."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed

from app.core.source import Window
from schema.fields import Detail
from tests.clients import EndedError, Message, Want, WebSocketClient
from tests.synthetic import Numbers, SyntheticSource

if TYPE_CHECKING:  # pytest wants to be the first to import a plugin
    from tests.stage import Opener, Stage

pytest_plugins = ["tests.stage"]

EVERY_TICK = Want("alpha", 1000)
SUBSCRIBE = {"type": "subscribe", "channel": "alpha"}


async def join(at: Stage, *wants: Want, **options: Any) -> WebSocketClient:  # noqa: ANN401
    client = await at.join("websocket", *wants, **options)
    assert isinstance(client, WebSocketClient)
    return client


def seqs(messages: list[Message]) -> list[int]:
    return [message.seq for message in messages if message.is_data]


async def test_connected_is_first_and_tells_what_there_is(stage: Opener) -> None:
    """Before anything is asked for."""
    async with stage("alpha", "beta", heartbeat=7000, tick=500) as at:
        one, two = [(await (await join(at)).receive()).body for _ in range(2)]
        assert one.pop("clientId") != two["clientId"]
        assert abs(one.pop("timestamp") / 1000 - time.time()) < 60
        assert one == {
            "type": "connected",
            "epoch": at.hub.log.epoch,
            "heartbeatMs": 7000,
            "protocol": "pulsewire.v1",
            "version": at.hub.settings.version,
            "tickMs": 500,
            "channels": ["alpha", "beta"],
        }


async def test_a_client_without_the_subprotocol_speaks_heritage(stage: Opener) -> None:
    """No acknowledgement, no gap, no history; the data is the same to the byte."""
    async with stage("alpha") as at:
        at.tick(1, 4)
        old = await join(at, heritage=True)
        assert (await old.receive()).body["protocol"] == "heritage"
        await old.subscribe(Want("alpha"), since="other:1", history=3)
        new = await join(at, Want("alpha"))
        told = await old.fence()
        assert [m.kind for m in told] == ["alpha"]
        assert [m.text for m in told] == [m.text for m in await new.news()]


async def test_a_subscribe_is_answered_in_order(stage: Opener) -> None:
    """`subscribed`, gap, history, snapshot, live."""
    async with stage("alpha") as at:
        at.tick(1, 4)
        client = await join(at, EVERY_TICK, since="other:1", history=3)
        opening = await client.fence()
        kinds = ["connected", "subscribed", "gap", "history", "alpha"]
        assert [m.kind for m in opening] == kinds
        body = opening[1].body
        del body["timestamp"]
        assert body == {
            "type": "subscribed",
            "channel": "alpha",
            "intervalMs": 1000,
            "detail": "standard",
            "resume": {"recovered": False, "reason": "epoch_changed", "missed": None},
        }


async def test_after_unsubscribe_nothing_comes(stage: Opener) -> None:
    """Of that channel; the other goes on."""
    async with stage("alpha", "beta") as at:
        at.tick(1)
        client = await join(at, EVERY_TICK, Want("beta", 1000))
        await client.news(2)
        await client.unsubscribe("alpha")
        await client.fence()
        at.tick(2, 5)
        assert {m.kind for m in await client.fence()} == {"beta"}
        assert at.hub.cohorts == 1
        await client.unsubscribe("beta")
        await client.fence()
        assert (at.hub.cohorts, len(at.hub.sessions)) == (0, 1)


async def test_to_unsubscribe_from_what_one_has_not_is_no_fault(stage: Opener) -> None:
    """There is nothing to do, and nothing to say."""
    async with stage("alpha") as at:
        client = await join(at)
        await client.unsubscribe("alpha")
        assert [m.kind for m in await client.fence()] == ["connected"]


async def test_a_second_subscribe_replaces_the_first(stage: Opener) -> None:
    """With a new acknowledgement and a new snapshot."""
    async with stage("alpha") as at:
        at.tick(1, 3)
        client = await join(at, EVERY_TICK)
        await client.news()
        await client.subscribe(Want("alpha", 2000, "simple"))
        again = await client.fence()
        assert [m.kind for m in again] == ["subscribed", "alpha"]
        assert (again[0].body["intervalMs"], again[0].body["detail"]) == (2000, "simple")
        at.tick(4, 7)
        assert seqs(await client.fence()) == [4, 6]


async def test_ping_is_answered_with_how_far_all_was_sent(stage: Opener) -> None:
    """Null at first; then the newest seq, also where nothing was due."""
    async with stage("alpha", "beta") as at:
        client = await join(at)
        await client.fence()
        assert client.received[-1].body["cursor"] is None
        at.tick(1, 2)
        await client.subscribe(Want("alpha", 60_000))
        await client.news()
        at.tick(3, 4)
        await client.fence()
        assert client.received[-1].body["cursor"] == at.head


async def test_each_ping_has_its_answer(stage: Opener) -> None:
    """A client may measure with them."""
    async with stage("alpha") as at:
        client = await join(at)
        for _ in range(5):
            await client.send({"type": "ping", "timestamp": 17.5})
        told = [(await client.receive()).kind for _ in range(6)]
        assert told == ["connected", *["heartbeat"] * 5]


class Slow(SyntheticSource):
    """Takes longer to render a few messages than one session may at a time."""

    def render(self, window: Window, detail: Detail) -> Numbers:
        deadline = time.monotonic() + 0.002
        while time.monotonic() < deadline:
            pass
        return super().render(window, detail)


async def test_no_heartbeat_is_ahead_of_what_it_covers(stage: Opener) -> None:
    """Also while the history of another channel is being rendered, in slices."""
    async with stage(sources=[SyntheticSource("alpha"), Slow("beta")]) as at:
        at.tick(1, 40)
        client = await join(at, EVERY_TICK)
        await client.news()
        await client.subscribe(Want("beta", 1000), history=20)
        for tick in range(41, 61):
            at.hub.tick(tick, "alpha")
            await client.send({"type": "ping"})
            await asyncio.sleep(0)
        await client.until("subscribed")
        covered = 0
        while client.cursors["alpha"] != at.head or "beta" not in client.cursors:
            message = await client.receive()
            if message.kind == "heartbeat":
                covered = message.seq
            assert not message.is_data or message.seq > covered


# Errors


def bad(key: str, values: list[object], **message: object) -> list[tuple[Any, str]]:
    return [({**message, key: value}, key) for value in values]


BAD_MESSAGES: list[tuple[Any, str]] = [
    *((text, "JSON") for text in ("", "{", '{"type":"ping"} x', "NaN", '{"type":"ping"')),
    *((text, "object") for text in ("[]", '"ping"', "null", "7")),
    (b'{"type":"ping"}', "text frame"),
    ({}, "type"),
    *bad("type", ["connected", "Ping", 7, None, ["ping"]]),
    *(({"type": kind}, "channel") for kind in ("subscribe", "unsubscribe")),
    *bad("channel", [7, None, True, []], type="subscribe"),
    *bad("timestamp", ["now", True, []], type="ping"),
    *bad("interval", ["5000", 1500.5, True, [], 999, 60_001, 0, -5000, 10**20], **SUBSCRIBE),
    *bad("history", ["5", 1.5, True, -1, 361, {}], **SUBSCRIBE),
    *bad("detail", ["Full", "", 1, "full", []], **SUBSCRIBE),
    *bad("since", [7, True, {}, "x"], **SUBSCRIBE),
]


async def test_a_bad_message_is_an_error_that_names_the_key(stage: Opener) -> None:
    """And the connection stays open, with all it had."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await join(at, EVERY_TICK)
        await client.news()
        for message, named in BAD_MESSAGES:
            at.time.ahead += 1  # not too fast
            error = await client.error(message)
            assert error["code"] == "INVALID_MESSAGE"
            assert named in error["message"], (message, error)
        at.tick(2)
        assert seqs(await client.news()) == [2]


async def test_unknown_keys_are_ignored(stage: Opener) -> None:
    """A newer client may send what an older server does not know."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await join(at)
        await client.send({**SUBSCRIBE, "timestamp": 1.5, "colour": {"of": ["the", "line"]}})
        assert seqs(await client.news()) == [1]


@pytest.mark.parametrize("kind", ["subscribe", "unsubscribe"])
async def test_an_unknown_channel_is_an_error(stage: Opener, kind: str) -> None:
    """It says which, and not what is longer than any name."""
    async with stage("alpha") as at:
        client = await join(at)
        for channel in ("beta", "", "Alpha", "x" * 9999):
            error = await client.error({"type": kind, "channel": channel})
            assert error["code"] == "UNKNOWN_CHANNEL"
            assert error["channel"] == channel[:64]
            assert len(error["message"]) < 256


async def test_a_channel_too_many_is_refused(stage: Opener) -> None:
    """The others stay, may be replaced, and make room when they are given back."""
    names = [f"c{number}" for number in range(17)]
    async with stage(*names) as at:
        at.tick(1)
        client = await join(at, *(Want(name, 1000) for name in names[:16]))
        await client.news(16)
        await client.subscribe(Want(names[16], 1000))
        error = (await client.until("error"))[-1].body
        assert (error["code"], error["channel"]) == ("TOO_MANY_SUBSCRIPTIONS", names[16])
        await client.subscribe(Want(names[0], 2000))
        assert (await client.news())[0].kind == names[0]
        await client.unsubscribe(names[0])
        await client.subscribe(Want(names[16], 1000))
        assert (await client.news())[0].kind == names[16]


def ping_of(size: int) -> str:
    """Make a message of so many bytes, most of them two to a character."""
    bare = len('{"type":"ping","x":""}')
    return '{"type":"ping","x":"%s"}' % ("\N{MICRO SIGN}" * ((size - bare) // 2) + "x" * (size % 2))


async def test_a_message_may_have_16_kib(stage: Opener) -> None:
    """One byte more is said to be too large, and then that was all."""
    async with stage("alpha") as at:
        client = await join(at)
        await client.send(ping_of(16 * 1024))
        await client.until("heartbeat")
        await client.send(ping_of(16 * 1024 + 1))
        assert (await client.until("error"))[-1].body["code"] == "MESSAGE_TOO_LARGE"
        assert await client.ended() == 1009


async def test_what_no_server_reads_to_its_end_is_too_large_all_the_same(stage: Opener) -> None:
    """Whether it is we who say so or the server library."""
    async with stage("alpha") as at:
        client = await join(at)
        await client.send(ping_of(512 * 1024))
        assert await client.ended() == 1009


async def test_who_talks_too_fast_is_told(stage: Opener) -> None:
    """Forty messages at once are let through, and twenty a second."""
    async with stage("alpha") as at:
        at.time.stopped_at = time.monotonic()
        client = await join(at)
        for _ in range(40):
            await client.fence()
        assert (await client.error({"type": "ping"}))["code"] == "RATE_LIMITED"
        at.time.stopped_at += 0.125
        await client.fence()
        await client.fence()
        assert (await client.error({"type": "ping"}))["code"] == "RATE_LIMITED"


# A hypercorn that is flooded does not close any more: it waits for an application that has gone.
@pytest.mark.parametrize("server", ["httptools", "h11"])
@pytest.mark.parametrize("wait", ["", "for each answer"])
async def test_who_goes_on_talking_is_closed(stage: Opener, wait: str) -> None:
    """With the code of its fault, whether it reads what it is told or not."""
    async with stage("alpha") as at:
        at.time.stopped_at = time.monotonic()
        client = await join(at)
        with contextlib.suppress(ConnectionClosed, EndedError):
            for _ in range(200):
                await client.send({"type": "ping"})
                if wait:
                    await client.receive()
        assert await client.ended() == 4029
        codes = {m.body["code"] for m in client.received if m.kind == "error"}
        assert codes == {"RATE_LIMITED"}


async def test_one_client_too_many_is_turned_away(stage: Opener) -> None:
    """With an error, and a code that says not to come back."""
    async with stage("alpha", max_clients=2) as at:
        await join(at)
        poller = await at.join("longpoll", EVERY_TICK)
        await at.settled(poller)
        client = await join(at)
        assert (await client.receive()).body["code"] == "OVERLOADED"
        assert await client.ended() == 4504
        await poller.aclose()
        await at.gone(left=1)
        assert (await (await join(at)).receive()).kind == "connected"
