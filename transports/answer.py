"""A whole response that many get: made once, in the form that each way to the wire needs."""

from __future__ import annotations

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
    def head(self) -> Headers:
        """All headers that belong to it."""
        length = (b"content-length", b"%d" % len(self.body))
        return (*self.headers, length, *(CLOSE if self.last else ()))

    def wire(self, more: Headers) -> bytes:
        """Return the response in HTTP/1.1, with more headers; made once for each set of those."""
        wire = self._wires.get(more)
        if wire is None:
            lines = b"".join(b"%b: %b\r\n" % pair for pair in (*more, *self.head))
            status = b"%d %b" % (self.status, HTTPStatus(self.status).phrase.encode())
            wire = b"HTTP/1.1 %b\r\n%b\r\n%b" % (status, lines, self.body)
            self._wires[more] = wire
        return wire

    async def send(self, send: Send) -> None:
        """Send the response as any ASGI server has it."""
        start = {"type": "http.response.start", "status": self.status, "headers": [*self.head]}
        await send(start)
        await send({"type": "http.response.body", "body": self.body})
