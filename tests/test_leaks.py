"""Whoever goes, and however, leaves nothing behind: no session, no task, no descriptor.

The clients here are bare sockets, since no library goes in the middle of its handshake.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from attrs import define, frozen
from websockets.frames import Frame, Opcode

from app.core.broadcaster import Broadcaster
from app.factory import create_hub
from app.settings import Settings
from tests.clients import WIRES, Want, WebSocketClient
from tests.serving import DrivenHub, Served, driven_hub, serving
from tests.synthetic import SyntheticSource

# Hypercorn is left out: it keeps a task for each connection until its keep-alive time is over.
SERVERS = ("httptools", "h11")
RESETS = 200
AT_ONCE = 20
PATIENCE_S = 15.0
# More than a socket takes for a reader that does not read.
FLOOD = 16 * 1024 * 1024
RESET = struct.pack("ii", 1, 0)  # SO_LINGER without any time: close() sends a RST
SUBSCRIBE = b'{"type":"subscribe","channel":"alpha","interval":1000}'
REQUESTS = {
    "websocket": "GET /api/ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: pulsewire.v1\r\n",
    "sse": "GET /api/sse?channels=alpha:1000 HTTP/1.1\r\n",
    "longpoll": "GET /api/poll?channels=alpha:1000&wait=60{since} HTTP/1.1\r\n",
}


@frozen
class Inventory:
    """What there is at a moment."""

    clients: int
    cohorts: int
    descriptors: int
    tasks: int
    threads: int

    @classmethod
    def of(cls, hub: Broadcaster) -> Inventory:
        """Count."""
        return cls(
            sum(hub.clients().values()),
            hub.cohorts,
            len(list(Path("/proc/self/fd").iterdir())),
            sum(not lasting(task) for task in asyncio.all_tasks()),
            threading.active_count(),
        )


def lasting(task: asyncio.Task[object]) -> bool:
    """Tell whether it is the one task that sse-starlette keeps from its first stream on."""
    return "_shutdown_watcher" in repr(task.get_coro())


async def until(hub: Broadcaster, condition: Callable[[Inventory], bool]) -> None:
    """Wait until the counts are as wanted."""
    patience = time.monotonic() + PATIENCE_S
    while not condition(now := Inventory.of(hub)):
        assert time.monotonic() < patience, f"{now} {asyncio.all_tasks()}"
        await asyncio.sleep(0.001)


@define(eq=False)
class Caller:
    """A client made by hand, which can go at any moment."""

    wire: str
    sock: socket.socket
    heard: int = 0

    def script(self, since: str | None = None) -> list[bytes]:
        """Return what it has to say; a poll with the newest cursor has no answer for now."""
        query = "" if since is None else f"&since={since}"
        first = f"{REQUESTS[self.wire]}Host: localhost\r\n\r\n".format(since=query).encode()
        if self.wire != "websocket":
            return [first]
        return [first, Frame(Opcode.TEXT, SUBSCRIBE).serialize(mask=True)]

    async def say(self, data: bytes) -> None:
        """Send."""
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def hear(self) -> bytes:
        """Wait for something of the server; nothing means that it has hung up."""
        data = await asyncio.get_running_loop().sock_recv(self.sock, 4096)
        self.heard += len(data)
        return data

    async def join(self) -> None:
        """Say everything, and wait for what comes first."""
        for said in self.script():
            await self.say(said)
            assert await self.hear()

    def reset(self) -> None:
        """Go with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.sock.close()


@define(eq=False)
class Ground:
    """A server, the hub behind it, and what there was before any client came."""

    served: Served
    hub: DrivenHub
    before: Inventory
    tick: int = 0

    def publish(self) -> None:
        """Publish the next tick."""
        self.tick += 1
        self.hub.tick(self.tick)

    async def call(self, wire: str, *, rcvbuf: int | None = None) -> Caller:
        """Connect."""
        sock = socket.socket()
        if rcvbuf is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.setblocking(False)  # noqa: FBT003 - as the standard library has it
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.served.port))
        return Caller(wire, sock)

    async def cleared(self) -> None:
        """Wait until there is what there was before."""
        await until(self.hub, lambda now: now == self.before)


@contextlib.asynccontextmanager
async def ground(
    server: str = "httptools", padding: int = 0, *, sampled: bool = True
) -> AsyncIterator[Ground]:
    """Serve one channel, ``sampled`` once, with little patience for who does not read."""
    settings = Settings(stall_timeout=1)
    hub = driven_hub([SyntheticSource("alpha", padding=padding)], settings)
    async with serving(hub, settings, server) as served:
        on = Ground(served, hub, Inventory.of(hub))
        if sampled:
            on.publish()
        yield on


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("wire", WIRES)
async def test_who_hangs_up_is_forgotten(server: str, wire: str) -> None:
    """In the middle of a stream, or after an answer."""
    async with ground(server) as on:
        callers = [await on.call(wire) for _ in range(AT_ONCE)]
        for caller in callers:
            await caller.join()
        on.publish()
        for caller in callers:
            caller.sock.close()
        await on.cleared()


async def test_a_closing_handshake_ends_all_that_belongs_to_a_websocket() -> None:
    """The polite way."""
    async with ground() as on:
        caller = await on.call("websocket")
        await caller.join()
        await caller.say(Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))
        while await caller.hear():
            pass
        caller.sock.close()
        await on.cleared()


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("wire", WIRES)
async def test_who_goes_before_the_first_message_is_forgotten(server: str, wire: str) -> None:
    """The cohort it has waited in as well."""
    async with ground(server, sampled=False) as on:
        callers = [await on.call(wire) for _ in range(AT_ONCE)]
        for caller in callers:
            for said in caller.script():
                await caller.say(said)
                if wire != "longpoll":
                    assert await caller.hear()
        await until(on.hub, lambda now: (now.clients, now.cohorts) == (AT_ONCE, 1))
        for caller in callers:
            caller.sock.close()
        await on.cleared()


@pytest.mark.parametrize("server", SERVERS)
async def test_200_resets_at_any_moment_leave_nothing(server: str) -> None:
    """Within a request, before its answer, in the middle of a stream, while a poll is held."""
    chance = random.Random(8321)
    async with ground(server) as on:
        gone = []
        for _ in range(RESETS // AT_ONCE):
            gone += await asyncio.gather(*(vanish(on, chance) for _ in range(AT_ONCE)))
        assert sum(caller.heard > 0 for caller in gone) > RESETS // 4
        await on.cleared()


async def vanish(on: Ground, chance: random.Random) -> Caller:
    """Connect, say some of what there is to say, and be gone."""
    caller = await on.call(chance.choice(WIRES))
    held = caller.wire == "longpoll" and chance.random() < 0.5
    for said in caller.script(f"{on.hub.log.epoch}:{on.hub.log.head}" if held else None):
        part = said[: chance.choice([len(said), len(said), chance.randrange(len(said))])]
        await caller.say(part)
        if part != said or held or chance.random() < 0.2:
            break
        assert await caller.hear()
    on.publish()
    for _ in range(chance.randrange(8)):
        await asyncio.sleep(0)
    caller.reset()
    return caller


async def test_an_event_stream_may_be_reset_before_its_response() -> None:
    """A generator that never starts never comes to its end either."""
    async with ground() as on:
        for turns in range(2 * AT_ONCE):
            caller = await on.call("sse")
            caller.sock.sendall(caller.script()[0])
            for _ in range(turns // 2):
                await asyncio.sleep(0)
            caller.reset()
        await on.cleared()


@pytest.mark.parametrize("go", [Caller.reset, lambda caller: caller.sock.close()])
async def test_a_poll_that_is_held_may_be_abandoned(go: Callable[[Caller], None]) -> None:
    """Nobody waits for its next message any longer."""
    async with ground() as on:
        callers = [await on.call("longpoll") for _ in range(AT_ONCE)]
        for caller in callers:
            await caller.say(caller.script(f"{on.hub.log.epoch}:{on.hub.log.head}")[0])
        await until(on.hub, lambda now: now.clients == AT_ONCE)
        for caller in callers:
            go(caller)
        await on.cleared()


@pytest.mark.parametrize("wire", WIRES)
async def test_who_never_reads_is_evicted(wire: str) -> None:
    """The kernel gives the connection up when nothing was taken for `stall_timeout`."""
    async with ground(padding=FLOOD) as on:
        caller = await on.call(wire, rcvbuf=4096)
        began = time.monotonic()
        await caller.say(caller.script()[0])
        if wire == "websocket":
            await caller.hear()
            await caller.say(caller.script()[1])
        await until(on.hub, lambda now: now.tasks > on.before.tasks)
        await until(on.hub, lambda now: now.descriptors == on.before.descriptors + 1)
        assert time.monotonic() - began > 0.5, "it was given its time"
        caller.sock.close()
        await on.cleared()


async def test_an_unsubscribe_leaves_the_connection_and_nothing_else() -> None:
    """The cohort is gone, and no message comes any more."""
    async with ground() as on:
        client = await WebSocketClient.connect(on.served)
        await client.fence()
        await client.subscribe(Want("alpha", 1000))
        await client.news()
        on.publish()
        await client.news()
        with_it = Inventory.of(on.hub)
        assert (with_it.clients, with_it.cohorts) == (1, 1)
        await client.unsubscribe("alpha")
        assert await client.fence() == []
        on.publish()
        assert await client.fence() == []
        without = Inventory.of(on.hub)
        assert (without.clients, without.cohorts, without.tasks) == (1, 0, with_it.tasks)
        await client.aclose()
        await on.cleared()


@pytest.mark.parametrize("server", SERVERS)
async def test_an_unsubscribe_before_the_first_message_leaves_nothing_either(server: str) -> None:
    """There is nothing to be taken out of yet."""
    async with ground(server, sampled=False) as on:
        client = await WebSocketClient.connect(on.served)
        await client.subscribe(Want("alpha", 1000))
        await client.until("subscribed")
        await client.unsubscribe("alpha")
        assert await client.fence() == []
        assert on.hub.cohorts == 0
        await client.aclose()
        await on.cleared()


async def test_a_hub_that_is_started_and_stopped_leaves_nothing() -> None:
    """Twice is as good as once; its threads end when they have nothing left to do."""
    sources = [SyntheticSource("alpha"), SyntheticSource("beta", always=False)]
    hub = create_hub(Settings(tick=100), sources)
    before = Inventory.of(hub)
    for _ in range(3):
        for _ in range(2):
            await hub.start()
        running = Inventory.of(hub)
        assert running.tasks > before.tasks
        await hub.start()
        assert Inventory.of(hub).tasks == running.tasks
        await until(hub, lambda _: hub.ready)
        for _ in range(2):
            await hub.stop()
        await until(hub, lambda now: now == before)


async def test_a_source_that_hangs_keeps_neither_a_task_nor_the_process() -> None:
    """Its thread is a daemon's, and ends as soon as the call returns."""
    held = threading.Event()
    source = SyntheticSource("alpha", blocker=held.wait)
    hub = create_hub(Settings(tick=100), [source])
    before = Inventory.of(hub)
    await hub.start()
    await until(hub, lambda now: now.threads == before.threads + 1)
    await hub.stop()
    (thread,) = [thread for thread in threading.enumerate() if "alpha" in thread.name]
    assert thread.daemon
    assert Inventory.of(hub).tasks == before.tasks
    held.set()
    await until(hub, lambda now: now == before)
