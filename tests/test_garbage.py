"""A connection that goes leaves the garbage collector nothing: counting references frees it all."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections import Counter

import pytest

from app.garbage import FULL, MIDDLE, YOUNG, calm
from app.settings import Settings
from tests.serving import Served, driven_hub, serving
from tests.synthetic import SyntheticSource

UPGRADE = (
    b"GET /api/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: pulsewire.v1\r\n\r\n"
)
STREAM = b"GET /api/sse?channels=alpha HTTP/1.1\r\nHost: localhost\r\n\r\n"
POLL = b"GET /api/poll?channels=alpha HTTP/1.1\r\nHost: localhost\r\n\r\n"
CLIENTS = 10
# Who makes what a connection consists of; in asyncio it is the transport.
PARTS = {"app", "asyncio", "httptools", "schema", "transports", "uvicorn", "websockets"}


async def come_and_go(served: Served, request: bytes) -> None:
    """Connect, ask, read an answer and hang up; with a bare socket, which has no cycles itself."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.settimeout(0)
        await loop.sock_connect(client, ("127.0.0.1", served.port))
        await loop.sock_sendall(client, request)
        assert await loop.sock_recv(client, 65536)


async def all_gone(served: Served) -> None:
    """Wait until the server has forgotten all connections."""
    assert served.server is not None
    state = served.server.server_state
    while state.connections or state.tasks:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0)
    # A transport closes its socket one turn of the loop later.
    await asyncio.sleep(0)


@pytest.mark.parametrize("request_", [UPGRADE, STREAM, POLL], ids=["websocket", "sse", "poll"])
async def test_a_connection_leaves_no_cycles(request_: bytes) -> None:
    """Whatever it was: else full passes would be needed to free it."""
    hub = driven_hub([SyntheticSource("alpha")], Settings())
    async with serving(hub) as served:
        hub.tick(1)
        await come_and_go(served, request_)
        await all_gone(served)
        gc.collect()
        gc.disable()
        try:
            before = tracked()
            for _ in range(CLIENTS):
                await come_and_go(served, request_)
            await all_gone(served)
            left = tracked() - before
            # The loop keeps a timer that was cancelled until its time, or until there are many.
            del left["TimerHandle"]
        finally:
            gc.enable()
    assert not left


def tracked() -> Counter[str]:
    """Count the parts of connections that are there, by type.

    Not those that the collector finds: it ends a generator in a cycle before it shows it.
    """
    types = map(type, gc.get_objects())
    return Counter(t.__qualname__ for t in types if str(t.__module__).partition(".")[0] in PARTS)


def test_the_collector_is_calmed() -> None:
    """What start-up made is left out, and the young are looked at less often."""
    before = gc.get_threshold()
    try:
        calm()
        assert gc.get_threshold() == (YOUNG, MIDDLE, FULL)
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
