"""The floor: accept connections, and write to one after the other with ``socket.send``.

``python -m benchmarks.servers.floor PORT``
"""

from __future__ import annotations

import select
import socket
import sys
import time

from benchmarks.payload import payload
from benchmarks.servers.control import announce, moments, say


def accept_until_told(listener: socket.socket, connections: list[socket.socket]) -> str:
    """Accept connections until there is a line on the standard input, and return the line."""
    while sys.stdin not in (ready := select.select([listener, sys.stdin], [], [])[0]):
        if listener in ready:
            connection, _ = listener.accept()
            connection.settimeout(0)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connections.append(connection)
    return sys.stdin.readline()


def main() -> None:
    """Run the floor until its input ends."""
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=4096)
    announce(int(sys.argv[1]))
    connections: list[socket.socket] = []
    while line := accept_until_told(listener, connections):
        _, hz, seconds = line.split()
        ticks = 0
        for due in moments(float(hz), float(seconds)):
            time.sleep(max(0.0, due - time.monotonic()))
            data = payload(time.monotonic_ns()).encode()
            for connection in connections:
                connection.send(data)
            ticks += 1
        say({"ticks": ticks, "pause_ms": None})


if __name__ == "__main__":
    main()
