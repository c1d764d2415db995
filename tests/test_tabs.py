"""Tabs that share one connection, in a real browser, before a real server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from attrs import define, field

from tests.browser import launched
from tests.process import client, running

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page

async_api = pytest.importorskip("playwright.async_api")
pytestmark = pytest.mark.external("chromium")

PATIENCE_S = 15
TAKEOVER_S = 2
TURNED_BACK = "WebSocket is closed before the connection is established"
TABS = 8
# How tabs come together, by what the browser has not.
WORKER = ""
ELECTION = "delete globalThis.SharedWorker;"
ALONE = ELECTION + "delete Navigator.prototype.locks;"

# A document under the page's own policy, in which nothing else goes on.
BLANK = "/favicon.svg"
CONNECT = """async (options) => {
  const { connect } = await import("/client/pulsewire.js");
  globalThis.told = [];
  globalThis.began = performance.now();
  globalThis.client = connect(options);
  const tell = ({ type, detail }) => told.push({ type, at: performance.now(), detail });
  for (const type of ["message", "history", "gap"]) client.addEventListener(type, tell);
}"""
CURSORS = "told.filter(({type}) => type === 'message').map(({detail}) => detail.cursor)"
SEQS = f"{CURSORS}.map((cursor) => Number(cursor.split(':')[1]))"


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[httpx.AsyncClient]:
    """Start a server; what is given asks it."""
    async with running() as process, client(await process.url()) as asking:
        yield asking
    assert process.faults == []


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    # A page that one leaves and comes back to is kept, as it is by default elsewhere.
    async with launched(ignore_default_args=["--disable-back-forward-cache"]) as browser:
        yield browser


@define
class Tabs:
    """The tabs of one browser, at one server."""

    context: BrowserContext
    server: httpx.AsyncClient
    complaints: list[str] = field(factory=list)

    async def open(self, transport: str = "websocket", **options: object) -> Page:
        """Open one more."""
        page = await self.context.new_page()
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        await page.goto(BLANK)
        await page.evaluate(CONNECT, {"transports": [transport], "interval": 1000} | options)
        return page

    async def clients(self) -> int:
        """Return how many connections the server has."""
        status = (await self.server.get("/api/status")).json()
        return sum(status["clients"].values())

    async def settle(self, clients: int, within_s: float = PATIENCE_S) -> None:
        """Wait until the server has so many connections."""
        await eventually(within_s, self.clients, clients)


async def eventually(within_s: float, ask: Callable[[], Any], answer: object) -> None:
    end = time.monotonic() + within_s
    while (said := await ask()) != answer:
        assert time.monotonic() < end, f"{said}, not {answer}"
        await asyncio.sleep(0.05)


@pytest.fixture
async def tabs(browser: Browser, server: httpx.AsyncClient, way: str) -> AsyncIterator[Tabs]:
    """Open no tab yet; in the end there was nothing to complain of, and nothing is left."""
    async with await browser.new_context(base_url=str(server.base_url)) as context:
        await context.add_init_script(way or "0")
        tabs = Tabs(context, server)
        yield tabs
        # A tab whose worker takes more than a second to start sets out on its own, and turns back.
        assert [text for text in tabs.complaints if TURNED_BACK not in text] == []
        for page in reversed(context.pages):
            await page.close()
        await tabs.settle(0)


async def until(page: Page, holds: str, within_s: float = PATIENCE_S) -> None:
    """Wait for something in a tab; Playwright's own way to do so is against the page's policy."""
    await eventually(within_s, lambda: page.evaluate(holds), answer=True)


async def has_news(page: Page, messages: int = 1) -> None:
    """Wait until a tab has been told so many messages."""
    await until(page, f"{SEQS}.length >= {messages}")


async def seqs(page: Page) -> list[int]:
    found: list[int] = await page.evaluate(SEQS)
    return found


async def chart(page: Page) -> list[str]:
    """Return the cursors of all that a tab has to draw."""
    past = "told.find(({type}) => type === 'history').detail.items.map(({cursor}) => cursor)"
    found: list[str] = await page.evaluate(f"[...{past}, ...{CURSORS}]")
    return found


async def crash(page: Page) -> None:
    """Kill the process that a tab lives in."""
    session = await page.context.new_cdp_session(page)
    async with page.expect_event("crash"):
        dying = asyncio.ensure_future(session.send("Page.crash"))
    dying.cancel()
    with contextlib.suppress(asyncio.CancelledError, async_api.Error):
        await dying


async def leads(page: Page) -> bool:
    """Tell whether any tab leads; then it holds the lock that bears the name of what is shared."""
    held = await page.evaluate("navigator.locks.query().then(({held}) => held.map((l) => l.name))")
    return any("[" in name for name in held)


@pytest.mark.parametrize(
    ("way", "transport"),
    [(WORKER, "websocket"), (WORKER, "sse"), (WORKER, "longpoll"), (ELECTION, "sse")],
    ids=["worker-websocket", "worker-sse", "worker-longpoll", "election-sse"],
)
async def test_eight_tabs_have_one_connection(tabs: Tabs, way: str, transport: str) -> None:
    """HTTP/1.1 would give them six, and leave none for anything else."""
    pages = await asyncio.gather(*(tabs.open(transport, interval=5000) for _ in range(TABS - 1)))
    for page in pages:
        await has_news(page)
    last = await tabs.open(transport, interval=5000)
    await has_news(last)
    assert await last.evaluate("told.find(({type}) => type === 'message').at - began") < 1000
    assert {await page.evaluate("client.transport") for page in [*pages, last]} == {transport}
    assert await leads(last) == (way == ELECTION)
    await tabs.settle(1)


# A worker outlives the tab that began it, but not the process of the two.
@pytest.mark.parametrize(
    ("way", "end"),
    [(WORKER, "crash"), (ELECTION, "crash"), (ELECTION, "close")],
    ids=["worker-crash", "election-crash", "election-close"],
)
async def test_when_the_leading_tab_dies_another_takes_over(tabs: Tabs, end: str) -> None:
    """Within two seconds, and no tab lacks a message or has one twice."""
    leading = await tabs.open()
    await has_news(leading)
    others = await asyncio.gather(*(tabs.open() for _ in range(3)))
    for page in others:
        await has_news(page)
    before = await others[0].evaluate("client.info.clientId")
    began = time.monotonic()
    await (crash(leading) if end == "crash" else leading.close())
    for page in others:
        await until(page, f"client.info.clientId !== '{before}'")
    assert time.monotonic() - began < TAKEOVER_S
    newest = (await seqs(others[0]))[-1]
    for page in others:
        await until(page, f"{SEQS}.at(-1) > {newest + 2}")
        got = await seqs(page)
        assert got == list(range(got[0], got[-1] + 1))
        assert await page.evaluate("told.filter(({type}) => type === 'gap')") == []
    await tabs.settle(1)


@pytest.mark.parametrize("way", [WORKER, ELECTION], ids=["worker", "election"])
async def test_a_tab_that_wants_something_else_has_a_connection_of_its_own(tabs: Tabs) -> None:
    """It comes back to the others as it left them."""
    first, second = await tabs.open(), await tabs.open()
    for page in (first, second):
        await has_news(page)
    await tabs.settle(1)
    await second.evaluate("client.subscribe('metrics', {interval: 2000})")
    await until(second, "client.latest('metrics').intervalMs === 2000")
    await tabs.settle(2)
    assert await first.evaluate("client.latest('metrics').intervalMs") == 1000
    await second.evaluate("client.subscribe('metrics', {interval: 1000})")
    await until(second, "client.latest('metrics').intervalMs === 1000")
    await tabs.settle(1)


@pytest.mark.parametrize("way", [ALONE], ids=["alone"])
async def test_tabs_that_cannot_share_have_one_connection_each(tabs: Tabs) -> None:
    """A browser without any means to share is an old one, and no reason to show nothing."""
    pages = [await tabs.open() for _ in range(2)]
    for page in pages:
        await has_news(page)
    await tabs.settle(2)


@pytest.mark.parametrize("way", [WORKER, ELECTION], ids=["worker", "election"])
async def test_a_new_tab_has_the_history_that_the_others_have(tabs: Tabs) -> None:
    """Its charts begin with what came before it, though the host asked for that long ago."""
    first = await tabs.open(history=60)
    await has_news(first, 2)
    second = await tabs.open(history=60)
    await has_news(second)
    seen, known = await chart(second), await chart(first)
    begin = known.index(seen[0])
    assert len(seen) > 1
    assert seen == known[begin : begin + len(seen)]


@pytest.mark.parametrize("way", [WORKER, ELECTION], ids=["worker", "election"])
async def test_a_page_that_is_left_holds_nothing_and_goes_on_when_it_is_back(tabs: Tabs) -> None:
    """The browser keeps it, with all it had been told, as that was."""
    page = await tabs.open()
    await has_news(page)
    before = await seqs(page)
    await page.goto("/api/status")
    await tabs.settle(0)
    # Of a page from that cache no browser says again that it has loaded.
    await page.go_back(wait_until="commit")
    await has_news(page, len(before) + 2)
    after = await seqs(page)
    assert after == list(range(before[0], after[-1] + 1))
    await tabs.settle(1)
