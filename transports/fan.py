"""The fan-out: one prebuilt piece of wire to many connections, in one tight loop.

What the loop costs is what the server costs. So it runs over bare descriptors and touches no
object of a connection: a connection that cannot take a whole message at once is not in the loop.
"""

from __future__ import annotations

import os

from transports.base import Sink


class Fan:
    """Connections that all get the same bytes.

    A sink must leave before its descriptor is closed, or the next connection with that number
    would get its messages: ``connection_lost`` comes before the close, and so in time.
    """

    __slots__ = ("_bare", "_wrapped")

    def __init__(self) -> None:
        self._bare: dict[int, Sink] = {}
        self._wrapped: set[Sink] = set()

    def __len__(self) -> int:
        return len(self._bare) + len(self._wrapped)

    def add(self, sink: Sink) -> None:
        """Let a sink have what comes; its buffer must be empty."""
        if sink.fd >= 0:
            self._bare[sink.fd] = sink
        else:
            self._wrapped.add(sink)

    def discard(self, sink: Sink) -> None:
        """Leave a sink out from now on."""
        self._wrapped.discard(sink)
        if self._bare.get(sink.fd) is sink:
            del self._bare[sink.fd]

    def send(self, data: bytes) -> None:
        """Write to all; what the kernel does not take of it, the connection's transport keeps."""
        write, size = os.write, len(data)
        short: list[tuple[Sink, int]] = []
        for fd in self._bare:
            try:
                sent = write(fd, data)
            except BlockingIOError:
                sent = 0
            except OSError:
                sent = -1
            if sent != size:
                short.append((self._bare[fd], sent))
        # After the loop, since a transport that keeps something takes its sink out of the fan.
        for sink, sent in short:
            if sent < 0:
                sink.abort()
            else:
                sink.put(data[sent:])
        for sink in list(self._wrapped):
            sink.put(data)
