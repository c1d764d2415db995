"""The way to a server: one HTTP client, and the same certificates and headers for WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from attrs import define, field
from websockets.asyncio.client import connect, unix_connect
from websockets.typing import Subprotocol

from app.client.address import Address

SUBPROTOCOL = Subprotocol("pulsewire.v1")
# More than the longest history; what is longer is no message of ours.
MAX_MESSAGE_BYTES = 64 * 2**20
CLOSE_S = 1.0

Query = Mapping[str, str | int | float]
Verify = bool | str | ssl.SSLContext


@define(eq=False)
class Link:
    """How to connect, whatever the transport.

    ``verify`` is False for any certificate, or a context, or the path of a file with the
    authorities to trust; ``uds`` the path of a Unix socket; ``proxy`` whether the variables
    ``http_proxy`` and so on count.
    """

    address: Address
    headers: Mapping[str, str]
    verify: Verify
    uds: str | None
    proxy: bool
    _tls: ssl.SSLContext = field(init=False)
    _http: httpx.AsyncClient = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._tls = trust(self.verify)
        transport = None if self.uds is None else httpx.AsyncHTTPTransport(uds=self.uds)
        self._http = httpx.AsyncClient(
            base_url=self.address.base,
            headers={**self.headers, "Cache-Control": "no-store"},
            verify=self._tls,
            transport=transport,
            trust_env=self.proxy,
            follow_redirects=True,
            # Wires know by themselves how long to wait.
            timeout=None,  # noqa: S113
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    @contextlib.asynccontextmanager
    async def get(self, path: str, query: Query | None = None) -> AsyncIterator[httpx.Response]:
        """Send a request; its connection is closed, or free for the next one, on leaving.

        Raises:
            httpx.HTTPError: there is no answer.
        """
        streams: list[Any] = []

        async def trace(event: str, info: Mapping[str, Any]) -> None:
            if event.startswith("connection.connect_") and event.endswith(".complete"):
                streams.append(info["return_value"])

        request = self._http.build_request(
            "GET", path, params=query, extensions={"trace": trace, **_no_timeout()}
        )
        try:
            response = await self._http.send(request, stream=True)
        except BaseException:
            # httpcore forgets a connection that is cancelled while it shakes hands under TLS.
            for stream in streams:
                await stream.aclose()
            raise
        try:
            yield response
        finally:
            await response.aclose()

    async def reachable(self, seconds: float) -> bool:
        """Tell whether plain requests get through to a server that works."""
        try:
            async with asyncio.timeout(seconds), self.get("api/status") as response:
                await response.aread()
                status = response.json()
                return response.is_success and isinstance(status, dict) and "clients" in status
        except (OSError, httpx.HTTPError, ValueError):
            return False

    def websocket(self) -> connect:
        """Return what connects, when awaited, a WebSocket."""
        options: dict[str, Any] = {
            "subprotocols": [SUBPROTOCOL],
            "additional_headers": dict(self.headers),
            "compression": None,  # the server has it off
            "max_size": MAX_MESSAGE_BYTES,
            "close_timeout": CLOSE_S,
            # Wires know by themselves how long to wait, and when to ping.
            "open_timeout": None,
            "ping_interval": None,
        }
        if self.address.secure:
            options["ssl"] = self._tls
        if self.uds is not None:
            return unix_connect(self.uds, self.address.websocket, **options)
        return connect(self.address.websocket, proxy=self.proxy or None, **options)


def trust(verify: Verify) -> ssl.SSLContext:
    """Make the context that trusts what it should.

    Raises:
        OSError: the file cannot be read, or holds no certificates.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    if isinstance(verify, str):
        is_folder = Path(verify).is_dir()
        return ssl.create_default_context(
            cafile=None if is_folder else verify, capath=verify if is_folder else None
        )
    return _system_trust() if verify else _blind_trust()


@cache
def _system_trust() -> ssl.SSLContext:
    # Made once, as it takes longer than all else that a client does to begin.
    return ssl.create_default_context()


def _blind_trust() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _no_timeout() -> dict[str, Any]:
    return {"timeout": httpx.Timeout(None).as_dict()}
