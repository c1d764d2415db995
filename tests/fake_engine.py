"""A container engine that is not one: it answers on a real Unix socket what a test wants it to.

It runs on an event loop in a thread of its own, as the source under test blocks the test's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from attrs import define, field

Body = dict[str, Any]

MEMORY = 8 * 2**30
CORES = 4
NOW = datetime(2026, 11, 22, 20, 35, tzinfo=UTC)


def moment(seconds: float) -> str:
    """Write a time as engines do, with nanoseconds."""
    return f"{NOW + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%f}789Z"


@define(eq=False)
class Fake:
    """A container: what is told of it, and how. ``answer`` goes before what its parts make up.

    ``at`` is the engine's clock in seconds when it is measured, ``cpu`` in seconds too. With a
    ``pace`` so many seconds pass at each measurement, and it uses half of a processor.
    """

    identity: str
    name: str
    state: str = "running"
    status: str = "Up 2 hours"
    at: float = 0.0
    cpu: float = 0.0
    pace: float = 0.0
    received: int = 0
    sent: int = 0
    nano_cpus: int = 0
    network: str = "bridge"
    health: str | None = None
    delay: float = 0.0
    hangs: bool = False
    answer: tuple[int, bytes] | None = None

    def entry(self) -> Body:
        """Give its entry in the list."""
        return {
            "Id": self.identity,
            "Names": [f"/{self.name}"],
            "Image": "shop:1",
            "State": self.state,
            "Status": self.status,
            "Ports": [{"PrivatePort": 80, "Type": "tcp"}],
            "Created": 1_795_413_787,
        }

    def inspected(self) -> Body:
        """Give what is set and known of it."""
        health = {"Status": self.health} if self.health else None
        return {
            "State": {"Status": self.state, "Health": health},
            "HostConfig": {"NanoCpus": self.nano_cpus, "NetworkMode": self.network},
        }

    def stats(self) -> Body:
        """Give what it uses, as Docker does with cgroup v2."""
        self.at, self.cpu = self.at + self.pace, self.cpu + self.pace / 2
        return {
            "read": moment(self.at),
            "pids_stats": {"current": 3, "limit": 18446744073709551615},
            "blkio_stats": {"io_service_bytes_recursive": None},
            "cpu_stats": {
                "cpu_usage": {"total_usage": round(self.cpu * 1e9)},
                "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
            },
            "memory_stats": {"usage": 2**26, "limit": MEMORY, "stats": {"inactive_file": 2**24}},
            "networks": {
                "eth0": {"rx_bytes": self.received, "tx_bytes": self.sent},
                "eth1": {"rx_bytes": self.received, "tx_bytes": 0},
            },
        }


@define(eq=False)
class FakeEngine:
    """An engine. ``answers`` go before its own, by path, and those of ``silent`` have none.

    ``asked`` are the paths so far, ``calls`` the questions about a container's usage that it has
    now, ``most`` how many of them it had at one time.
    """

    path: Path
    portal: BlockingPortal
    version: Body = field(factory=lambda: {"ApiVersion": "1.47"})
    info: Body = field(factory=lambda: {"NCPU": CORES, "MemTotal": MEMORY})
    fakes: dict[str, Fake] = field(factory=dict)
    answers: dict[str, tuple[int, bytes]] = field(factory=dict)
    silent: set[str] = field(factory=set)
    asked: list[str] = field(factory=list)
    calls: int = 0
    most: int = 0
    listeners: list[asyncio.StreamWriter] = field(factory=list)
    connections: set[asyncio.StreamWriter] = field(factory=set)
    _server: asyncio.Server | None = None

    def add(self, name: str, **values: Any) -> Fake:  # noqa: ANN401 - of the container
        """Make a container."""
        fake = Fake(hashlib.sha256(name.encode()).hexdigest(), name, **values)
        self.fakes[fake.identity] = fake
        return fake

    def pass_time(self, seconds: float, cpu: float = 0.0) -> None:
        """Let the engine's clock go on, and all containers use so many seconds of a processor."""
        for fake in self.fakes.values():
            fake.at += seconds
            fake.cpu += cpu

    def asked_for(self, ending: str) -> int:
        """Count the requests whose path ends like this."""
        return sum(path.endswith(ending) for path in self.asked)

    def emit(self, action: str, fake: Fake) -> None:
        """Tell an event to all who listen."""
        self.say(json.dumps({"Action": action, "Actor": {"ID": fake.identity}}))

    def say(self, line: str) -> None:
        """Send a line to all who listen to events."""

        def write() -> None:
            for listener in self.listeners:
                listener.write(_chunk(line.encode() + b"\n"))

        self.portal.call(write)

    def start(self) -> None:
        """Listen on the socket."""
        self._server = self.portal.call(asyncio.start_unix_server, self._serve, str(self.path))

    def stop(self) -> None:
        """Be gone, with all connections and the socket."""

        async def gone() -> None:
            assert self._server is not None
            self._server.close()
            for writer in [*self.connections]:
                writer.transport.abort()
            self.path.unlink(missing_ok=True)  # from 3.13 on, close() does it
            self.listeners.clear()
            while self.connections:  # noqa: ASYNC110 - they have no event
                await asyncio.sleep(0.001)

        self.portal.call(gone)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                target = head.split(b" ", 2)[1].decode()
                self.asked.append(target.partition("?")[0])
                if not await self._answer(self.asked[-1], reader, writer):
                    break
        self.connections.discard(writer)
        writer.close()

    async def _answer(
        self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer a request; tell whether the connection may be used for another one."""
        if path in self.silent:
            await reader.read()  # until whoever asks gives up
            return False
        if path in self.answers:
            status, content = self.answers[path]
        elif path == "/events":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            self.listeners.append(writer)
            await reader.read()  # until the listener goes
            return False
        elif path.endswith("/stats"):
            status, content = await self._stats(path.split("/")[2], reader)
        else:
            status, content = self._plain(path)
        writer.write(
            f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        )
        writer.write(content)
        return True

    async def _stats(self, identity: str, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        fake = self.fakes.get(identity)
        if fake is None:
            return 404, b'{"message":"No such container"}'
        self.calls += 1
        self.most = max(self.most, self.calls)
        try:
            if fake.hangs:
                await reader.read()  # until whoever asks gives up
            body = fake.answer or (200, json.dumps(fake.stats()).encode())
            await asyncio.sleep(fake.delay)
        finally:
            self.calls -= 1
        return body

    def _plain(self, path: str) -> tuple[int, bytes]:
        _, first, *rest = path.split("/")
        if path == "/containers/json":
            body: object = [fake.entry() for fake in self.fakes.values()]
        elif first == "containers" and rest[0] in self.fakes:
            body = self.fakes[rest[0]].inspected()
        else:
            body = {"version": self.version, "info": self.info}.get(first)
        if body is None:
            return 404, b'{"message":"page not found"}'
        return 200, json.dumps(body).encode()


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


@contextlib.contextmanager
def fake_engine() -> Iterator[FakeEngine]:
    """Run an engine on a socket in a folder of its own, whose path is short enough for one."""
    with (
        tempfile.TemporaryDirectory(prefix="pulse") as folder,
        start_blocking_portal(name="fake-engine") as portal,
    ):
        engine = FakeEngine(Path(folder) / "engine.sock", portal)
        engine.start()
        try:
            yield engine
        finally:
            if engine.path.exists():
                engine.stop()
