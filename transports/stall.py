"""Readers that stopped reading: found out, and let go.

A reader is stalled when bytes are waiting for it and none of them has been taken for a while.
Slow progress is no stall, however slow. So the kernel's own timer, ``TCP_USER_TIMEOUT``, is of no
use: it ends a connection whose window was shut for that long in sum, though every time in between
something was taken (measured on Linux 6.18: 3 kB a second, and 20 s, were enough).
"""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
from typing import Protocol

from attrs import define

# Connections are looked at in so many groups, one a call, so that ten thousand hold nobody up.
# A prime, as the addresses of objects, which are their hashes, have even distances.
GROUPS = 19

# linux/sockios.h: bytes of the send queue that the peer has not acknowledged.
SIOCOUTQ = 0x5411
# linux/tcp.h: struct tcp_info, and where in it the count of bytes acknowledged stands.
TCP_INFO, TCP_INFO_SIZE, BYTES_ACKED = 11, 128, 120


class Socket(Protocol):
    """What asyncio lets us know of a transport's socket."""

    def fileno(self) -> int:
        """The descriptor, -1 once it is closed."""
        ...

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        """Ask for an option."""
        ...


class Waiting(Protocol):
    """A connection that may keep bytes which its peer has not taken."""

    def buffered(self) -> int:
        """Bytes that wait in user space."""
        ...

    def socket(self) -> Socket:
        """The socket."""
        ...

    def abort(self) -> None:
        """Drop the connection at once; nothing gentler ends it."""
        ...


def unacknowledged(fd: int) -> int:
    """Bytes that wait in the kernel; 0 where the system does not tell."""
    if sys.platform != "linux":  # pragma: no cover - Linux runs the tests
        return 0
    count = bytearray(4)  # half the price of bytes
    try:
        fcntl.ioctl(fd, SIOCOUTQ, count)
    except OSError:  # an emulated kernel may not know it
        return 0
    return int.from_bytes(count, sys.byteorder)


def taken(sock: Socket, buffered: int) -> int | None:
    """Return a number that grows whenever the peer takes something.

    Returns:
        None if nothing waits for the peer.
    """
    fd = sock.fileno()
    # Under TLS a connection hears of its end only after its socket was closed.
    if fd < 0:
        return None
    queued = unacknowledged(fd)
    if not (queued or buffered):
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, TCP_INFO, TCP_INFO_SIZE)
        (acknowledged,) = struct.unpack_from("Q", info, BYTES_ACKED)
    except (OSError, struct.error):  # a Unix socket, or another system
        # What is in the kernel alone may be new each time; nothing is added to what is before it.
        return -(queued + buffered) if buffered else None
    return int(acknowledged)


@define
class Mark:
    """What had been taken when something was last seen to be, and when that was."""

    taken: int
    since: float


class StallWatch:
    """Looks after all connections of a server.

    ``evicted`` counts those that were let go.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._groups: list[dict[Waiting, Mark | None]] = [{} for _ in range(GROUPS)]
        self._turn = 0
        self.evicted = 0

    def __len__(self) -> int:
        return sum(map(len, self._groups))

    def add(self, connection: Waiting) -> None:
        """Watch a connection from now on."""
        self._groups[hash(connection) % GROUPS][connection] = None

    def discard(self, connection: Waiting) -> None:
        """Stop watching a connection."""
        self._groups[hash(connection) % GROUPS].pop(connection, None)

    def sweep(self, now: float) -> None:
        """Look at one group, and drop those who have taken nothing for the timeout.

        To be called ten times a second: then each connection is looked at every two.
        """
        self._turn = (self._turn + 1) % GROUPS
        group = self._groups[self._turn]
        for connection, mark in list(group.items()):
            so_far = taken(connection.socket(), connection.buffered())
            if so_far is None:
                group[connection] = None
            elif mark is None or so_far > mark.taken:
                group[connection] = Mark(so_far, now)
            elif now - mark.since >= self._timeout_s:
                self.evicted += 1
                self.discard(connection)
                connection.abort()
            else:
                # Where it is counted by what waits, a ping may have come to that.
                mark.taken = so_far
