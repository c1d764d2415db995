"""The relay that stands for the network in other tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from attrs import define, field

from tests.relay import Relay, relaying

PATIENCE_S = 5


@define(eq=False)
class Echo:
    """A server that sends back what it is sent, and notes how its connections have ended."""

    port: int = 0
    ends: asyncio.Queue[str] = field(factory=asyncio.Queue)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(line)
                if line == b"bye\n":
                    break
            self.ends.put_nowait("closed")
        except ConnectionResetError:
            self.ends.put_nowait("reset")
        writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    echo.port = server.sockets[0].getsockname()[1]
    yield echo
    server.close()


@pytest.fixture
async def relay(echo: Echo) -> AsyncIterator[Relay]:
    async with asyncio.timeout(PATIENCE_S), relaying(echo.port) as relay:
        yield relay


@define
class Peer:
    """A client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def says(self, text: bytes) -> bytes:
        self.writer.write(text)
        return await self.reader.readline()


@contextlib.asynccontextmanager
async def joined(relay: Relay) -> AsyncIterator[Peer]:
    peer = Peer(*await asyncio.open_connection("127.0.0.1", relay.port))
    try:
        yield peer
    finally:
        peer.writer.close()


async def silent(peer: Peer) -> bool:
    """Whether nothing comes for a while; that takes time, as silence does."""
    try:
        await asyncio.wait_for(peer.reader.read(1), 0.2)
    except TimeoutError:
        return True
    return False


async def test_it_passes_bytes_both_ways_and_the_end(relay: Relay, echo: Echo) -> None:
    """Whichever side ends it, and whatever was said last."""
    async with joined(relay) as first, joined(relay) as second:
        assert await first.says(b"one\n") == b"one\n"
        assert await second.says(b"bye\n") == b"bye\n"
        assert await second.reader.read() == b""
        assert await echo.ends.get() == "closed"
    assert await echo.ends.get() == "closed"
    assert relay.accepted == 2


async def test_what_is_held_is_not_lost(relay: Relay) -> None:
    """It comes in order, later."""
    async with joined(relay) as peer:
        await peer.says(b"one\n")
        relay.hold()
        peer.writer.write(b"two\n")
        assert await silent(peer)
        relay.release()
        assert await peer.reader.readline() == b"two\n"


async def test_a_cut_is_felt_at_both_ends(relay: Relay, echo: Echo) -> None:
    """And it is over with that: whoever comes again is let in."""
    async with joined(relay) as peer:
        await peer.says(b"one\n")
        relay.cut()
        assert await echo.ends.get() == "reset"
        with pytest.raises(ConnectionResetError):
            await peer.reader.read()
    async with joined(relay) as peer:
        assert await peer.says(b"two\n") == b"two\n"


async def test_of_a_half_open_connection_the_client_is_not_told(relay: Relay, echo: Echo) -> None:
    """It may go on talking."""
    async with joined(relay) as peer:
        await peer.says(b"one\n")
        relay.half_open()
        assert await echo.ends.get() in {"closed", "reset"}
        peer.writer.write(b"two\n")
        assert await silent(peer)
        assert relay.connections == 1


async def test_it_can_refuse(relay: Relay) -> None:
    """As a machine does on which nobody listens."""
    relay.refusing = True
    async with joined(relay) as peer:
        with pytest.raises(ConnectionResetError):
            await peer.reader.read()


async def test_a_server_that_is_not_there_ends_the_connection(relay: Relay) -> None:
    """It may be another one later."""
    port, relay.target = relay.target, 1
    async with joined(relay) as peer:
        assert await peer.reader.read() == b""
    relay.target = port
    async with joined(relay) as peer:
        assert await peer.says(b"one\n") == b"one\n"
