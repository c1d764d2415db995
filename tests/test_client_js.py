"""The browser client, in Node: its unit tests, and the client before a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from attrs import define

from tests.process import PATIENCE_S, running

pytestmark = pytest.mark.external("node")

WEB = Path(__file__).parent / "web"
TRANSPORTS = ("websocket", "sse", "longpoll")
# The third failure in a row may be followed by eight seconds of waiting, the fifth by thirty.
RETURN_S = 50
# Node 20 has WebSocket behind this flag; later versions have it anyway, and know the flag.
NODE = ("node", "--experimental-websocket", "--no-warnings")


def environment(url: str = "") -> dict[str, str]:
    return os.environ | {"PULSEWIRE_URL": url}


def test_the_modules_do_what_their_unit_tests_say() -> None:
    """With a clock, a server and a network that the tests turn by hand."""
    tests = sorted(map(str, WEB.glob("*.test.js")))
    done = subprocess.run(
        [*NODE, "--test", *tests], capture_output=True, check=False, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout
    assert len(tests) >= 4


async def test_the_client_gets_its_messages_on_each_transport() -> None:
    """From a real server, also while it hops from one transport to another."""
    async with running() as server:
        node = await asyncio.create_subprocess_exec(
            *NODE, WEB / "real.js", env=environment(await server.url()), stderr=subprocess.PIPE
        )
        _, complaints = await asyncio.wait_for(node.communicate(), PATIENCE_S)
        assert node.returncode == 0, complaints.decode()
        assert server.faults == []


@define
class Watcher:
    """A client in a process of its own, which tells all that happens to it."""

    _output: asyncio.StreamReader

    async def until(self, kind: str, **values: str) -> dict[str, object]:
        """Return the next event of that kind with these values."""
        async with asyncio.timeout(RETURN_S):
            while True:
                event: dict[str, object] = json.loads(await self._output.readline())
                if event["kind"] == kind and values.items() <= event.items():
                    return event


@contextlib.asynccontextmanager
async def watching(url: str, transport: str) -> AsyncIterator[Watcher]:
    node = await asyncio.create_subprocess_exec(
        *NODE, WEB / "real.js", "watch", transport, env=environment(url), stdout=subprocess.PIPE
    )
    assert node.stdout
    try:
        yield Watcher(node.stdout)
    finally:
        node.kill()
        # What it still had to say must be read, or its pipe is never closed.
        await node.communicate()


@pytest.mark.timeout(180)
async def test_a_restart_is_declared_and_leaves_the_transport() -> None:
    """After a crash as after a farewell: the same clients go on with a gap and a snapshot."""
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(running())
        url = await server.url()
        clients = [await stack.enter_async_context(watching(url, each)) for each in TRANSPORTS]
        for client in clients:
            await client.until("message")
        for how in (signal.SIGKILL, signal.SIGTERM):
            server.send(how)
            for client in clients:
                await client.until("status", status="reconnecting")
            await server.ended()
            again = ("-m", "app", "--port", url.rpartition(":")[2], "--drain", "1")
            server = await stack.enter_async_context(running(program=again))
            for client, transport in zip(clients, TRANSPORTS, strict=True):
                assert (await client.until("transport"))["transport"] == transport
                await client.until("gap", reason="epoch_changed")
                await client.until("message")
