"""The obvious event stream: sse-starlette, and a queue for each client.

``python -m benchmarks.servers.sse_library PORT``
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from benchmarks.payload import payload
from benchmarks.servers.uvicorn_app import run

queues: set[asyncio.Queue[str]] = set()


async def connect(_request: Request) -> EventSourceResponse:
    """Serve one client."""
    return EventSourceResponse(events(), sep="\n")


async def events() -> AsyncIterator[dict[str, str]]:
    """Yield what comes."""
    queue: asyncio.Queue[str] = asyncio.Queue()
    queues.add(queue)
    try:
        while True:
            yield {"event": "bench", "data": await queue.get()}
    finally:
        queues.discard(queue)


async def publish(sent_ns: int) -> None:
    """Put it into every queue."""
    text = payload(sent_ns)
    for queue in queues:
        queue.put_nowait(text)


if __name__ == "__main__":
    run(Starlette(routes=[Route("/", connect)]), publish)
