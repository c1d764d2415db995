"""Where things meet: sources, hub, adapters, guard, routes. Nowhere else."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from app import __version__
from app.application import Application
from app.core.broadcaster import Broadcaster, HubSettings
from app.core.source import Source
from app.guard import guarded
from app.routes import Routes
from app.settings import Settings
from app.sources.host import HostSource
from transports.longpoll import LongPollTransport
from transports.sse import SseTransport
from transports.websocket import WebSocketTransport


def default_sources(settings: Settings) -> list[Source]:
    """Return the sources of a server; a new channel is one more line here."""
    return [
        HostSource(disk_path=settings.disk_path),
    ]


def create_hub(
    settings: Settings, sources: Iterable[Source], *, epoch: str | None = None
) -> Broadcaster:
    """Make the hub that the settings ask for."""
    return Broadcaster(
        sources,
        HubSettings(
            host=socket.gethostname(),
            version=__version__,
            tick_ms=settings.tick,
            interval_ms=settings.interval,
            heartbeat_ms=settings.heartbeat,
            history_s=settings.history,
            max_clients=settings.max_clients,
            epoch=epoch,
        ),
    )


def create_app(settings: Settings, hub: Broadcaster | None = None) -> Starlette:
    """Make the ASGI application; its hub, ``app.state.hub``, lives as long as its lifespan."""
    hub = hub or create_hub(settings, default_sources(settings))

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await hub.start()
        try:
            yield
        finally:
            await hub.stop()

    websocket, sse, poll = WebSocketTransport(hub), SseTransport(hub), LongPollTransport(hub)
    routes: list[BaseRoute] = [
        WebSocketRoute("/api/ws", websocket),
        Route("/api/sse", sse, methods=["GET"]),
        Route("/api/poll", poll, methods=["GET"]),
        *Routes(hub).all(),
    ]
    if settings.root_path:
        # Both for a proxy that strips the prefix and for one that does not.
        routes.append(Mount(settings.root_path, routes=list(routes)))
    rules: dict[str, Any] = {
        "allowed_origins": settings.allowed_origins,
        "allowed_hosts": settings.allowed_hosts,
        "machine_name": socket.gethostname(),
    }
    lanes = {
        (kind, prefix + path): guarded(transport, **rules)
        for kind, path, transport in (
            ("websocket", "/api/ws", websocket),
            ("http", "/api/sse", sse),
            ("http", "/api/poll", poll),
        )
        for prefix in {"", settings.root_path}
    }
    guard = Middleware(guarded, **rules)
    app = Application(lanes, routes=routes, lifespan=lifespan, middleware=[guard])
    app.state.hub = hub
    return app
