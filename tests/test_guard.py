"""The guard: decisions as properties, refusals and CORS over a real uvicorn on loopback."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_address
from string import ascii_lowercase, digits
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
import uvicorn
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from app.guard import Authority, Guard, Origin, guarded
from schema.errors import ErrorCode, ProtocolError

MACHINE = "Workshop.lan"
LISTED_ORIGIN = "https://dash.example"
ORIGINS = (LISTED_ORIGIN, "http://10.0.0.5:3000", "chrome-extension://abcdef")
HOSTS = ("metrics.example", "XN--Mnchen-3ya.example:8443")
KNOWN_HOSTS = {"localhost", "workshop.lan", "metrics.example", "xn--mnchen-3ya.example"}

labels = st.text(ascii_lowercase + digits + "-_", min_size=1, max_size=8)
names = st.lists(labels, min_size=1, max_size=4).map(".".join)
ports = st.integers(0, 65535)
addresses = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map("[{}]".format)
port_suffixes = st.just("") | ports.map(":{}".format)
schemes = st.sampled_from(["http", "https"])
# What a header can carry, leaning towards what parsers of authorities disagree about.
header_texts = st.lists(
    st.sampled_from(["localhost", "metrics.example", "evil.example", "127.0.0.1", "::1", "80"])
    | st.sampled_from([*"@:[]./\\%,#? \t_-", "%00"])
    | st.integers(0, 255).map(chr),
    max_size=6,
).map("".join)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Send back the one message that the server gives."""
    await send(await receive())


GUARD = Guard(echo, allowed_origins=ORIGINS, allowed_hosts=HOSTS, machine_name=MACHINE)


def defended(
    app: ASGIApp, origins: Sequence[str] = ORIGINS, hosts: Sequence[str] = HOSTS
) -> ASGIApp:
    """Put the whole of the defences in front of an application."""
    return guarded(app, allowed_origins=origins, allowed_hosts=hosts, machine_name=MACHINE)


def refusal(host: str | None = "localhost", origin: str | None = None) -> str | None:
    """Give the text with which these headers are refused, or None if they pass."""
    headers = [(b"accept", b"*/*")]
    if host is not None:
        headers.append((b"host", host.encode("latin-1")))
    if origin is not None:
        headers.append((b"origin", origin.encode("latin-1")))
    try:
        GUARD.check(headers)
    except ProtocolError as error:
        return error.message if error.code is ErrorCode.FORBIDDEN else "another error"
    return None


def toggled(text: str, cases: list[bool]) -> str:
    """Raise the letters of a text to upper case where ``cases`` says so."""
    return "".join(
        letter.upper() if upper else letter
        for letter, upper in zip(text, cases + [False] * len(text), strict=False)
    )


# Host


@given(addresses, port_suffixes)
def test_an_ip_literal_is_a_welcome_host(address: str, port: str) -> None:
    """DNS rebinding needs a name, so an address of either version passes with any port."""
    assert refusal(address + port) is None


@given(
    st.sampled_from(sorted(KNOWN_HOSTS)),
    st.lists(st.booleans()),
    st.sampled_from(["", "."]),
    port_suffixes,
)
def test_a_known_name_passes_in_any_case_with_any_port_and_a_trailing_dot(
    name: str, cases: list[bool], dot: str, port: str
) -> None:
    """``localhost``, the machine's own name and the allowed hosts are told by name alone."""
    assert refusal(toggled(name, cases) + dot + port) is None


@given(names, port_suffixes)
def test_any_other_name_is_a_refused_host(name: str, port: str) -> None:
    """A name that an attacker may have pointed at this machine is refused, and named."""
    text = f"x.{name}{port}"
    message = refusal(text)
    assert message is not None
    assert repr(text) in message
    assert "allowed_hosts" in message


@given(header_texts)
@example("localhost")
def test_whatever_passes_as_a_host_is_known_to_another_parser_as_well(text: str) -> None:
    """No spelling smuggles a foreign name past the guard: urllib reads the same host."""
    text = text.strip(" \t")
    if text and refusal(text) is None:
        host = str(urlsplit(f"//{text}").hostname).removesuffix(".")
        assert host in KNOWN_HOSTS or str(ip_address(host))


@pytest.mark.parametrize(
    "text",
    [
        ".",
        ":8321",
        "local host",
        "localhost\n",
        "localhost/",
        "localhost,evil.example",
        "user@localhost",
        "%6cocalhost",
        "localhost..",
        "localhost:65536",
        "localhost:8321:1",
        "localhost:+1",
        "localhost:²",
        "löcalhost",
        "::1",
        "[]",
        "[::1",
        "[:::]",
        "[127.0.0.1]",
        "[fe80::1%25eth0]",
        "[v1.x]",
    ],
)
def test_a_malformed_host_is_refused(text: str) -> None:
    """What is no authority is no host of ours, however close it looks."""
    assert refusal(text) == f"Host {text!r} is malformed"


@pytest.mark.parametrize("text", ["127.1", "2130706433", "0x7f.0.0.1", "127.0.0.01", "1.2.3.4.5"])
def test_an_abbreviated_address_is_an_unknown_name(text: str) -> None:
    """Browsers write addresses out before they send them, so nothing is lost by strictness."""
    assert "allowed_hosts" in str(refusal(text))


@pytest.mark.parametrize("host", [None, ""])
def test_a_request_without_a_host_passes(host: str | None) -> None:
    """No browser leaves Host out, and DNS rebinding needs a browser."""
    assert refusal(host) is None


def test_blanks_around_a_value_are_no_part_of_it() -> None:
    """Some servers take them off and some do not; the answer is the same."""
    assert refusal("localhost:8321 \t", " http://localhost:8321 ") is None


@pytest.mark.parametrize("name", ["Host", "Origin"])
def test_a_header_given_twice_is_refused(name: str) -> None:
    """Two values mean that two programs on the way may each believe another one."""
    header = (name.lower().encode(), b"http://localhost" if name == "Origin" else b"localhost")
    with pytest.raises(ProtocolError, match=f"{name} may be given once, got 2"):
        GUARD.check([header, header])


def test_punycode_in_allowed_hosts_is_compared_as_it_is() -> None:
    """No decoding takes place: the ASCII form is what browsers send; the port is ignored."""
    assert refusal("xn--mnchen-3ya.example") is None


def test_a_long_header_is_quoted_in_part() -> None:
    """A refusal does not throw kilobytes back."""
    assert len(str(refusal("x" * 5000))) < 300


# Origin


@given(schemes, st.just("localhost") | addresses, ports, st.lists(st.booleans()))
def test_the_origin_of_the_requested_host_passes(
    scheme: str, host: str, port: int, cases: list[bool]
) -> None:
    """A page served by this server may read it, whatever the case of its address."""
    assert refusal(f"{host}:{port}", toggled(f"{scheme}://{host}:{port}", cases)) is None


@pytest.mark.parametrize(("scheme", "port"), [("http", ":80"), ("https", ":443")])
def test_the_default_port_of_the_scheme_is_filled_in_on_both_sides(scheme: str, port: str) -> None:
    """``https://h`` is the origin of ``h`` and of ``h:443``, and the other way round."""
    for in_host in ("", ":", port):
        for in_origin in ("", port):
            assert refusal(f"localhost{in_host}", f"{scheme}://localhost{in_origin}") is None


@given(schemes, names, port_suffixes, addresses, port_suffixes)
def test_another_name_is_a_foreign_origin(
    scheme: str, name: str, port: str, host: str, host_port: str
) -> None:
    """Names never equal an address, so such a page is foreign, and the message says what to do."""
    origin = f"{scheme}://x.{name}{port}"
    message = refusal(host + host_port, origin)
    assert message is not None
    assert repr(origin) in message
    assert "allowed_origins" in message


@given(schemes, ports, ports)
def test_another_port_is_a_foreign_origin(scheme: str, one: int, other: int) -> None:
    """Another server on the same machine is not this one."""
    refused = refusal(f"localhost:{one}", f"{scheme}://localhost:{other}") is not None
    assert refused == (one != other)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost", "http://localhost:443"),
        ("localhost:443", "http://localhost"),
        ("localhost:80", "https://localhost"),
        ("localhost:8321", "http://127.0.0.1:8321"),
        ("localhost", "chrome-extension://localhost"),
        ("localhost", "capacitor://localhost"),
        (None, "http://localhost"),
    ],
)
def test_a_near_miss_is_a_foreign_origin(host: str | None, origin: str) -> None:
    """Default ports go by scheme; only web pages have a host; no Host equals no Origin."""
    assert "allowed_origins" in str(refusal(host, origin))


def test_ipv6_spellings_of_one_address_are_one_origin() -> None:
    """Browsers compress addresses, other clients need not."""
    assert refusal("[0:0:0:0:0:0:0:1]:8321", "http://[::1]:8321") is None


@pytest.mark.parametrize(
    "origin",
    [
        LISTED_ORIGIN,
        "HTTPS://Dash.Example:443",
        "http://10.0.0.5:3000",
        "chrome-extension://abcdef",
    ],
)
def test_an_allowed_origin_passes_in_any_spelling(origin: str) -> None:
    """Case and the default port do not matter, and extensions can be allowed by name."""
    assert refusal("127.0.0.1:8321", origin) is None


@pytest.mark.parametrize(
    "origin", ["http://dash.example", "https://dash.example:8443", "https://a.dash.example"]
)
def test_an_allowed_origin_speaks_for_itself_alone(origin: str) -> None:
    """Another scheme, port or subdomain is another origin."""
    assert "allowed_origins" in str(refusal("127.0.0.1:8321", origin))


def test_the_null_origin_is_refused() -> None:
    """Any page can become ``null`` by a sandboxed frame."""
    assert str(refusal(origin="null")).startswith("Origin 'null' (a local file, a sandboxed frame)")


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "localhost",
        "//localhost",
        "http://",
        "http://localhost/",
        "http://localhost/path",
        "http://localhost http://localhost",
        "http://user@localhost",
        "http://localhost:99999",
        "http://[:::]",
        "file://",
        "*",
    ],
)
def test_a_malformed_origin_is_refused(origin: str) -> None:
    """What is no origin is foreign."""
    assert refusal(origin=origin) == f"Origin {origin!r} is malformed"


@given(schemes, names | addresses, port_suffixes, st.lists(st.booleans()))
def test_normal_forms_are_fixed_points(
    scheme: str, host: str, port: str, cases: list[bool]
) -> None:
    """However an origin is spelled, it is read as the same value."""
    text = f"{scheme}://{host}{port}"
    assert Origin.parse(toggled(text, cases)) == Origin.parse(text)
    assert Authority.parse(toggled(host + port, cases)) == Authority.parse(host + port)


@pytest.mark.parametrize(
    "entry", ["*", "null", "dash.example", "https://dash.example/", "https://dash.example:99999"]
)
def test_a_malformed_allowed_origin_is_an_error_that_shows_it(entry: str) -> None:
    """A typing error must not become an open door, nor one that never opens."""
    with pytest.raises(ValueError, match=re.escape(entry.removeprefix("https://"))):
        defended(echo, origins=[entry])


@pytest.mark.parametrize("entry", ["*", "https://metrics.example", "münchen.example", "[::g]"])
def test_a_malformed_allowed_host_is_an_error_that_shows_it(entry: str) -> None:
    """There is no wildcard, and names are given as they come over the wire."""
    with pytest.raises(ValueError, match=re.escape(repr(entry))):
        defended(echo, hosts=[entry])


# As ASGI middleware


class Wire:
    """The server's side of one ASGI call: gives one message, keeps what is sent."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.given: Message = {"type": f"{scope['type']}.first"}
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        return self.given

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def call(self, app: ASGIApp) -> None:
        await app(self.scope, self.receive, self.send)


async def test_lifespan_passes_untouched() -> None:
    """Only requests have headers to judge."""
    wire = Wire({"type": "lifespan"})
    await wire.call(defended(echo))
    assert wire.sent == [wire.given]


async def test_a_server_that_cannot_refuse_with_a_body_is_told_to_close() -> None:
    """Without the extension a close before accept stands for a bare 403."""
    wire = Wire({"type": "websocket", "path": "/api/ws", "headers": [(b"host", b"evil.example")]})
    await wire.call(defended(echo))
    assert [message["type"] for message in wire.sent] == ["websocket.close"]


# End to end


class Application:
    """A minimal server application: one stream of two chunks, and a WebSocket greeting."""

    def __init__(self) -> None:
        self.first_chunk_read = anyio.Event()
        self.requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket."""
        self.requests += 1
        await receive()
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": "welcome"})
            await send({"type": "websocket.close"})
            return
        headers = [(b"vary", b"Accept")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await self.first_chunk_read.wait()
        await send({"type": "http.response.body", "body": b"second"})


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[int]:
    """Run uvicorn on a loopback socket, which listens from the start, and give its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(server.serve, sockets=[listener]))
            try:
                yield listener.getsockname()[1]
            finally:
                server.should_exit = True


@asynccontextmanager
async def asking(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the application and give an HTTP client whose URLs are relative to it."""
    async with (
        serving(app) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        yield client


@pytest.fixture
def application() -> Application:
    """Give an application that counts what reaches it."""
    return Application()


def assert_is_refusal(status: int, headers: dict[str, str], body: bytes, named: str) -> None:
    """Check one refusal from its status line to its message."""
    assert status == 403
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"
    assert headers["vary"] == "Origin"
    assert not [name for name in headers if name.startswith("access-control-")]
    error = json.loads(body)
    assert error.keys() == {"type", "timestamp", "code", "message"}
    assert (error["type"], error["code"]) == ("error", "FORBIDDEN")
    assert abs(error["timestamp"] - time.time() * 1000) < 60_000
    assert named in error["message"]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Host", "evil.example"),
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
    ],
)
async def test_http_is_refused_before_the_application(
    application: Application, header: str, value: str
) -> None:
    """A rebinding Host or a foreign page gets the error message and nothing of ours."""
    async with asking(defended(application)) as client:
        answer = await client.get("/api/poll", headers={header: value})
    headers = {name.lower(): text for name, text in answer.headers.items()}
    assert_is_refusal(answer.status_code, headers, answer.content, f"{header} {value!r}")
    assert application.requests == 0


@pytest.mark.parametrize(
    ("name", "origin"),
    [("localhost", "http://evil.example"), ("localhost", "null"), ("evil.example", None)],
)
async def test_a_websocket_is_refused_before_it_is_accepted(
    application: Application, name: str, origin: str | None
) -> None:
    """The handshake is answered with 403 and the same body; the application never hears of it."""
    async with serving(defended(application)) as port:
        url = f"ws://{name}:{port}/api/ws"
        sent = {"Origin": origin} if origin else {}
        with pytest.raises(InvalidStatus) as caught:
            await connect(url, additional_headers=sent, host="127.0.0.1", port=port, proxy=None)
    answer = caught.value.response
    headers = {key.lower(): text for key, text in answer.headers.raw_items()}
    named = f"Origin {origin!r}" if origin else f"Host '{name}:{port}'"
    assert_is_refusal(answer.status_code, headers, bytes(answer.body or b""), named)
    assert application.requests == 0


@pytest.mark.parametrize("origin", [None, "http://localhost:{port}", LISTED_ORIGIN])
async def test_a_websocket_of_a_welcome_page_is_accepted(
    application: Application, origin: str | None
) -> None:
    """No Origin, the server's own and an allowed one reach the application."""
    async with serving(defended(application)) as port:
        sent = {"Origin": origin.format(port=port)} if origin else {}
        url = f"ws://localhost:{port}/api/ws"
        async with connect(url, additional_headers=sent, proxy=None) as websocket:
            assert await websocket.recv() == "welcome"


async def test_an_allowed_origin_may_read_a_stream_as_it_comes(application: Application) -> None:
    """CORS headers name the origin as it was sent, and no chunk waits for the next."""
    async with (
        asking(defended(application)) as client,
        client.stream("GET", "/api/sse", headers={"Origin": LISTED_ORIGIN}) as answer,
    ):
        assert answer.headers["access-control-allow-origin"] == LISTED_ORIGIN
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.headers["vary"] == "Accept, Origin"
        chunks = answer.aiter_raw()
        assert await anext(chunks) == b"first"
        application.first_chunk_read.set()
        assert await anext(chunks) == b"second"


@pytest.mark.parametrize("same_origin", [True, False])
async def test_a_response_without_cors_headers_varies_by_origin_too(
    application: Application, *, same_origin: bool
) -> None:
    """A cache that stored it for the server's own page must not hand it to an allowed one."""
    application.first_chunk_read.set()
    async with asking(defended(application)) as client:
        own = {"Origin": str(client.base_url).rstrip("/")} if same_origin else {}
        answer = await client.get("/", headers=own)
    assert answer.content == b"firstsecond"
    assert answer.headers["vary"] == "Accept, Origin"
    assert "access-control-allow-origin" not in answer.headers


async def test_without_allowed_origins_responses_are_untouched(application: Application) -> None:
    """Nothing depends on Origin then, and nothing stands between the application and the wire."""
    application.first_chunk_read.set()
    async with asking(defended(application, origins=())) as client:
        answer = await client.get("/")
    assert answer.headers["vary"] == "Accept"


PREFLIGHT = {"Origin": LISTED_ORIGIN, "Access-Control-Request-Method": "GET"}


@pytest.mark.parametrize("name", ["Authorization", "last-event-id", "Prefer"])
async def test_a_preflight_of_an_allowed_origin_is_answered(
    application: Application, name: str
) -> None:
    """The headers that the transports know may be sent across origins; GET is the one method."""
    asked = {"Access-Control-Request-Headers": name}
    async with asking(defended(application)) as client:
        answer = await client.options("/api/sse", headers=PREFLIGHT | asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == LISTED_ORIGIN
    assert answer.headers["access-control-allow-methods"] == "GET"
    assert name.lower() in answer.headers["access-control-allow-headers"].lower()
    assert answer.headers["access-control-max-age"] == "600"
    assert "Origin" in answer.headers["vary"]
    assert application.requests == 0


async def test_a_public_page_that_is_allowed_may_ask_for_a_private_address(
    application: Application,
) -> None:
    """Some browsers ask this in a preflight of its own header; without it the page stays out."""
    asked = {"Access-Control-Request-Private-Network": "true"}
    async with asking(defended(application)) as client:
        answer = await client.options("/api/sse", headers=PREFLIGHT | asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-private-network"] == "true"


async def test_options_from_the_own_page_reaches_the_application(application: Application) -> None:
    """No browser sends a preflight within one origin, so this is the application's to answer."""
    application.first_chunk_read.set()
    async with asking(defended(application)) as client:
        own = {"Origin": str(client.base_url).rstrip("/")}
        answer = await client.options("/", headers=PREFLIGHT | own)
    assert answer.content == b"firstsecond"


@pytest.mark.parametrize(
    "asked",
    [{"Access-Control-Request-Method": "DELETE"}, {"Access-Control-Request-Headers": "X-Other"}],
)
async def test_a_preflight_that_asks_for_more_fails(
    application: Application, asked: dict[str, str]
) -> None:
    """Other methods and headers are not allowed across origins."""
    async with asking(defended(application)) as client:
        answer = await client.options("/api/sse", headers=PREFLIGHT | asked)
    assert answer.status_code == 400


async def test_a_preflight_of_a_foreign_origin_is_refused(application: Application) -> None:
    """The guard comes before CORS."""
    async with asking(defended(application)) as client:
        answer = await client.options("/", headers=PREFLIGHT | {"Origin": "http://evil.example"})
    assert answer.status_code == 403
