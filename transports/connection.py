"""A connection that a session writes to directly: when its wire is free, and what happens then.

The attributes of uvicorn's protocol classes and of asyncio's transports that are used here are
private; see ``direct.py``, which puts this together with those classes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from abc import abstractmethod
from asyncio.trsock import TransportSocket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from schema.frame import Frame
from transports.base import Close, Session, Wire
from transports.stall import StallWatch

logger = logging.getLogger(__name__)

# On the ordinary path no more than this waits in user space: messages get old there.
HIGH_WATER = 16 * 1024
# Messages that come together are written together, up to so many bytes.
BATCH = 64 * 1024
# SO_LINGER without any time: to close is to send a RST, and to forget what was not sent.
RESET = struct.pack("ii", 1, 0)

# The parsers are given so much at a time.
INBOX = 64 * 1024

# uvicorn's classes take bytes; asyncio asks for an instance of the other.
if TYPE_CHECKING:
    Base = asyncio.Protocol
else:
    Base = asyncio.BufferedProtocol


class Direct(Base):
    """What both protocol classes have in common: when the wire is free, and what happens then.

    ``clear`` is True only while a session is attached, the transport's buffer is empty, and the
    wire is between two messages. ``below`` is, under TLS, the transport that holds the socket;
    ``rest`` are whole messages that were taken from the session and have yet to be written.
    ``inbox`` is what all connections of a server read into.
    """

    wire: ClassVar[Wire]
    watch: ClassVar[StallWatch]
    inbox: ClassVar[memoryview]
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

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's
        """Read into the server's one buffer.

        Into bytes, asyncio reads 256 KiB at a time, which the C library maps and unmaps again for
        each request: a seventh of what a poll costs.
        """
        return self.inbox

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on what has been read, before anybody else reads."""
        self.data_received(bytes(self.inbox[:nbytes]))

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
        on_lost, self.on_lost = self.on_lost, None
        if on_lost is not None:
            on_lost()
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
