"""Direct writes under uvicorn: frames go straight to the transport, past ASGI's ``send``.

Two subclasses of uvicorn's protocol classes, passed to it as ``ws=`` and ``http=``, put
themselves as a sink into ``scope["extensions"]``. An adapter attaches its session to the sink; from
then on the session's frames, and the cohorts' fan-outs, are written by one call each, without a
task, an ``await`` or a method call for each client. What uvicorn sends of its own accord (a ping, a
close) still comes between whole messages, since everything runs in one loop.

``scope["extensions"]`` is ASGI's own place for what only one server can do. The attributes of
uvicorn that are used here are private; ``pyproject.toml`` holds it to the versions that were
tested, and ``tests/test_direct.py`` fails by name when one of them is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import OPEN

from schema.frame import Frame
from transports.answer import CLOSE, head
from transports.base import DIRECT, Adding, Close, Headers, Send, Session, Whole, Wire
from transports.connection import INBOX, Direct
from transports.stall import StallWatch

CHUNKED = (b"transfer-encoding", b"chunked")


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a ``send`` of uvicorn's, which comes to its end at once on a clear wire."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()


class DirectWebSocket(Direct, WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, with a sink."""

    wire = Wire.WEBSOCKET

    async def run_asgi(self) -> None:
        """Offer the sink to the application."""
        self.scope["extensions"][DIRECT] = self  # type: ignore[assignment]
        await super().run_asgi()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of what only the garbage collector could free."""
        super().connection_lost(exc)
        # After a handshake that failed there is none.
        if hasattr(self, "scope"):
            self.scope["extensions"].pop(DIRECT, None)
        # A generator of websockets' that knows its own object.
        self.conn.parser.close()

    def attach(self, session: Session) -> bool:
        """Forget the headers of the handshake, too: the scope has them, and 3 kB are freed."""
        attached = super().attach(session)
        if attached:
            self.request.headers.clear()
            self.response.headers.clear()
        return attached

    def usable(self) -> bool:
        """Whether the handshake is done and no close is under way."""
        return (
            self.handshake_complete
            and not self.close_sent
            and not self.disconnected
            and self.conn.state is OPEN
            and not self.transport.is_closing()
        )

    def encode(self, frame: Frame) -> bytes:
        """Return the frame as a text frame of RFC 6455."""
        return frame.websocket

    def finish(self, close: Close) -> None:
        """Close with the session's code."""
        _run(self.send({"type": "websocket.close", "code": close.code, "reason": close.reason}))

    async def send(self, message: Any) -> None:  # noqa: ANN401 - as uvicorn has it
        """Detach before a close: nothing may follow it."""
        if message["type"] == "websocket.close":
            self.detach()
        await super().send(message)

    def handle_close(self, event: Any) -> None:  # noqa: ANN401 - as uvicorn has it
        """Detach before the peer's close is answered."""
        self.detach()
        super().handle_close(event)

    def handle_parser_exception(self) -> None:
        """Detach before a broken client is shown out."""
        self.detach()
        super().handle_parser_exception()

    def handle_ping(self) -> None:
        """Answer; and read no more from a client that does not take its answers."""
        super().handle_ping()
        if not self.writable.is_set():
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read again, unless uvicorn waits for the application; and give a ping its time anew."""
        super().resume_writing()
        if not (self.read_paused or self.transport.is_closing()):
            self.transport.resume_reading()
        if self.pong_timer is not None and self.ping_timeout is not None:
            self.pong_timer.cancel()
            self.pong_timer = self.loop.call_later(self.ping_timeout, self.keepalive_timeout)

    def keepalive_timeout(self) -> None:
        """Show a client out that owes a pong, unless the ping may still be on its way.

        Behind a large message on a slow link it is. Whether such a client reads at all, the watch
        knows; the pong is owed from the moment that all has gone out.
        """
        if self.writable.is_set():
            self.detach()
            super().keepalive_timeout()

    def shutdown(self) -> None:
        """Close with 1012, unless the peer has closed: the answer may be waiting to be taken."""
        if not self.transport.is_closing():
            super().shutdown()


class Cycle(RequestResponseCycle):
    """uvicorn's request with its response, which takes note of an encoded body."""

    encoded = False

    def send(self, message: Any) -> Coroutine[Any, Any, None]:  # noqa: ANN401 - as uvicorn has it
        """Look at the headers as they go out, whatever has changed them on the way."""
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message.get("headers", ())}
            self.encoded = b"content-encoding" in names
        return super().send(message)


class DirectHttp(Direct, HttpToolsProtocol):
    """uvicorn's HTTP protocol, with a sink for a response that is being streamed."""

    wire = Wire.SSE
    # The request that is being answered; uvicorn's `cycle` is the newest, maybe a pipelined one.
    running: Cycle | None = None
    # Of a stream that has begun, until it goes out.
    head = b""

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:  # noqa: ANN401 - as uvicorn has it
        # uvicorn makes it, and has no other place for a class of ours.
        cycle.__class__ = Cycle
        self.running = cycle
        cycle.scope.setdefault("extensions", {})[DIRECT] = self
        super()._start_asgi_task(cycle, app)

    def usable(self) -> bool:
        """Whether a chunked response has begun and not ended, and its body goes out as it is."""
        cycle = self.running
        return (
            cycle is not None
            and cycle.response_started
            and bool(cycle.chunked_encoding)
            and not cycle.encoded
            and not cycle.response_complete
            and not cycle.disconnected
            and not self.transport.is_closing()
        )

    def encode(self, frame: Frame) -> bytes:
        """Return the frame as an event in a chunk of RFC 9112."""
        if not self.head:
            return frame.chunk
        begun, self.head = self.head, b""
        return begun + frame.chunk

    def begin(self, send: Send, headers: Headers) -> bool:
        """Begin a stream, whose head goes out with its first frame.

        Returns:
            False if it must begin through ``send``.
        """
        more = self._added(send)
        cycle = self.running
        if cycle is None or more is None or not cycle.keep_alive:
            return False
        cycle.response_started = cycle.chunked_encoding = True
        self.head = head(200, (*cycle.default_headers, *headers, *more, CHUNKED))
        return True

    def hold(self, send: Send) -> Callable[[Whole], None] | None:
        """Let the response of a plain GET be given later, without a task that waits for it.

        Returns:
            What is to be called with the response; None if it must go through ``send``.
        """
        more = self._added(send)
        cycle = self.running
        if cycle is None or more is None:
            return None
        # The application has nothing more to say: uvicorn need not miss it when that returns.
        cycle.disconnected = True
        return partial(self._respond, cycle, more)

    def _added(self, send: Send) -> Headers | None:
        """Return what is added to the response between the application and here.

        Returns:
            None if ``send`` must be used: something listens to it, or may change more, or there is
            more to do than to write the response to a plain GET.
        """
        added: Headers = ()
        while isinstance(send, Adding):
            added = (*send.headers, *added)
            send = send.send
        cycle = self.running
        own = cycle is not None and send == cycle.send and self._plain(cycle)
        return added if own else None

    def _plain(self, cycle: Cycle) -> bool:
        """Whether a request has been read, its answer bears a body, and can be given at once."""
        return (
            cycle.scope["method"] == "GET"
            and cycle.scope["http_version"] == "1.1"
            and not cycle.more_body
            and not cycle.access_log
            and not cycle.disconnected
            and not self.flow.write_paused
            and not self.transport.is_closing()
        )

    def _respond(self, cycle: Cycle, more: Headers, response: Whole) -> None:
        self.on_lost = None
        if self.transport.is_closing():
            return
        closes = response.last or not cycle.keep_alive
        if closes and not response.last:
            more = (*more, *CLOSE)
        cycle.response_started = cycle.response_complete = True
        self.transport.write(response.wire((*cycle.default_headers, *more)))
        if closes:
            self.transport.close()
        self.on_response_complete()

    def finish(self, close: Close) -> None:  # noqa: ARG002 - a response ends in one way only
        """End the response with its final chunk."""
        self.detach()
        final = {"type": "http.response.body", "body": b"", "more_body": False}
        _run(cast("Cycle", self.running).send(final))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that is being answered, where uvicorn tells the newest only."""
        super().connection_lost(exc)
        if self.running is not None:
            self.running.disconnected = True
            self.running.message_event.set()
            # Or only the garbage collector could free the connection.
            self.running.scope.get("extensions", {}).pop(DIRECT, None)
            self.running = None

    def send_400_response(self, msg: str) -> None:
        """Detach before a broken client is shown out."""
        self.detach()
        super().send_400_response(msg)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, but never under a response that is still being written.

        Nothing would tell this protocol of the end of the connection, nor of its descriptor's.
        """
        if self.running is not None and not self.running.response_complete:
            self.send_400_response("Upgrade before the end of the response.")
        else:
            self.watch.discard(self)
            super().handle_websocket_upgrade()
            # The two know each other, and only the garbage collector could free them.
            self.parser = None  # type: ignore[assignment]


def protocols(watch: StallWatch) -> tuple[type[DirectWebSocket], type[DirectHttp]]:
    """Make the two protocol classes of one server, whose stalled readers are watched together."""
    shared = {"watch": watch, "inbox": memoryview(bytearray(INBOX))}
    return (
        type("DirectWebSocket", (DirectWebSocket,), shared),
        type("DirectHttp", (DirectHttp,), shared),
    )
