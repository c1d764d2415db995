"""A real server on a loopback socket, in the test's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterable

from attrs import define, evolve
from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config as HypercornConfig
from starlette.applications import Starlette

from app.core.broadcaster import Broadcaster
from app.core.log import Publication, Reading
from app.core.source import Source
from app.factory import create_app, create_hub
from app.listen import bind
from app.server import DrainingServer, make_config
from app.settings import Settings
from schema.fields import GapReason
from tests.authority import authority
from transports.stall import StallWatch

SERVERS = ("httptools", "h11", "hypercorn")
# The direct path and the ordinary one, with TLS below them. They are for the scenarios in which
# bytes leave, streams end and clients come back: conformance and hopping, and, on the direct path
# alone, resuming and slow readers. Not for those of one request, of the shape of a message or of
# what the server tells of itself: TLS has no part in them.
TLS_SERVERS = ("httptools+tls", "h11+tls")


@define(eq=False)
class Served:
    """A server that runs, and the hub behind it; under TLS its clients need ``trust``."""

    hub: Broadcaster
    port: int
    server: DrainingServer | None = None
    trust: ssl.SSLContext | None = None

    @property
    def http(self) -> str:
        """Its address for HTTP clients."""
        return f"http{self._s}://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        """Its address for WebSocket clients."""
        return f"ws{self._s}://127.0.0.1:{self.port}/api/ws"

    @property
    def _s(self) -> str:
        return "" if self.trust is None else "s"


class DrivenHub(Broadcaster):
    """A hub whose log is written by the test, tick by tick, instead of by samplers."""

    async def start(self) -> None:
        """Start the heartbeats only."""
        if self._beating is None:
            self._beating = asyncio.get_running_loop().create_task(self._beat())

    def tick(self, tick: int, *channels: str, hole: GapReason | None = None) -> list[Publication]:
        """Publish a sample of each channel at a tick; its number is the tick's."""
        published = []
        for channel in channels or self.samplers:
            ring = self.log.ring(channel, self.settings.host)
            seconds = tick * self.settings.tick_ms / 1000
            reading = Reading(seconds, 1_700_000_000_000 + round(seconds * 1000), tick)
            base = None
            if ring.newest is None or hole is not None:
                base = Reading(seconds - 0.2, reading.timestamp - 200, tick)
            published.append(
                self.log.append(channel, self.settings.host, tick, reading, base=base, hole=hole)
            )
        self.publish(published)
        return published


def driven_hub(
    sources: Iterable[Source], settings: Settings, epoch: str | None = None
) -> DrivenHub:
    """Make a hub that the test drives."""
    hub = create_hub(settings, sources, epoch=epoch)
    return DrivenHub(sources, hub.settings)


@contextlib.asynccontextmanager
async def serving(
    hub: Broadcaster | None = None, settings: Settings | None = None, server: str = "httptools"
) -> AsyncIterator[Served]:
    """Serve on a free port of 127.0.0.1; ``server`` is one of SERVERS or TLS_SERVERS."""
    settings = evolve(settings or Settings(), port=0)
    kind, _, tls = server.partition("+")
    trust = None
    if tls:
        settings, trust = evolve(settings, tls_cert=authority().pem), authority().trust
    app = create_app(settings, hub)
    sock = bind(settings)
    port = sock.getsockname()[1]
    run = _hypercorn if kind == "hypercorn" else _uvicorn
    async with run(app, sock, settings, kind) as uvicorn_server:
        yield Served(app.state.hub, port, uvicorn_server, trust)


@contextlib.asynccontextmanager
async def _uvicorn(
    app: Starlette, sock: socket.socket, settings: Settings, http: str
) -> AsyncIterator[DrainingServer]:
    watch = StallWatch(settings.stall_timeout)
    config = make_config(settings, app, watch)
    if http == "h11":
        # The ordinary path on both wires: uvicorn's own classes.
        config.http, config.ws = "h11", "websockets-sansio"
    server = _QuietServer(config, app.state.hub, settings.drain, watch)
    task = asyncio.create_task(server.serve([sock]))
    try:
        while not server.started:
            await asyncio.sleep(0)
            if task.done():
                task.result()
        yield server
    finally:
        server.should_exit = True
        await task


class _QuietServer(DrainingServer):
    """Leaves the test runner's signal handlers alone."""

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()


@contextlib.asynccontextmanager
async def _hypercorn(
    app: Starlette, sock: socket.socket, _settings: Settings, _http: str
) -> AsyncIterator[None]:
    config = HypercornConfig()
    # Hypercorn closes the descriptor that it is given.
    config.bind = [f"fd://{sock.detach()}"]
    config.graceful_timeout = 0.2
    stop = asyncio.Event()
    served = hypercorn_serve(app, config, shutdown_trigger=stop.wait)  # type: ignore[arg-type]
    task = asyncio.create_task(served)
    try:
        while not (app.state.hub._beating or task.done()):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0)
        yield None
    finally:
        stop.set()
        await task
