"""Small test clients, one for each transport, on libraries that others wrote.

They know the protocol page and nothing of the server's code. `connect` makes one by the name of
its wire; what they have in common is told in `tests.clientbase`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx
from attrs import define, field, frozen
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from tests.clientbase import Client, EndedError, RefusedError, Want, http_client
from tests.received import Body, Message, parse, parse_events, seq_of, texts_in
from tests.serving import Served

__all__ = [
    "CLIENTS",
    "WIRES",
    "Batch",
    "Client",
    "EndedError",
    "Message",
    "PollClient",
    "RefusedError",
    "SseClient",
    "Want",
    "WebSocketClient",
    "connect",
    "seq_of",
]

SUBPROTOCOL = Subprotocol("pulsewire.v1")


@define(eq=False)
class WebSocketClient(Client):
    """One WebSocket, in either dialect.

    The library reads on until it has the whole of a message, however large; a ``lazy`` client
    takes nothing at all from its socket unless somebody wants to receive or to send.
    """

    WIRE = "websocket"

    heritage: bool = False
    lazy: bool = False
    _connection: ClientConnection = field(init=False)

    async def _open(self) -> None:
        sock = socket.socket()
        if self.rcvbuf is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.rcvbuf)
        sock.setblocking(False)  # noqa: FBT003 - as the standard library has it
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.served.port))
        try:
            self._connection = await websocket_connect(
                self.served.ws,
                sock=sock,
                ssl=self.served.trust,
                subprotocols=None if self.heritage else [SUBPROTOCOL],
                additional_headers=self.headers,
                compression=None,
                max_size=None,
                max_queue=1,
                ping_interval=None,
                proxy=None,
            )
        except InvalidStatus as refusal:
            response = refusal.response
            text = (response.body or b"").decode()
            raise RefusedError(response.status_code, response.headers, text) from None
        assert self._connection.subprotocol == (None if self.heritage else SUBPROTOCOL)
        if self.lazy:
            self._connection.transport.pause_reading()

    @property
    def cursor(self) -> str | None:
        """The lowest of all channels, None if one has had no message yet."""
        if not self.channels or self.channels - self.cursors.keys():
            return None
        return min((self.cursors[channel] for channel in self.channels), key=seq_of)

    async def subscribe(
        self, *wants: Want, since: str | None = None, history: int | None = None
    ) -> None:
        """Send a `subscribe` for each channel."""
        for want in wants:
            self.channels.add(want.channel)
            body = {
                "type": "subscribe",
                "channel": want.channel,
                "interval": want.interval,
                "detail": want.detail,
                "since": since,
                "history": history,
            }
            await self.send({key: value for key, value in body.items() if value is not None})

    async def unsubscribe(self, channel: str) -> None:
        """Give a channel back."""
        self.channels.discard(channel)
        await self.send({"type": "unsubscribe", "channel": channel})

    async def send(self, message: Body | str | bytes) -> None:
        """Send anything at all."""
        text = json.dumps(message) if isinstance(message, dict) else message
        with self._reading():
            await self._connection.send(text)

    async def error(self, message: Body | str | bytes) -> Body:
        """Send what the server will not like, and return its `error`."""
        await self.send(message)
        return (await self.until("error"))[-1].body

    async def fence(self) -> list[Message]:
        """Ping, and return all that came before the answer."""
        await self.send({"type": "ping"})
        return (await self.until("heartbeat"))[:-1]

    async def _next(self) -> Message:
        with self._reading():
            try:
                text = await self._connection.recv()
            except ConnectionClosed as end:
                close = end.rcvd
                raise EndedError(*(close.code, close.reason) if close else ()) from None
        assert isinstance(text, str), "a message is a text frame"
        return Message(text)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        if not self.lazy:
            yield
            return
        self._connection.transport.resume_reading()
        try:
            yield
        finally:
            self._connection.transport.pause_reading()

    async def _close(self) -> None:
        # No closing handshake: it would wait for a server that may be waiting for us to read.
        self._connection.transport.abort()
        await self._connection.wait_closed()

    def _sockets(self) -> Iterator[Any]:
        yield self._connection.transport.get_extra_info("socket")


@define(eq=False)
class HttpClient(Client):
    """What event stream and long-poll have in common: the query is the subscription."""

    query: dict[str, str | float] = field(factory=dict)
    _http: httpx.AsyncClient = field(init=False)
    _streams: list[Any] = field(factory=list)
    _cursor: str | None = None

    async def _open(self) -> None:
        self._http = http_client(self.served, rcvbuf=self.rcvbuf)

    @property
    def cursor(self) -> str | None:
        """The newest cursor of whatever channel."""
        return self._cursor

    def _ask(self, wants: tuple[Want, ...], since: str | None, history: int | None) -> None:
        assert not self.channels, "one request, one list of channels"
        self.channels = {want.channel for want in wants}
        self.query["channels"] = ",".join(
            f"{want.channel}:{want.interval or ''}:{want.detail or ''}".rstrip(":")
            for want in wants
        )
        if history is not None:
            self.query["history"] = history
        self._cursor = since

    def _request(
        self, path: str, headers: Mapping[str, str], **query: str | float
    ) -> httpx.Request:
        return self._http.build_request(
            "GET",
            path,
            params={**self.query, **query},
            headers=headers,
            extensions={"trace": self._trace},
        )

    async def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        # The only way to the socket of a request that has no response yet.
        if event == "connection.connect_tcp.complete":
            self._streams = [info["return_value"]]

    async def _close(self) -> None:
        await self._http.aclose()
        # httpcore forgets one that is cancelled while it shakes hands under TLS.
        for stream in self._streams:
            await stream.aclose()

    def _sockets(self) -> Iterator[Any]:
        return (stream.get_extra_info("socket") for stream in self._streams)


@define(eq=False)
class SseClient(HttpClient):
    """An event stream; ``last_event_id`` is sent as an EventSource does when it comes back."""

    WIRE = "sse"

    last_event_id: str | None = None
    response: httpx.Response = field(init=False)
    _events: AsyncIterator[Message] = field(init=False)

    async def subscribe(
        self, *wants: Want, since: str | None = None, history: int | None = None
    ) -> None:
        """Open the stream."""
        self._ask(wants, since, history)
        if since is not None:
            self.query["since"] = since
        identity = {} if self.last_event_id is None else {"Last-Event-ID": self.last_event_id}
        request = self._request("/api/sse", {**self.headers, **identity})
        self.response = response = await self._http.send(request, stream=True)
        if response.status_code != httpx.codes.OK:
            text = (await response.aread()).decode()
            raise RefusedError(response.status_code, response.headers, text)
        self._events = parse_events(response.aiter_raw())

    async def _next(self) -> Message:
        try:
            return await anext(self._events)
        except StopAsyncIteration:
            raise EndedError from None

    def _note(self, message: Message) -> None:
        super()._note(message)
        if message.id is not None:
            self._cursor = message.id

    async def _close(self) -> None:
        if self.channels:
            await self.response.aclose()
        await super()._close()


@frozen
class Batch:
    """The answer to a poll."""

    body: Body
    messages: list[Message]
    headers: httpx.Headers


@define(eq=False)
class PollClient(HttpClient):
    """Polls again and again, each time from where the last answer ended."""

    WIRE = "longpoll"

    batches: list[Batch] = field(factory=list)
    _since: str | None = None
    _inbox: list[Message] = field(factory=list)

    async def subscribe(
        self, *wants: Want, since: str | None = None, history: int | None = None
    ) -> None:
        """Make up the query; the first poll is sent when somebody wants to receive."""
        self._ask(wants, since, history)
        self._since = since

    async def poll(self, **query: str | float) -> Batch:
        """Send one poll, perhaps with a query of its own; the next one goes on from there.

        Raises:
            RefusedError: the request was.
        """
        since = {} if self._since is None else {"since": self._since}
        request = self._request("/api/poll", self.headers, **{**since, **query})
        response = await self._http.send(request)
        if response.status_code != httpx.codes.OK:
            raise RefusedError(response.status_code, response.headers, response.text)
        self.checker.check(response.text)
        messages = [Message(text) for text in texts_in(response.text, "messages")]
        batch = Batch(parse(response.text), messages, response.headers)
        self.batches.append(batch)
        self.resumes |= batch.body["resume"]
        self._since = batch.body["cursor"] or self._since
        return batch

    async def _next(self) -> Message:
        while not self._inbox:
            self._inbox += (await self.poll()).messages
        return self._inbox.pop(0)

    def _note(self, message: Message) -> None:
        super()._note(message)
        if not self._inbox:
            # All that the last answer's cursor covers has been received.
            self._cursor = self._since
        elif message.is_data:
            self._cursor = message.body["cursor"]


CLIENTS: Mapping[str, type[Client]] = {
    client.WIRE: client for client in (WebSocketClient, SseClient, PollClient)
}
WIRES = tuple(CLIENTS)


async def connect(wire: str, served: Served, **options: Any) -> Client:  # noqa: ANN401 - the fields
    """Connect on one of WIRES.

    Raises:
        RefusedError: the request was.
    """
    return await CLIENTS[wire].connect(served, **options)
