"""The obvious long-poll server: Starlette, and one future that all requests wait for.

``python -m benchmarks.servers.starlette_poll PORT``
"""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.payload import payload
from benchmarks.servers.uvicorn_app import run

waiting: list[asyncio.Future[str]] = []


async def poll(_request: Request) -> Response:
    """Answer with the next message."""
    if not waiting:
        waiting.append(asyncio.get_running_loop().create_future())
    return Response(await asyncio.shield(waiting[0]), media_type="application/json")


async def publish(sent_ns: int) -> None:
    """Wake all who wait."""
    if waiting:
        waiting.pop().set_result(payload(sent_ns))


if __name__ == "__main__":
    run(Starlette(routes=[Route("/", poll)]), publish)
