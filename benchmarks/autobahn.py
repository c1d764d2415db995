"""The echo servers of the Autobahn suite: our protocol class, and uvicorn's as it is.

``python -m benchmarks.autobahn ours|plain PORT``; ``nox -s autobahn`` runs both.
"""

from __future__ import annotations

import sys

import uvicorn
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from transports.direct import protocols
from transports.stall import StallWatch


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Send back whatever comes."""
    websocket = WebSocket(scope, receive, send)
    await websocket.accept()
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            await websocket.send({**message, "type": "websocket.send"})
    except WebSocketDisconnect:
        return


def main() -> None:
    """Serve until killed."""
    kind, port = sys.argv[1:]
    websocket, http = protocols(StallWatch(20))
    ours = {"ws": websocket, "http": http}
    plain = {"ws": "websockets-sansio", "http": "httptools"}
    uvicorn.run(
        echo,
        port=int(port),
        lifespan="off",
        log_level="error",
        ws_per_message_deflate=False,
        **(ours if kind == "ours" else plain),
    )


if __name__ == "__main__":
    main()
