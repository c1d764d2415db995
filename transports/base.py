"""What an adapter needs of the rest: a hub, a session, a way to be woken. Nothing else.

The session alone knows the protocol. An adapter hands it what the client says, gives the wire
what ``take`` returns, and sleeps until it is woken.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

from attrs import frozen

from schema.errors import CloseCode
from schema.frame import Frame
from schema.messages import Subscribe

# ASGI's own types, spelled out so that the core, which knows these protocols, needs no framework.
Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

Headers = tuple[tuple[bytes, bytes], ...]

# The key of `scope["extensions"]` under which our own server offers its sink.
DIRECT = "pulsewire.direct"


class Wire(StrEnum):
    """Which transport a session is on, as the status page counts them."""

    WEBSOCKET = "websocket"
    SSE = "sse"
    LONGPOLL = "longpoll"


@frozen
class Close:
    """The session is over: what the wire should say when the last frames are out.

    ``retry_ms`` is what an EventSource is told to wait before it comes back.
    """

    code: CloseCode
    reason: str
    retry_ms: int | None = None


class Sink(Protocol):
    """A connection that takes bytes at once: its buffer is empty, and it is between messages."""

    @property
    def wire(self) -> Wire:
        """Which transport this is; frames have a form for each."""
        ...

    @property
    def fd(self) -> int:
        """The socket's descriptor, or -1 where it must not be written to (under TLS)."""
        ...

    def put(self, data: bytes) -> None:
        """Hand bytes to the transport, which keeps what the kernel does not take."""
        ...

    def abort(self) -> None:
        """Drop the connection at once."""
        ...


class Session(Protocol):
    """One client's protocol state, without I/O.

    ``wake`` is called when ``take`` has something new; ``readers`` is how many clients get what
    it returns, which is only counted.
    """

    wake: Callable[[], None]
    readers: int

    @property
    def close(self) -> Close | None:
        """Set once the session is over; what ``take`` still returns goes out first."""
        ...

    @property
    def more(self) -> bool:
        """Whether ``take`` stopped to let others run, and should be called again soon."""
        ...

    def receive(self, data: str | bytes) -> None:
        """Take a message of the client."""
        ...

    def subscribe(self, wanted: Sequence[Subscribe]) -> None:
        """Subscribe to what the query of a request names.

        Raises:
            ProtocolError: the whole request is refused.
        """
        ...

    def take(self) -> list[Frame]:
        """Return what the wire, being free, should be given now; empty if nothing."""
        ...

    def batch(self, frames: Sequence[Frame]) -> bytes:
        """Return the body of a long-poll answer with these frames."""
        ...

    def join(self, sink: Sink) -> None:
        """Let the sink have what comes from now on by fan-out; all there was has been taken."""
        ...

    def part(self) -> None:
        """Leave the fan-out; what comes from now on waits to be taken."""
        ...

    def leave(self) -> None:
        """Forget the client; may be called twice."""
        ...


@frozen
class Adding:
    """A ``send`` that adds headers to the start of a response and does nothing else.

    So our own server can add them as well, without it.
    """

    send: Send
    headers: Headers

    async def __call__(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *self.headers]}
        await self.send(message)


class Whole(Protocol):
    """A whole response, which many may get.

    ``last`` if the connection is not to be used again.
    """

    @property
    def last(self) -> bool:
        """Whether the connection is closed after it."""
        ...

    def wire(self, more: Headers) -> bytes:
        """Return the response in HTTP/1.1, with more headers."""
        ...


class DirectSink(Sink, Protocol):
    """The sink that our own server offers for a connection, for a session to be attached to.

    ``on_lost`` is called when the connection is lost.
    """

    on_lost: Callable[[], None] | None

    def attach(self, session: Session) -> bool:
        """Let a session write to this connection from now on.

        Returns:
            False if the wire is not in a state for it; then the ordinary path is.
        """
        ...

    def pump(self) -> None:
        """Give the wire what the session has for it, if it is free."""
        ...

    def begin(self, send: Send, headers: Headers) -> bool:
        """Begin a stream, whose head goes out with its first frame; to be attached at once.

        Returns:
            False if it must begin through ``send``.
        """
        ...

    def hold(self, send: Send) -> Callable[[Whole], None] | None:
        """Let the response be given later, from outside of the application.

        The application is to return without having sent anything, and ``on_lost`` is forgotten with
        the response.

        Returns:
            What is to be called with the response; None if it must go through ``send``.
        """
        ...


def sink_of(scope: Scope) -> DirectSink | None:
    """Return the sink that the server offers for a connection; other servers offer none."""
    sink: DirectSink | None = scope.get("extensions", {}).get(DIRECT)
    return sink


def header(scope: Scope, name: bytes) -> str | None:
    """Return the first value of a request's header; its name is in lower case."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


async def gone(receive: Receive) -> None:
    """Wait until the client has gone, or the response is complete."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Hub(Protocol):
    """What adapters see of the broadcaster."""

    @property
    def draining(self) -> bool:
        """Whether the server is going, and new streams are to be shed."""
        ...

    def open(self, wire: Wire, wake: Callable[[], None], *, heritage: bool = False) -> Session:
        """Let a client in; ``wake`` is called when ``take`` has something new.

        Raises:
            ProtocolError: no more clients can be taken, or the server is going.
        """
        ...

    def admit(self) -> None:
        """Count one more client, who shares a session that is there already.

        Raises:
            ProtocolError: no more clients can be taken.
        """
        ...

    def dismiss(self) -> None:
        """Count one less of those who share a session."""
        ...


class Transport(Protocol):
    """An adapter: an ASGI application that moves frames to its medium and nothing else."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection or one request."""
        ...
