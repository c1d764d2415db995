"""A TCP relay between clients and a server: the network, as bad as a test wants it to be."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

from attrs import define, field

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER without any time: close() sends a RST
_CHUNK = 65536


@define(eq=False)
class Relay:
    """Passes bytes between its own port and that of the server, `target`, which may be changed.

    `accepted` counts the connections that clients have made; while `refusing`, new ones are reset.
    """

    target: int
    port: int = 0
    accepted: int = 0
    refusing: bool = False
    _links: set[_Link] = field(factory=set)
    _passing: asyncio.Event = field(factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Its address for HTTP clients."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        return len(self._links)

    def hold(self) -> None:
        """Pass nothing on, either way, and lose nothing: a network that has stalled."""
        self._passing.clear()

    def release(self) -> None:
        """Pass on what was held, and all that comes."""
        self._passing.set()

    def cut(self) -> None:
        """Reset all connections, at both ends."""
        for link in self._links:
            link.cut()

    def half_open(self) -> None:
        """End all connections towards the server; no client is told, or hears anything again."""
        for link in self._links:
            link.half_open()

    async def link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        self.accepted += 1
        link = _Link(writer)
        if self.refusing:
            link.cut()
            return
        self._links.add(link)
        # Whatever becomes of either end is what the relay is for.
        with contextlib.suppress(OSError):
            server_reader, link.server = await asyncio.open_connection("127.0.0.1", self.target)
            up = asyncio.ensure_future(self._pass_on(link, reader, link.server))
            down = asyncio.ensure_future(self._pass_on(link, server_reader, writer))
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            if link.deaf:
                await asyncio.wait((up,))
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
        link.close()
        self._links.discard(link)

    async def _pass_on(
        self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while chunk := await reader.read(_CHUNK):
            await self._passing.wait()
            if not link.deaf:
                writer.write(chunk)
                await writer.drain()


@define(eq=False)
class _Link:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    deaf: bool = False

    def cut(self) -> None:
        for writer in (self.client, self.server):
            if writer is not None and not writer.is_closing():
                ends: socket.socket = writer.get_extra_info("socket")
                ends.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                writer.transport.abort()

    def half_open(self) -> None:
        self.deaf = True
        if self.server is not None:
            self.server.transport.abort()

    def close(self) -> None:
        for writer in (self.client, self.server):
            if writer is not None:
                writer.close()


@contextlib.asynccontextmanager
async def relaying(target: int) -> AsyncIterator[Relay]:
    """Relay to that port of 127.0.0.1, from a free one."""
    relay = Relay(target)
    relay.release()
    server = await asyncio.start_server(relay.link, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        relay.release()
        relay.cut()
        while relay.connections:  # noqa: ASYNC110 - their tasks end in the next turns of the loop
            await asyncio.sleep(0)
