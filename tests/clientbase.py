"""What the clients of all three transports have in common: one interface, whatever the wire."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

import httpx
from attrs import define, field, frozen

from tests.received import Body, Checker, Message, parse
from tests.serving import Served

PATIENCE_S = 10.0
# What carries no news of a channel.
QUIET = frozenset({"connected", "subscribed", "heartbeat"})
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER without any time: close() sends a RST


class EndedError(Exception):
    """The server has ended the stream; ``code`` is a WebSocket's close code."""

    def __init__(self, code: int | None = None, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class RefusedError(Exception):
    """The server has answered with something else than what was asked for."""

    def __init__(self, status: int, headers: Mapping[str, str], text: str) -> None:
        super().__init__(status, text)
        self.status = status
        self.headers = headers
        self.text = text

    @property
    def body(self) -> Body:
        """The ``error`` object."""
        return parse(self.text)


@frozen
class Want:
    """A channel that is asked for; what is None is left out of the request."""

    channel: str
    interval: int | None = None
    detail: str | None = None


@define(eq=False)
class Client(ABC):
    """A client that reads no further than somebody wants to receive.

    ``received`` is all that came, in order; ``resumes`` the newest verdict on each channel;
    ``cursors`` the newest cursor of each channel; ``rcvbuf`` the size of the socket's receive
    buffer; ``headers`` go with each request. Everything received is checked against the schema.
    """

    WIRE: ClassVar[str]

    served: Served
    checker: Checker
    rcvbuf: int | None = None
    headers: Mapping[str, str] = field(factory=dict)
    received: list[Message] = field(factory=list)
    resumes: dict[str, Body] = field(factory=dict)
    cursors: dict[str, str] = field(factory=dict)
    channels: set[str] = field(factory=set)
    _pending: asyncio.Task[Message] | None = None

    @classmethod
    async def connect(cls, served: Served, **options: Any) -> Self:  # noqa: ANN401 - the fields
        """Connect, as far as that is possible without a subscription.

        Raises:
            RefusedError: the request was.
        """
        client = cls(served, await checker_of(served), **options)
        await client._open()
        return client

    @property
    @abstractmethod
    def cursor(self) -> str | None:
        """The one cursor with which all channels can be resumed on any transport."""

    @abstractmethod
    async def subscribe(
        self, *wants: Want, since: str | None = None, history: int | None = None
    ) -> None:
        """Ask for channels; on SSE and long-poll that can be done only once.

        Raises:
            RefusedError: the request was; that of a poll only when somebody wants to receive.
        """

    async def receive(self, timeout: float = PATIENCE_S) -> Message:  # noqa: ASYNC109
        """Return the next message; one that comes too late is kept for the next call.

        Raises:
            EndedError: the stream is over.
            RefusedError: a poll was refused.
            TimeoutError: nothing came for so many seconds.
        """
        asked = self.ask()
        await asyncio.wait([asked], timeout=timeout)
        if not asked.done():
            raise TimeoutError(f"nothing after {[m.kind for m in self.received[-20:]]}")
        self._pending = None
        message = asked.result()
        self._note(message)
        return message

    def ask(self) -> asyncio.Task[Message]:
        """Begin to read, or to poll, for the next message, and do not wait for it."""
        if self._pending is None:
            self._pending = asyncio.ensure_future(self._next())
        return self._pending

    async def news(self, count: int = 1) -> list[Message]:
        """Return the next messages that tell something of a channel."""
        told: list[Message] = []
        while len(told) < count:
            message = await self.receive()
            if message.kind not in QUIET:
                told.append(message)
        return told

    async def until(self, kind: str) -> list[Message]:
        """Return what comes up to the next message of a kind, which is the last of them."""
        messages = [await self.receive()]
        while messages[-1].kind != kind:
            messages.append(await self.receive())
        return messages

    async def ended(self, timeout: float = PATIENCE_S) -> int | None:  # noqa: ASYNC109
        """Take in what still comes, and return the close code."""
        with contextlib.suppress(TimeoutError):
            try:
                while True:
                    await self.receive(timeout)
            except EndedError as end:
                return end.code
        raise AssertionError("the stream goes on")

    async def reset(self) -> None:
        """Tear the connection down with a RST, as a crash does."""
        for sock in self._sockets():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        await self.aclose()

    def widen(self, rcvbuf: int) -> None:
        """Give the socket a larger receive buffer, so that catching up does not take for ever."""
        for sock in self._sockets():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)

    async def aclose(self) -> None:
        """Go; may be called twice."""
        if self._pending is not None:
            self._pending.cancel()
            await asyncio.gather(self._pending, return_exceptions=True)
            self._pending = None
        await self._close()

    def _note(self, message: Message) -> None:
        self.checker.check(message.text)
        self.received.append(message)
        if message.kind == "subscribed":
            self.resumes[message.body["channel"]] = message.body["resume"]
        if message.is_data:
            self.cursors[message.kind] = message.body["cursor"]

    @abstractmethod
    async def _open(self) -> None: ...

    @abstractmethod
    async def _next(self) -> Message: ...

    @abstractmethod
    async def _close(self) -> None: ...

    @abstractmethod
    def _sockets(self) -> Iterator[Any]: ...


_checkers: dict[frozenset[tuple[str, type]], Checker] = {}


async def checker_of(served: Served) -> Checker:
    """Return the checker for a server's own schema, asked for once for the same sources."""
    samplers = served.hub.samplers
    sources = frozenset((name, type(sampler.source)) for name, sampler in samplers.items())
    if sources not in _checkers:
        async with http_client(served) as http:
            response = await http.get("/api/schema")
        _checkers[sources] = Checker(response.json())
    return _checkers[sources]


def http_client(served: Served, *, rcvbuf: int | None = None) -> httpx.AsyncClient:
    """Make an HTTP client that waits for as long as it takes."""
    options = [] if rcvbuf is None else [(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)]
    return httpx.AsyncClient(
        base_url=served.http,
        # To load the system's certificates takes longer than most tests.
        transport=httpx.AsyncHTTPTransport(verify=served.trust or False, socket_options=options),
        timeout=None,  # noqa: S113 - whoever receives has one
        headers={"Accept-Encoding": "identity"},
    )
