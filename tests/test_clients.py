"""The test clients themselves: what they must not let pass."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import ValidationError
from referencing.exceptions import Unresolvable

from schema.jsonschema import message_schema
from schema.metrics import MetricsMessage
from tests.clients import Message, PollClient, SseClient, Want, WebSocketClient
from tests.received import Checker, parse, parse_event, parse_events, texts_in

if TYPE_CHECKING:  # pytest wants to be the first to import a plugin
    from tests.stage import Opener

pytest_plugins = ["tests.stage"]

BEAT = '{"type":"heartbeat","timestamp":1,"cursor":null}'
RETRY = '{"type":"reconnect","timestamp":1,"reason":"drain","afterMs":7}'
STREAM = f"retry: 7\nevent: reconnect\ndata: {RETRY}\n\nevent: heartbeat\ndata: {BEAT}\n\n".encode()


@pytest.mark.parametrize("text", ['{"a":NaN}', '{"a":-Infinity}', '{"a":1,"a":1}', "[]"])
def test_what_is_no_strict_object_does_not_pass(text: str) -> None:
    """Python's parser by itself takes all of these."""
    with pytest.raises(AssertionError):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"heartbeat","timestamp":1,"cursor":null,"colour":7}',
        '{"type":"heartbeat","timestamp":1}',
        '{"type":"heartbeat","timestamp":"1","cursor":null}',
        '{"type":"delta"}',
        f'{{"type":"history","timestamp":1,"channel":"metrics","items":[{BEAT}]}}',
        f'{{"type":"batch","timestamp":1,"cursor":null,"resume":{{}},"messages":[{BEAT}]}}',
        '{"type":"batch","timestamp":1,"cursor":null,"resume":{},"messages":[{"type":"delta"}]}',
    ],
)
def test_what_the_schema_does_not_name_does_not_pass(text: str) -> None:
    """No key, no type and no message more than are described."""
    checker = Checker(message_schema([MetricsMessage]))
    checker.check(BEAT)
    checker.check(BEAT)
    with pytest.raises((AssertionError, ValidationError, Unresolvable)):
        checker.check(text)


@pytest.mark.parametrize(
    "block",
    [
        "",
        ": a comment",
        f"data: {BEAT}",
        f"event: heartbeat\ndata:{BEAT}",
        f"event: heartbeat\r\ndata: {BEAT}",
        f"event: heartbeat\ndata: {BEAT}\ndata: more",
        f"event: heartbeat\nid: x:1\ndata: {BEAT}",
        f"event: gap\ndata: {BEAT}",
        f"event: heartbeat\ndata: {BEAT}\nretry: 5",
        f"retry: soon\nevent: heartbeat\ndata: {BEAT}",
        'event: a\ndata: {"type":"a","data":1,"cursor":"x:1"}',
    ],
)
def test_what_is_no_well_formed_event_does_not_pass(block: str) -> None:
    """Much of it would pass an EventSource."""
    with pytest.raises(AssertionError):
        parse_event(block)


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=9).map(sorted))
async def test_a_stream_may_be_cut_into_any_pieces(cuts: list[int]) -> None:
    """TCP does not know what an event is."""
    edges = [0, *cuts, len(STREAM)]
    chunks = [STREAM[a:b] for a, b in pairwise(edges)]
    events = [event async for event in parse_events(pieces(*chunks))]
    assert events == [Message(RETRY, None, 7), Message(BEAT)]


async def test_a_stream_must_not_end_within_an_event() -> None:
    """Not even at the end of a line."""
    with pytest.raises(AssertionError):
        _ = [event async for event in parse_events(pieces(STREAM[:-1]))]


def test_texts_are_cut_out_to_the_byte() -> None:
    """Whatever blanks, brackets and quotes are in them."""
    texts = ['{"a": [1, "]}"]}', '{"b":"\\""}']
    body = '{"x":["messages"],"messages":[%s]}'
    assert texts_in(body % ",".join(texts), "messages") == texts
    assert texts_in(body % "", "messages") == []


async def test_who_only_connects_can_go(stage: Opener, wire: str) -> None:
    """More than once."""
    async with stage("alpha") as at:
        client = await at.connect(wire)
        await client.aclose()
        await client.aclose()


async def test_what_comes_too_late_is_not_lost(stage: Opener, wire: str) -> None:
    """A client may be asked again."""
    async with stage("alpha") as at:
        client = await at.join(wire, Want("alpha", 1000))
        await at.settled(client)
        with pytest.raises(TimeoutError):
            await client.receive(timeout=0)
        at.tick(1)
        assert (await client.news())[0].seq == 1


async def test_a_cursor_covers_no_more_than_was_received(stage: Opener) -> None:
    """Of a batch, of a stream, of several channels: it is safe to go at any moment."""
    async with stage("alpha", "beta") as at:
        at.tick(1, 4)
        wants = (Want("alpha", 1000), Want("beta", 2000))
        poll, sse, websocket = [
            await client.connect(at.served) for client in (PollClient, SseClient, WebSocketClient)
        ]
        at.clients += (poll, sse, websocket)
        for client in (poll, sse, websocket):
            await client.subscribe(*wants, since=at.cursor(2))
        assert [c.cursor for c in (poll, sse, websocket)] == [at.cursor(2), at.cursor(2), None]
        for client in (poll, sse):
            await client.news(2)
            assert client.cursor == at.cursor(4)
            await client.news(3)
            assert client.cursor == at.cursor(8)
        await websocket.news(5)
        assert websocket.cursor == at.cursor(7)


@pytest.mark.parametrize("wire", ["websocket", "sse"])
async def test_a_stream_that_goes_on_is_not_taken_for_ended(stage: Opener, wire: str) -> None:
    """Nor does one wait for its end for ever."""
    async with stage("alpha") as at:
        client = await at.join(wire, Want("alpha"))
        with pytest.raises(AssertionError, match="goes on"):
            await client.ended(timeout=0)


async def test_a_websocket_that_is_cut_has_no_close_code(stage: Opener) -> None:
    """RFC 6455's 1006 is nothing that anybody says."""
    async with stage("alpha") as at:
        client = await WebSocketClient.connect(at.served)
        at.clients.append(client)
        client._connection.transport.abort()
        assert await client.ended() is None
