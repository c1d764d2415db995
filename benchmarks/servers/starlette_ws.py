"""The obvious WebSocket server: Starlette, and a loop over ``send_text``.

``python -m benchmarks.servers.starlette_ws PORT``
"""

from __future__ import annotations

import contextlib

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from benchmarks.payload import payload
from benchmarks.servers.uvicorn_app import run

clients: set[WebSocket] = set()


async def connect(websocket: WebSocket) -> None:
    """Serve one client."""
    await websocket.accept()
    clients.add(websocket)
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await websocket.receive_text()
    clients.discard(websocket)


async def publish(sent_ns: int) -> None:
    """Send to one after the other."""
    text = payload(sent_ns)
    for websocket in list(clients):
        await websocket.send_text(text)


if __name__ == "__main__":
    run(Starlette(routes=[WebSocketRoute("/", connect)]), publish)
