"""An ASGI application under plain uvicorn, at its fastest settings, that publishes when told."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from uvicorn import Config, Server

from benchmarks.servers.control import Publish, announce, obey


def run(app: Any, publish: Publish) -> None:  # noqa: ANN401 - any ASGI application
    """Serve on the port of the command line until the input ends."""
    asyncio.run(_run(app, publish, int(sys.argv[1])))


async def _run(app: Any, publish: Publish, port: int) -> None:  # noqa: ANN401
    config = Config(
        app,
        port=port,
        http="httptools",
        ws="websockets-sansio",
        loop="asyncio",
        ws_per_message_deflate=False,
        access_log=False,
        log_level="error",
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve())
    while not (server.started or serving.done()):  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0.01)
    announce(port)
    await obey(publish)
