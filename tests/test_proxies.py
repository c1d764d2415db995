"""What is between a client and Pulsewire: real proxies, as we advise them and as they come.

With ``PULSEWIRE_TESTS=thorough`` in the environment what takes its time is given it in full.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from attrs import define, frozen
from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import InvalidHandshake

from app.settings import Settings
from tests import process, proxies
from tests.browser import launched
from tests.clients import SUBPROTOCOL, WIRES, Client, Want, connect
from tests.proxies import GOOD, RESTRICTIVE, Parser, Proxy, Running
from tests.received import Body, parse, parse_events, seq_of
from tests.serving import DrivenHub, Served, driven_hub, serving
from tests.synthetic import SyntheticSource

if TYPE_CHECKING:
    from playwright.async_api import Browser, ProxySettings

pytest.importorskip("playwright.async_api")

THOROUGH = os.environ.get("PULSEWIRE_TESTS") == "thorough"
ROOT_PATH = "/pulse"
CHANNEL = "metrics"
WANT = f"channels={CHANNEL}:1000"
MESSAGES = 20
# Far more than it takes, and half of what the 200 ms that HAProxy may hold each event add up to.
PROMPT_S = 2.0
# Whatever has not come by then is held back.
HELD_S = 1.5
# The longest that a poll may wait.
QUIET_S = 60 if THOROUGH else 1
WATCHED_S = 60 if THOROUGH else 0
PACE_S = 1 if THOROUGH else 0.5
# Longer than HAProxy tries by default.
DOWN_S = 6 if THOROUGH else 0
SETTLED_MS = 7_000
PATIENCE_S = 20

# What comes through a restrictive proxy: over a WebSocket, an event stream, a poll; and so the best
# that a browser can have there. The page docs/clients.md shows the same.
PASSES = {
    "nginx-default": ("refused", "passed", "passed", "sse"),
    "nginx-deaf": ("refused", "held back", "passed", "longpoll"),
    "haproxy-hasty": ("passed", "passed", "passed", "websocket"),
    "apache-default": ("refused", "passed", "passed", "sse"),
    "varnish-default": ("refused", "passed", "passed", "sse"),
    "squid-default": ("refused", "passed", "passed", "sse"),
    "privoxy-default": ("passed", "held back", "passed", "websocket"),
}
BEST = {proxy.name: "websocket" for proxy in GOOD} | {name: row[3] for name, row in PASSES.items()}


def each(some: Iterable[Proxy]) -> list[Any]:
    """Make a parameter of each proxy, with the mark of the program that it needs."""
    return [pytest.param(p.name, marks=pytest.mark.external(p.program), id=p.name) for p in some]


def needs(some: Iterable[Proxy]) -> Callable[[Any], Any]:
    """Mark a test with the programs of all these proxies."""

    def mark(test: Any) -> Any:  # noqa: ANN401 - any test
        for program in {proxy.program for proxy in some}:
            test = pytest.mark.external(program)(test)
        return test

    return mark


@define(eq=False)
class Upstream:
    """A Pulsewire whose ticks are the test's."""

    hub: DrivenHub
    served: Served
    _tick: int = 0

    def tick(self, ticks: int = 1) -> int:
        """Let so many seconds pass, publish at the end of them, and return the seq."""
        self._tick += ticks
        (published,) = self.hub.tick(self._tick)
        return published.seq

    @property
    def clients(self) -> int:
        """How many have a stream open, or a poll parked."""
        return sum(self.hub.clients().values())

    async def attended(self) -> None:
        """Wait for the one client that is to come."""
        async with asyncio.timeout(PATIENCE_S):
            while self.clients != 1:  # noqa: ASYNC110 - the hub has no event for it
                await asyncio.sleep(0.001)

    async def deserted(self, *, ticking: bool) -> None:
        """Wait until all clients have gone; some proxies see that only when there is news."""
        async with asyncio.timeout(PATIENCE_S):
            while self.clients:
                if ticking:
                    self.tick()
                await asyncio.sleep(0.01)


@frozen
class Setting:
    """All proxies that are installed, and what is behind them."""

    upstreams: dict[Parser, Upstream]
    running: dict[str, Running]

    def behind(self, name: str) -> Upstream:
        return self.upstreams[self.running[name].proxy.parser]


@define(eq=False)
class Seen(Served):
    """A server as clients see it through a reverse proxy."""

    path: str = ""

    @property
    def http(self) -> str:
        return f"{super().http}{self.path}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}{self.path}/api/ws"


@contextlib.asynccontextmanager
async def upstream(parser: Parser) -> AsyncIterator[Upstream]:
    settings = Settings(root_path=ROOT_PATH)
    hub = driven_hub([SyntheticSource(CHANNEL)], settings)
    async with serving(hub, settings, parser) as served:
        yield Upstream(hub, served)


@pytest.fixture(scope="module")
async def setting() -> AsyncIterator[Setting]:
    async with upstream("httptools") as fast, upstream("h11") as plain:
        upstreams: dict[Parser, Upstream] = {"httptools": fast, "h11": plain}
        ports: dict[Parser, int] = {parser: up.served.port for parser, up in upstreams.items()}
        async with proxies.running((*GOOD, *RESTRICTIVE), ports) as running:
            yield Setting(upstreams, running)


# Without a browser


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("path", ["", ROOT_PATH], ids=["at the root", "below a path"])
@pytest.mark.parametrize("name", each(GOOD))
async def test_a_good_proxy_passes_each_message_on_at_once(
    setting: Setting, name: str, path: str, wire: str
) -> None:
    """Each is there before the next one is published; and that the client has gone, but Apache."""
    behind = setting.behind(name)
    newest = behind.tick()
    seen = Seen(behind.hub, setting.running[name].place.port, path=path)
    client = await connect(wire, seen)
    try:
        await client.subscribe(Want(CHANNEL, 1000))
        assert await next_seq(client) == newest
        async with asyncio.timeout(PROMPT_S):
            for _ in range(MESSAGES):
                client.ask()
                await behind.attended()
                newest = behind.tick()
                assert await next_seq(client) == newest
        client.ask()
        await behind.attended()
    finally:
        await client.aclose()
    await behind.deserted(ticking=name == "apache")


async def next_seq(client: Client) -> int:
    """Return the number of the next message, which must be data."""
    (message,) = await client.news()
    assert message.kind == CHANNEL
    return message.seq


@needs(GOOD)
@pytest.mark.timeout(120)
async def test_a_good_proxy_leaves_quiet_connections_alone(setting: Setting) -> None:
    """Also a poll that waits for as long as a poll may."""

    async def poll(one: Running) -> Body:
        async with proxies.client(one) as http:
            body = (await http.get(f"/api/poll?channels={CHANNEL}:60000")).json()
            query = f"channels={CHANNEL}:60000&wait={QUIET_S}&since={body['cursor']}"
            response = await http.get(f"/api/poll?{query}", timeout=QUIET_S + PATIENCE_S)
            answered: Body = response.json()
            return answered

    async def hold(name: str, wire: str) -> int:
        behind = setting.behind(name)
        client = await connect(wire, Seen(behind.hub, setting.running[name].place.port))
        try:
            await client.subscribe(Want(CHANNEL, 60000))
            first = await next_seq(client)
            # Reading all the time, heartbeats and pings too.
            while not (message := await client.receive(QUIET_S + PATIENCE_S)).is_data:
                assert message.kind == "heartbeat"
            assert message.seq > first
            return message.seq
        finally:
            await client.aclose()

    for up in setting.upstreams.values():
        up.tick()
    held = [asyncio.ensure_future(hold(p.name, w)) for p in GOOD for w in ("websocket", "sse")]
    answers = await asyncio.gather(*(poll(setting.running[proxy.name]) for proxy in GOOD))
    assert [answer["messages"] for answer in answers] == [[]] * len(GOOD)
    newest = {up.tick(60) for up in setting.upstreams.values()}
    assert set(await asyncio.gather(*held)) <= newest


@needs(GOOD)
async def test_a_good_proxy_gets_over_a_restart() -> None:
    """HAProxy and Caddy let a request wait meanwhile; nginx and Apache go on at once afterwards."""
    (port,) = proxies.free_ports(1)
    program = ("-m", "app", "--port", str(port), "--drain", "0")
    patient = {"haproxy", "caddy"}

    async def status(one: Running) -> int:
        async with proxies.client(one) as http:
            return (await http.get("/healthz", timeout=PATIENCE_S)).status_code

    async with contextlib.AsyncExitStack() as stack:
        async with process.running(program=program) as server:
            await server.url()
            ports: dict[Parser, int] = {"httptools": port, "h11": port}
            running = await stack.enter_async_context(proxies.running(GOOD, ports))
        down = {name: asyncio.ensure_future(status(one)) for name, one in running.items()}
        refused = [task for name, task in down.items() if name not in patient]
        assert min(await asyncio.gather(*refused)) >= httpx.codes.BAD_GATEWAY
        await asyncio.sleep(DOWN_S)
        await stack.enter_async_context(process.running(program=program))
        waited = await asyncio.gather(*(down[name] for name in patient))
        assert set(waited) == {httpx.codes.OK}
        assert {await status(one) for one in running.values()} == {httpx.codes.OK}


# What a restrictive proxy lets through


@pytest.mark.parametrize("name", each(RESTRICTIVE))
async def test_what_comes_through_a_restrictive_proxy(setting: Setting, name: str) -> None:
    """As the page for users says it."""
    one, behind = setting.running[name], setting.behind(name)
    behind.tick()
    ways = (over_websocket(one), over_sse(one), over_poll(one))
    assert tuple([await fate(way, behind) for way in ways]) == PASSES[name][:3]
    await behind.deserted(ticking=True)


async def fate(way: AsyncGenerator[Body], behind: Upstream) -> str:
    """Tell what becomes of messages that are to come this way."""
    try:
        async with contextlib.aclosing(way), asyncio.timeout(HELD_S):
            await anext(way)
            for _ in range(3):
                newest = behind.tick()
                assert seq_of((await anext(way))["cursor"]) == newest
    except TimeoutError:
        return "held back"
    except (InvalidHandshake, httpx.HTTPError):
        return "refused"
    return "passed"


async def over_websocket(one: Running) -> AsyncGenerator[Body]:
    url = f"{one.url.replace('http', 'ws', 1)}/api/ws"
    async with websocket_connect(url, subprotocols=[SUBPROTOCOL], proxy=one.via) as socket:
        await socket.send(f'{{"type":"subscribe","channel":"{CHANNEL}","interval":1000}}')
        async for text in socket:
            if (body := parse(str(text)))["type"] == CHANNEL:
                yield body


async def over_sse(one: Running) -> AsyncGenerator[Body]:
    async with proxies.client(one) as http, http.stream("GET", f"/api/sse?{WANT}") as response:
        response.raise_for_status()
        async for message in parse_events(response.aiter_raw()):
            if message.is_data:
                yield message.body


async def over_poll(one: Running) -> AsyncGenerator[Body]:
    since = ""
    async with proxies.client(one) as http:
        while True:
            response = await http.get(f"/api/poll?{WANT}{since}")
            batch = response.raise_for_status().json()
            since = f"&since={batch['cursor']}"
            for body in batch["messages"]:
                yield body


# The browser client

RECORD = """async (channel) => {
    const { connect } = await import("/client/pulsewire.js");
    const record = { transports: [], seqs: [], gaps: [], errors: [] };
    const seq = (cursor) => Number(cursor?.split(":")[1] ?? 0);
    const client = connect({ channels: [{ channel, interval: 1000 }] });
    const start = performance.now();
    client.addEventListener("transport", ({ detail }) =>
        record.transports.push([performance.now() - start, detail]));
    client.addEventListener("message", ({ detail: { cursor } }) => record.seqs.push(seq(cursor)));
    client.addEventListener("gap", ({ detail }) =>
        record.gaps.push([seq(detail.from), seq(detail.to)]));
    client.addEventListener("error", ({ detail: { message } }) => record.errors.push(message));
    Object.assign(globalThis, { client, record });
}"""


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


@needs((*GOOD, *RESTRICTIVE))
@pytest.mark.external("chromium")
@pytest.mark.timeout(150)
async def test_the_browser_client_gets_through_every_proxy(
    setting: Setting, browser: Browser
) -> None:
    """On the best transport that works there, within 7 s, and without undeclared loss."""
    ticking = asyncio.create_task(keep_ticking(setting))
    # Not all at once, so that it is the proxies that take their time and not the browser.
    turn = asyncio.Semaphore(2)
    records = await asyncio.gather(*(watch(browser, one, turn) for one in setting.running.values()))
    ticking.cancel()
    found = dict(zip(setting.running, records, strict=True))
    assert {name: settled(record) for name, record in found.items()} == BEST
    for name, record in found.items():
        assert len(record["seqs"]) >= MESSAGES, name
        assert undeclared(record) == set(), name
        assert record["errors"] == [], name


async def keep_ticking(setting: Setting) -> None:
    while True:
        for up in setting.upstreams.values():
            up.tick()
        await asyncio.sleep(PACE_S)


async def watch(browser: Browser, one: Running, turn: asyncio.Semaphore) -> Any:  # noqa: ANN401
    """Let a page of its own receive for a while, and return what it recorded."""
    # Without the exception Chromium calls loopback without a proxy.
    via: ProxySettings | None = {"server": one.via, "bypass": "<-loopback>"} if one.via else None
    async with contextlib.AsyncExitStack() as stack:
        async with turn:
            context = await browser.new_context(base_url=one.url, proxy=via)
            await stack.enter_async_context(context)
            page = await context.new_page()
            await page.goto("/healthz")
            await page.evaluate(RECORD, CHANNEL)
        await asyncio.sleep(WATCHED_S)
        enough = f"record.seqs.length >= {MESSAGES}"
        await page.wait_for_function(enough, timeout=(MESSAGES + PATIENCE_S) * 1000)
        return await page.evaluate("record")


def settled(record: Any) -> str:  # noqa: ANN401 - what the page recorded
    """Tell the one transport that there has been since all had settled."""
    early = [name for at, name in record["transports"] if at <= SETTLED_MS]
    late = [name for at, name in record["transports"] if at > SETTLED_MS]
    return ", then ".join(map(str, [*early[-1:], *late]))


def undeclared(record: Any) -> set[int]:  # noqa: ANN401 - what the page recorded
    """Give the numbers that were lost without a word; what came twice or too late fails."""
    seqs = record["seqs"]
    assert all(earlier < later for earlier, later in itertools.pairwise(seqs))
    lost = set(range(seqs[0], seqs[-1])) - set(seqs)
    return {seq for seq in lost if not any(start < seq < end for start, end in record["gaps"])}
