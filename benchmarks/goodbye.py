"""Whether every client is told when the server goes, and how long that takes.

``python -m benchmarks.goodbye [--clients N] [--window S] [--busy N]``. A third is on each
transport, all subscribed to every second's message. Then comes SIGTERM; ``busy`` processes may
want the two processors at the same time. The clients close nothing themselves, but for the closing
handshake of RFC 6455.
"""

from __future__ import annotations

import contextlib
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import click
from attrs import define, field

from benchmarks.child import cost
from benchmarks.frames import PONG, TEXT, masked
from benchmarks.machine import describe, raise_descriptor_limit

WIRES = ("websocket", "sse", "longpoll")
# Handshakes that are under way at one time.
WINDOW = 128
# How long they get their messages before the signal comes.
SETTLE_S = 2.5
PATIENCE_S = 60.0
PING_BYTE, CLOSE_BYTE = b"\x89", b"\x88"
CLOSE = masked(0x88, b"\x03\xf4")  # 1012, as it was told
BUSY = (sys.executable, "-c", "while True: pass")

_UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Protocol: pulsewire.v1",
)
_SUBSCRIBE = masked(TEXT, b'{"type":"subscribe","channel":"metrics","interval":1000}')


def _get(target: str, *headers: str) -> bytes:
    return "\r\n".join((f"GET {target} HTTP/1.1", "Host: 127.0.0.1", *headers, "", "")).encode()


def _poll(since: str = "") -> bytes:
    return _get(f"/api/poll?channels=metrics:1000&wait=60{since}")


OPENING = {
    "websocket": _get("/api/ws", *_UPGRADE),
    "sse": _get("/api/sse?channels=metrics:1000"),
    "longpoll": _poll(),
}


@define(eq=False)
class Client:
    """One connection; when it was told to come back, and when it ended, in monotonic seconds."""

    wire: str
    sock: socket.socket
    stands: bool = False
    told: float | None = None
    ended: float | None = None
    _rest: bytes = b""

    def take(self, data: bytes) -> bytes:
        """Take what has come, and return what is to be answered."""
        if b'"reconnect"' in data and self.told is None:
            self.told = time.monotonic()
        if self.wire == "longpoll":
            return self._ask_again(data)
        answer = b""
        if self.wire == "websocket":
            if b'"connected"' in data:
                answer = _SUBSCRIBE
            elif data[:1] == PING_BYTE:
                answer = masked(PONG, data[2 : 2 + data[1]])
            elif self.told and CLOSE_BYTE in data:
                answer = CLOSE
        self.stands = self.stands or b'"subscribed"' in data
        return answer

    def _ask_again(self, data: bytes) -> bytes:
        self._rest += data
        if not self._rest.endswith(b"}"):
            return b""
        answer, self._rest, self.stands = self._rest, b"", True
        cursor = re.search(rb'"cursor":"([^"]+)"', answer)
        if self.told or cursor is None:
            return b""
        return _poll(f"&since={cursor[1].decode()}")


@define(eq=False)
class Crowd:
    """All clients of one server."""

    port: int
    clients: list[Client] = field(factory=list)
    _open: dict[int, Client] = field(factory=dict)
    _epoll: select.epoll = field(factory=select.epoll)

    def gather(self, count: int) -> None:
        """Let so many in, a third on each transport.

        Raises:
            RuntimeError: that takes too long.
        """
        deadline = time.monotonic() + PATIENCE_S
        while (standing := sum(client.stands for client in self.clients)) < count:
            while len(self.clients) < min(count, standing + WINDOW):
                self._connect(WIRES[len(self.clients) % len(WIRES)])
            self.read(0.1)
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {standing} of {count} clients got in")

    def _connect(self, wire: str) -> None:
        sock = socket.create_connection(("127.0.0.1", self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)  # noqa: FBT003 - as the standard library has it
        client = self._open[sock.fileno()] = Client(wire, sock)
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        self.clients.append(client)
        sock.send(OPENING[wire])

    def read(self, wait_s: float) -> None:
        """Read what has come, or comes within so many seconds."""
        for descriptor, _ in self._epoll.poll(wait_s):
            client = self._open[descriptor]
            data = b""
            with contextlib.suppress(ConnectionError):
                data = client.sock.recv(1 << 16)
            if not data:
                client.ended = time.monotonic()
                self._epoll.unregister(descriptor)
                self._open.pop(descriptor).sock.close()
            elif answer := client.take(data):
                with contextlib.suppress(ConnectionError):
                    client.sock.send(answer)

    def read_for(self, seconds: float) -> None:
        """Read all that comes in some seconds."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.read(left)


@contextlib.contextmanager
def served(window_s: float) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run the product, as it is run anywhere, on a port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    options = {"port": port, "drain": window_s, "max-clients": 20_000, "log-level": "error"}
    flags = [part for name, value in options.items() for part in (f"--{name}", f"{value}")]
    with subprocess.Popen([sys.executable, "-m", "app", *flags]) as server:
        try:
            yield server, port
        finally:
            server.kill()


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Run so many processes that want all the time they can get."""
    processes = [subprocess.Popen(BUSY) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def wait_for(port: int) -> None:
    """Wait until a server listens, and has its first sample."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as probe:
            probe.sendall(_get("/readyz", "Connection: close"))
            if b" 200 " in probe.recv(1 << 12):
                return
        time.sleep(0.05)
    raise RuntimeError("the server does not get ready")


def say_goodbye(clients: int, window_s: float, others: int) -> str:
    """Let clients in, send the signal, and return a row of the table."""
    with served(window_s) as (server, port):
        wait_for(port)
        crowd = Crowd(port)
        crowd.gather(clients)
        crowd.read_for(SETTLE_S)
        gone_before = sum(client.ended is not None for client in crowd.clients)
        with busy(others):
            before = spent = cost([server.pid])
            begin = time.monotonic()
            server.send_signal(signal.SIGTERM)
            while server.poll() is None:
                with contextlib.suppress(ProcessLookupError, FileNotFoundError, ValueError):
                    spent = cost([server.pid])
                crowd.read(0.02)
            took = time.monotonic() - begin
            crowd.read_for(0.5)
    told = [client.told - begin for client in crowd.clients if client.told is not None]
    cpu = spent.since(before).cpu
    return (
        f"| {clients} | {window_s:g} | {others} | {clients - gone_before - len(told)} "
        f"| {max(told, default=0):.2f} | {took:.2f} | {cpu:.2f} | {server.returncode} |"
    )


HEAD = "| clients | window, s | busy | untold | last told, s | exit, s | CPU, s | status |"


@click.command()
@click.option("--clients", default=3000, show_default=True)
@click.option("--window", default=1.0, show_default=True, help="The drain window, in seconds.")
@click.option("--busy", "others", default=0, show_default=True, help="Processes beside.")
@click.option("--rounds", default=3, show_default=True)
def main(clients: int, window: float, others: int, rounds: int) -> None:
    """Print a table of goodbyes."""
    raise_descriptor_limit()
    click.echo("\n".join((*describe(), "", HEAD, "|---|---|---|---|---|---|---|---|")))
    for _ in range(rounds):
        click.echo(say_goodbye(clients, window, others))


if __name__ == "__main__":
    main()
