"""Readers that stopped reading: found out, and let go.

A reader is stalled when bytes are waiting for it and none of them has been taken for a while.
Slow progress is no stall, however slow. The kernel has a timer of its own for this
(``TCP_USER_TIMEOUT``), but not on every system, nor for Unix sockets.
"""

from __future__ import annotations

import fcntl
import struct
import sys
from typing import Protocol

from attrs import define

# linux/sockios.h: bytes of the send queue that the peer has not acknowledged.
SIOCOUTQ = 0x5411


class Waiting(Protocol):
    """A connection that keeps bytes which its peer has not taken."""

    def buffered(self) -> int:
        """Bytes that wait in user space."""
        ...

    def fileno(self) -> int:
        """The socket's descriptor."""
        ...

    def abort(self) -> None:
        """Drop the connection at once; nothing gentler ends it."""
        ...


def unacknowledged(fd: int) -> int:
    """Bytes that wait in the kernel; 0 where the system does not tell, or the socket is closed."""
    if sys.platform != "linux":  # pragma: no cover - Linux runs the tests
        return 0
    # Under TLS a connection hears of its end only after its socket was closed.
    if fd < 0:
        return 0
    try:
        (count,) = struct.unpack("i", fcntl.ioctl(fd, SIOCOUTQ, b"\0\0\0\0"))
    except OSError:  # an emulated kernel may not know it
        return 0
    return int(count)


@define
class Mark:
    """How much was waiting when some of it was last taken, and when that was."""

    waiting: int
    since: float


class StallWatch:
    """Looks after connections that may have bytes waiting, and after no other."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._marks: dict[Waiting, Mark | None] = {}
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._marks)

    def add(self, connection: Waiting) -> None:
        """Watch a connection, which has something to keep back or may come to."""
        self._marks.setdefault(connection, None)

    def discard(self, connection: Waiting) -> None:
        """Stop watching a connection: all was taken, or it is gone."""
        self._marks.pop(connection, None)

    def sweep(self, now: float) -> None:
        """Drop those from whom nothing was taken for the timeout."""
        for connection, mark in list(self._marks.items()):
            waiting = connection.buffered() + unacknowledged(connection.fileno())
            if not waiting:
                self.discard(connection)
            elif mark is None or waiting < mark.waiting:
                self._marks[connection] = Mark(waiting, now)
            elif now - mark.since >= self._timeout_s:
                self.evicted += 1
                self.discard(connection)
                connection.abort()
            else:
                # More may have come in, a ping say; what was taken shows against this.
                mark.waiting = waiting
