"""Bare clients: a socket, and what comes through it read by hand.

They take from the kernel what they are told to and not a byte more, and are stricter about the
framing than a library is: nothing masked, reserved, fragmented, or longer than it must be.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar

from attrs import define, field, frozen

from tests.received import Message, parse_event
from tests.serving import Served

CHUNK = 64 * 1024
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER without any time: close() sends a RST
_HANDSHAKE = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
_UPGRADE = f"Upgrade: websocket\r\nConnection: Upgrade\r\n{_HANDSHAKE}"


@frozen
class Piece:
    """A whole frame or event: ``kind`` is message, ping, pong, close or end."""

    kind: str
    data: bytes

    @property
    def close_code(self) -> int:
        """The code in a close frame."""
        return int(struct.unpack_from("!H", self.data)[0])


class Decoder(ABC):
    """Cuts a stream of bytes into its pieces."""

    WIRE: ClassVar[str]

    def __init__(self) -> None:
        self.buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Take bytes in, and yield what they complete."""
        self.buffer += data
        while (piece := self.next()) is not None:
            yield piece

    @abstractmethod
    def next(self) -> Piece | None:
        """Return the next whole piece."""

    @abstractmethod
    def message(self, piece: Piece) -> Message:
        """Read a message."""


class FrameDecoder(Decoder):
    """Frames of RFC 6455 as a server sends them."""

    WIRE = "websocket"
    KINDS: ClassVar = {0x81: "message", 0x88: "close", 0x89: "ping", 0x8A: "pong"}
    # Second byte: size of the head, format of the length, and the least that needs it.
    LONGER: ClassVar = {126: (4, "!H", 126), 127: (10, "!Q", 1 << 16)}

    def next(self) -> Piece | None:
        """Return the next whole frame."""
        buffer = self.buffer
        if len(buffer) < 2:
            return None
        size, form, least = self.LONGER.get(buffer[1], (2, "!xB", 0))
        if len(buffer) < size:
            return None
        (length,) = struct.unpack_from(form, buffer, 0 if size == 2 else 2)
        assert length >= least, "the length is written longer than it must be"
        if len(buffer) < size + length:
            return None
        piece = Piece(self.KINDS[buffer[0]], bytes(buffer[size : size + length]))
        del buffer[: size + length]
        return piece

    def message(self, piece: Piece) -> Message:
        """Read a message."""
        return Message(piece.data.decode())


class EventDecoder(Decoder):
    """Events in the chunks of RFC 9112; an event may not be spread over chunks.

    What comes after the response is left in the buffer.
    """

    WIRE = "sse"

    def next(self) -> Piece | None:
        """Return the next event, or the end of the response."""
        head = self.buffer.find(b"\r\n")
        if head < 0 or self.buffer.startswith(b"HTTP/"):
            return None
        length = int(self.buffer[:head], 16)
        end = head + 2 + length
        if len(self.buffer) < end + 2:
            return None
        body = bytes(self.buffer[head + 2 : end])
        assert self.buffer[end : end + 2] == b"\r\n", "a chunk ends elsewhere"
        del self.buffer[: end + 2]
        assert not length or (body.endswith(b"\n\n") and body.count(b"\n\n") == 1)
        return Piece("message", body[:-2]) if length else Piece("end", b"")

    def message(self, piece: Piece) -> Message:
        """Read a message."""
        return parse_event(piece.data.decode())


class Tls:
    """TLS over bytes that somebody else carries."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, server_hostname="localhost")

    def encrypt(self, data: bytes) -> bytes:
        """Return what is to be sent."""
        self._object.write(data)
        return self._out.read()

    def decrypt(self, data: bytes) -> bytes:
        """Return what has become readable."""
        self._in.write(data)
        plain = b""
        with contextlib.suppress(ssl.SSLWantReadError):
            while more := self._object.read(CHUNK):
                plain += more
        return plain

    async def handshake(self, sock: socket.socket) -> None:
        """Shake hands."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                await loop.sock_sendall(sock, self._out.read())
                self._in.write(await loop.sock_recv(sock, CHUNK))
            else:
                await loop.sock_sendall(sock, self._out.read())
                return


@define(eq=False)
class RawClient:
    """A connection to the server; ``pieces`` is what came, ``over`` how it ended: FIN or RST.

    ``taken`` counts the bytes that were read off the socket. ``on_piece`` is called instead of
    keeping the pieces, which thousands of clients could not. One that is ``polite`` answers the
    server's pings by itself.
    """

    sock: socket.socket
    decoder: Decoder
    tls: Tls | None = None
    pieces: list[Piece] = field(factory=list)
    on_piece: Callable[[Piece], None] | None = None
    head: bytes = b""
    taken: int = 0
    over: str | None = None
    polite: bool = False

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        data = data if self.tls is None else self.tls.encrypt(data)
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def say(self, text: str) -> None:
        """Send a text frame."""
        await self.send(masked(0x81, text.encode()))

    async def request(self, text: str) -> None:
        """Send a request and read the head of its response, and what may come with it."""
        await self.send(text.encode())
        await self.read_head()

    async def read_head(self) -> None:
        """Read the head of a response, and what may come with it."""
        self.head, rest = b"", bytes(self.decoder.buffer)
        self.decoder.buffer.clear()
        loop = asyncio.get_running_loop()
        while b"\r\n\r\n" not in rest:
            data = await loop.sock_recv(self.sock, CHUNK)
            assert data, f"the connection has ended after {rest!r}"
            self.taken += len(data)
            rest += data if self.tls is None else self.tls.decrypt(data)
        self.head, _, rest = rest.partition(b"\r\n\r\n")
        self._feed(rest)

    def listen(self) -> None:
        """Read whatever comes, from now on."""
        asyncio.get_running_loop().add_reader(self.sock, self.read)

    def deafen(self) -> None:
        """Read nothing from now on."""
        asyncio.get_running_loop().remove_reader(self.sock)

    def read(self, size: int = CHUNK) -> None:
        """Take at most so many bytes off the socket, if there are any."""
        try:
            data = self.sock.recv(size)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(type(error).__name__)
            return
        if not data:
            self._end("FIN")
        self.taken += len(data)
        self._feed(data if self.tls is None else self.tls.decrypt(data))

    def _feed(self, data: bytes) -> None:
        for piece in self.decoder.feed(data):
            if piece.kind == "ping" and self.polite:
                self.sock.send(masked(0x8A, piece.data))
            else:
                (self.on_piece or self.pieces.append)(piece)

    def _end(self, how: str) -> None:
        self.over = how
        self.deafen()

    @property
    def messages(self) -> list[Message]:
        """The messages among the pieces."""
        return [self.decoder.message(piece) for piece in self.pieces if piece.kind == "message"]

    def kinds(self) -> list[str]:
        """What came, each message by its type."""
        told = [(p, p.kind == "message") for p in self.pieces]
        return [self.decoder.message(p).kind if is_one else p.kind for p, is_one in told]

    def widen(self, rcvbuf: int) -> None:
        """Give the socket a larger receive buffer."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)

    def close(self, *, reset: bool = False) -> None:
        """Go, with a FIN or a RST; may be called twice."""
        if self.sock.fileno() >= 0:
            self.deafen()
            if reset:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.sock.close()


def masked(first: int, payload: bytes) -> bytes:
    """Return a short frame of a client, with a mask that changes nothing."""
    assert len(payload) < 126
    return struct.pack("!BB4x", first, 0x80 | len(payload)) + payload


async def dial(
    served: Served,
    decoder: Decoder,
    *,
    rcvbuf: int | None = None,
) -> RawClient:
    """Connect, without a word."""
    sock = socket.socket()
    if rcvbuf is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    sock.setblocking(False)  # noqa: FBT003 - as the standard library has it
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", served.port))
    tls = None if served.trust is None else Tls(served.trust)
    if tls is not None:
        await tls.handshake(sock)
    return RawClient(sock, decoder, tls)


async def open_raw(
    wire: str,
    served: Served,
    channels: str = "alpha:1000",
    *,
    query: str = "",
    heritage: bool = False,
    rcvbuf: int | None = None,
) -> RawClient:
    """Connect on a wire and subscribe; ``channels`` as the query of an event stream has them.

    It has read the head of the response, and at least that; it does not listen.
    """
    websocket = wire == FrameDecoder.WIRE
    decoder = FrameDecoder() if websocket else EventDecoder()
    client = await dial(served, decoder, rcvbuf=rcvbuf)
    path = "/api/ws" if websocket else f"/api/sse?channels={channels}{query}"
    lines = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
    if websocket:
        lines += _UPGRADE
        lines += "" if heritage else "Sec-WebSocket-Protocol: pulsewire.v1\r\n"
    await client.request(f"{lines}\r\n")
    if websocket:
        for part in filter(None, channels.split(",")):
            channel, _, interval = part.partition(":")
            wanted = f'"channel":"{channel}","interval":{interval or 5000}'
            more = "".join(
                f',"{key}":{value}' if value.isdecimal() else f',"{key}":"{value}"'
                for key, _, value in (item.partition("=") for item in query.split("&") if item)
            )
            await client.say(f'{{"type":"subscribe",{wanted}{more}}}')
    return client
