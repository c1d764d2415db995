"""The dashboard, in a real browser, before a real server."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from app.factory import create_hub, default_sources
from app.settings import Settings
from schema.fields import GapReason
from tests.browser import Server
from tests.scenes import Scene, Scripted, is_live, lines, scene, visit
from tests.serving import serving
from tests.synthetic import SyntheticSource

if TYPE_CHECKING:
    from playwright.async_api import Page

async_api = pytest.importorskip("playwright.async_api")
pytestmark = pytest.mark.external("chromium")
pytest_plugins = ["tests.pages"]
expect = async_api.expect

WEB = Path(__file__).resolve().parent.parent / "app" / "web"
FIGURES = {
    "#uptime": r"up (\d+ d )?(\d+ h ?)?(\d+ min)?",
    "#cpu .number": r"\d+\.\d",
    "#cpu .more": r"\d+ cores?",
    "#memory .number": r"\d+\.\d",
    "#memory .more": r"\d+\.\d of \d+\.\d [KMGTP]iB",
    "#disk .number": r"\d+\.\d",
    "#disk .more": r"\d+\.\d of \d+\.\d [KMGTP]iB at /",
    "#load .number": r"\d+\.\d\d",
    "#load .more": r"5 min \d+\.\d\d · 15 min \d+\.\d\d",
    "#age": r"[01] s old",
    "#transport": "WebSocket",
    "#version": r"Pulsewire \d.*",
}
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  const visibility = { value: hidden ? "hidden" : "visible", configurable: true };
  Object.defineProperty(document, "visibilityState", visibility);
  document.dispatchEvent(new Event("visibilitychange"));
}"""
# Resolves with the moment at which the first chart was on the screen.
FIRST_CHART = """() => new Promise((resolve) => {
  const take = (list) => resolve(list.getEntriesByName("first-chart")[0].startTime);
  new PerformanceObserver(take).observe({ type: "mark", buffered: true });
})"""
LOADED = """() => [...performance.getEntriesByType("navigation"),
  ...performance.getEntriesByType("resource")].map((each) => [each.name, each.encodedBodySize])"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of this machine's figures, as whoever starts it has it."""
    server = Server(("--root-path", "/pulse", "--tick", "500", "--drain", "0"))
    server.start()
    yield server
    server.end(signal.SIGTERM)


async def has_settled(page: Page) -> None:
    """Wait for messages: what there is to subscribe to, and with it which connection, is known."""
    await is_live(page)
    points = sum(map(len, await lines(page)))
    async with asyncio.timeout(10):
        while sum(map(len, await lines(page))) < points + 2:  # noqa: ASYNC110 - no event in a page
            await asyncio.sleep(0.05)


async def tick_comes(at: Scene, page: Page, tick: int) -> None:
    """Publish a tick, and wait until it has come: then the page knows what the server has."""
    at.tick(tick)
    await expect(page.locator("#cpu .number")).to_have_text(f"{tick}.0")


# What it shows


@pytest.mark.parametrize("path", ["", "/pulse"])
async def test_the_page_shows_the_figures_of_the_server(
    page: Page, server: Server, path: str, complaints: list[str]
) -> None:
    """Under the root as under a proxy's path, and with nothing to complain of."""
    await visit(page, server.url + path)
    await is_live(page)
    for element, figure in FIGURES.items():
        await expect(page.locator(element)).to_have_text(re.compile(f"^{figure}$"))
    said = (await (await page.request.get(f"{server.url}/api/metrics")).json())["data"]
    await expect(page.locator("#host")).to_have_text(said["hostname"])
    await expect(page).to_have_title(f"{said['hostname']} · Pulsewire")
    await expect(page.locator("#cpu .more")).to_have_text(
        re.compile(rf"^{said['cpu']['cores']} cores?$")
    )
    assert complaints == []


async def test_the_charts_begin_with_the_past_and_go_on(page: Page) -> None:
    """From the first paint on; a point for each interval, and the newest at the edge."""
    async with scene() as at:
        at.tick(40)
        await visit(page, at.url)
        await is_live(page)
        await expect(page.locator("#cpu .number")).to_have_text("40.0")
        (line,) = await lines(page)
        assert line[-3:] == [(993.3, 62.0), (996.7, 61.0), (1000.0, 60.0)]
        at.tick(41)
        await expect(page.locator("#cpu .number")).to_have_text("41.0")
        (longer,) = await lines(page)
        assert longer[-3:] == [(993.3, 61.0), (996.7, 60.0), (1000.0, 59.0)]
        assert len(longer) == len(line) + 1
        await expect(page.locator("#cpu .past")).to_have_text("5 min ago")
        await expect(page.locator("#cpu .range")).to_have_text(
            re.compile("^min [123].0 · max 41.0$")
        )


async def test_the_first_chart_waits_for_no_transport(page: Page) -> None:
    """Behind a bad proxy it takes seconds until one has proven itself."""
    async with scene() as at:
        at.tick(10)
        await page.add_init_script(
            "delete globalThis.SharedWorker; delete Navigator.prototype.locks"
        )
        await page.route_web_socket("**/api/ws", lambda _: None)
        await visit(page, at.url)
        await expect(page.locator("#cpu .number")).to_have_text("10.0")
        await expect(page.locator("#state")).to_have_text("Connecting")
        assert len((await lines(page))[-1]) >= 8
        await is_live(page)
        await expect(page.locator("#transport")).to_have_text("SSE")
        assert len((await lines(page))[-1]) >= 8


async def test_gaps_are_gaps_in_the_lines(page: Page) -> None:
    """Whether the server declares them or time is merely missing, before and after the paint."""
    async with scene() as at:
        at.tick(10)
        at.leap(11, hole=GapReason.SOURCE)
        at.tick(14)
        at.leap(20)
        at.tick(24)
        await visit(page, at.url)
        await is_live(page)
        assert [len(line) for line in await lines(page)][-2:] == [4, 5]
        before = len(await lines(page))
        at.leap(30, hole=GapReason.SUSPEND)
        await expect(page.locator("#cpu .number")).to_have_text("30.0")
        drawn = await lines(page)
        assert drawn[-1] == [(1000.0, 70.0)]
        assert len(drawn) == before + 1
        area = await page.locator("#cpu .area").get_attribute("d")
        assert (area or "").count("Z") == len(drawn)


async def test_the_scale_of_the_load_is_the_number_of_cores(page: Page) -> None:
    """Doubled as long as the load does not fit; then there is a line at the cores."""
    async with scene(Scripted(load=9.0)) as at:
        at.tick(3)
        await visit(page, at.url)
        await is_live(page)
        load = page.locator("#load")
        await expect(load.locator(".value")).to_have_text("9.00 of 4")
        await expect(load.locator(".top")).to_have_text("16")
        await expect(load.locator(".limit")).to_have_attribute("d", "M0 75H1000")
        assert (await lines(page, "load"))[-1][-1] == (1000.0, 43.8)
        await expect(page.locator("#cpu .limit")).to_have_attribute("d", "")


async def test_what_is_nearly_full_is_called_high(page: Page) -> None:
    """In a word, not in a colour alone."""
    async with scene() as at:
        at.tick(3)
        await visit(page, at.url)
        await is_live(page)
        await expect(page.get_by_role("heading", name="Disk")).to_have_text("Disk high")
        await expect(page.get_by_role("heading", name="Memory")).to_have_text("Memory")


async def test_further_channels_are_shown_whatever_they_are(page: Page) -> None:
    """As figures with their names, which change in place."""
    beta = SyntheticSource("beta", padding=300)
    async with scene(Scripted(), SyntheticSource("alpha"), beta) as at:
        at.tick(3)
        await visit(page, at.url)
        alpha = page.get_by_role("region", name="alpha")
        await expect(alpha.get_by_role("definition")).to_have_text(["3", "1", ""])
        await expect(alpha.get_by_role("term")).to_have_text(["value", "span", "padding"])
        figure = await alpha.get_by_role("definition").first.element_handle()
        at.tick(4)
        await expect(alpha.get_by_role("definition").first).to_have_text("4")
        assert await figure.text_content() == "4"
        padding = page.get_by_role("region", name="beta").get_by_role("definition").last
        await expect(padding).to_have_text("x" * 200 + "…")


async def test_a_channel_that_is_not_available_says_why(page: Page) -> None:
    """The others go on, and so does this one when it can."""
    engine = SyntheticSource("engine")
    engine.vanish("there is no engine")
    settings = Settings(tick=500)
    hub = create_hub(settings, [*default_sources(settings), engine])
    async with serving(hub, settings) as served:
        await visit(page, served.http)
        await is_live(page)
        section = page.get_by_role("region", name="engine")
        await expect(section.get_by_role("paragraph")).to_have_text("there is no engine")
        engine.failure = None
        await expect(section.get_by_role("term")).to_have_count(3, timeout=20_000)
        await expect(section.get_by_role("paragraph")).to_be_hidden()


# How it lives


async def test_hidden_it_draws_nothing_and_shown_it_draws_at_once(page: Page) -> None:
    """What has come meanwhile is there."""
    async with scene() as at:
        at.tick(3)
        await visit(page, at.url)
        await expect(page.locator("#age")).to_have_text("2 s old")
        await page.evaluate(HIDE, True)  # noqa: FBT003
        at.tick(5)
        await expect(page.locator("#age")).to_have_text("0 s old")
        await expect(page.locator("#cpu .number")).to_have_text("3.0")
        await page.evaluate(HIDE, False)  # noqa: FBT003
        assert await page.locator("#cpu .number").text_content() == "5.0"
        assert len((await lines(page))[-1]) >= 3


@pytest.mark.timeout(120)
async def test_the_page_outlives_a_crash_of_the_server(
    page: Page, server: Server, complaints: list[str]
) -> None:
    """It says what is going on, goes on with the next server, and keeps what it knew."""
    await visit(page, server.url)
    await has_settled(page)
    before = await lines(page)
    server.end(signal.SIGKILL)
    try:
        await expect(page.locator("#state")).to_have_text("Reconnecting")
        await expect(page.locator("#transport")).to_have_text("no connection")
    finally:
        server.start()
    await is_live(page, within_s=50)
    # It is live with the first byte, and the first point comes with the first message.
    async with asyncio.timeout(10):
        while len(after := await lines(page)) == len(before):  # noqa: ASYNC110 - no event in a page
            await asyncio.sleep(0.05)
    assert len(after) == len(before) + 1
    assert sum(map(len, after)) > sum(map(len, before))
    # The browser tells of the lost connection; of anything else it has nothing to tell.
    assert all("net::ERR_" in complaint for complaint in complaints)


async def test_a_server_that_goes_says_so(page: Page, server: Server) -> None:
    """Nobody need wonder why the figures stand still."""
    await visit(page, server.url)
    await has_settled(page)
    server.end(signal.SIGTERM)
    try:
        await expect(page.locator("#state")).to_have_text("Reconnecting")
        await expect(page.locator("#note")).to_have_text(re.compile("the server"))
    finally:
        server.start()
    await is_live(page, within_s=20)
    await expect(page.locator("#note")).to_be_hidden()


async def test_what_was_missed_while_the_network_was_cut_is_there_after_it(page: Page) -> None:
    """The line has no hole."""
    async with scene() as at:
        at.tick(5)
        await visit(page, at.url)
        await is_live(page)
        await at.streams()
        await tick_comes(at, page, 6)
        at.relay.refusing = True
        at.relay.cut()
        await expect(page.locator("#state")).to_have_text("Reconnecting")
        at.tick(9)
        at.relay.refusing = False
        await is_live(page, within_s=20)
        await expect(page.locator("#cpu .number")).to_have_text("9.0")
        assert len((await lines(page))[-1]) >= 8


async def test_a_network_that_stalls_makes_the_data_late(page: Page) -> None:
    """The figures look it, time goes on, and the connection is the same when it is over."""
    async with scene() as at:
        at.tick(5)
        await visit(page, at.url)
        await is_live(page)
        await at.streams()
        await tick_comes(at, page, 6)
        accepted = at.relay.accepted
        colour = "getComputedStyle(document.querySelector('.number')).color"
        fresh = await page.evaluate(colour)
        at.relay.hold()
        at.tick(7)
        await expect(page.locator("#state")).to_have_text("Data is late")
        assert await page.evaluate(colour) != fresh
        assert (await lines(page))[-1][-1][0] < 1000
        at.relay.release()
        await is_live(page)
        await expect(page.locator("#cpu .number")).to_have_text("7.0")
        assert at.relay.accepted == accepted


async def test_a_connection_that_is_dead_is_begun_again(page: Page) -> None:
    """Neither end may be told when it dies."""
    async with scene(heartbeat=1000) as at, at.ticking():
        await visit(page, at.url)
        await is_live(page)
        await at.streams()
        at.relay.half_open()
        await expect(page.locator("#state")).to_have_text("Data is late")
        await is_live(page, within_s=20)


async def test_the_state_is_announced_once_it_has_settled(page: Page) -> None:
    """Figures that change each second would drown a screen reader."""
    async with scene() as at, at.ticking():
        await visit(page, at.url)
        announced = page.get_by_role("status")
        await expect(announced).to_have_count(1)
        await expect(announced).to_have_text("Live")
        await page.evaluate("""() => {
          globalThis.changes = 0;
          const observer = new MutationObserver((list) => { changes += list.length; });
          const told = document.querySelectorAll("[role=status], [role=alert], [aria-live]");
          for (const place of told) observer.observe(place, { subtree: true, childList: true });
        }""")
        seen = await page.locator("#cpu .number").text_content()
        await expect(page.locator("#cpu .number")).not_to_have_text(seen or "")
        assert await page.evaluate("changes") == 0


# How it is used


async def test_the_interval_is_switched_by_keyboard(page: Page) -> None:
    """One can see where one is; the charts go further back, and the choice is remembered."""
    async with scene() as at:
        at.tick(100)
        await visit(page, at.url)
        await is_live(page)
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("radio", name="1 s", exact=True)).to_be_focused()
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("ArrowRight")
        choice = page.get_by_role("radio", name="15 s")
        await expect(choice).to_be_checked()
        await expect(choice).to_be_focused()
        await expect(choice.locator("+ span")).to_have_css("outline-style", "solid")
        await expect(page.locator("#cpu .past")).to_have_text("30 min ago")
        (line,) = await lines(page)
        assert [y for _, y in line][-4:] == [40.0, 25.0, 10.0, 100.0]
        await page.reload()
        await expect(page.get_by_role("radio", name="15 s")).to_be_checked()
        await expect(page.locator("#cpu .past")).to_have_text("30 min ago")


async def test_the_page_can_be_read_without_seeing_it(page: Page) -> None:
    """Each part has its name, each chart a sentence."""
    async with scene() as at:
        at.tick(40)
        await visit(page, at.url)
        await is_live(page)
        await expect(page.locator("body")).to_match_aria_snapshot("""
          - banner:
            - heading "web-1" [level=1]
            - paragraph: up 3 d 4 h
            - term: State
            - definition: Live
            - term: Transport
            - definition: WebSocket
            - term: Age of the data
            - definition: /\\d+ s old/
            - group "Update every":
              - radio "1 s" [checked]
              - radio "5 s"
              - radio "15 s"
              - radio "60 s"
          - main:
            - region "CPU":
              - heading "CPU" [level=2]
              - paragraph: 40.0 %
              - paragraph: 4 cores
              - img /CPU over the last 5 min. \\d\\.0 to 40\\.0 %/
            - region "Memory":
              - heading "Memory" [level=2]
              - paragraph: 25.0 %
              - paragraph: 4.0 of 16.0 GiB
              - 'img "Memory over the last 5 min: 25.0 to 25.0 %"'
            - region "Disk":
              - heading "Disk high" [level=2]
              - paragraph: 91.9 %
              - paragraph: 91.0 of 99.0 GiB at /srv
              - 'img "Disk over the last 5 min: 91.9 to 91.9 %"'
            - region "Load":
              - heading "Load" [level=2]
              - paragraph: 1.50 of 4
              - paragraph: 5 min 0.50 · 15 min 0.25
              - 'img "Load over the last 5 min: 1.50 to 1.50 of 4"'
        """)


# How it looks


@pytest.mark.parametrize("size", [(390, 844), (820, 1180), (1280, 800), (2560, 1440), (844, 390)])
async def test_all_of_it_is_on_one_screen(page: Page, size: tuple[int, int]) -> None:
    """From a phone to the wall."""
    async with scene() as at:
        at.tick(10)
        await page.set_viewport_size({"width": size[0], "height": size[1]})
        await visit(page, at.url)
        await is_live(page)
        root = "document.documentElement"
        seen = await page.evaluate(f"[{root}.scrollWidth, {root}.scrollHeight]")
        assert seen == list(size)
        for chart in await page.get_by_role("img").all():
            box = await chart.bounding_box()
            assert box
            assert box["height"] >= 48


async def test_no_name_is_too_long_for_a_small_phone(page: Page) -> None:
    """Nothing is beside the page, whatever the host is called."""
    async with scene(Scripted(hostname="n" * 64)) as at:
        at.tick(3)
        await page.set_viewport_size({"width": 320, "height": 600})
        await visit(page, at.url)
        await expect(page.locator("#host")).to_have_text("n" * 64)
        assert await page.evaluate("document.documentElement.scrollWidth") == 320


async def test_the_page_has_the_colours_that_its_reader_prefers(page: Page, server: Server) -> None:
    """Dark on light, or light on dark."""
    await page.goto(server.url)
    await page.emulate_media(color_scheme="light")
    await expect(page.locator("body")).to_have_css("background-color", "rgb(238, 240, 243)")
    await page.emulate_media(color_scheme="dark")
    await expect(page.locator("body")).to_have_css("background-color", "rgb(11, 14, 18)")


def test_nothing_moves_by_itself() -> None:
    """There is nothing to reduce for whoever prefers reduced motion."""
    style = (WEB / "dashboard" / "style.css").read_text(encoding="utf-8")
    assert not re.search("transition|animation|@keyframes|scroll-behavior", style)


# What it costs, and what it may do


async def test_the_first_chart_is_there_soon(page: Page, server: Server) -> None:
    """Within half a second where nothing else goes on; here something does."""
    await page.goto(server.url)
    painted = await page.evaluate(FIRST_CHART)
    sys.stdout.write(f"first chart painted after {painted:.0f} ms\n")
    assert painted < 5000


async def test_the_page_and_all_that_it_loads_are_small(page: Page, server: Server) -> None:
    """As they are sent; and no module is found late, by another one that needs it."""
    await page.goto(server.url)
    await is_live(page)
    sizes: list[tuple[str, int]] = await page.evaluate(LOADED)
    total = sum(size for name, size in sizes if "/api/" not in name)
    sys.stdout.write(f"{len(sizes)} files, {total} bytes\n")
    assert total < 75_000
    modules = {name.removeprefix(f"{server.url}/") for name, _ in sizes if name.endswith(".js")}
    preloaded = set(re.findall('modulepreload" href="([^"]+)"', page_text()))
    assert modules - {"client/worker.js", "dashboard/main.js"} == preloaded


def test_the_page_may_do_nothing_but_what_is_its_own(server: Server) -> None:
    """No inline script or style is allowed, nor is there any."""
    policy = httpx.get(server.url).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! type=\"module\" src=)", page_text())


def page_text() -> str:
    return (WEB / "index.html").read_text(encoding="utf-8")
