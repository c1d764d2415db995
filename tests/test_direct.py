"""The direct path: that it is taken, what it puts on the wire, and that no byte goes astray."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import inspect
import json
import time
import tomllib
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import uvicorn
from attrs import define
from packaging.requirements import Requirement
from packaging.version import Version
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.protocol import OPEN, State
from websockets.server import ServerProtocol

from app.core.session import Session
from app.server import make_config
from app.settings import Settings
from schema.errors import CloseCode
from schema.frame import Frame
from tests.raw import EventDecoder, FrameDecoder, RawClient, dial, masked, open_raw
from tests.serving import DrivenHub, Served, driven_hub, serving
from tests.synthetic import SyntheticSource
from transports.base import Close
from transports.connection import BATCH, HIGH_WATER, Direct
from transports.direct import Cycle, DirectHttp, DirectWebSocket
from transports.stall import StallWatch

if TYPE_CHECKING:  # pytest wants to be the first to import a plugin
    from tests.stage import Opener

pytest_plugins = ["tests.stage"]

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
WIRES = ("websocket", "sse")
GET = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPGRADE = (
    "GET /api/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture
def server() -> str:
    """The server whose protocol classes are ours."""
    return "httptools"


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> str:
    """The wires with a direct path."""
    return str(request.param)


Adjust = Callable[..., None]


@pytest.fixture
def adjust(monkeypatch: pytest.MonkeyPatch) -> Adjust:
    """Make the servers that follow with other values in uvicorn's configuration."""

    def adjusted(wrap: Callable[[ASGIApp], ASGIApp] = lambda app: app, **values: object) -> None:
        def make(settings: Settings, app: ASGIApp, watch: StallWatch) -> uvicorn.Config:
            config = make_config(settings, wrap(app), watch)
            for name, value in values.items():
                setattr(config, name, value)
            return config

        monkeypatch.setattr("tests.serving.make_config", make)

    return adjusted


@contextlib.contextmanager
def leaving(*clients: RawClient) -> Iterator[None]:
    """Close clients in the end."""
    try:
        yield
    finally:
        for client in clients:
            client.close()


async def until(condition: Callable[[], object], patience_s: float = 10) -> None:
    """Wait until something has become true."""
    patience = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < patience, "it never came true"
        await asyncio.sleep(0.001)


async def heard(client: RawClient, count: int = 1, kind: str = "message") -> None:
    """Wait until a client that listens has had so many pieces of a kind."""
    await until(lambda: sum(piece.kind == kind for piece in client.pieces) >= count)


async def has(client: RawClient, seqs: list[int]) -> None:
    """Wait until a client has exactly these messages."""
    await until(lambda: data_seqs(client) == seqs)


async def beat(client: RawClient) -> None:
    """Wait until the newest is a heartbeat; that of a clock that goes on by itself is too late."""
    await until(lambda: client.kinds()[-1] == "heartbeat", patience_s=3)


async def ended(client: RawClient) -> None:
    """Wait until the stream was ended, as it is to be."""
    await until(lambda: client.pieces[-1].kind in {"close", "end"})


def connections(served: Served) -> list[Direct]:
    """Return the server's connections, as its protocol classes know them."""
    assert served.server is not None
    return [cast("Direct", each) for each in served.server.server_state.connections]


def fanned(hub: DrivenHub) -> int:
    """Count the sinks in the fans."""
    return sum(len(fan) for cohort in hub._cohorts.values() for fan in cohort.fans.values())


def data_seqs(client: RawClient) -> list[int]:
    return [message.seq for message in client.messages if message.is_data]


# The seams


def signature(method: Callable[..., object]) -> list[str]:
    return list(inspect.signature(method).parameters)


# Each with its parameters; what transports/direct.py overrides, or calls.
METHODS: list[tuple[type, str, list[str]]] = [
    (HttpToolsProtocol, "connection_made", ["self", "transport"]),
    (HttpToolsProtocol, "connection_lost", ["self", "exc"]),
    (HttpToolsProtocol, "pause_writing", ["self"]),
    (HttpToolsProtocol, "resume_writing", ["self"]),
    (HttpToolsProtocol, "shutdown", ["self"]),
    (HttpToolsProtocol, "send_400_response", ["self", "msg"]),
    (HttpToolsProtocol, "handle_websocket_upgrade", ["self"]),
    (HttpToolsProtocol, "_start_asgi_task", ["self", "cycle", "app"]),
    (RequestResponseCycle, "send", ["self", "message"]),
    (RequestResponseCycle, "run_asgi", ["self", "app"]),
    (WebSocketsSansIOProtocol, "connection_made", ["self", "transport"]),
    (WebSocketsSansIOProtocol, "connection_lost", ["self", "exc"]),
    (WebSocketsSansIOProtocol, "pause_writing", ["self"]),
    (WebSocketsSansIOProtocol, "resume_writing", ["self"]),
    (WebSocketsSansIOProtocol, "shutdown", ["self"]),
    (WebSocketsSansIOProtocol, "run_asgi", ["self"]),
    (WebSocketsSansIOProtocol, "send", ["self", "message"]),
    (WebSocketsSansIOProtocol, "handle_ping", ["self"]),
    (WebSocketsSansIOProtocol, "handle_close", ["self", "event"]),
    (WebSocketsSansIOProtocol, "handle_parser_exception", ["self"]),
    (WebSocketsSansIOProtocol, "keepalive_timeout", ["self"]),
]
ATTRIBUTES: dict[type, tuple[str, ...]] = {
    HttpToolsProtocol: ("transport", "cycle", "flow", "on_response_complete"),
    FlowControl: ("write_paused",),
    RequestResponseCycle: (
        "scope",
        "disconnected",
        "message_event",
        "more_body",
        "keep_alive",
        "access_log",
        "default_headers",
        "response_started",
        "response_complete",
        "chunked_encoding",
    ),
    WebSocketsSansIOProtocol: (
        "transport",
        "conn",
        "loop",
        "writable",
        "handshake_complete",
        "close_sent",
        "disconnected",
        "read_paused",
        "ping_timeout",
        "pong_timer",
    ),
}


def test_uvicorn_is_of_a_version_that_was_tested() -> None:
    """What is used of it is private: a new version is taken in on purpose, by this suite."""
    wanted = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    (uvicorn_range,) = [r for r in map(Requirement, wanted) if r.name == "uvicorn"]
    assert Version(version("uvicorn")) in uvicorn_range.specifier
    assert any(part.operator == "<" for part in uvicorn_range.specifier), "there must be a cap"


@pytest.mark.parametrize(
    ("owner", "name", "parameters"), METHODS, ids=[f"{o.__name__}.{n}" for o, n, _ in METHODS]
)
def test_a_method_that_we_override_is_there(owner: type, name: str, parameters: list[str]) -> None:
    """Under its name, defined by uvicorn, with its parameters, and a coroutine if it was one."""
    seam = f"uvicorn's {owner.__name__}.{name}, which transports/direct.py relies on,"
    method = vars(owner).get(name)
    assert method is not None, f"{seam} is gone"
    assert signature(method) == parameters, f"{seam} has another signature"
    awaited = name in {"send", "run_asgi"}
    assert inspect.iscoroutinefunction(method) == awaited, f"{seam} is awaited in another way"


async def test_an_attribute_that_we_read_is_there() -> None:
    """On a new instance of each class."""
    config = uvicorn.Config(lambda: None, lifespan="off", log_config=None)
    names = signature(RequestResponseCycle)
    websocket = WebSocketsSansIOProtocol(config, ServerState(), {})
    instances = [
        HttpToolsProtocol(config, ServerState(), {}),
        FlowControl(asyncio.Transport()),
        websocket,
        RequestResponseCycle(**dict.fromkeys(names)),  # type: ignore[arg-type]
    ]
    for instance in instances:
        owner = type(instance)
        for name in ATTRIBUTES[owner]:
            seam = f"uvicorn's {owner.__name__}.{name}, which transports/direct.py reads,"
            assert hasattr(instance, name), f"{seam} is gone"
    assert isinstance(websocket.writable, asyncio.Event)
    assert inspect.isgenerator(ServerProtocol().parser), "websockets parses in another way"
    assert ServerProtocol().state is not OPEN, "websockets tells the state in another way"


def test_our_classes_override_nothing_that_is_not_listed_here() -> None:
    """Or the seam would be watched by nobody."""
    bases = {DirectHttp: HttpToolsProtocol, DirectWebSocket: WebSocketsSansIOProtocol}
    for ours, theirs in bases.items():
        listed = {name for owner, name, _ in METHODS if owner is theirs}
        overridden = {
            name
            for layer in (ours, Direct)
            for name, value in vars(layer).items()
            if inspect.isfunction(value) and not name.startswith("__") and hasattr(theirs, name)
        }
        assert overridden == listed


# It is taken, and only where it may be


@define
class Idle:
    """A transport that does nothing."""

    closing: bool = False

    def is_closing(self) -> bool:
        """Tell."""
        return self.closing


async def test_a_websocket_is_usable_while_it_is_open() -> None:
    """Neither before the handshake was answered nor after the first word of a close."""
    config = uvicorn.Config(lambda: None, lifespan="off", log_config=None)
    websocket = DirectWebSocket(config, ServerState(), {})
    websocket.transport, websocket.handshake_complete = cast("Any", Idle()), True
    websocket.conn.state = OPEN
    assert websocket.usable()
    for owner, name, value in (
        (websocket, "handshake_complete", False),
        (websocket, "close_sent", True),
        (websocket, "disconnected", True),
        (websocket.conn, "state", State.CLOSING),
        (websocket, "transport", Idle(closing=True)),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, value)
            assert not websocket.usable(), name
    assert websocket.usable()


async def test_a_response_is_usable_while_it_goes_out_in_chunks() -> None:
    """As it is, and to somebody."""
    config = uvicorn.Config(lambda: None, lifespan="off", log_config=None)
    http = DirectHttp(config, ServerState(), {})
    assert not http.usable()
    names = signature(RequestResponseCycle)
    http.running = cycle = Cycle(**dict.fromkeys(names))  # type: ignore[arg-type]
    http.transport = cast("Any", Idle())
    cycle.response_started = cycle.chunked_encoding = True
    assert http.usable()
    for owner, name, value in (
        (cycle, "response_started", False),
        (cycle, "chunked_encoding", False),
        (cycle, "chunked_encoding", None),
        (cycle, "encoded", True),
        (cycle, "response_complete", True),
        (cycle, "disconnected", True),
        (http, "transport", Idle(closing=True)),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, value)
            assert not http.usable(), name
    assert http.usable()


async def test_a_websocket_keeps_the_headers_of_its_handshake_once(stage: Opener) -> None:
    """In the scope; uvicorn has the request and the response beside it, 3 kB in all."""
    async with stage("alpha") as at:
        client = await open_raw("websocket", at.served)
        with leaving(client):
            client.listen()
            await until(lambda: "connected" in client.kinds())
            (connection,) = connections(at.served)
            assert isinstance(connection, DirectWebSocket)
            assert not connection.request.headers
            assert not connection.response.headers
            assert (b"host", b"localhost") in connection.scope["headers"]


async def test_a_stream_costs_no_task_beside_uvicorns_own(stage: Opener, wire: str) -> None:
    """All fifty are served by the fan."""
    async with stage("alpha") as at:
        at.tick(1)
        before = asyncio.all_tasks()
        clients = [await open_raw(wire, at.served) for _ in range(50)]
        with leaving(*clients):
            await until(lambda: fanned(at.hub) == 50)
            assert len(asyncio.all_tasks() - before) == 50
            assert all(c.clear and c.fd == c.socket().fileno() for c in connections(at.served))
            for client in clients:
                client.listen()
            at.tick(2, 4)
            for client in clients:
                await has(client, [1, 2, 3, 4])


async def test_both_dialects_have_a_fan_of_their_own(stage: Opener) -> None:
    """Heritage clients get the data and not the gap."""
    async with stage("alpha") as at:
        at.tick(1)
        old = await open_raw("websocket", at.served, heritage=True)
        new = await open_raw("websocket", at.served)
        with leaving(old, new):
            old.listen()
            new.listen()
            await until(lambda: fanned(at.hub) == 2)
            at.tick(5, hole="suspend")
            await until(lambda: new.kinds()[-3:] == ["alpha", "gap", "alpha"])
            await until(lambda: old.kinds() == ["connected", "alpha", "alpha"])


@pytest.mark.parametrize("server", ["hypercorn", "h11", "plain"])
async def test_elsewhere_the_ordinary_path_is_taken(server: str, adjust: Adjust, wire: str) -> None:
    """By another server, by uvicorn's other parser, and by its own classes; with the same bytes."""
    if server == "h11":
        adjust(http="h11", ws="websockets-sansio")
    elif server == "plain":
        adjust(http="httptools", ws="websockets-sansio")
    hub = driven_hub([SyntheticSource("alpha")], Settings())
    async with serving(hub, server="hypercorn" if server == "hypercorn" else "httptools") as served:
        hub.tick(1)
        client = await open_raw(wire, served)
        with leaving(client):
            client.listen()
            await has(client, [1])
            hub.tick(2)
            await has(client, [1, 2])
            assert fanned(hub) == 0
        await until(lambda: not hub.sessions)


class GzipEverything:
    """Compresses each part of a body as it comes, event streams too, and says so at once."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""

        async def zipped(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"Content-Encoding", b"gzip")]
            else:
                message["body"] = gzip.compress(message["body"])
            await send(message)

        await self.app(scope, receive, zipped if scope["type"] == "http" else send)


class Unzipped(EventDecoder):
    """Chunks whose bodies are gzip files."""

    def next(self) -> Any:  # noqa: ANN401 - a piece
        """Unpack the first chunk, and hand it on in a chunk."""
        head, _, _ = self.buffer.partition(b"\r\n")
        size = int(head or b"0", 16)
        if len(self.buffer) < len(head) + size + 4:
            return None
        body = gzip.decompress(self.buffer[len(head) + 2 : -2][:size])
        rest = bytes(self.buffer[len(head) + size + 4 :])
        self.buffer[:] = b"%x\r\n%b\r\n" % (len(body), body)
        piece = super().next()
        self.buffer[:] = rest
        return piece


async def test_a_response_that_is_encoded_takes_the_ordinary_path(adjust: Adjust) -> None:
    """Bytes that were not compressed would break it."""
    adjust(GzipEverything)
    hub = driven_hub([SyntheticSource("alpha")], Settings())
    async with serving(hub) as served:
        hub.tick(1)
        client = await dial(served, Unzipped())
        with leaving(client):
            await client.request(GET.format("/api/sse?channels=alpha:1000"))
            client.listen()
            assert b"content-encoding: gzip" in client.head.lower()
            await has(client, [1])
            assert fanned(hub) == 0
            hub.tick(2)
            await has(client, [1, 2])


async def test_starlettes_gzip_changes_nothing(adjust: Adjust) -> None:
    """It lets event streams be, but holds their head back until there is a body."""
    adjust(GZipMiddleware)
    hub = driven_hub([SyntheticSource("alpha")], Settings())
    async with serving(hub) as served:
        hub.tick(1)
        client = await open_raw("sse", served)
        with leaving(client):
            client.listen()
            hub.tick(2)
            await has(client, [1, 2])
            assert b"content-encoding" not in client.head.lower()


async def test_an_accept_that_is_held_back_takes_the_ordinary_path(adjust: Adjust) -> None:
    """A frame before the handshake's answer would be no frame."""

    class Late:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            held: list[Message] = []

            async def later(message: Message) -> None:
                held.append(message)
                if message["type"] != "websocket.accept":
                    for each in held:
                        await send(each)
                    held.clear()

            await self.app(scope, receive, later if scope["type"] == "websocket" else send)

    adjust(Late)
    hub = driven_hub([SyntheticSource("alpha")], Settings())
    async with serving(hub) as served:
        client = await dial(served, FrameDecoder())
        with leaving(client):
            async with asyncio.timeout(5):
                await client.request(UPGRADE)
            client.listen()
            await heard(client)
            assert client.kinds() == ["connected"]
            assert fanned(hub) == 0


class Stamped:
    """Adds a header in place, as few do."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""

        async def stamped(message: Message) -> None:
            message["headers"].append((b"x-stamp", b"yes"))
            await send(message)

        await self.app(scope, receive, stamped if scope["type"] == "http" else send)


async def test_headers_that_a_middleware_adds_are_for_one_stream(adjust: Adjust) -> None:
    """The start of a response is made once; what one request adds to it is not for the next."""
    adjust(Stamped)
    hub = driven_hub([SyntheticSource("alpha")], Settings())
    async with serving(hub) as served:
        for _ in range(3):
            client = await open_raw("sse", served)
            with leaving(client):
                assert client.head.count(b"x-stamp") == 1


async def test_headers_for_one_origin_are_for_one_stream() -> None:
    """Those of CORS, which another origin must not see."""
    settings = Settings(allowed_origins=("https://good.example",))
    hub = driven_hub([SyntheticSource("alpha")], settings)
    ask = "GET /api/sse?channels=alpha HTTP/1.1\r\nHost: localhost\r\nOrigin: {}\r\n\r\n"
    async with serving(hub, settings) as served:
        heads = []
        for origin in ("https://good.example", "http://localhost", "http://localhost"):
            client = await dial(served, EventDecoder())
            with leaving(client):
                await client.request(ask.format(origin))
                heads.append(client.head.lower())
    assert [head.count(b"access-control-allow-origin") for head in heads] == [1, 0, 0]
    assert [head.count(b"vary: origin") for head in heads] == [1, 1, 1]


async def test_head_has_no_stream(stage: Opener) -> None:
    """Nor is it ever attached; the connection goes on."""
    async with stage("alpha") as at:
        client = await dial(at.served, EventDecoder())
        with leaving(client):
            for _ in range(2):
                await client.request(
                    GET.format("/api/sse?channels=alpha").replace("GET", "HEAD", 1)
                )
                assert client.head.startswith(b"HTTP/1.1 200")
                assert b"text/event-stream" in client.head
            client.listen()
            await until(lambda: not at.hub.sessions)
            assert not client.pieces
            assert not client.decoder.buffer


# What is on the wire


def test_a_frame_is_well_formed_whatever_its_length() -> None:
    """On either wire, at the lengths where the form of the head changes."""
    for length in (0, 1, 125, 126, 127, 65_535, 65_536, 70_000):
        frame = Frame("alpha", b"x" * length)
        (piece,) = FrameDecoder().feed(DirectWebSocket.encode(cast("Any", None), frame))
        assert (piece.kind, piece.data) == ("message", frame.text)
        (piece,) = EventDecoder().feed(DirectHttp.encode(cast("Any", DirectHttp), frame))
        assert (piece.kind, piece.data + b"\n") == ("message", frame.event[:-1])


async def test_control_snapshot_and_history_keep_their_order_with_data(
    stage: Opener, wire: str
) -> None:
    """Whatever falls between them; a client of the ordinary path gets the same bytes."""
    async with stage("alpha", "beta") as at:
        at.tick(1, 5)
        query = "&since=other:1&history=3"
        client = await open_raw(wire, at.served, "alpha:1000,beta:2000", query=query)
        with leaving(client):
            client.listen()
            talks = 6 if wire == "websocket" else 0
            for tick in range(6, 12):
                at.tick(tick)
                if talks:
                    await client.say('{"type":"ping"}')
                    await client.say("nonsense")
                await asyncio.sleep(0.005)
            await until(lambda: data_seqs(client)[-1:] == [at.hub.log.head - 1])
            for channel in ("alpha", "beta"):
                its = [
                    message.kind
                    for message in client.messages
                    if message.body.get("channel") == channel or message.kind == channel
                ]
                assert its[:4] == ["subscribed", "gap", "history", channel]
                assert set(its[4:]) == {channel}
            assert client.kinds()[0] == "connected"
            await until(lambda: client.kinds().count("error") == talks)
            assert client.kinds().count("heartbeat") == talks
            assert data_seqs(client) == sorted(set(data_seqs(client)))


async def test_a_large_snapshot_that_waits_is_not_overtaken(wire: str, stage: Opener) -> None:
    """By ticks, acknowledgements or pongs, though none of it fits into the socket."""
    async with stage(sources=[SyntheticSource("alpha", padding=20_000)]) as at:
        at.tick(1, 40)
        client = await open_raw(wire, at.served, query="&history=20", rcvbuf=4096)
        with leaving(client):
            await until(lambda: any(c.buffered() for c in connections(at.served)))
            for tick in range(41, 60):
                at.tick(tick)
                if wire == "websocket":
                    await client.send(masked(0x89, b"ping"))
                    await client.say('{"type":"ping"}')
                await asyncio.sleep(0)
            client.widen(1 << 20)
            client.listen()
            await until(lambda: data_seqs(client)[-1:] == [59])
            kinds = [message.kind for message in client.messages]
            assert kinds[:4] == ["connected", "subscribed", "history", "alpha"]
            assert data_seqs(client) == list(range(40, 60))


async def test_much_that_is_missed_is_not_copied_for_one_who_does_not_read(
    stage: Opener, wire: str
) -> None:
    """Of a megabyte that a cursor may miss the connection keeps a batch; the rest is shared."""
    async with stage(sources=[SyntheticSource("alpha", padding=3000)]) as at:
        at.tick(1, 301)
        client = await open_raw(wire, at.served, query=f"&since={at.cursor(1)}", rcvbuf=4096)
        with leaving(client):
            await until(lambda: any(connection.rest for connection in connections(at.served)))
            (connection,) = connections(at.served)
            assert connection.buffered() <= BATCH
            kept = sum(map(len, connection.rest))
            assert 301 * 3000 - kept < 4 * BATCH
            at.tick(302, 303)
            client.widen(1 << 20)
            client.listen()
            await has(client, list(range(2, 304)))
            assert "gap" not in client.kinds()
            assert (connection.clear, list(connection.rest)) == (True, [])


async def test_one_who_is_cut_off_in_the_middle_keeps_nothing(stage: Opener, wire: str) -> None:
    """What was still to be written is let go with the session."""
    async with stage(sources=[SyntheticSource("alpha", padding=3000)]) as at:
        at.tick(1, 301)
        client = await open_raw(wire, at.served, query=f"&since={at.cursor(1)}", rcvbuf=4096)
        with leaving(client):
            await until(lambda: any(connection.rest for connection in connections(at.served)))
            (connection,) = connections(at.served)
            connection.abort()
            assert not connection.rest
            await at.gone(left=0)


async def test_protocol_pings_are_answered_between_messages(stage: Opener) -> None:
    """Each with its own payload, in order."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await open_raw("websocket", at.served)
        with leaving(client):
            client.listen()
            await has(client, [1])
            for tick in range(2, 12):
                await client.send(masked(0x89, b"%d" % tick))
                at.tick(tick)
                await asyncio.sleep(0)
            await heard(client, 10, "pong")
            pongs = [piece.data for piece in client.pieces if piece.kind == "pong"]
            assert pongs == [b"%d" % tick for tick in range(2, 12)]
            await has(client, list(range(1, 12)))


async def test_the_server_pings_between_messages(adjust: Adjust) -> None:
    """Who answers stays; who does not is closed with 1011, and gets nothing after that."""
    adjust(ws_ping_interval=0.05, ws_ping_timeout=0.2)
    hub = driven_hub([SyntheticSource("alpha")], Settings())
    async with serving(hub) as served:
        hub.tick(1)
        quiet, polite = [await open_raw("websocket", served) for _ in range(2)]
        with leaving(quiet, polite):
            polite.polite = True
            quiet.listen()
            polite.listen()
            tick = 1
            while not quiet.over:
                tick += 1
                hub.tick(tick)
                await asyncio.sleep(0.001)
            assert quiet.pieces[-1].close_code == 1011
            assert polite.over is None
            assert "ping" in quiet.kinds()
            assert "ping" not in polite.kinds()
            await until(lambda: fanned(hub) == 1)


async def test_a_ping_that_is_still_on_its_way_is_not_owed(adjust: Adjust) -> None:
    """Behind a large message on a slow link; only the watch may end that."""
    adjust(ws_ping_interval=0.02, ws_ping_timeout=0.1)
    hub = driven_hub([SyntheticSource("alpha", padding=1_000_000)], Settings())
    async with serving(hub) as served:
        hub.tick(1)
        client = await open_raw("websocket", served, rcvbuf=4096)
        with leaving(client):
            await until(lambda: any(c.buffered() for c in connections(served)))
            await asyncio.sleep(0.4)
            client.widen(1 << 20)
            client.listen()
            for number in range(1, 6):
                await heard(client, number, "ping")
                assert client.over is None
                pings = [piece.data for piece in client.pieces if piece.kind == "ping"]
                await client.send(masked(0x8A, pings[-1]))
            hub.tick(2)
            await has(client, [1, 2])
            # And now one is owed.
            await until(lambda: client.over)
            assert client.pieces[-1].close_code == 1011


async def test_one_who_pings_and_does_not_read_is_not_read_either(stage: Opener) -> None:
    """Or the answers would pile up without end."""
    async with stage(sources=[SyntheticSource("alpha", padding=200_000)]) as at:
        at.tick(1)
        client = await open_raw("websocket", at.served, rcvbuf=4096)
        with leaving(client):
            await until(lambda: any(c.buffered() for c in connections(at.served)))
            (connection,) = connections(at.served)
            flood = masked(0x89, b"p" * 125) * 1000
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    while True:
                        await client.send(flood)
            assert connection.buffered() < 200_000 + 512 * 1024
            client.widen(1 << 20)
            client.listen()
            await heard(client, 1000, "pong")
            at.tick(2)
            await has(client, [1, 2])


async def test_the_client_closes_in_the_middle_of_a_stream(stage: Opener) -> None:
    """It gets its close frame back and nothing after it, and is forgotten."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await open_raw("websocket", at.served)
        with leaving(client):
            client.listen()
            await heard(client, 3)
            await client.send(masked(0x88, b"\x03\xe8bye"))
            tick = 1
            while not client.over:
                tick += 1
                at.tick(tick)
                await asyncio.sleep(0)
            assert client.over == "FIN"
            assert client.pieces[-1].close_code == 1000
            await at.gone(left=0)


async def test_one_who_closes_while_much_waits_gets_it_and_the_answer(stage: Opener) -> None:
    """The close frame has its place behind it."""
    async with stage(sources=[SyntheticSource("alpha", padding=200_000)]) as at:
        at.tick(1)
        client = await open_raw("websocket", at.served, rcvbuf=4096)
        with leaving(client):
            await until(lambda: any(c.buffered() for c in connections(at.served)))
            await client.send(masked(0x88, b"\x03\xe8"))
            await at.gone(left=0)
            client.widen(1 << 20)
            client.listen()
            await until(lambda: client.over)
            assert data_seqs(client) == [1]
            assert client.pieces[-1].close_code == 1000


async def test_a_broken_frame_closes_the_stream(stage: Opener) -> None:
    """Between two messages, and nothing follows."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await open_raw("websocket", at.served)
        with leaving(client):
            client.listen()
            await heard(client, 3)
            await client.send(b"\xff" * 20)
            at.tick(2)
            await until(lambda: client.over)
            assert client.pieces[-1].close_code == 1002
            await at.gone(left=0)


async def test_text_that_is_no_utf_8_closes_the_stream(stage: Opener) -> None:
    """With the code that is meant for that."""
    async with stage("alpha") as at:
        client = await open_raw("websocket", at.served)
        with leaving(client):
            client.listen()
            await client.send(masked(0x81, b"\xff\xfe"))
            await until(lambda: client.over)
            assert client.pieces[-1].close_code == 1007
            await at.gone(left=0)


async def test_the_server_says_goodbye_in_the_middle_of_a_stream(stage: Opener, wire: str) -> None:
    """`reconnect`, then 1012 or the final chunk, and nothing after it."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await open_raw(wire, at.served)
        with leaving(client):
            client.listen()
            await has(client, [1])
            (session,) = at.hub.sessions
            session.farewell(1234)
            at.tick(2, 3)
            await ended(client)
            last = client.messages[-1]
            assert (last.kind, last.body["afterMs"]) == ("reconnect", 1234)
            if wire == "websocket":
                assert client.pieces[-1].close_code == CloseCode.RESTART
            await at.gone(left=0)
            assert data_seqs(client) == [1]
            (connection,) = connections(at.served)
            assert (connection.session, connection.clear) == (None, False)


def part(connection: Direct) -> None:
    """Let uvicorn stop the server."""
    connection.shutdown()


def break_off(connection: Direct) -> None:
    """Send what is neither a frame nor a request."""
    cast("Any", connection).data_received(b"\xff" * 50)


def say_goodbye(connection: Direct) -> None:
    """Close from the other side."""
    cast("Any", connection).data_received(masked(0x88, b"\x03\xe8"))


def owe_a_pong(connection: Direct) -> None:
    """Let the time for it pass."""
    cast("DirectWebSocket", connection).keepalive_timeout()


@pytest.mark.parametrize(
    ("wire", "deed", "code"),
    [
        ("websocket", part, 1012),
        ("websocket", break_off, 1002),
        ("websocket", say_goodbye, 1000),
        ("websocket", owe_a_pong, 1011),
        ("sse", part, None),
        ("sse", break_off, None),
    ],
)
async def test_nothing_follows_what_uvicorn_has_to_say_at_the_end(
    stage: Opener, wire: str, deed: Callable[[Direct], None], code: int | None
) -> None:
    """Not even what is fanned out in the same moment."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await open_raw(wire, at.served)
        with leaving(client):
            client.listen()
            await has(client, [1])
            (connection,) = connections(at.served)
            deed(connection)
            assert fanned(at.hub) == 0
            at.tick(2, 3)
            assert connection.session is None
            if code is not None:
                await until(lambda: client.over)
                assert client.pieces[-1].close_code == code
            assert data_seqs(client) == [1]


# One connection, several requests


async def test_a_connection_is_used_again_after_its_stream(stage: Opener) -> None:
    """For a plain request, with the water marks of the ordinary path, and for another stream."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await open_raw("sse", at.served)
        with leaving(client):
            for turn in range(1, 4):
                client.listen()
                await has(client, [1] * turn)
                (connection,) = connections(at.served)
                assert connection.transport.get_write_buffer_limits() == (0, 0)
                (session,) = at.hub.sessions
                session.farewell(0)
                await heard(client, turn, "end")
                await at.gone(left=0)
                low, high = connection.transport.get_write_buffer_limits()
                assert (low, high) == (HIGH_WATER // 4, HIGH_WATER)
                assert (connection.fd, connection.clear) == (-1, False)
                client.deafen()
                await client.request(GET.format("/api/sse?channels=alpha:1000"))


async def test_a_pipelined_request_waits_for_the_end_of_the_stream(stage: Opener) -> None:
    """Then it is answered, on the same connection."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await open_raw("sse", at.served)
        with leaving(client):
            await client.send(GET.format("/api/sse?channels=alpha:2000").encode())
            client.listen()
            at.tick(2)
            await has(client, [1, 2])
            (session,) = at.hub.sessions
            client.deafen()
            session.farewell(0)
            await client.read_head()
            assert [p.kind for p in client.pieces].count("end") == 0
            client.listen()
            await until(lambda: fanned(at.hub) == 1)
            (after,) = at.hub.sessions
            assert after is not session


@pytest.mark.parametrize("end", ["FIN", "RST"])
async def test_one_who_goes_with_a_request_in_the_pipeline_is_forgotten(
    stage: Opener, end: str
) -> None:
    """Of the end uvicorn tells only the newest request, which has not begun."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await open_raw("sse", at.served)
        with leaving(client):
            await client.send(GET.format("/healthz").encode())
            await asyncio.sleep(0.01)
            client.close(reset=end == "RST")
            for tick in range(2, 10):
                at.tick(tick)
                await asyncio.sleep(0.01)
            await at.gone(left=0)
            await until(lambda: not connections(at.served))


async def test_an_upgrade_within_a_stream_is_refused(stage: Opener) -> None:
    """The protocol in charge of the descriptor would never hear of its end.

    Its number is soon another connection's, which must not get a stranger's messages.
    """
    async with stage("alpha") as at:
        at.tick(1)
        client = await open_raw("sse", at.served)
        with leaving(client):
            client.listen()
            await until(lambda: fanned(at.hub) == 1)
            await client.send(UPGRADE.encode())
            await until(lambda: not connections(at.served))
            await at.gone(left=0)
            assert fanned(at.hub) == 0
            assert b"HTTP/1.1 400 Bad Request" in client.decoder.buffer


async def test_an_upgrade_after_a_response_is_taken(stage: Opener) -> None:
    """The connection is the WebSocket's from then on."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await dial(at.served, FrameDecoder())
        with leaving(client):
            await client.request(GET.format("/healthz"))
            (before,) = connections(at.served)
            client.decoder.buffer.clear()
            await client.request(UPGRADE)
            (after,) = connections(at.served)
            assert after is not before
            assert isinstance(after, DirectWebSocket)
            client.listen()
            await heard(client)
            assert client.kinds() == ["connected"]


async def test_a_websocket_waits_for_the_response_before_it(stage: Opener) -> None:
    """What is still in the buffer when it is attached goes out first."""
    async with stage(sources=[SyntheticSource("alpha", padding=300_000)]) as at:
        at.tick(1)
        client = await dial(at.served, FrameDecoder(), rcvbuf=4096)
        with leaving(client):
            await client.send(GET.format("/api/poll?channels=alpha:1000").encode())
            await until(lambda: any(c.buffered() for c in connections(at.served)))
            await client.send(UPGRADE.encode())
            await until(lambda: at.hub.clients()["websocket"] == 1)
            (connection,) = connections(at.served)
            assert isinstance(connection, DirectWebSocket)
            assert not connection.clear
            client.widen(1 << 20)
            loop, data = asyncio.get_running_loop(), b""
            while b"\r\n\r\n" not in data.partition(b"101 Switching Protocols")[2]:
                data += await loop.sock_recv(client.sock, 1 << 16)
            before, _, rest = data.partition(b"HTTP/1.1 101 ")
            assert len(json.loads(before.partition(b"\r\n\r\n")[2])["messages"]) == 1
            client.decoder.buffer[:] = rest.partition(b"\r\n\r\n")[2]
            client.listen()
            await client.say('{"type":"ping"}')
            await until(lambda: len(client.messages) == 2)
            assert client.kinds() == ["connected", "heartbeat"]
            assert (connection.clear, len(connection.watch)) == (True, 1)


async def test_a_connection_without_a_request_may_go_again(stage: Opener) -> None:
    """And so may one whose handshake is refused by the library."""
    async with stage("alpha") as at:
        silent, wrong = [await dial(at.served, FrameDecoder()) for _ in range(2)]
        with leaving(silent, wrong):
            await wrong.request(UPGRADE.replace("Version: 13", "Version: 7"))
            assert wrong.head.startswith(b"HTTP/1.1 400")
            silent.close()
            await until(lambda: not connections(at.served))


# Who goes, and who comes instead


async def test_one_who_resets_while_in_the_fan_disturbs_nobody(stage: Opener, wire: str) -> None:
    """Found out by the write itself, before the loop has read of it."""
    async with stage("alpha") as at:
        at.tick(1)
        clients = [await open_raw(wire, at.served) for _ in range(10)]
        with leaving(*clients):
            await until(lambda: fanned(at.hub) == 10)
            for client in clients[::2]:
                client.close(reset=True)
            at.tick(2, 3)
            assert fanned(at.hub) == 5
            for client in clients[1::2]:
                client.listen()
                await has(client, [1, 2, 3])
            await at.gone(left=5)


async def test_no_byte_goes_to_a_strangers_descriptor(stage: Opener) -> None:
    """Three hundred connections come and go in the middle of the fan-out, in every way.

    Each belongs to one of several cohorts, and must see that cohort's messages only.
    """
    wants = [
        (wire, channel, interval)
        for wire in WIRES
        for channel in ("alpha", "beta")
        for interval in (1000, 2000, 3000)
    ]
    async with stage("alpha", "beta") as at:
        at.tick(1)
        checked = 0

        async def visit(number: int) -> None:
            nonlocal checked
            wire, channel, interval = wants[number % len(wants)]
            client = await open_raw(wire, at.served, f"{channel}:{interval}")
            with leaving(client):
                client.listen()
                await until(lambda: len(client.pieces) > 3 + number % 7)
                how = number % 4
                if wire == "websocket" and how == 3:
                    await client.send(masked(0x88, b"\x03\xe8"))
                elif wire == "sse" and how == 3:
                    await client.send(UPGRADE.encode())
                else:
                    client.close(reset=how == 1)
                for message in client.messages:
                    if message.is_data:
                        assert (message.kind, message.body["intervalMs"]) == (channel, interval)
                    checked += message.is_data
                assert data_seqs(client) == sorted(set(data_seqs(client)))

        async def visits(lane: int) -> None:
            for number in range(lane, 300, 20):
                await visit(number)

        numbers = set()
        lanes = [asyncio.ensure_future(visits(lane)) for lane in range(20)]
        tick = 1
        while not all(lane.done() for lane in lanes):
            tick += 1
            at.tick(tick)
            numbers |= {connection.fd for connection in connections(at.served)}
            await asyncio.sleep(0)
        await asyncio.gather(*lanes)
        assert checked > 1000
        # They were few, and so given again and again.
        assert len(numbers) < 100
        await at.gone(left=0)
        assert fanned(at.hub) == 0


async def test_what_fails_in_one_session_costs_nobody_else(
    stage: Opener, wire: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Though it is the hub that calls it, on behalf of all."""
    async with stage("alpha", "beta") as at:
        clients = [await open_raw(wire, at.served) for _ in range(3)]
        with leaving(*clients):
            for client in clients:
                client.listen()
            await until(lambda: all("subscribed" in client.kinds() for client in clients))
            broken = list(at.hub.sessions)[1]
            take = Session.take

            def fail(session: Session) -> list[Frame]:
                if session is broken:
                    raise ZeroDivisionError
                return take(session)

            monkeypatch.setattr(Session, "take", fail)
            at.tick(1, 2)
            await at.gone(left=2)
            await until(lambda: sum(client.over is not None for client in clients) == 1)
            for client in clients:
                if client.over is None:
                    await has(client, [1, 3])
            assert "a client cannot be served" in caplog.text


async def test_a_connection_that_is_gone_needs_no_garbage_collector(stage: Opener) -> None:
    """Of an event stream nothing refers to itself."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await open_raw("sse", at.served)
        with leaving(client):
            await until(lambda: fanned(at.hub) == 1)
            gone = [weakref.ref(each) for each in connections(at.served)]
            gc.disable()
            try:
                client.close()
                await at.gone(left=0)
                await until(lambda: not connections(at.served))
                await asyncio.sleep(0)
                assert [ref() for ref in gone] == [None]
            finally:
                gc.enable()


# Channels of one connection


async def test_a_source_that_wakes_comes_in_its_place(stage: Opener, wire: str) -> None:
    """Its first message precedes those of the same tick that have a higher seq."""
    sleeper = SyntheticSource("alpha", always=False)
    async with stage(sources=[sleeper, SyntheticSource("beta")]) as at:
        at.hub.log.ring("alpha", at.hub.settings.host).asleep = True
        at.hub.tick(1, "beta")
        client = await open_raw(wire, at.served, "alpha:1000,beta:1000")
        with leaving(client):
            client.listen()
            await has(client, [1])
            await until(lambda: fanned(at.hub) == 1)
            at.tick(2)
            at.tick(3)
            await has(client, [1, 2, 3, 4, 5])
            assert fanned(at.hub) == 2


async def test_a_channel_that_is_not_there_holds_no_other_up(stage: Opener, wire: str) -> None:
    """It is told of while the others are being opened."""
    async with stage("alpha", "beta", "gamma") as at:
        at.hub.tick(1, "beta", "gamma")
        at.hub._publisher.lost["alpha"] = "there is no engine"
        client = await open_raw(wire, at.served, "alpha:1000,beta:1000,gamma:1000")
        with leaving(client):
            client.listen()
            await until(lambda: data_seqs(client)[-2:] == [1, 2])
            at.hub.tick(2, "beta", "gamma")
            await has(client, [1, 2, 3, 4])
            assert client.kinds().count("subscribed") == 3
            (error,) = [m.body for m in client.messages if m.kind == "error"]
            assert (error["code"], error["channel"]) == ("CHANNEL_UNAVAILABLE", "alpha")


# Heartbeats


async def test_a_cohort_with_a_long_interval_shares_its_heartbeat(stage: Opener, wire: str) -> None:
    """One frame for all who are in it, with its cursor."""
    async with stage("alpha", heartbeat=15_000) as at:
        at.tick(1)
        clients = [await open_raw(wire, at.served, "alpha:60000") for _ in range(3)]
        with leaving(*clients):
            await until(lambda: fanned(at.hub) == 3)
            at.tick(60)
            for client in clients:
                client.listen()
                await has(client, [1, 2])
            at.time.ahead += 14.9
            for client in clients:
                await beat(client)
            beats = {client.messages[-1].text for client in clients}
            assert len(beats) == 1
            assert json.loads(beats.pop())["cursor"] == at.head
            assert fanned(at.hub) == 3
            await asyncio.sleep(0.05)
            assert all(client.kinds().count("heartbeat") == 1 for client in clients)


async def test_a_busy_stream_has_no_heartbeat_and_no_work_for_one(stage: Opener, wire: str) -> None:
    """Its messages are signs of life."""
    async with stage("alpha", heartbeat=5000) as at:
        at.tick(1)
        client = await open_raw(wire, at.served)
        with leaving(client):
            client.listen()
            await until(lambda: fanned(at.hub) == 1)
            for tick in range(2, 40):
                at.time.ahead += 1
                at.tick(tick)
                await asyncio.sleep(0.02)
            await has(client, list(range(1, 40)))
            assert "heartbeat" not in client.kinds()


async def test_a_stream_without_a_subscription_is_on_the_wheel(stage: Opener) -> None:
    """Also one whose source has nothing to say."""
    async with stage("alpha", heartbeat=15_000) as at:
        idle = await open_raw("websocket", at.served, "")
        waiting = [await open_raw(wire, at.served) for wire in WIRES]
        with leaving(idle, *waiting):
            for client in (idle, *waiting):
                client.listen()
                await heard(client)
            await until(lambda: all("subscribed" in c.kinds() for c in waiting))
            at.time.ahead += 14.9
            for client in (idle, *waiting):
                await beat(client)
                assert client.messages[-1].body["cursor"] is None


async def test_a_cohort_that_a_stream_has_yet_to_join_is_no_sign_of_its_life(
    stage: Opener,
) -> None:
    """What others get while its own source is awaited is not sent to it."""
    async with stage("alpha", "beta", heartbeat=15_000) as at:
        at.hub.tick(1, "beta")
        client = await open_raw("websocket", at.served, "alpha:60000,beta:60000")
        with leaving(client):
            client.listen()
            await has(client, [1])
            (session,) = at.hub.sessions
            await until(lambda: fanned(at.hub) == 1)
            (waiting,) = [cohort for cohort in at.hub._cohorts.values() if cohort.waiting]
            waiting.fanned_at = at.hub.now() + 100
            assert session.silent_since < at.hub.now()


async def test_a_hole_that_is_told_to_some_is_no_sign_of_life_for_the_others(
    stage: Opener,
) -> None:
    """Heritage clients are not told of holes, and get their heartbeat nevertheless."""
    async with stage("alpha", heartbeat=15_000) as at:
        at.tick(1)
        old = await open_raw("websocket", at.served, "alpha:60000", heritage=True)
        new = await open_raw("websocket", at.served, "alpha:60000")
        with leaving(old, new):
            old.listen()
            new.listen()
            await until(lambda: fanned(at.hub) == 2)
            at.tick(60)
            await has(old, [1, 2])
            at.time.ahead += 10
            at.tick(70, hole="suspend")
            await until(lambda: new.kinds()[-1] == "gap")
            at.time.ahead += 4.9
            await beat(old)


# The way out


async def test_a_drain_lets_nobody_out_without_a_word(stage: Opener, wire: str) -> None:
    """Those who read are told; the one who does not is cut off."""
    source = SyntheticSource("alpha", padding=300_000)
    async with stage(sources=[source], drain=0.2) as at:
        at.tick(1)
        clients = [await open_raw(wire, at.served, rcvbuf=4096) for _ in range(4)]
        stalled, *readers = clients
        with leaving(*clients):
            for client in readers:
                client.widen(1 << 20)
                client.listen()
                await has(client, [1])
            await until(lambda: fanned(at.hub) == 3)
            server = at.served.server
            assert server is not None
            began = time.monotonic()
            server._on_signal("SIGTERM")
            for client in readers:
                await ended(client)
                assert client.kinds()[-2] == "reconnect"
                if wire == "websocket":
                    assert client.pieces[-1].close_code == 1012
                    await client.send(masked(0x88, client.pieces[-1].data))
            await until(lambda: not connections(at.served))
            assert time.monotonic() - began < 0.2 + 2
            stalled.widen(1 << 20)
            stalled.listen()
            await until(lambda: stalled.over)
            assert all(piece.kind == "message" for piece in stalled.pieces)


async def test_a_server_that_stops_at_once_closes_with_1012(stage: Opener) -> None:
    """Without a drain, as on the second signal; also beside one whose close nobody takes."""
    source = SyntheticSource("alpha", padding=300_000)
    async with stage(sources=[source]) as at:
        at.tick(1)
        stuck = await open_raw("websocket", at.served, rcvbuf=4096)
        client = await open_raw("websocket", at.served)
        with leaving(stuck, client):
            client.listen()
            await has(client, [1])
            await stuck.send(masked(0x88, b"\x03\xe8"))
            await at.gone(left=1)
            assert at.served.server is not None
            at.served.server.should_exit = True
            await until(lambda: client.over)
            assert client.pieces[-1].close_code == 1012
            await until(lambda: not connections(at.served))


async def test_a_goodbye_that_nobody_takes_is_not_waited_for(stage: Opener, wire: str) -> None:
    """It is less than the ordinary path's water mark, and would wait for ever."""
    source = SyntheticSource("alpha", padding=9_000)
    async with stage(sources=[source], stall_timeout=1) as at:
        at.tick(1)
        client = await open_raw(wire, at.served, rcvbuf=4096)
        with leaving(client):
            await until(lambda: fanned(at.hub) == 1)
            tick = 1
            while fanned(at.hub):
                tick += 1
                at.tick(tick)
            (connection,) = connections(at.served)
            (session,) = at.hub.sessions
            connection.detach()
            connection.finish(Close(CloseCode.RESTART, "bye"))
            assert 0 < connection.buffered() < HIGH_WATER
            session.leave()
            await until(lambda: not connections(at.served))


# TLS


@pytest.fixture
async def under_tls() -> AsyncIterator[tuple[DrivenHub, Served]]:
    """A server that speaks TLS only, with messages of 20 kB."""
    settings = Settings(stall_timeout=1)
    hub = driven_hub([SyntheticSource("alpha", padding=20_000)], settings)
    async with serving(hub, settings, "httptools+tls") as served:
        hub.tick(1)
        yield hub, served


async def test_under_tls_it_is_attached_and_written_through_the_transport(
    under_tls: tuple[DrivenHub, Served], wire: str
) -> None:
    """Never to the descriptor."""
    hub, served = under_tls
    before = asyncio.all_tasks()
    clients = [await open_raw(wire, served) for _ in range(5)]
    with leaving(*clients):
        await until(lambda: fanned(hub) == 5)
        assert len(asyncio.all_tasks() - before) == 5
        for fan in (fan for cohort in hub._cohorts.values() for fan in cohort.fans.values()):
            assert (len(fan._bare), len(fan._wrapped)) == (0, 5)
        for connection in connections(served):
            assert (connection.fd, connection.clear) == (-1, True)
            assert connection.below is not None
        for client in clients:
            client.listen()
        for tick in range(2, 30):
            hub.tick(tick)
            await asyncio.sleep(0.001)
        for client in clients:
            await has(client, list(range(1, 30)))


async def test_under_tls_a_slow_reader_catches_up(
    under_tls: tuple[DrivenHub, Served], wire: str
) -> None:
    """A transport with a mark of 0 would never say that it is empty; the records below count."""
    hub, served = under_tls
    client = await open_raw(wire, served, rcvbuf=4096)
    with leaving(client):
        await until(lambda: any(not c.clear for c in connections(served)) or fanned(hub))
        tick = 1
        while any(c.clear for c in connections(served)):
            tick += 1
            hub.tick(tick)
        (connection,) = connections(served)
        # One record that the kernel did not take, and the next message, which told us so.
        assert connection.buffered() + connection.transport.get_write_buffer_size() < 3 * 20_500
        held = tick
        for late in range(held + 1, held + 6):
            hub.tick(late)
        client.widen(1 << 20)
        client.listen()
        await has(client, list(range(1, held + 6)))
        assert "gap" not in client.kinds()
        hub.tick(held + 6)
        await until(lambda: data_seqs(client)[-1] == held + 6)
        assert connection.clear


async def test_under_tls_a_stalled_reader_is_evicted(
    under_tls: tuple[DrivenHub, Served], wire: str
) -> None:
    """And one who takes a little now and then is not."""
    hub, served = under_tls
    stalled, slow = [
        await open_raw(wire, served, rcvbuf=4096, query="&history=20") for _ in range(2)
    ]
    with leaving(stalled, slow):
        await until(lambda: len(hub.sessions) == 2)
        began, tick = time.monotonic(), 1
        while len(hub.sessions) == 2:
            tick += 1
            hub.tick(tick)
            slow.read(2048)
            await asyncio.sleep(0.01)
            assert time.monotonic() < began + 6
        for _ in range(100):
            slow.read(2048)
            await asyncio.sleep(0.01)
        assert slow.over is None
        stalled.listen()
        await until(lambda: stalled.over)
        await until(lambda: len(connections(served)) == 1)


async def test_under_tls_a_stalled_reader_who_said_goodbye_is_evicted(
    under_tls: tuple[DrivenHub, Served],
) -> None:
    """A transport that was closed twice cannot be asked for anything any more."""
    hub, served = under_tls
    client = await open_raw("websocket", served, rcvbuf=4096)
    with leaving(client):
        await until(lambda: fanned(hub))
        tick = 1
        while fanned(hub):
            tick += 1
            hub.tick(tick)
        await client.send(masked(0x88, b"\x03\xe8"))
        await until(lambda: not hub.sessions)
        (connection,) = connections(served)
        assert connection.transport._ssl_protocol is None  # type: ignore[attr-defined]
        await until(lambda: not connections(served))
        assert served.server is not None
        assert not served.server.should_exit


async def test_under_tls_a_drain_cuts_off_who_said_goodbye_and_reads_nothing(
    under_tls: tuple[DrivenHub, Served],
) -> None:
    """And so comes to its end."""
    hub, served = under_tls
    client = await open_raw("websocket", served, rcvbuf=4096)
    with leaving(client):
        await until(lambda: fanned(hub))
        tick = 1
        while fanned(hub):
            tick += 1
            hub.tick(tick)
        await client.send(masked(0x88, b"\x03\xe8"))
        await until(lambda: not hub.sessions)
        assert served.server is not None
        served.server._on_signal("SIGTERM")
        await until(lambda: served.server is not None and served.server.should_exit)
        await until(lambda: not connections(served))
