"""A stage for scenarios: a real server, a hub whose ticks the test gives, and clients that join.

When a scenario is over its clients go, and the server must have forgotten them all. Test modules
that name this one in ``pytest_plugins`` have the fixtures ``server``, ``wire`` and ``stage``, and
so run on every server and transport.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

import pytest
from attrs import define, field

from app.core.broadcaster import Broadcaster
from app.core.clock import Clock
from app.core.source import Source
from app.settings import Settings
from tests.clients import WIRES, Client, PollClient, Want, connect
from tests.serving import SERVERS, DrivenHub, Served, driven_hub, serving
from tests.synthetic import SyntheticSource

PATIENCE_S = 10.0


@define(eq=False)
class HandClock:
    """The machine's clock, which a test can put forward, or stop."""

    ahead: float = 0.0
    stopped_at: float | None = None

    def monotonic(self) -> float:
        """Seconds."""
        now = time.monotonic() if self.stopped_at is None else self.stopped_at
        return now + self.ahead

    async def sleep_until(self, _moment: float) -> None:
        """Let whoever waits have a look soon."""
        await asyncio.sleep(0.01)

    @property
    def clock(self) -> Clock:
        """What the hub is given."""
        return Clock(monotonic=self.monotonic, sleep_until=self.sleep_until)


@define(eq=False)
class Stage:
    """A server, its hub, and the clients that have joined."""

    served: Served
    hub: DrivenHub
    time: HandClock
    clients: list[Client] = field(factory=list)

    def tick(self, first: int, last: int | None = None, **options: Any) -> None:  # noqa: ANN401
        """Publish all channels at a tick, or at a range of ticks with nobody else running."""
        for tick in range(first, (first if last is None else last) + 1):
            self.hub.tick(tick, **options)

    @property
    def head(self) -> str:
        """The newest cursor."""
        return self.cursor(self.hub.log.head)

    def cursor(self, seq: int) -> str:
        """A cursor of this log."""
        return f"{self.hub.log.epoch}:{seq}"

    async def connect(self, wire: str, **options: Any) -> Client:  # noqa: ANN401 - of the client
        """Let a client in."""
        client = await connect(wire, self.served, **options)
        self.clients.append(client)
        return client

    async def join(
        self,
        wire: str,
        *wants: Want,
        since: str | None = None,
        history: int | None = None,
        **options: Any,  # noqa: ANN401 - of the client
    ) -> Client:
        """Let a client in that subscribes."""
        client = await self.connect(wire, **options)
        await client.subscribe(*wants, since=since, history=history)
        return client

    async def settled(self, client: Client) -> None:
        """Wait until the server has judged a subscription that has no message at once."""
        if isinstance(client, PollClient):
            before = self.hub.clients()[client.WIRE]
            client.ask()
            await self.parked(before + 1)
        else:
            await client.until("subscribed")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something has become true in this process, that nobody announces."""
        patience = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < patience, "it never came true"
            await asyncio.sleep(0.001)

    async def parked(self, polls: int) -> None:
        """Wait until so many polls are held."""
        await self.until(lambda: self.hub.clients()[PollClient.WIRE] == polls)

    async def rendered(self, renders: int) -> None:
        """Wait until so many messages have been rendered, and so are on their way."""
        await self.until(lambda: self.hub.counters.renders >= renders)

    async def gone(self, left: int) -> None:
        """Wait until the server knows of no more than so many clients."""
        await self.until(lambda: len(self.hub.sessions) <= left)

    async def dismiss(self) -> None:
        """Let all clients go."""
        await asyncio.gather(*(client.aclose() for client in self.clients))

    async def clear(self) -> None:
        """Let all clients go, and see that the server has forgotten them."""
        await self.dismiss()
        await self.gone(left=0)
        assert self.hub.cohorts == 0


class LiveHub(DrivenHub):
    """A hub with samplers that run by the clock."""

    start = Broadcaster.start


class Opener(Protocol):
    """Sets up a stage: ``async with stage("alpha", max_clients=3) as at``."""

    def __call__(
        self,
        *channels: str,
        sources: Sequence[Source] = (),
        live: bool = False,
        epoch: str | None = None,
        **settings: Any,  # noqa: ANN401 - as Settings has them
    ) -> contextlib.AbstractAsyncContextManager[Stage]:
        """Serve synthetic channels, or any sources; ``live`` ones are sampled by the clock."""


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    """Every server that the project knows."""
    return str(request.param)


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> str:
    """Every transport."""
    return str(request.param)


@pytest.fixture(scope="module")
async def leaving() -> AsyncIterator[list[asyncio.Future[None]]]:
    """Servers on their way out: uvicorn sleeps for 0.2 s of that, and the next test need not."""
    servers: list[asyncio.Future[None]] = []
    yield servers
    await asyncio.gather(*servers)


@pytest.fixture
def stage(leaving: list[asyncio.Future[None]], server: str) -> Opener:
    """Set up a stage on one of the servers; its server has not yet ended when the stage is left."""

    @contextlib.asynccontextmanager
    async def opened(
        *channels: str,
        sources: Sequence[Source] = (),
        live: bool = False,
        epoch: str | None = None,
        **settings: Any,  # noqa: ANN401 - as Settings has them
    ) -> AsyncIterator[Stage]:
        chosen = Settings(**settings)
        sources = sources or [SyntheticSource(name) for name in channels]
        hub = driven_hub(sources, chosen, epoch)
        if live:
            hub = LiveHub(sources, hub.settings)
        hub.clock = (hand := HandClock()).clock
        stack = contextlib.AsyncExitStack()
        set_up = Stage(await stack.enter_async_context(serving(hub, chosen, server)), hub, hand)
        try:
            yield set_up
            await set_up.clear()
        finally:
            await set_up.dismiss()
            leaving.append(asyncio.ensure_future(stack.aclose()))

    return opened
