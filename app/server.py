"""uvicorn, taught to say goodbye.

By itself uvicorn closes its listener at once on SIGTERM (so nobody can read a red ``/readyz``),
never ends an open stream, and raises the signal again when it is done (status -15); and
sse-starlette, which hooks into it, cuts its streams without a farewell. So the signal is ours
first: drain, end the streams, and only then let uvicorn stop. sse-starlette finds out by itself,
from ``should_exit``, and has nothing left to cut.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from types import FrameType

from uvicorn import Config, Server
from uvicorn.config import STARTUP_FAILURE

from app.core.broadcaster import Broadcaster
from app.drain import drain
from app.factory import create_app
from app.listen import bind, raise_descriptor_limit, release, url
from app.settings import Settings
from transports.direct import protocols
from transports.stall import StallWatch

logger = logging.getLogger(__name__)

# A message of a client is at most 16 KiB; what is larger is still read so far, to be answered.
WS_MAX_BYTES = 64 * 1024
PING_S = 20.0
KEEP_ALIVE_S = 30
# When the drain is over nothing should be open; what is, a stalled reader say, is cut.
BACKSTOP_S = 1
BACKLOG = 2048


class DrainingServer(Server):
    """A uvicorn server that drains before it stops; a second signal stops it at once."""

    def __init__(
        self, config: Config, hub: Broadcaster, window_s: float, watch: StallWatch
    ) -> None:
        super().__init__(config)
        self._watch = watch
        self._hub = hub
        self._window_s = window_s
        self._drain: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def on_tick(self, counter: int) -> bool:
        """Look for stalled readers once a second; uvicorn calls this ten times."""
        if counter % 10 == 0:
            self._watch.sweep(time.monotonic())
        return await super().on_tick(counter)

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Start to serve, remembering the loop that signals are to be handed to."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)  # type: ignore[arg-type]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's hook
        """Drain on the first signal, stop on the second; the signal is not raised again."""
        if self._loop is None:
            self.should_exit = True
        else:
            self._loop.call_soon_threadsafe(self._on_signal, signal.Signals(sig).name)

    def _on_signal(self, name: str) -> None:
        if self._drain is None:
            logger.info("%s: draining; again to stop at once", name)
            self._drain = asyncio.ensure_future(self._go())
        else:
            logger.info("%s: stopping at once", name)
            self.should_exit = self.force_exit = True

    async def _go(self) -> None:
        try:
            await drain(self._hub, self._window_s)
        finally:
            self.should_exit = True


def make_config(settings: Settings, app: object, watch: StallWatch) -> Config:
    """Make uvicorn's configuration out of ours."""
    websocket, http = protocols(watch)
    return Config(
        app,  # type: ignore[arg-type]
        http=http,
        ws=websocket,
        loop="asyncio",
        lifespan="on",
        backlog=BACKLOG,
        log_config=None,
        access_log=settings.access_log,
        server_header=False,
        ws_max_size=WS_MAX_BYTES,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        # 60 to 200 KiB a connection, and a compressor's work for each message and client.
        ws_per_message_deflate=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=BACKSTOP_S,
    )


def serve(settings: Settings) -> int:
    """Serve until a signal says stop.

    Returns:
        The exit status: 0, or 3 if the application could not start.

    Raises:
        ListenError: the address cannot be listened on.
    """
    raise_descriptor_limit()
    sock = bind(settings)
    app = create_app(settings)
    watch = StallWatch(settings.stall_timeout)
    config = make_config(settings, app, watch)
    server = DrainingServer(config, app.state.hub, settings.drain, watch)
    logger.info("Pulsewire is at %s", url(sock, settings))
    try:
        server.run([sock])
    finally:
        release(sock)
    return 0 if server.started else STARTUP_FAILURE
