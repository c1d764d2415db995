"""The drain: who is told what, and when, in the hub alone and by a real process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, cast

import httpx
import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from app import drain as drain_module
from app.core.broadcaster import Broadcaster
from app.core.session import Session
from app.drain import FLUSH_S, STILL_S, drain
from app.settings import Settings
from schema.frame import Frame
from tests.process import PATIENCE_S, Process, client, running
from tests.serving import driven_hub
from tests.synthetic import SyntheticSource
from transports.base import Wire

Body = dict[str, Any]
V1 = [Subprotocol("pulsewire.v1")]
SLACK_S = 0.5  # by which a busy machine may be late


# In the hub alone


@define(eq=False)
class Guest:
    """A client that takes what it is given at once or after a pause, and goes when it is told."""

    wire: Wire
    heritage: bool = False
    pause: Callable[[Callable[[], None]], object] = field(default=lambda take: take())
    frames: list[Frame] = field(factory=list)
    ended: float = -1.0
    _session: Session = field(init=False)

    def join(self, hub: Broadcaster) -> Guest:
        self._session = hub.open(self.wire, self._wake, heritage=self.heritage)
        return self

    def _wake(self) -> None:
        self.pause(self._take)

    def _take(self) -> None:
        self.frames += self._session.take()
        self.ended = time.monotonic()
        self._session.leave()

    @property
    def last(self) -> Body:
        return cast("Body", json.loads(self.frames[-1].text))

    @property
    def code(self) -> int:
        assert self._session.close is not None
        return self._session.close.code


@pytest.fixture
def hub() -> Broadcaster:
    return make_hub()


def make_hub() -> Broadcaster:
    return driven_hub([SyntheticSource()], Settings())


def join(hub: Broadcaster, *wires: Wire, heritage: bool = False) -> list[Guest]:
    return [Guest(wire, heritage).join(hub) for wire in wires]


async def test_without_clients_there_is_no_window(hub: Broadcaster) -> None:
    """Whoever stops an idle server need not wait."""
    async with asyncio.timeout(1):
        await drain(hub, 60)

    assert hub.draining


@settings(max_examples=30)
@given(wires=st.lists(st.sampled_from(Wire), min_size=1, max_size=60))
def test_each_comes_back_in_a_share_of_the_window_of_its_own(wires: list[Wire]) -> None:
    """So no two halves, thirds or tenths of it see more than their part of the clients."""
    hub = make_hub()
    guests = join(hub, *wires)

    asyncio.run(drain(hub, 0.001 * len(wires)))

    told = sorted(guest.last["afterMs"] for guest in guests)
    assert all(share <= at <= share + 1 for share, at in enumerate(told))
    assert {(guest.last["type"], guest.code) for guest in guests} == {("reconnect", 1012)}


async def test_the_clients_of_each_wire_are_spread_over_the_whole_window(hub: Broadcaster) -> None:
    """Pollers do not come first and streams last."""
    guests = join(hub, *[Wire.LONGPOLL] * 60, *[Wire.SSE] * 60)

    await drain(hub, 0.1)

    for some in guests[:60], guests[60:]:
        assert {guest.last["afterMs"] // 51 for guest in some} == {0, 1}


async def test_who_can_be_told_is_told_at_once_and_the_window_is_waited_for(
    hub: Broadcaster,
) -> None:
    """The server listens on after all have gone: a load balancer has yet to see it."""
    guests = join(hub, *Wire)
    begin = time.monotonic()

    await drain(hub, 0.4)

    assert max(guest.ended for guest in guests) - begin < 0.2
    assert 0.4 <= time.monotonic() - begin < 0.4 + FLUSH_S


async def test_thousands_are_told_without_holding_up_the_loop(
    hub: Broadcaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have their turn when it has taken some time."""
    monkeypatch.setattr(drain_module, "TURN_S", 0)
    guests = join(hub, *[Wire.SSE] * (2 * drain_module.LOOK_AT + 1))
    said: list[int] = []

    async def look_on() -> None:
        while len(said) < 3:
            said.append(sum(guest.ended > 0 for guest in guests))
            await asyncio.sleep(0)

    await asyncio.gather(drain(hub, 0.1), look_on())

    assert said == [0, drain_module.LOOK_AT, 2 * drain_module.LOOK_AT]


async def test_nobody_else_has_a_turn_while_it_takes_no_time(hub: Broadcaster) -> None:
    """To let those go who were told is work that those would wait for who were not."""
    guests = join(hub, *[Wire.SSE] * (2 * drain_module.LOOK_AT))
    told: list[int] = []

    async def look_on() -> None:
        await asyncio.sleep(0)
        told.append(sum(guest.ended > 0 for guest in guests))

    await asyncio.gather(drain(hub, 0), look_on())

    assert told == [len(guests)]


async def test_everybody_is_told_however_long_that_takes(
    hub: Broadcaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine with other things to do the time may be over before."""
    monkeypatch.setattr(drain_module, "TURN_S", 0)
    monkeypatch.setattr(drain_module, "FLUSH_S", 0)
    guests = join(hub, *[Wire.SSE] * (3 * drain_module.LOOK_AT))

    await drain(hub, 0)

    assert {guest.last["type"] for guest in guests} == {"reconnect"}


async def test_heritage_clients_are_closed_one_after_the_other(hub: Broadcaster) -> None:
    """They know no `reconnect`, so they come back when they are closed."""
    guests = join(hub, *[Wire.WEBSOCKET] * 4, heritage=True)
    begin = time.monotonic()

    await drain(hub, 1)

    assert all(guest.code == 1012 for guest in guests)
    assert all(frame.kind != "reconnect" for guest in guests for frame in guest.frames)
    times = sorted(guest.ended - begin for guest in guests)
    assert all(
        at <= took < at + SLACK_S for at, took in zip((0.2, 0.4, 0.6, 0.8), times, strict=True)
    )


async def test_thousands_of_heritage_clients_fit_into_the_window(hub: Broadcaster) -> None:
    """However little of it each of them has."""
    guests = join(hub, *[Wire.WEBSOCKET] * 5000, heritage=True)
    begin = time.monotonic()

    await drain(hub, 0.5)

    assert all(guest.code == 1012 for guest in guests)
    assert time.monotonic() - begin < 0.5 + FLUSH_S


async def test_those_who_do_not_read_are_not_waited_for_any_longer(hub: Broadcaster) -> None:
    """Everybody else has gone by the end of the window."""
    hub.open(Wire.SSE, lambda: None)
    begin = time.monotonic()

    await drain(hub, 0)

    assert STILL_S <= time.monotonic() - begin < STILL_S + SLACK_S
    assert len(hub.sessions) == 1


async def test_those_who_are_slow_to_go_are_waited_for(hub: Broadcaster) -> None:
    """As long as somebody goes; many at one time are no work of a moment."""
    loop = asyncio.get_running_loop()
    guests = join(hub, *[Wire.SSE] * 3)
    for at, guest in enumerate(guests, start=1):
        guest.pause = partial(loop.call_later, at * 0.6 * STILL_S)

    await drain(hub, 0)

    assert not hub.sessions


async def test_a_drain_ends_in_time_even_if_not_all_have_gone(
    hub: Broadcaster, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever runs the server would kill it otherwise."""
    caplog.set_level("INFO")
    loop = asyncio.get_running_loop()
    guests = join(hub, *[Wire.SSE] * 20)
    for at, guest in enumerate(guests, start=1):
        guest.pause = partial(loop.call_later, at * 0.6 * STILL_S)
    begin = time.monotonic()

    # In a task: coverage on Python 3.11 goes blind in a coroutine that a timeout passes through.
    await asyncio.create_task(drain(hub, 0))

    assert FLUSH_S <= time.monotonic() - begin < FLUSH_S + SLACK_S
    assert f"{len(hub.sessions)} clients did not take their goodbye" in caplog.text


# By a real process


@define(eq=False)
class Goodbye:
    """All that the clients of a process saw from its signal to its end, in seconds since then."""

    window_ms: int
    streams: list[bytes] = field(factory=list)
    sockets: list[Farewell] = field(factory=list)
    heritage: list[Farewell] = field(factory=list)
    polls: list[tuple[httpx.Response, float]] = field(factory=list)
    late: dict[str, httpx.Response] = field(factory=dict)
    late_sockets: list[Farewell] = field(factory=list)
    status: int = -1
    took: float = -1
    faults: list[str] = field(factory=list)


@define
class Farewell:
    """What a WebSocket was still sent, its close code, and when that came."""

    messages: list[Body]
    code: int
    at: float


STREAMS = SOCKETS = 20
POLLS = 10
HERITAGE = 6
CURSORS = "metrics:60000"


@pytest.fixture(scope="module", params=[signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def goodbye(request: pytest.FixtureRequest) -> Goodbye:
    """Send a server with clients of all kinds the signal."""
    return asyncio.run(say_goodbye(request.param))


async def say_goodbye(number: signal.Signals) -> Goodbye:
    async with running("--drain", "1") as process:
        return await watch(process, number)


async def watch(process: Process, number: signal.Signals) -> Goodbye:
    seen = Goodbye(window_ms=1000)
    url = await process.url()
    async with client(url) as http:
        first = (await poll(http, wait=5)).json()
        since = first["cursor"]
        async with asyncio.TaskGroup() as group:
            streams = [group.create_task(read_stream(url)) for _ in range(STREAMS)]
            sockets = [await subscribed(url, V1) for _ in range(SOCKETS)]
            heritage = [await subscribed(url, None) for _ in range(HERITAGE)]
            polls = [group.create_task(timed(poll(http, since=since))) for _ in range(POLLS)]
            await counted(
                http, {"websocket": SOCKETS + HERITAGE, "sse": STREAMS, "longpoll": POLLS}
            )

            begin = time.monotonic()
            process.send(number)
            farewells = [group.create_task(farewell(one, begin)) for one in [*sockets, *heritage]]
            await process.line("Draining")
            for path in "/readyz", "/healthz", "/api/sse":
                seen.late[path] = await http.get(path)
            seen.late["/api/poll"] = await poll(http, since=since)
            late = [await connect(ws(url), subprotocols=dialect) for dialect in (V1, None)]
            seen.late_sockets = [await farewell(one, begin) for one in late]
            seen.status, seen.took = await process.ended()
    seen.streams = [stream.result() for stream in streams]
    seen.sockets = [task.result() for task in farewells[:SOCKETS]]
    seen.heritage = [task.result() for task in farewells[SOCKETS:]]
    seen.polls = [(response, at - begin) for response, at in (task.result() for task in polls)]
    seen.faults = process.faults
    return seen


def ws(url: str) -> str:
    return url.replace("http", "ws", 1) + "/api/ws"


async def poll(http: httpx.AsyncClient, **query: str | float) -> httpx.Response:
    return await http.get("/api/poll", params={"channels": CURSORS, **query})


async def timed(answer: Awaitable[httpx.Response]) -> tuple[httpx.Response, float]:
    return await answer, time.monotonic()


async def read_stream(url: str) -> bytes:
    """Read a stream to the end of its connection, with no library in between."""
    address = httpx.URL(url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(b"GET /api/sse?channels=metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    content = await reader.read(-1)
    writer.close()
    await writer.wait_closed()
    return content


async def subscribed(url: str, dialect: Sequence[Subprotocol] | None) -> ClientConnection:
    """Connect, subscribe, and see the first data."""
    socket = await connect(ws(url), subprotocols=dialect)
    await socket.send('{"type": "subscribe", "channel": "metrics", "timestamp": 0}')
    while json.loads(await socket.recv())["type"] != "metrics":
        pass
    return socket


async def farewell(socket: ClientConnection, begin: float) -> Farewell:
    messages: list[Body] = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            messages.append(json.loads(await socket.recv()))
    return Farewell(messages, socket.close_code or 0, time.monotonic() - begin)


async def counted(http: httpx.AsyncClient, clients: dict[str, int]) -> None:
    """Wait until all clients are in."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if (await http.get("/api/status")).json()["clients"] == clients:
                return
            await asyncio.sleep(0.02)


def after_ms(goodbye: Goodbye) -> list[int]:
    streams = [json.loads(event_of(raw)["data"])["afterMs"] for raw in goodbye.streams]
    sockets = [farewell.messages[-1]["afterMs"] for farewell in goodbye.sockets]
    polls = [response.json()["messages"][0]["afterMs"] for response, _ in goodbye.polls]
    return [*streams, *sockets, *polls]


def event_of(raw: bytes) -> dict[str, str]:
    """Return the last event of a chunked stream, by field."""
    chunk = raw.removesuffix(b"\r\n0\r\n\r\n").rpartition(b"\r\n")[2]
    assert chunk.endswith(b"\n\n")
    fields = (line.partition(": ") for line in chunk.decode().splitlines() if line)
    return {name: value for name, _, value in fields}


def test_the_server_ends_in_time_with_status_0_and_without_a_fault(goodbye: Goodbye) -> None:
    """Not before the window is over, and at the latest two seconds after."""
    assert goodbye.status == 0
    assert goodbye.window_ms <= goodbye.took * 1000 < goodbye.window_ms + 2000
    assert goodbye.faults == []


def test_each_stream_ends_with_a_reconnect_and_its_final_chunk(goodbye: Goodbye) -> None:
    """An EventSource obeys nothing but the `retry:` line."""
    assert len(goodbye.streams) == STREAMS
    for raw in goodbye.streams:
        assert raw.endswith(b"\r\n0\r\n\r\n")
        event = event_of(raw)
        message = json.loads(event["data"])
        assert event.keys() == {"retry", "event", "data"}
        assert event["event"] == message["type"] == "reconnect"
        assert event["retry"] == str(message["afterMs"])
        assert message["reason"] == "drain"


def test_each_websocket_is_told_and_closed_with_1012(goodbye: Goodbye) -> None:
    """At once, not when the window ends."""
    assert len(goodbye.sockets) == SOCKETS
    for farewell in goodbye.sockets:
        assert (farewell.messages[-1]["type"], farewell.code) == ("reconnect", 1012)
        assert farewell.at * 1000 < goodbye.window_ms


def test_each_parked_poll_is_answered_at_once(goodbye: Goodbye) -> None:
    """With its own cursor, so that it goes on from there elsewhere."""
    assert len(goodbye.polls) == POLLS
    for response, at in goodbye.polls:
        batch = response.json()
        assert [message["type"] for message in batch["messages"]] == ["reconnect"]
        assert batch["cursor"] == response.url.params["since"]
        assert response.headers["connection"] == "close"
        assert at * 1000 < goodbye.window_ms


def test_they_come_back_spread_over_the_window(goodbye: Goodbye) -> None:
    """No half of it, and no fifth, is without its clients."""
    told = after_ms(goodbye)

    assert len(told) == STREAMS + SOCKETS + POLLS
    assert min(told) >= 0
    assert max(told) <= goodbye.window_ms
    fifth = goodbye.window_ms / 5 + 1
    assert {int(at // fifth) for at in told} == {0, 1, 2, 3, 4}


def test_heritage_clients_are_closed_all_through_the_window(goodbye: Goodbye) -> None:
    """With 1012 and nothing that they do not know."""
    assert len(goodbye.heritage) == HERITAGE
    assert {farewell.code for farewell in goodbye.heritage} == {1012}
    kinds = {message["type"] for farewell in goodbye.heritage for message in farewell.messages}
    assert kinds <= {"metrics"}
    times = sorted(farewell.at for farewell in goodbye.heritage)
    assert times[0] * 1000 < goodbye.window_ms / 2 < times[-1] * 1000


def test_health_is_green_and_readiness_red_while_it_drains(goodbye: Goodbye) -> None:
    """A load balancer sends clients elsewhere, and nobody kills the server for it."""
    assert goodbye.late["/readyz"].status_code == 503
    assert goodbye.late["/readyz"].json()["draining"] is True
    assert goodbye.late["/healthz"].status_code == 200


def test_a_new_stream_is_shed_while_it_drains(goodbye: Goodbye) -> None:
    """After anything but 200 an EventSource would never come back."""
    response = goodbye.late["/api/sse"]

    found = re.fullmatch(r"retry: (\d+)\nevent: error\ndata: (.*)\n\n", response.text)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert found
    assert 5000 <= int(found[1]) <= 30000
    assert json.loads(found[2])["code"] == "OVERLOADED"


def test_a_new_websocket_is_closed_with_1012_while_it_drains(goodbye: Goodbye) -> None:
    """In both dialects."""
    assert [late.code for late in goodbye.late_sockets] == [1012, 1012]
    told = [message for late in goodbye.late_sockets for message in late.messages]
    assert [message["code"] for message in told] == ["OVERLOADED", "OVERLOADED"]


def test_a_new_poll_is_sent_away_while_it_drains(goodbye: Goodbye) -> None:
    """With the cursor that it came with."""
    response = goodbye.late["/api/poll"]

    assert response.status_code == 200
    assert [message["type"] for message in response.json()["messages"]] == ["reconnect"]
    assert response.json()["cursor"] == response.url.params["since"]
    assert response.headers["connection"] == "close"
