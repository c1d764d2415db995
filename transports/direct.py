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

import asyncio
import contextlib
import logging
import socket
import struct
from abc import abstractmethod
from asyncio.trsock import TransportSocket
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import OPEN

from schema.frame import Frame
from transports.base import DIRECT, Close, Session, Wire
from transports.stall import StallWatch

logger = logging.getLogger(__name__)

# On the ordinary path no more than this waits in user space: messages get old there.
HIGH_WATER = 16 * 1024
# Messages that come together are written together, up to so many bytes.
BATCH = 64 * 1024
# SO_LINGER without any time: to close is to send a RST, and to forget what was not sent.
RESET = struct.pack("ii", 1, 0)

if TYPE_CHECKING:
    Base = asyncio.Protocol
else:
    Base = object


class Direct(Base):
    """What both protocol classes have in common: when the wire is free, and what happens then.

    ``clear`` is True only while a session is attached, the transport's buffer is empty, and the
    wire is between two messages. ``below`` is, under TLS, the transport that holds the socket;
    ``rest`` are whole messages that were taken from the session and have yet to be written.
    """

    wire: ClassVar[Wire]
    watch: ClassVar[StallWatch]
    transport: asyncio.Transport
    # Class attributes, since an instance attribute that is set late un-shares the instance's keys.
    clear = False
    fd = -1
    session: Session | None = None
    below: asyncio.Transport | None = None
    rest: Sequence[bytes] = ()
    on_lost: Callable[[], None] | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as uvicorn has it
        """Bound what may wait in user space, on either path."""
        super().connection_made(transport)
        self.watch.add(self)
        transport.set_write_buffer_limits(high=HIGH_WATER)
        below = _below(transport)
        if below is not None:
            self.below = below
            # Its own mark is 64 KiB, of which the mark above would know nothing.
            below.set_write_buffer_limits(high=0)

    def attach(self, session: Session) -> bool:
        """Let a session write to this connection from now on.

        Returns:
            False if the wire is not in a state for it; then the ordinary path is.
        """
        if not self.usable():
            return False
        transport = self.transport
        plain = transport.get_extra_info("ssl_object") is None
        self.session = session
        self.fd = self.socket().fileno() if plain else -1
        # With 0, pause_writing() comes with the first byte that stays in user space and
        # resume_writing() with the last that leaves: `clear` means "empty".
        # The TLS transports compare with >=, and would pause for ever.
        transport.set_write_buffer_limits(high=0 if plain else 1)
        # Something may wait already, and the transport have paused long before there was a mark.
        self.clear = not transport.get_write_buffer_size()
        self.pump()
        return True

    def pump(self) -> None:
        """Give the wire what the session has for it, if it is free.

        It may be the hub that calls, on behalf of all: what fails here costs one connection.
        """
        if self.session is None or not self.clear:
            return
        try:
            if self._flush():
                self._pump(self.session)
        except Exception:
            logger.exception("a client cannot be served")
            self.abort()

    def _pump(self, session: Session) -> None:
        rest = self._write([self.encode(frame) for frame in session.take()])
        if rest:
            self.rest = rest
        if session.more:
            asyncio.get_running_loop().call_soon(self.pump)
        elif self.clear and session.close is not None:
            self.finish(session.close)
        elif self.clear:
            session.join(self)

    def _flush(self) -> bool:
        """Write what is left from the last time, and tell whether the wire is still free."""
        if self.rest:
            self.rest = self._write(self.rest)
        return self.clear

    def _write(self, wire: Sequence[bytes]) -> Sequence[bytes]:
        """Write messages while the wire takes them, and return the others.

        Those are shared by all who get them; what the transport keeps is a copy for one.
        """
        while wire and self.clear:
            count, size = 1, len(wire[0])
            while count < len(wire) and size + len(wire[count]) <= BATCH:
                size += len(wire[count])
                count += 1
            self.transport.write(b"".join(wire[:count]))
            wire = wire[count:]
        return wire

    @abstractmethod
    def usable(self) -> bool:
        """Whether the wire is between two messages of an open stream."""
        ...

    @abstractmethod
    def encode(self, frame: Frame) -> bytes:
        """Return the frame's form on this wire."""
        ...

    @abstractmethod
    def finish(self, close: Close) -> None:
        """Say goodbye as the session's end asks for."""
        ...

    def put(self, data: bytes) -> None:
        """Hand bytes to the transport, which keeps what the kernel does not take."""
        self.transport.write(data)

    def detach(self) -> None:
        """Write nothing from now on; the descriptor may soon be somebody else's."""
        if self.session is not None:
            self.session.part()
            self.session, self.clear, self.fd = None, False, -1
            if self.rest:
                self.rest = ()
            if not self.transport.is_closing():
                self.transport.set_write_buffer_limits(high=HIGH_WATER)

    def pause_writing(self) -> None:
        """Take note that something stays in user space."""
        self.clear = False
        if self.session is not None:
            self.session.part()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Catch up: the buffer is empty again."""
        super().resume_writing()
        self.clear = self.session is not None and self.usable()
        self.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the descriptor before it is closed."""
        self.detach()
        self.watch.discard(self)
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()
        # asyncio's transport keeps a method of its own: a cycle, which nobody needs any more.
        for transport in (self.transport, self.below):
            if transport is not None and hasattr(transport, "_read_ready_cb"):
                transport._read_ready_cb = None  # noqa: SLF001

    def shutdown(self) -> None:
        """Make way for uvicorn, which closes the connection."""
        self.detach()
        super().shutdown()  # type: ignore[misc]

    # A TLS transport of asyncio's does nothing but raise once it was closed twice, as uvicorn does
    # it, though bytes are still waiting; the one below it can be asked, and aborted, to the end.

    def buffered(self) -> int:
        """Bytes that wait in user space; under TLS, those that the kernel was given and refused."""
        return (self.below or self.transport).get_write_buffer_size()

    def socket(self) -> TransportSocket:
        """The socket."""
        sock: TransportSocket = (self.below or self.transport).get_extra_info("socket")
        return sock

    def abort(self) -> None:
        """Drop the connection at once, in the kernel too: it would keep what nobody takes."""
        self.detach()
        with contextlib.suppress(OSError):  # it is closed
            self.socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        (self.below or self.transport).abort()


def _below(transport: asyncio.Transport) -> asyncio.Transport | None:
    """Return what is under asyncio's TLS transport, None for any other."""
    below: asyncio.Transport | None = getattr(
        getattr(transport, "_ssl_protocol", None), "_transport", None
    )
    return below


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
        return frame.chunk

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
    return (
        type("DirectWebSocket", (DirectWebSocket,), {"watch": watch}),
        type("DirectHttp", (DirectHttp,), {"watch": watch}),
    )
