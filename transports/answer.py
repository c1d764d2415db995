"""A whole response that many get: made once, in the form that each way to the wire needs."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus

from attrs import define, field

from schema.errors import ProtocolError
from transports.base import Headers, Send
from transports.refusal import NO_STORE, refuse

JSON: Headers = (
    (b"content-type", b"application/json"),
    *((name.lower().encode(), value.encode()) for name, value in NO_STORE.items()),
)
CLOSE: Headers = ((b"connection", b"close"),)


@lru_cache(maxsize=64)
def head(status: int, headers: Headers) -> bytes:
    """Return the head of a response in HTTP/1.1."""
    lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, HTTPStatus(status).phrase.encode(), lines)


@define(eq=False)
class Answer:
    """A response: its body, its status and headers; ``last`` if the server is going."""

    body: bytes = field(repr=False)
    last: bool = False
    status: int = 200
    headers: Headers = JSON
    _wires: dict[Headers, bytes] = field(factory=dict, repr=False)

    @classmethod
    def refusal(cls, error: ProtocolError) -> Answer:
        """Refuse a request."""
        response = refuse(error)
        kept = (pair for pair in response.raw_headers if pair[0] != b"content-length")
        return cls(bytes(response.body), status=response.status_code, headers=tuple(kept))

    @property
    def all_headers(self) -> Headers:
        """Those that its body and its being the last bring with them, too."""
        length = (b"content-length", b"%d" % len(self.body))
        return (*self.headers, length, *(CLOSE if self.last else ()))

    def wire(self, more: Headers) -> bytes:
        """Return the response in HTTP/1.1, with more headers; made once for each set of those."""
        wire = self._wires.get(more)
        if wire is None:
            wire = self._wires[more] = head(self.status, (*more, *self.all_headers)) + self.body
        return wire

    async def send(self, send: Send) -> None:
        """Send the response as any ASGI server has it."""
        start = {
            "type": "http.response.start",
            "status": self.status,
            "headers": [*self.all_headers],
        }
        await send(start)
        await send({"type": "http.response.body", "body": self.body})
