"""The wire of Server-Sent Events.

The few lines that read them are our own. httpx's ``aiter_lines`` also breaks lines at characters
that may stand inside JSON (U+2028 and others), and what reads whole events hides the bytes that
show that the stream is alive.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from attrs import define, field, frozen

from app.client.messages import receive
from app.client.plain import PlainWire
from app.client.wire import End, Ended
from schema.messages import Connected, Subscribed


@frozen
class Event:
    """An event's data, or what the stream said about coming back, in milliseconds."""

    data: str | None = None
    retry: int | None = None


@define(eq=False)
class EventReader:
    """Cuts a stream of bytes into its events (HTML standard, section 9.2)."""

    _rest: bytes = b""
    _data: list[bytes] = field(factory=list)

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Take bytes in, and yield what they complete."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            yield from self._line(line.removesuffix(b"\r"))

    def _line(self, line: bytes) -> Iterator[Event]:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"retry" and value.isdigit():
            yield Event(retry=int(value))
        elif not line and self._data:
            yield Event(data=b"\n".join(self._data).decode(errors="replace"))
            self._data.clear()


@define(eq=False)
class SseWire(PlainWire):
    """Server-Sent Events; it works once it said `subscribed`."""

    NAME: ClassVar[str] = "sse"

    _retry_ms: int | None = None
    _connected: bool = False

    async def run(self) -> None:
        """Read the stream."""
        await self.prime()
        reader = EventReader()
        query = self.query(self.host.wanted())
        async with self.get("api/sse", "text/event-stream", query) as response:
            async for chunk in response.aiter_bytes():
                self.liveness.heard()
                for event in reader.feed(chunk):
                    self._read(event)
                await self.rest()
        # A stream that ends before it began was turned away; then the server says until when.
        turned_away = not self._connected and self._retry_ms is not None
        after = (self._retry_ms or 0) / 1000 if turned_away else None
        raise Ended(End("the stream ended", spoken=turned_away, after=after))

    def _read(self, event: Event) -> None:
        if event.retry is not None:
            self._retry_ms = event.retry
        if event.data is None:
            return
        received = receive(event.data, self.host.wanted())
        if received is None:
            return
        self._connected = self._connected or isinstance(received.message, Connected)
        if self._connected and isinstance(received.message, Subscribed):
            self.prove()
        self.hand(received)
