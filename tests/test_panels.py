"""The dashboard's panels of the full figures, in a real browser, before hosts of all kinds."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from app.core.source import Window
from app.factory import create_hub, default_sources
from app.settings import Settings
from schema.containers import ContainersMessage
from schema.fields import Detail
from schema.metrics import Full
from tests import hosts
from tests.hosts import BUSY_CONTAINERS, BUSY_PROCESSES, HostSource, containers_of, processes_of
from tests.scenes import is_live, lines, scene, visit
from tests.serving import serving
from tests.synthetic import SyntheticSource

if TYPE_CHECKING:
    from playwright.async_api import Page

async_api = pytest.importorskip("playwright.async_api")
pytestmark = pytest.mark.external("chromium")
pytest_plugins = ["tests.pages"]
expect = async_api.expect

HOSTS = [hosts.idle, hosts.busy, hosts.large, hosts.bare]
UNKNOWN = "\N{EN DASH}"
ALONE = "delete globalThis.SharedWorker; delete Navigator.prototype.locks"
SIZE = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
PLACES = """() => [...document.querySelectorAll("main > section:not([hidden])")]
  .map((panel) => [panel.id, panel.offsetTop, panel.offsetHeight])"""


def sources(figures: Callable[[int], Full], containers: list[Any] = BUSY_CONTAINERS) -> list[Any]:
    return [HostSource(figures), processes_of(BUSY_PROCESSES), containers_of(containers)]


async def rows(page: Page, panel: str) -> list[str]:
    """Return the names of the rows that are not folded."""
    shown = page.locator(f"#{panel} .list > table tbody th > span")
    return await shown.all_text_contents()


# What it shows


async def test_the_page_names_the_bottleneck_and_what_is_busy(
    page: Page, complaints: list[str]
) -> None:
    """What is idle, cool or stopped is folded."""
    async with scene(*sources(hosts.busy)) as at:
        at.tick(40)
        await visit(page, at.url)
        await is_live(page)
        line = page.get_by_role("region", name="Bottleneck")
        await expect(line.locator("strong")).to_have_text(
            "Waiting for disk 38 % of the last second"
        )
        await expect(line.locator("span")).to_contain_text(
            "nvme0n1 busy 97 % at 24 ms, postgres moves 61 MiB/s"
        )
        assert await rows(page, "drives") == ["nvme0n1", "sda"]
        assert await rows(page, "links") == ["eth0", "docker0"]
        assert await rows(page, "disk") == ["/", "/srv/data", "/mnt/backup", "/boot"]
        assert await rows(page, "load") == ["Processor", "Memory", "Disk"]
        assert await rows(page, "sensors") == ["Battery", "nvme Composite", "coretemp Package id 0"]
        assert (await rows(page, "processes"))[:3] == ["postgres", "ffmpeg", "java"]
        assert await rows(page, "containers") == ["mailer", "shop-api", "shop-web", "cache"]
        folds = {"drives": "4 idle", "links": "1 more, 7 idle", "containers": "2 stopped"}
        for panel, name in folds.items():
            await expect(page.locator(f"#{panel} summary")).to_have_text(name)
        cores = page.get_by_role("img", name="4 cores, the busiest 91 %, 1 of them busy")
        await expect(cores).to_be_visible()
        await expect(page.locator("#cost")).to_have_text(re.compile("^0.9 % of a core · 52 MiB"))
        assert complaints == []


@pytest.mark.parametrize("figures", HOSTS)
async def test_it_fits_on_one_screen_whatever_the_host_has(
    page: Page, figures: Callable[[int], Full], complaints: list[str]
) -> None:
    """On a desktop all of it; nothing is ever beside the page on a small phone."""
    async with scene(*sources(figures, hosts.MANY_CONTAINERS)) as at:
        at.tick(10)
        await page.set_viewport_size({"width": 1280, "height": 800})
        await visit(page, at.url)
        await expect(page.locator("#containers .more")).to_have_text("34 of 40 running")
        await expect(page.locator("#host")).to_have_text(figures(0).hostname)
        await expect(page.locator("#bottleneck strong")).not_to_have_text("No data yet")
        await expect(page.locator("#disk tbody tr").first).to_be_visible()
        assert await page.evaluate(SIZE) == [1280, 800]
        await page.set_viewport_size({"width": 320, "height": 600})
        assert (await page.evaluate(SIZE))[0] == 320
        assert complaints == []


async def test_what_is_not_known_is_not_made_up(page: Page) -> None:
    """A dash stands for it, and a group that cannot be read is named."""
    async with scene(HostSource(hosts.bare)) as at:
        at.tick(3)
        await visit(page, at.url)
        await expect(page.locator("#bottleneck strong")).to_have_text("/mnt/nfs does not answer")
        await expect(page.locator("#links .number")).to_have_text([UNKNOWN] * 2)
        await expect(page.locator("#errors")).to_have_text(
            "Cannot be read at present: network (EACCES)"
        )
        await expect(page.locator("#load .extra")).to_be_visible()
        await expect(page.locator("#processes")).to_be_hidden()
        await expect(page.locator("#containers")).to_be_hidden()


async def test_a_host_without_sensors_has_no_panel_for_them(page: Page) -> None:
    """Nor does the line say anything but that all is well."""
    async with scene(HostSource(hosts.idle)) as at:
        at.tick(3)
        await visit(page, at.url)
        await expect(page.locator("#bottleneck strong")).to_have_text("No bottleneck")
        await expect(page.locator("#disk tbody th")).to_have_text(["/"])
        await expect(page.locator("#sensors")).to_be_hidden()


async def test_the_past_of_the_traffic_is_shorter_than_that_of_the_rest(page: Page) -> None:
    """Messages in full detail are large: a look at the past in less is enough for the others."""
    async with scene(HostSource(hosts.busy)) as at:
        at.tick(200)
        await visit(page, at.url)
        await expect(page.locator("#drives .line")).to_have_attribute("d", re.compile("M.+M"))
        await expect(page.locator("#cpu .line")).to_have_attribute("d", re.compile("M.+"))
        read, written = await lines(page, "drives")
        assert 60 <= len(read) == len(written) <= 62
        (usage,) = await lines(page)
        assert len(usage) >= 190
        at.tick(201)
        await expect(page.locator("#age")).to_have_text("0 s old")
        assert len((await lines(page, "links"))[0]) == len(read) + 1


async def test_names_from_the_machine_are_only_text(page: Page) -> None:
    """They may be anything; what is too long is cut off, and told by its title."""
    hostile = '<img src=x onerror="document.title=1">' + "y" * 300
    program = evolve(BUSY_PROCESSES.items[0], name=hostile)
    there = evolve(BUSY_PROCESSES, items=[program])
    engine = [evolve(BUSY_CONTAINERS[0], name=hostile)]
    async with scene(HostSource(hosts.idle), processes_of(there), containers_of(engine)) as at:
        at.tick(3)
        await visit(page, at.url)
        for panel in ("processes", "containers"):
            name = page.locator(f"#{panel} tbody th").first
            await expect(name.locator("span")).to_have_text(hostile)
            await expect(name).to_have_attribute("title", re.compile("^<img src=x"))
        assert await page.locator("main img").count() == 0
        assert await page.evaluate("document.documentElement.scrollWidth") == 1280


# How it lives


async def test_nothing_jumps_when_things_come_and_go(page: Page) -> None:
    """Rows change, panels stay where they are and as large."""

    def changing(tick: int) -> Full:
        return evolve(
            hosts.busy(tick) if tick % 2 else hosts.idle(tick),
            temperatures=hosts.busy(tick).temperatures,
        )

    async with scene(*sources(changing)) as at:
        at.tick(11)
        await page.set_viewport_size({"width": 1280, "height": 800})
        await visit(page, at.url)
        await expect(page.locator("#host")).to_have_text("db-1")
        await expect(page.locator("#containers tbody tr").first).to_be_visible()
        before = await page.evaluate(PLACES)
        for tick, host in ((12, "idle-1"), (13, "db-1")):
            at.tick(tick)
            await expect(page.locator("#host")).to_have_text(host)
            assert await page.evaluate(PLACES) == before


async def test_a_fold_that_was_opened_stays_open(page: Page) -> None:
    """With the keyboard as well, and what is in it goes on."""
    async with scene(*sources(hosts.busy)) as at:
        at.tick(3)
        await visit(page, at.url)
        stopped = page.locator("#containers summary")
        await expect(stopped).to_have_text("2 stopped")
        await stopped.focus()
        await page.keyboard.press("Enter")
        inside = page.locator("#containers details tbody th > span")
        await expect(inside).to_have_text(["migrate-2023", "backup-once"])
        at.tick(10)
        await expect(inside.first).to_be_visible()


async def test_processes_are_sorted_by_keyboard(page: Page) -> None:
    """By processor time at first, or as one wants, which is not forgotten."""
    async with scene(*sources(hosts.busy)) as at:
        at.tick(3)
        await visit(page, at.url)
        table = page.get_by_role("table", name="Processes that use the host most", exact=True)
        first = table.locator("tbody th > span").first
        await expect(first).to_have_text("postgres")
        head = table.get_by_role("columnheader", name="memory")
        await expect(head).to_have_attribute("aria-sort", "none")
        await head.get_by_role("button").focus()
        await page.keyboard.press("Enter")
        await expect(head).to_have_attribute("aria-sort", "descending")
        await expect(first).to_have_text("java")
        at.tick(10)
        await expect(page.locator("#age")).to_have_text("0 s old")
        await expect(first).to_have_text("java")
        await expect(head.get_by_role("button")).to_be_focused()


async def test_what_costs_the_server_is_not_asked_for_too_often(page: Page) -> None:
    """However often the figures of the host are wanted."""
    sent: list[str] = []
    await page.add_init_script(ALONE)
    page.on("websocket", lambda socket: socket.on("framesent", lambda text: sent.append(str(text))))
    async with scene(*sources(hosts.busy)) as at:
        at.tick(3)
        await visit(page, at.url)
        await expect(page.locator("#processes .more")).to_contain_text("312 in all")
    asked = {
        re.findall('"channel":"([a-z]+)"', text)[0]: re.findall('"interval":([0-9]+)', text)[0]
        for text in sent
        if "subscribe" in text
    }
    assert asked == {"metrics": "1000", "processes": "5000", "containers": "5000"}


class Engine(SyntheticSource):
    """Containers of an engine that may not be there."""

    def render(self, _window: Window, _detail: Detail) -> Any:  # noqa: ANN401 - as it is declared
        return BUSY_CONTAINERS


async def test_without_a_container_engine_there_is_no_panel_but_a_word(page: Page) -> None:
    """The rest goes on, and so does the panel as soon as there is an engine."""
    engine = Engine("containers")
    engine.message = ContainersMessage
    engine.vanish("no Docker, no Podman")
    settings = Settings(tick=500)
    (host,) = (each for each in default_sources(settings) if each.channel == "metrics")
    async with serving(create_hub(settings, [host, engine]), settings) as served:
        await visit(page, served.http)
        await is_live(page)
        await expect(page.locator("#absent")).to_have_text("No containers: no Docker, no Podman")
        await expect(page.locator("#containers")).to_be_hidden()
        engine.failure = None
        await expect(page.locator("#containers tbody tr").first).to_be_visible(timeout=20_000)
        await expect(page.locator("#absent")).to_be_empty()
