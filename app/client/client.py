"""The client: messages as they come, whatever the transport."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Self

from attrs import define, field

from app.client.address import Address
from app.client.chooser import WIRES
from app.client.feed import Feed
from app.client.link import Link, Verify
from app.client.messages import Message
from app.client.patience import boottime
from app.client.state import State, Status
from app.client.want import Want

AUTO = "auto"
TRANSPORTS = (AUTO, *WIRES)


def _chosen(name: str) -> tuple[str, ...]:
    if name not in TRANSPORTS:
        raise ValueError(f"transport must be one of {', '.join(TRANSPORTS)}, not {name!r}")
    return tuple(WIRES) if name == AUTO else (name,)


@define(eq=False)
class Client:
    """One logical stream of messages from a server, whatever transports it comes over.

    It takes the best transport that gets through, goes on with another one when it must, comes
    back by itself, and loses nothing without saying so: every message of a channel comes exactly
    once and in order, or a ``Gap`` before the next one tells that it is not coming. ::

        async with Client("http://127.0.0.1:8321", {"metrics": Want(interval=1000)}) as client:
            async for message in client:
                ...

    What comes are the classes of `schema`: `Connected` from each stream, the messages of the
    channels (a `ChannelMessage` where there is no class for one), `History`, `Gap` and `Error`. A
    reader that is slow is slow to the server, and is told of what it missed by a `Gap`.

    Args:
        url: the server: an http, https, ws or wss URL, or ``host:port``.
        channels: what is wanted of each channel; by default ``metrics``, every 5 seconds.
        transport: ``auto``, ``websocket``, ``sse`` or ``longpoll``.
        headers: of every request.
        token: is sent as ``Authorization: Bearer``.
        verify: False for any certificate; or the path of a file with the authorities to trust, or
            an `ssl.SSLContext`.
        uds: the path of a Unix socket at which the server is.
        proxy: whether the variables ``http_proxy``, ``https_proxy`` and ``no_proxy`` count.
        on_state: is called with each new `State`.
        clock: seconds, for tests.
        chance: a number from 0 to 1, for tests.

    Raises:
        ValueError: the URL or the transport is none.
    """

    url: str = field()
    channels: Mapping[str, Want] = field(factory=lambda: {"metrics": Want()})
    transport: str = field(default=AUTO, kw_only=True)
    headers: Mapping[str, str] = field(factory=dict, kw_only=True)
    token: str | None = field(default=None, kw_only=True)
    verify: Verify = field(default=True, kw_only=True)
    uds: str | None = field(default=None, kw_only=True)
    proxy: bool = field(default=True, kw_only=True)
    on_state: Callable[[State], object] = field(default=lambda _state: None, kw_only=True)
    clock: Callable[[], float] = field(default=boottime, kw_only=True)
    chance: Callable[[], float] = field(default=random.random, kw_only=True)
    _address: Address = field(init=False)
    _names: tuple[str, ...] = field(init=False)
    _feed: Feed = field(init=False)
    _link: Link | None = field(init=False, default=None)
    _run: asyncio.Task[None] | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._address = Address.parse(self.url)
        self._names = _chosen(self.transport)
        self._feed = Feed(dict(self.channels), self.clock, self.on_state)

    async def __aenter__(self) -> Self:
        """Begin to connect.

        Raises:
            OSError: the file of authorities cannot be read.
        """
        token = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        headers = {**self.headers, **token}
        self._link = Link(self._address, headers, self.verify, self.uds, proxy=self.proxy)
        self._feed.begin(self._link, self._names, self.chance)
        self._run = asyncio.ensure_future(self._feed.chooser.run())
        self._run.add_done_callback(self._stopped)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of everything: no task and no connection is left."""
        await self.aclose()

    async def aclose(self) -> None:
        """Let go of everything; whoever waits for a message gets the end."""
        if self._run is not None and self._link is not None:
            self._run.cancel()
            await asyncio.gather(self._run, return_exceptions=True)
            await self._feed.chooser.aclose()
            await self._link.aclose()
            self._feed.close()

    def _stopped(self, run: asyncio.Task[None]) -> None:
        error = None if run.cancelled() else run.exception()
        if isinstance(error, Exception):
            self._feed.failed(error)

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        """Return the next message.

        Raises:
            RefusedError: the server will not have us.
            StopAsyncIteration: the client was closed.
        """
        return (await self._feed.inbox.take()).message

    async def texts(self) -> AsyncIterator[str]:
        """Yield the messages as JSON, byte for byte as the server sent them.

        Raises:
            RefusedError: the server will not have us.
        """
        while True:
            try:
                received = await self._feed.inbox.take()
            except StopAsyncIteration:
                return
            yield received.text

    def subscribe(self, channel: str, want: Want) -> None:
        """Subscribe to a channel, or change how: then it begins anew, with a snapshot."""
        self._feed.subscribe(channel, want)

    def unsubscribe(self, channel: str) -> None:
        """Give a channel back."""
        self._feed.unsubscribe(channel)

    @property
    def wanted(self) -> Mapping[str, Want]:
        """The channels that are asked for, as far as the server has them."""
        return self._feed.wanted()

    @property
    def state(self) -> State:
        """How the connection is."""
        return self._feed.state

    @property
    def latency(self) -> float | None:
        """Seconds that an answer of the server takes; None while there is none."""
        return None if self._feed.wire is None else self._feed.wire.latency

    @property
    def retry_in(self) -> float | None:
        """Seconds until the next attempt; None while nothing waits."""
        if self._run is None or self.state.status is Status.CLOSED:
            return None
        at = self._feed.chooser.backoff.at
        return None if at is None else max(0.0, at - self.clock())
