"""A message that was encoded once, and its forms on the wires, each built at most once."""

from __future__ import annotations

import struct
from functools import cached_property

from attrs import define, field

from schema.codec import encode
from schema.cursor import Cursor

# RFC 6455 section 5.2: FIN with the opcode of text, and what stands for longer lengths.
TEXT_FRAME, LENGTH_16, LENGTH_64 = 0x81, 126, 127


@define(eq=False)
class Frame:
    """One encoded message, shared by all who get it.

    ``text`` is the JSON, ``kind`` its ``type``; ``cursor`` is set on data messages only, since
    nothing else may move a client's place in the log. ``retry`` is what an EventSource is told to
    wait, in ms, before it comes back.
    """

    kind: str
    text: bytes = field(repr=False)
    cursor: Cursor | None = None
    retry: int | None = None

    @classmethod
    def of(
        cls, message: object, cursor: Cursor | None = None, *, retry: int | None = None
    ) -> Frame:
        """Encode a message."""
        return cls(type(message).TAG, encode(message), cursor, retry)  # type: ignore[attr-defined]

    @cached_property
    def string(self) -> str:
        """The text as a ``str``, which is what ASGI's WebSocket takes."""
        return self.text.decode()

    @cached_property
    def event(self) -> bytes:
        """The Server-Sent Event: type, cursor as ``id``, and the text as its one line of data."""
        retry = b"" if self.retry is None else b"retry: %d\n" % self.retry
        identity = b"" if self.cursor is None else b"id: %b\n" % str(self.cursor).encode()
        return b"%bevent: %b\n%bdata: %b\n\n" % (retry, self.kind.encode(), identity, self.text)

    @cached_property
    def chunk(self) -> bytes:
        """The event as a chunk of a response of unknown length (RFC 9112 section 7.1)."""
        return b"%x\r\n%b\r\n" % (len(self.event), self.event)

    @cached_property
    def websocket(self) -> bytes:
        """The text as one unmasked text frame (RFC 6455 section 5.2)."""
        length = len(self.text)
        if length < LENGTH_16:
            head = struct.pack("!BB", TEXT_FRAME, length)
        elif length < 1 << 16:
            head = struct.pack("!BBH", TEXT_FRAME, LENGTH_16, length)
        else:
            head = struct.pack("!BBQ", TEXT_FRAME, LENGTH_64, length)
        return head + self.text

    @property
    def size(self) -> int:
        """Bytes that this frame keeps, in all the forms it may take."""
        return 3 * len(self.text) + 512
