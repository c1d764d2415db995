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
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import OPEN

from schema.frame import Frame
from transports.base import DIRECT, Session, Wire
from transports.stall import StallWatch

# On the ordinary path no more than this waits in user space: messages get old there.
HIGH_WATER = 16 * 1024

if TYPE_CHECKING:
    Base = asyncio.Protocol
else:
    Base = object


class Direct(Base):
    """What both protocol classes have in common: when the wire is free, and what happens then.

    ``clear`` is True only while a session is attached, the transport's buffer is empty, and the
    wire is between two messages.
    """

    wire: ClassVar[Wire]
    watch: ClassVar[StallWatch]
    transport: asyncio.Transport
    # Class attributes, since an instance attribute that is set late un-shares the instance's keys.
    clear = False
    fd = -1
    session: Session | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as uvicorn has it
        """Bound what may wait in user space, on either path."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=HIGH_WATER)

    def attach(self, session: Session) -> bool:
        """Let a session write to this connection from now on.

        Returns:
            False if the wire is not in a state for it; then the ordinary path is.
        """
        if not self.usable():
            return False
        transport = self.transport
        plain = transport.get_extra_info("ssl_object") is None
        self.session, self.clear = session, True
        self.fd = transport.get_extra_info("socket").fileno() if plain else -1
        # With 0, pause_writing() comes with the first byte that stays in user space (at once, if
        # there is one now) and resume_writing() with the last that leaves: `clear` means "empty".
        # The TLS transports compare with >=, and would pause for ever.
        transport.set_write_buffer_limits(high=0 if plain else 1)
        self.pump()
        return True

    def pump(self) -> None:
        """Give the wire what the session has for it, if it is free."""
        session = self.session
        if session is None or not self.clear:
            return
        frames = session.take()
        if frames:
            self.transport.write(b"".join(map(self.encode, frames)))
        if session.more:
            asyncio.get_running_loop().call_soon(self.pump)
        elif self.clear and session.close is not None:
            self.finish(session)
        elif self.clear:
            session.join(self)

    def usable(self) -> bool:
        """Whether the wire is between two messages of an open stream."""
        raise NotImplementedError

    def encode(self, frame: Frame) -> bytes:
        """Return the frame's form on this wire."""
        raise NotImplementedError

    def finish(self, session: Session) -> None:
        """Say goodbye as the session's end asks for."""
        raise NotImplementedError

    def put(self, data: bytes) -> None:
        """Hand bytes to the transport, which keeps what the kernel does not take."""
        self.transport.write(data)

    def detach(self) -> None:
        """Write nothing from now on; the descriptor may soon be somebody else's."""
        if self.session is not None:
            self.session.part()
            self.session, self.clear, self.fd = None, False, -1
            self.transport.set_write_buffer_limits(high=HIGH_WATER)

    def pause_writing(self) -> None:
        """Take note that something stays in user space."""
        self.clear = False
        if self.session is not None:
            self.session.part()
        self.watch.add(self)
        super().pause_writing()

    def resume_writing(self) -> None:
        """Catch up: the buffer is empty again."""
        super().resume_writing()
        self.watch.discard(self)
        self.clear = self.session is not None and self.usable()
        self.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the descriptor before it is closed."""
        self.detach()
        self.watch.discard(self)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Make way for uvicorn, which closes the connection."""
        self.detach()
        super().shutdown()  # type: ignore[misc]

    def buffered(self) -> int:
        """Bytes that wait in user space."""
        return self.transport.get_write_buffer_size()

    def fileno(self) -> int:
        """The socket's descriptor."""
        return int(self.transport.get_extra_info("socket").fileno())

    def abort(self) -> None:
        """Drop the connection at once."""
        self.detach()
        self.transport.abort()


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
        self.scope["extensions"][DIRECT] = self  # type: ignore[index, assignment]
        await super().run_asgi()

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

    def finish(self, session: Session) -> None:
        """Close with the session's code."""
        if session.close is not None:
            code, reason = session.close.code, session.close.reason
            _run(self.send({"type": "websocket.close", "code": code, "reason": reason}))

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

    def keepalive_timeout(self) -> None:
        """Detach before a client that owes a pong is shown out."""
        self.detach()
        super().keepalive_timeout()


class DirectHttp(Direct, HttpToolsProtocol):
    """uvicorn's HTTP protocol, with a sink for a response that is being streamed."""

    wire = Wire.SSE
    streaming: RequestResponseCycle | None = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401
        # Not `self.cycle`, which is a pipelined request's as soon as there is one.
        self.streaming = cycle
        cycle.scope.setdefault("extensions", {})[DIRECT] = self  # type: ignore[typeddict-item]
        super()._start_asgi_task(cycle, app)

    def usable(self) -> bool:
        """Whether a chunked response has begun and not ended."""
        cycle = self.streaming
        return (
            cycle is not None
            and cycle.response_started
            and bool(cycle.chunked_encoding)
            and not cycle.response_complete
            and not cycle.disconnected
            and not self.transport.is_closing()
        )

    def encode(self, frame: Frame) -> bytes:
        """Return the frame as an event in a chunk of RFC 9112."""
        return frame.chunk

    def finish(self, session: Session) -> None:  # noqa: ARG002 - a response ends in one way only
        """End the response with its final chunk."""
        self.detach()
        if self.streaming is not None:
            final = {"type": "http.response.body", "body": b"", "more_body": False}
            _run(self.streaming.send(final))  # type: ignore[arg-type]

    def send_400_response(self, msg: str) -> None:
        """Detach before a broken client is shown out."""
        self.detach()
        super().send_400_response(msg)


def protocols(watch: StallWatch) -> tuple[type[DirectWebSocket], type[DirectHttp]]:
    """Make the two protocol classes of one server, whose stalled readers are watched together."""
    return (
        type("DirectWebSocket", (DirectWebSocket,), {"watch": watch}),
        type("DirectHttp", (DirectHttp,), {"watch": watch}),
    )
