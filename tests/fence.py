"""What may stand between a client and a server's transports: proxies, as bad as they come."""

from __future__ import annotations

import asyncio

from attrs import define, field
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.serving import Served

WEBSOCKET, SSE, POLL = "/api/ws", "/api/sse", "/api/poll"


@define(eq=False)
class Fence:
    """Wraps an application.

    ``refused`` answers a path with a status of its own, ``hanging`` never answers it, ``altered``
    has the answer made by another application; streams are held back while they are ``held``.
    ``asked`` are the paths that were asked for.
    """

    app: ASGIApp
    refused: dict[str, int] = field(factory=dict)
    hanging: set[str] = field(factory=set)
    altered: dict[str, ASGIApp] = field(factory=dict)
    asked: list[str] = field(factory=list)
    _passing: asyncio.Event = field(factory=asyncio.Event)
    _open: asyncio.Event = field(factory=asyncio.Event)

    def hold(self) -> None:
        """Pass no part of an event stream on, and lose none."""
        self._passing.clear()

    def release(self) -> None:
        """Pass on what was held."""
        self._passing.set()

    def tear_down(self) -> None:
        """Let everybody through, those who wait too."""
        self.refused.clear()
        self.hanging.clear()
        self.altered.clear()
        self._open.set()
        self.release()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        path = scope.get("path", "")
        self.asked.append(path)
        if path in self.hanging:
            await self._open.wait()
        app = self.altered.get(path, self.app)
        if path in self.refused:
            await self._refuse(scope, receive, send, self.refused[path])
        elif path == SSE:
            # Without the direct path, what is sent can be held back.
            await app({**scope, "extensions": {}}, receive, self._slow(send))
        else:
            await app(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, status: int) -> None:
        response = Response("no way", status)
        if scope["type"] == "websocket":
            await receive()
        await response(scope, receive, send)

    def _slow(self, send: Send) -> Send:
        async def slow(message: Message) -> None:
            await self._passing.wait()
            await send(message)

        return slow


def fence(served: Served) -> Fence:
    """Put a fence in front of a server that runs; it holds for new connections."""
    assert served.server is not None
    config = served.server.config
    built = Fence(config.loaded_app)
    built.release()
    config.loaded_app = built
    return built


def answering(status: int, body: str, **headers: str) -> ASGIApp:
    """Make an application that always gives this answer."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = Response(body, status)
        MutableHeaders(raw=response.raw_headers).update(
            {name.replace("_", "-"): text for name, text in headers.items()}
        )
        await response(scope, receive, send)

    return app
