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
import socket
import time
from types import FrameType

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.server import HANDLED_SIGNALS

from app.core.broadcaster import Broadcaster
from app.drain import drain
from app.factory import create_app
from app.garbage import calm
from app.listen import BACKLOG, ListenError, bind, raise_descriptor_limit, release, url
from app.settings import Settings
from transports.connection import Direct
from transports.direct import protocols
from transports.stall import StallWatch

__all__ = ["DrainingServer", "make_config", "serve"]

logger = logging.getLogger(__name__)

WS_MAX_BYTES = 64 * 1024
"""A client's message is at most 16 KiB; what is larger is still read so far, to be answered."""
PING_S = 20.0
KEEP_ALIVE_S = 30
CUT_S = 0.3
"""Time that what is still open when uvicorn stops has to end by itself."""
BACKSTOP_S = 1
"""After this uvicorn cancels what has not ended though it was cut."""
LAST_RESORT_S = 0.9
"""Time that the process has to end after a second signal."""


class DrainingServer(Server):
    """A uvicorn server that drains before it stops; a second signal stops it at once.

    ``window_s`` is the drain window in seconds. The signals are not raised again at the end.
    """

    def __init__(
        self, config: Config, hub: Broadcaster, window_s: float, watch: StallWatch
    ) -> None:
        super().__init__(config)
        self._watch = watch
        self._hub = hub
        self._window_s = window_s
        self._drain: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signals = 0

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve on these sockets until told to stop."""
        self._loop = asyncio.get_running_loop()
        try:
            await super().serve(sockets)
        finally:
            self._loop = None

    async def on_tick(self, counter: int) -> bool:
        """Look for stalled readers; uvicorn calls this ten times a second."""
        self._watch.sweep(time.monotonic())
        self._hub.counters.evictions = self._watch.evicted
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and cut what does not end by itself."""
        # uvicorn would cancel it, and log that as a crash of the application.
        cut = asyncio.get_running_loop().call_later(CUT_S, self._cut)
        await super().shutdown(sockets)
        cut.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's
        """Drain on the first signal, stop on the second."""
        self._signals += 1
        if self._signals == 2 and signal.getsignal(sig) == self.handle_exit:  # noqa: PLR2004 - the second
            # An event loop that is stuck, in writing its log to a full pipe say, would never know;
            # SIGALRM, which nobody handles, ends the process without it.
            signal.setitimer(signal.ITIMER_REAL, LAST_RESORT_S)
        if self._loop is None:
            self.should_exit = True
        else:
            self._loop.call_soon_threadsafe(self._on_signal, signal.Signals(sig).name)

    def _on_signal(self, name: str) -> None:
        if self._drain is None:
            logger.info("%s: draining; again to stop at once", name)
            self._drain = asyncio.ensure_future(self._drain_and_stop())
        else:
            logger.info("%s: stopping at once", name)
            self._drain.cancel()
            self.should_exit = True
            self._cut()

    async def _drain_and_stop(self) -> None:
        try:
            await drain(self._hub, self._window_s)
        except Exception:
            logger.exception("the drain failed")
        self._cut(stalled=True)
        self.should_exit = True

    def _cut(self, *, stalled: bool = False) -> None:
        """End all connections, or only those whose reader leaves bytes waiting."""
        for connection in list(self.server_state.connections):
            transport = connection.transport
            if isinstance(connection, Direct) and connection.below is not None:
                # asyncio's TLS transport does not tell what waits, nor always obey.
                transport = connection.below
            if not stalled or transport.get_write_buffer_size():
                transport.abort()


def make_config(settings: Settings, app: ASGIApp, watch: StallWatch) -> Config:
    """Make uvicorn's configuration out of ours."""
    websocket, http = protocols(watch)
    return Config(
        app,
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
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )


def _load(config: Config, settings: Settings) -> None:
    """Let uvicorn read the certificate now, while a mistake can still be told in one line."""
    try:
        config.load()
    except OSError as error:
        reason = error.strerror or str(error)
        files = " and ".join(str(path) for path in (settings.tls_cert, settings.tls_key) if path)
        raise ListenError(f"cannot serve under TLS with {files}: {reason}") from error


def serve(settings: Settings, hub: Broadcaster | None = None) -> int:
    """Serve until a signal says stop; the last deed of a process, on its main thread.

    From the moment that it listens SIGTERM and SIGINT are its own, and afterwards they are
    ignored: one that came while the interpreter ends would turn the status into another.

    Returns:
        The exit status.

    Raises:
        ListenError: the address cannot be listened on, or the certificate not be used.
        SystemExit: the application could not start (status 3, as uvicorn has it).
    """
    raise_descriptor_limit()
    app = create_app(settings, hub)
    watch = StallWatch(settings.stall_timeout)
    config = make_config(settings, app, watch)
    _load(config, settings)
    server = DrainingServer(config, app.state.hub, settings.drain, watch)
    calm()
    with bind(settings) as sock:
        for number in HANDLED_SIGNALS:
            signal.signal(number, server.handle_exit)
        try:
            logger.info("Pulsewire is at %s", url(sock, settings))
            server.run([sock])
        finally:
            release(sock)
            for number in HANDLED_SIGNALS:
                signal.signal(number, signal.SIG_IGN)
    return 0
