"""python-socketio, WebSocket only, and its ``emit`` to all.

``python -m benchmarks.servers.python_socketio PORT``
"""

from __future__ import annotations

import importlib
import json

from benchmarks.payload import payload
from benchmarks.servers.uvicorn_app import run

# By name, since type checkers need not find it: it is there for this comparison only.
socketio = importlib.import_module("socketio")
server = socketio.AsyncServer(async_mode="asgi", transports=["websocket"])


async def publish(sent_ns: int) -> None:
    """Emit to all."""
    await server.emit("message", json.loads(payload(sent_ns)))


if __name__ == "__main__":
    run(socketio.ASGIApp(server), publish)
