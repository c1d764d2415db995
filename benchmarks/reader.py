"""The load generator: a process that opens connections and then does nothing but read.

``python -m benchmarks.reader PORT ws:5000 sse:5000``. It answers ``{}`` once all stand. Lines on
its standard input: ``reset`` forgets what was read so far, ``churn N`` puts N new connections in
place of the N oldest, ``report`` answers with what was read.
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from benchmarks.dialects import DIALECTS, MARK, Dialect
from benchmarks.frames import unframe

# Handshakes that are under way at one time.
WINDOW = 128
BUCKET_NS = 100_000


class Tick:
    """One publication as its readers saw it."""

    __slots__ = ("count", "last", "sent")

    def __init__(self, sent: int) -> None:
        self.sent = sent
        self.count = 0
        self.last = 0


class Handshake:
    """A connection that does not stand yet."""

    __slots__ = ("data", "step")

    def __init__(self) -> None:
        self.step = 0
        self.data = b""


class Reader:
    """All connections of one load generator."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._epoll = select.epoll()
        self._sockets: dict[int, tuple[socket.socket, Dialect]] = {}
        self._handshakes: dict[int, Handshake] = {}
        self._wanted: deque[Dialect] = deque()
        self._buffer = bytearray(1 << 18)
        self._rest: dict[int, bytes] = {}
        self._closed = 0
        self._reset()

    def _reset(self) -> None:
        self._ticks: dict[bytes, Tick] = {}
        self._late: Counter[int] = Counter()
        self._since = time.monotonic(), time.process_time()

    def run(self, dialects: Sequence[Dialect]) -> None:
        """Open connections, then read and do as told until the input ends."""
        self._epoll.register(0, select.EPOLLIN)
        self._wanted.extend(dialects)
        self._open()
        told = False
        while True:
            if not (told or self._handshakes or self._wanted):
                told = True
                say({})
            for descriptor, _ in self._epoll.poll():
                if descriptor:
                    self._read(descriptor)
                elif not self._obey():
                    return

    # Opening

    def _open(self) -> None:
        while self._wanted and len(self._handshakes) < WINDOW:
            dialect = self._wanted.popleft()
            connection = socket.create_connection(("127.0.0.1", self._port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(0)
            descriptor = connection.fileno()
            self._sockets[descriptor] = connection, dialect
            self._epoll.register(descriptor, select.EPOLLIN)
            self._handshakes[descriptor] = Handshake()
            self._step(descriptor, b"")

    def _step(self, descriptor: int, data: bytes) -> None:
        """Go on with a handshake as far as the data goes."""
        connection, dialect = self._sockets[descriptor]
        handshake = self._handshakes[descriptor]
        handshake.data += data
        while handshake.step < len(dialect.steps):
            request, awaited = dialect.steps[handshake.step]
            if not handshake.data:
                connection.send(request)
            if awaited not in handshake.data:
                return
            handshake.step += 1
            if handshake.step < len(dialect.steps):
                handshake.data = b""
        if dialect.again is not None and handshake.data:
            connection.send(dialect.again(handshake.data))
        del self._handshakes[descriptor]

    def _churn(self, count: int) -> None:
        for descriptor in list(self._sockets)[:count]:
            self._wanted.append(self._drop(descriptor))
        self._open()

    def _drop(self, descriptor: int) -> Dialect:
        connection, dialect = self._sockets.pop(descriptor)
        self._handshakes.pop(descriptor, None)
        self._rest.pop(descriptor, None)
        self._epoll.unregister(descriptor)
        connection.close()
        return dialect

    # Reading

    def _read(self, descriptor: int) -> None:
        if descriptor not in self._sockets:
            return  # dropped while its data lay in the same batch
        connection, dialect = self._sockets[descriptor]
        try:
            size = connection.recv_into(self._buffer)
        except (BlockingIOError, ConnectionError):
            size = 0
        now = time.monotonic_ns()
        data = bytes(memoryview(self._buffer)[:size])
        if not size:
            self._closed += 1
            self._drop(descriptor)
        elif descriptor in self._handshakes:
            self._step(descriptor, data)
            self._open()
        else:
            answer = self._take(descriptor, dialect, data, now)
            if answer:
                connection.send(answer)

    def _take(self, descriptor: int, dialect: Dialect, data: bytes, now: int) -> bytes:
        """Count the messages that are whole; return what is to be answered."""
        if descriptor in self._rest:
            data = self._rest.pop(descriptor) + data
        if dialect.end is None:
            data, answer, rest = unframe(data)
            if rest:
                self._rest[descriptor] = rest
            self._count(data, now)
            return answer
        if data[-1] != dialect.end:
            self._rest[descriptor] = data
            return b""
        self._count(data, now)
        return b"" if dialect.again is None else dialect.again(data)

    def _count(self, data: bytes, now: int) -> None:
        at = data.find(MARK)
        while at >= 0:
            start = at + len(MARK)
            key = data[start : data.index(b",", start)]
            tick = self._ticks.get(key)
            if tick is None:
                tick = self._ticks[key] = Tick(int(key))
            tick.count += 1
            tick.last = now
            self._late[(now - tick.sent) // BUCKET_NS] += 1
            at = data.find(MARK, start)

    # Telling

    def _obey(self) -> bool:
        lines = os.read(0, 1 << 12).decode().splitlines()
        for line in lines:
            command, _, argument = line.partition(" ")
            if command == "reset":
                self._reset()
            elif command == "churn":
                self._churn(int(argument))
            else:
                say(self._report())
        return bool(lines)

    def _report(self) -> dict[str, Any]:
        wall, cpu = self._since
        counts = Counter({tick.last - tick.sent: 1 for tick in self._ticks.values()})
        busy = (time.process_time() - cpu) / (time.monotonic() - wall)
        return {
            "received": sum(tick.count for tick in self._ticks.values()),
            "spread_ms": [percentile(counts, share) / 1e6 for share in (0.5, 0.99)],
            "late_ms": [percentile(self._late, share) * BUCKET_NS / 1e6 for share in (0.5, 0.99)],
            "closed": self._closed,
            "busy": busy,
        }


def percentile(counts: Counter[int], share: float) -> int:
    """Return the value below which that share of the counted values lies; 0 if there is none."""
    left = share * counts.total()
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return value
    return 0


def say(answer: object) -> None:
    """Answer on the standard output."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run one load generator."""
    gc.disable()
    wanted = [argument.partition(":")[::2] for argument in sys.argv[2:]]
    dialects = [DIALECTS[name] for name, count in wanted for _ in range(int(count))]
    Reader(int(sys.argv[1])).run(dialects)


if __name__ == "__main__":
    main()
