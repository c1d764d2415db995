"""The dashboard before a server whose ticks the test gives, over a network that may fail."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import define, field, frozen

from app.core.source import Source, Window
from app.settings import Settings
from schema.fields import Detail
from schema.memory import Memory
from schema.messages import DataMessage
from schema.metrics import Cpu, Disk, MetricsMessage, Standard
from tests.relay import Relay, relaying
from tests.serving import DrivenHub, driven_hub, serving
from transports.base import Wire

if TYPE_CHECKING:
    from playwright.async_api import Page

GIB = 2**30


async def visit(page: Page, address: str, seconds: int = 1) -> None:
    """Open the dashboard as somebody who has chosen this interval before."""
    await page.goto(f"{address}/favicon.svg")
    await page.evaluate(f"localStorage.setItem('pulsewire.interval', {seconds * 1000})")
    await page.goto(f"{address}/")


async def is_live(page: Page, within_s: float = 10) -> None:
    # Where Playwright is absent, whoever needs a browser is skipped.
    from playwright.async_api import expect  # noqa: PLC0415

    await expect(page.locator("#state")).to_have_text("Live", timeout=within_s * 1000)


async def lines(page: Page, panel: str = "cpu") -> list[list[tuple[float, float]]]:
    """Return what is drawn: lines of points."""
    drawn = await page.locator(f"#{panel} .line").get_attribute("d") or ""
    parts = [part.removesuffix("h0").split("L") for part in drawn.split("M")[1:]]
    return [[(float(x), float(y)) for x, y in map(str.split, part)] for part in parts]


@frozen
class Scripted:
    """Figures that follow from the number of the tick: the CPU is as busy as that is high."""

    channel: ClassVar[str] = MetricsMessage.TAG
    message: ClassVar[type[DataMessage]] = MetricsMessage
    details: ClassVar[tuple[Detail, ...]] = (Detail.STANDARD,)
    always: ClassVar[bool] = True
    hostname: str = "web-1"
    load: float = 1.5

    def sample(self) -> int:
        raise NotImplementedError

    def render(self, window: Window, _detail: Detail) -> Standard:
        tick: int = window.last
        return Standard(
            cpu=Cpu(tick % 100, 4, [self.load, 0.5, 0.25]),
            memory=Memory(total=16 * GIB, used=4 * GIB, free=12 * GIB, usage=25.0),
            disk=Disk(total=100 * GIB, used=91 * GIB, free=8 * GIB, usage=91.9, path="/srv"),
            uptime=3 * 86_400 + 4 * 3600 + tick,
            hostname=self.hostname,
        )


@define(eq=False)
class Scene:
    """A server whose ticks the test gives; `url` leads to it over a network that may fail."""

    hub: DrivenHub
    url: str
    relay: Relay
    now: int = 0
    _ticking: asyncio.Task[None] | None = field(default=None)

    def tick(self, last: int, **options: Any) -> None:  # noqa: ANN401
        """Publish every tick up to that one."""
        for tick in range(self.now + 1, last + 1):
            self.leap(tick, **options)

    def leap(self, tick: int, **options: Any) -> None:  # noqa: ANN401
        """Publish that tick, and none of those before it."""
        self.hub.tick(tick, **options)
        self.now = tick

    async def streams(self) -> None:
        """Wait until the page has figures on its stream; before, it may have those of a poll."""
        async with asyncio.timeout(10):
            while not self.hub.counters.deliveries[Wire.WEBSOCKET]:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def ticking(self) -> AsyncIterator[None]:
        """Let time go on."""

        async def go_on() -> None:
            while True:
                self.tick(self.now + 1)
                await asyncio.sleep(0.5)

        task = asyncio.create_task(go_on())
        try:
            yield
        finally:
            task.cancel()


@contextlib.asynccontextmanager
async def scene(*sources: Source, heartbeat: int = 15_000) -> AsyncIterator[Scene]:
    settings = Settings(tick=1000, interval=1000, heartbeat=heartbeat)
    hub = driven_hub(sources or [Scripted()], settings)
    async with serving(hub, settings) as served, relaying(served.port) as relay:
        yield Scene(hub, relay.url, relay)
