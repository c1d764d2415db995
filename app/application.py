"""The application: Starlette, and a short way past it for the transports' requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Application"]


class Application(Starlette):
    """Starlette, whose layers and routes cost a poll as much as the rest of its way in.

    So what comes to the path of a transport goes to its ``lane``, an application that is guarded
    by itself. All the same it needs a route: for other methods, and other ways to write the path.
    """

    def __init__(self, lanes: Mapping[tuple[str, str], ASGIApp], **options: Any) -> None:  # noqa: ANN401 - Starlette's
        super().__init__(**options)
        self._lanes = lanes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection or one request."""
        lane = self._lanes.get((scope["type"], scope.get("path", "")))
        if lane is None or scope.get("method", "GET") != "GET":
            await super().__call__(scope, receive, send)
        else:
            await lane(scope, receive, send)
