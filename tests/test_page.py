"""The live page, in a real browser, before a real server."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import httpx
import pytest

from schema.errors import ErrorCode
from schema.frame import Frame
from schema.messages import Error, History
from schema.metrics import Standard
from tests.strategies import GAP, NOW, SERVER_EXAMPLES, STANDARD, body

if TYPE_CHECKING:
    from playwright.async_api import Browser, ConsoleMessage, Page, Route

async_api = pytest.importorskip("playwright.async_api")
pytestmark = pytest.mark.external("chromium")
expect = async_api.expect

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "app" / "web"
STREAM = "**/api/sse?*"
# A browser in a container: no sandbox of its own, and no calls home.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FIGURES = {
    "#uptime": r"up (\d+ d )?(\d+ h ?)?(\d+ min)?",
    "#cpu": r"\d+\.\d %",
    "#cpu-more": r"\d+ cores?",
    "#memory": r"\d+\.\d %",
    "#memory-more": r"\d+\.\d of \d+\.\d [KMGTP]iB",
    "#disk": r"\d+\.\d %",
    "#disk-more": r"\d+\.\d of \d+\.\d [KMGTP]iB at /",
    "#load": r"\d+\.\d\d",
    "#load-more": r"\d+\.\d\d in 5 min, \d+\.\d\d in 15",
    "#version": r"Pulsewire \d.*",
}


class Server:
    """Pulsewire as a process of its own, on a port that it keeps when it is started again."""

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        clean = {key: text for key, text in os.environ.items() if not key.startswith("PULSEWIRE_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app", "--port", str(self.port), "--root-path", "/pulse"],
            cwd=ROOT,
            env=clean | {"PULSEWIRE_DRAIN": "0", "PULSEWIRE_TICK": "500"},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr
        found = (re.search(r" is at http://[^/]+:(\d+)", line) for line in self._process.stderr)
        self.port = next(int(at[1]) for at in found if at)

    def signal(self, number: int) -> None:
        assert self._process
        self._process.send_signal(number)

    def end(self, number: int) -> None:
        """Send the process the signal that ends it, and wait for that."""
        self.signal(number)
        assert self._process
        self._process.communicate(timeout=10)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.end(signal.SIGTERM)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_api.async_playwright() as playwright:
        program = shutil.which("chromium")
        chromium = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield chromium
        await chromium.close()


@pytest.fixture
def complaints() -> list[str]:
    """Whatever the browser's console was told, violations of the policy too."""
    return []


@pytest.fixture
async def page(browser: Browser, server: Server, complaints: list[str]) -> AsyncIterator[Page]:
    """Open an empty page, whose relative addresses are the server's."""

    def hear(message: ConsoleMessage) -> None:
        complaints.append(f"{message.type}: {message.text}")

    async with await browser.new_context(base_url=server.url, locale="en-GB") as context:
        page = await context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page


async def is_live(page: Page, within_s: float = 5) -> None:
    await expect(page.locator("#state")).to_have_text("live", timeout=within_s * 1000)


def answering(*messages: object) -> str:
    """Return a stream of these messages, which then ends."""
    return b"".join(Frame.of(message).event for message in messages).decode()


async def give(route: Route, *messages: object) -> None:
    await route.fulfill(content_type="text/event-stream", body=answering(*messages))


@pytest.mark.parametrize("path", ["/", "/pulse/"])
async def test_the_page_shows_live_figures_within_five_seconds(
    page: Page, path: str, complaints: list[str]
) -> None:
    """Under the root as under a proxy's path, and with nothing to complain of."""
    await page.goto(path)
    await is_live(page)
    for element, figure in FIGURES.items():
        await expect(page.locator(element)).to_have_text(re.compile(f"^{figure}$"))
    await expect(page.locator("#age")).to_have_text(re.compile(r"data [01] s old"))
    for name in ("CPU", "Memory", "Disk", "Load"):
        share = await page.get_by_role("meter", name=name).get_attribute("aria-valuenow")
        assert 0 <= int(share or -1) <= 100
    assert complaints == []


async def test_the_figures_are_those_of_the_server(page: Page) -> None:
    """The host's name above them, and in the title."""
    await page.goto("/")
    await is_live(page)
    answer = await page.request.get("/api/metrics")
    said = (await answer.json())["data"]
    await expect(page.locator("#host")).to_have_text(said["hostname"])
    await expect(page).to_have_title(f"{said['hostname']} · Pulsewire")
    await expect(page.locator("#cpu-more")).to_have_text(
        re.compile(f"^{said['cpu']['cores']} core")
    )


async def test_the_figures_move(page: Page) -> None:
    """The chart grows with each message."""
    await page.goto("/")
    await is_live(page)
    line = page.locator("#cpu-line")
    await expect(line).not_to_have_attribute("d", await line.get_attribute("d") or "")


async def test_the_chart_begins_with_the_past(page: Page) -> None:
    """A page that is loaded again need not wait a minute for its chart."""
    await page.goto("/")
    await is_live(page)
    await expect(page.locator("#cpu-line")).to_have_attribute("d", re.compile(r"^M.*L.*L"))
    await page.reload()
    await is_live(page)
    drawn = await page.locator("#memory-line").get_attribute("d")
    assert (drawn or "").count("L") >= 2


async def test_the_page_outlives_a_crash_of_the_server(
    page: Page, server: Server, complaints: list[str]
) -> None:
    """It says what is going on, and goes on with the next server."""
    await page.goto("/")
    await is_live(page)
    server.end(signal.SIGKILL)
    try:
        await expect(page.locator("#state")).to_have_text("reconnecting")
    finally:
        server.start()
    await is_live(page, within_s=20)
    # The browser tells of the lost connection; of anything else it has nothing to tell.
    assert all("net::ERR_" in complaint for complaint in complaints)


async def test_a_server_that_goes_says_so(page: Page, server: Server) -> None:
    """Nobody need wonder why the figures stand still."""
    await page.goto("/")
    await is_live(page)
    server.end(signal.SIGTERM)
    try:
        await expect(page.locator("#state")).to_have_text("reconnecting")
        await expect(page.locator("#note")).to_have_text(re.compile("server is (restarting|going)"))
    finally:
        server.start()


async def test_a_stream_that_falls_silent_is_begun_again(page: Page, server: Server) -> None:
    """A connection may be dead without either end being told."""
    await page.clock.install()
    await page.goto("/")
    await is_live(page)
    server.signal(signal.SIGSTOP)
    try:
        await page.clock.fast_forward(5_000)
        await expect(page.locator("#state")).to_have_text("waiting for data")
        await expect(page.locator("#age")).to_have_text(re.compile(r"data [5-9] s old"))
        async with page.expect_request(STREAM):
            await page.clock.fast_forward(35_000)
        await expect(page.locator("#state")).to_have_text("reconnecting")
    finally:
        server.signal(signal.SIGCONT)
    await is_live(page)


async def test_an_answer_that_is_no_stream_is_not_the_end(page: Page) -> None:
    """A proxy says 502 while its server restarts, and an EventSource by itself then gives up."""
    await page.clock.install()
    await page.route(STREAM, lambda route: route.fulfill(status=502), times=1)
    await page.goto("/")
    await expect(page.locator("#state")).to_have_text("reconnecting")
    await page.clock.fast_forward(6_000)
    await is_live(page)


async def test_gaps_are_gaps_in_the_lines(page: Page) -> None:
    """Nothing is drawn where nothing was measured."""
    items = [
        body(STANDARD),
        body(attrs.evolve(STANDARD, timestamp=NOW + 1000)),
        body(GAP),
        body(attrs.evolve(STANDARD, timestamp=NOW + 5000)),
        body(GAP),
    ]
    snapshot = attrs.evolve(STANDARD, timestamp=NOW + 8000)
    after = attrs.evolve(STANDARD, timestamp=NOW + 10_000)
    messages = (History(NOW, "metrics", items), snapshot, GAP, after)
    await page.route(STREAM, lambda route: give(route, *messages))
    await page.goto("/")
    pattern = re.compile(r"^M\S+ 87\.5h0L\S+ 87\.5h0(M\S+ 87\.5h0){2}M600\.0 87\.5h0$")
    await expect(page.locator("#cpu-line")).to_have_attribute("d", pattern)


async def test_an_error_of_the_server_is_shown(page: Page) -> None:
    """It shares its name with the browser's own event, which tells of a lost connection."""
    refusal = Error(NOW, ErrorCode.CHANNEL_UNAVAILABLE, "the source is asleep", "metrics")
    await page.route(STREAM, lambda route: give(route, SERVER_EXAMPLES[0], STANDARD, refusal))
    await page.goto("/")
    await expect(page.locator("#note")).to_have_text("the source is asleep")
    await expect(page.locator("#cpu")).to_have_text("12.5 %")
    # This comes of the end of the stream.
    await expect(page.locator("#state")).to_have_text("reconnecting")


async def test_the_page_fits_its_window(page: Page) -> None:
    """From a small phone on, whatever the host is called."""
    assert isinstance(STANDARD.data, Standard)
    named = attrs.evolve(STANDARD, data=attrs.evolve(STANDARD.data, hostname="n" * 64))
    await page.route(STREAM, lambda route: give(route, named))
    await page.goto("/")
    await expect(page.locator("#host")).to_have_text("n" * 64)
    for width in (320, 768, 1280):
        await page.set_viewport_size({"width": width, "height": 700})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_the_page_has_the_colours_that_its_reader_prefers(page: Page) -> None:
    """Dark on light, or light on dark."""
    await page.goto("/")
    await page.emulate_media(color_scheme="light")
    await expect(page.locator("body")).to_have_css("background-color", "rgb(244, 245, 247)")
    await page.emulate_media(color_scheme="dark")
    await expect(page.locator("body")).to_have_css("background-color", "rgb(15, 18, 23)")


async def test_only_the_state_is_announced(page: Page) -> None:
    """Figures that change each second would drown a screen reader."""
    await page.goto("/")
    await is_live(page)
    announced = page.locator("[aria-live], [role=status], [role=alert], [role=log], output")
    await expect(announced).to_have_id("state")
    await expect(page.get_by_role("img")).to_have_accessible_name(
        "CPU and memory in percent over the last minute"
    )


def test_the_page_may_do_nothing_but_what_is_its_own(server: Server) -> None:
    """No inline script or style is allowed, nor is there any."""
    policy = httpx.get(server.url).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! type=\"module\" src=)", page_text())


def test_the_page_is_small() -> None:
    """Page, script, style and icon together."""
    assert sum(path.stat().st_size for path in WEB.iterdir()) < 12_000


def page_text() -> str:
    return (WEB / "index.html").read_text(encoding="utf-8")
