"""What only an event stream has: headers, `id:`, `retry:`, and refusals that keep it alive."""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any

import pytest
from sse_starlette import EventSourceResponse

from app.core.source import Window
from schema.fields import Detail, GapReason
from tests.clientbase import http_client
from tests.clients import EndedError, RefusedError, SseClient, Want
from tests.synthetic import Numbers, SyntheticSource

if TYPE_CHECKING:  # pytest wants to be the first to import a plugin
    from tests.stage import Opener, Stage

pytest_plugins = ["tests.stage"]

EVERY_TICK = Want("alpha", 1000)


async def join(at: Stage, *wants: Want, **options: Any) -> SseClient:  # noqa: ANN401
    client = await at.join("sse", *wants, **options)
    assert isinstance(client, SseClient)
    return client


def test_the_library_sends_where_we_take_its_place() -> None:
    """Its method is private; under another name it would work on, at twice the cost."""
    method = inspect.signature(EventSourceResponse._stream_response)
    assert list(method.parameters) == ["self", "send"]


async def test_a_farewell_ends_the_stream(stage: Opener) -> None:
    """With a `reconnect`, and then the end of the response."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await join(at, EVERY_TICK)
        await client.news()
        for session in list(at.hub.sessions):
            session.farewell(1234)
        *_, reconnect = await client.until("reconnect")
        assert reconnect.body["afterMs"] == 1234
        with pytest.raises(EndedError):
            await client.receive()


class Slow(SyntheticSource):
    """Takes longer to render a few messages than one session may at a time."""

    def render(self, window: Window, detail: Detail) -> Numbers:
        deadline = time.monotonic() + 0.002
        while time.monotonic() < deadline:
            pass
        return super().render(window, detail)


async def test_a_history_that_takes_long_is_whole(stage: Opener) -> None:
    """It is rendered in slices, between which others have their turn."""
    async with stage(sources=[Slow("alpha")]) as at:
        at.tick(1, 30)
        client = await join(at, EVERY_TICK, history=20)
        *_, history = await client.until("history")
        assert len(history.body["items"]) == 20


async def test_the_headers_keep_the_stream_out_of_caches_and_buffers(stage: Opener) -> None:
    """Of browsers, of proxies, and of nginx by name."""
    async with stage("alpha") as at:
        headers = (await join(at, EVERY_TICK)).response.headers
        assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert headers["Cache-Control"] == "no-store, no-transform"
        assert headers["X-Accel-Buffering"] == "no"


async def test_the_first_bytes_come_at_once(stage: Opener) -> None:
    """`retry:` and `connected`, although there is nothing else to tell."""
    async with stage("alpha", heartbeat=7000) as at:
        client = await join(at, EVERY_TICK)
        async for chunk in client.response.aiter_raw():
            assert chunk.startswith(b"retry: ")
            assert b"\nevent: connected\ndata: {" in chunk
            break


async def test_connected_tells_what_there_is(stage: Opener) -> None:
    """As on a WebSocket that speaks pulsewire.v1."""
    async with stage("alpha", "beta", heartbeat=7000) as at:
        body = (await (await join(at, EVERY_TICK)).receive()).body
        assert body["protocol"] == "pulsewire.v1"
        assert body["epoch"] == at.hub.log.epoch
        assert body["channels"] == ["alpha", "beta"]
        assert (body["heartbeatMs"], body["tickMs"]) == (7000, 1000)


async def test_clients_are_told_to_come_back_at_different_times(stage: Opener) -> None:
    """After 2 to 6 s, so that a restart is no stampede."""
    async with stage("alpha") as at:
        waits = [(await (await join(at, EVERY_TICK)).receive()).retry for _ in range(10)]
        assert all(wait is not None and 2000 <= wait <= 6000 for wait in waits)
        assert len(set(waits)) > 1


async def test_only_data_bears_an_id(stage: Opener) -> None:
    """A gap, a history or a heartbeat does not move the cursor of an EventSource."""
    async with stage("alpha") as at:
        at.tick(1, 5)
        client = await join(at, EVERY_TICK, since="other:1", history=2)
        await client.until("alpha")
        at.tick(8, hole=GapReason.SOURCE)
        await client.until("alpha")
        at.time.ahead += 15
        await client.until("heartbeat")
        ids = {(m.kind, m.id) for m in client.received}
        data = {("alpha", at.cursor(5)), ("alpha", at.cursor(6))}
        others = ("connected", "subscribed", "gap", "history", "heartbeat")
        assert ids == data | {(kind, None) for kind in others}
        assert [m.retry for m in client.received[1:]] == [None] * (len(client.received) - 1)


async def test_a_channel_may_bear_its_own_values(stage: Opener) -> None:
    """They win over those of the query, which are for all channels."""
    async with stage("alpha", "beta") as at:
        at.tick(1, 60)
        client = await at.connect("sse")
        assert isinstance(client, SseClient)
        client.query |= {"interval": 3000, "detail": "simple", "history": 4}
        await client.subscribe(Want("alpha", 2000, "standard"), Want("beta"))
        await client.news(4)
        asked = {
            m.body["channel"]: (m.body["intervalMs"], m.body["detail"])
            for m in client.received
            if m.kind == "subscribed"
        }
        assert asked == {"alpha": (2000, "standard"), "beta": (3000, "simple")}
        histories = [m for m in client.received if m.kind == "history"]
        assert [len(history.items) for history in histories] == [4, 4]


async def test_the_event_is_the_text_of_a_websocket(stage: Opener) -> None:
    """Byte for byte, also where it is not ASCII."""
    async with stage("älpha") as at:
        at.tick(1)
        streams = [await at.join(wire, Want("älpha")) for wire in ("sse", "websocket")]
        one, two = [(await client.news())[0] for client in streams]
        assert one.text == two.text
        assert one.kind == "älpha"


BAD_QUERIES = [
    ("interval", "999"),
    ("interval", "60001"),
    ("interval", "1500.5"),
    ("interval", "true"),
    ("interval", "-5000"),
    ("interval", " 5000"),
    ("interval", "\N{SUPERSCRIPT TWO}000"),
    ("interval", "1" * 5000),
    ("history", "-1"),
    ("history", "361"),
    ("history", "ten"),
    ("detail", "Full"),
    ("detail", "full"),
    ("channels", ""),
    ("channels", ","),
    ("channels", "alpha,"),
    ("channels", ":1000"),
    ("channels", "alpha:1000:simple:4"),
    ("channels", "alpha,beta,alpha"),
    ("since", "x"),
]


@pytest.mark.parametrize("path", ["/api/sse", "/api/poll"])
async def test_a_bad_query_is_refused_by_the_name_of_the_parameter(
    stage: Opener, path: str
) -> None:
    """With 400 and the `error` object; nobody is left behind in the tables."""
    async with stage("alpha", "beta") as at, http_client(at.served) as http:
        for key, value in BAD_QUERIES:
            response = await http.get(path, params={"channels": "alpha", key: value})
            assert response.status_code == 400, (key, value)
            body = response.json()
            assert (body["type"], body["code"]) == ("error", "INVALID_MESSAGE")
            assert key in body["message"]
            assert len(body["message"]) < 256
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["Content-Type"] == "application/json"
        assert not at.hub.sessions


@pytest.mark.parametrize("path", ["/api/sse", "/api/poll"])
@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("channels=alpha:999", "interval"),
        ("channels=alpha:1000:huge", "detail"),
        ("channels=alpha:1000&interval=999", "interval"),
        ("channels=alpha::simple&detail=huge", "detail"),
    ],
)
async def test_a_value_is_checked_wherever_it_stands(
    stage: Opener, path: str, query: str, named: str
) -> None:
    """In an entry of `channels`, and beside entries that have their own."""
    async with stage("alpha") as at, http_client(at.served) as http:
        at.tick(1)
        async with http.stream("GET", f"{path}?{query}") as response:
            assert response.status_code == 400
            assert named in (await response.aread()).decode()


@pytest.mark.parametrize("wire", ["sse", "longpoll"])
async def test_an_unknown_channel_refuses_the_whole_request(stage: Opener, wire: str) -> None:
    """With 404: half of what was asked for is not what was asked for."""
    async with stage("alpha") as at:
        at.tick(1)
        with pytest.raises(RefusedError) as refused:
            await (await at.join(wire, EVERY_TICK, Want("beta"))).receive()
        assert refused.value.status == 404
        error = refused.value.body
        assert (error["code"], error["channel"]) == ("UNKNOWN_CHANNEL", "beta")
        await at.gone(left=0)
        assert at.hub.cohorts == 0


@pytest.mark.parametrize("wire", ["sse", "longpoll"])
async def test_a_channel_too_many_refuses_the_whole_request(stage: Opener, wire: str) -> None:
    """With 400: sixteen are allowed."""
    names = [f"c{number}" for number in range(17)]
    async with stage(*names) as at:
        at.tick(1)
        full = await at.join(wire, *(Want(name) for name in names[:16]))
        assert len(await full.news(16)) == 16
        with pytest.raises(RefusedError) as refused:
            await (await at.join(wire, *(Want(name) for name in names))).receive()
        assert refused.value.status == 400
        assert refused.value.body["code"] == "TOO_MANY_SUBSCRIPTIONS"


async def test_one_stream_too_many_is_shed_without_a_503(stage: Opener) -> None:
    """After which an EventSource would never come back: 200, `retry:`, `error`, end."""
    async with stage("alpha", max_clients=1) as at:
        await join(at, EVERY_TICK)
        waits = set()
        for _ in range(20):
            client = await join(at, EVERY_TICK)
            assert client.response.status_code == 200
            assert client.response.headers["Content-Type"].startswith("text/event-stream")
            error = await client.receive()
            assert error.body["code"] == "OVERLOADED"
            waits.add(error.retry)
            await client.ended()
            assert client.received == [error]
        assert all(wait is not None and 5000 <= wait <= 30_000 for wait in waits)
        assert len(waits) > 1
