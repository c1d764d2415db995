"""The WebSocket wire."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, ClassVar

from attrs import define, evolve, field, frozen
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.client.link import SUBPROTOCOL
from app.client.messages import Received, receive
from app.client.plain import refusal
from app.client.wire import End, Ended, Wire
from schema.codec import encode
from schema.cursor import Cursor
from schema.errors import CloseCode, ErrorCode
from schema.fields import Detail, ResumeReason
from schema.messages import Connected, Error, Heartbeat, Ping, Subscribe, Subscribed, Unsubscribe

FINAL = range(4500, 5000)
"""The close codes after which not to come back."""


@frozen
class _Asked:
    """What a `Subscribed` must tell to be the answer to the newest of our subscribes."""

    interval: int
    detail: Detail
    first: bool

    def answered_by(self, subscribed: Subscribed, tick_ms: int) -> bool:
        granted = -(-self.interval // tick_ms) * tick_ms
        told = subscribed.interval_ms, subscribed.detail
        first = subscribed.resume.reason is ResumeReason.FIRST
        return (granted, self.detail, self.first) == (*told, first)


@define(eq=False)
class WebSocketWire(Wire):
    """WebSocket; it works once it said `connected` and brought data or answered a ping."""

    NAME: ClassVar[str] = "websocket"

    _connection: ClientConnection | None = None
    # Of the server, known since it said `connected`.
    _tick_ms: int = 0
    # The answers to wait for: what comes of a channel before its own is of an older subscription.
    _awaited: dict[str, _Asked] = field(factory=dict)
    _lane: asyncio.Queue[object] = field(factory=asyncio.Queue)
    _pinged_at: float | None = None
    _last_error: Error | None = None

    async def run(self) -> None:
        """Connect, listen, and speak."""
        try:
            self._connection = connection = await self.host.link.websocket()
        except InvalidStatus as fault:
            answer = fault.response
            raise Ended(
                refusal(answer.status_code, answer.headers, bytes(answer.body or b""))
            ) from None
        speaking = asyncio.ensure_future(self._speak(connection))
        try:
            self.liveness.heard()
            if self.host.free():
                self.subscribe()
            self.ping()
            while True:
                text = await connection.recv()
                if isinstance(text, str):
                    self.liveness.heard()
                    self.hand(self._read(text))
                    await self.rest()
        except ConnectionClosed as closed:
            raise Ended(self._closed(closed)) from None
        finally:
            speaking.cancel()
            await connection.close()

    async def _speak(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await connection.send(encode(await self._lane.get()).decode())

    def ping(self) -> None:
        """Ask for a sign of life, unless one is awaited."""
        if self._pinged_at is None:
            self._pinged_at = self.host.clock()
            self._lane.put_nowait(Ping())

    def subscribe(self) -> None:
        """Ask for all that is wanted, from the cursors that there are."""
        for channel in self.host.wanted():
            self.update(channel)

    def update(self, channel: str) -> None:
        """Ask for a channel as it is wanted now, or give it back."""
        want = self.host.wanted().get(channel)
        if want is None:
            self._awaited.pop(channel, None)
            self._lane.put_nowait(Unsubscribe(channel))
            return
        since: Cursor | None = self.host.cursors.get(channel)
        self._awaited.pop(channel, None)
        self._awaited[channel] = _Asked(want.interval, want.detail, since is None)
        ask = Subscribe(channel, want.interval, want.detail, since, want.history)
        self._lane.put_nowait(ask)

    def _read(self, text: str) -> Received | None:
        received = receive(text, self.host.wanted())
        if received is None:
            return None
        message: Any = received.message
        if isinstance(message, Error):
            self._last_error = message
        if isinstance(message, Connected):
            self._greet(message)
        elif isinstance(message, Subscribed):
            asked = self._awaited.get(message.channel)
            if asked is not None and asked.answered_by(message, self._tick_ms):
                del self._awaited[message.channel]
        elif self._tick_ms:
            return self._hear(received)
        return received

    def _greet(self, message: Connected) -> None:
        if message.protocol != SUBPROTOCOL:
            raise Ended(End(f"the server does not speak {SUBPROTOCOL}"))
        self._tick_ms = message.tick_ms

    def _hear(self, received: Received) -> Received | None:
        message = received.message
        if isinstance(message, Heartbeat) and self._pinged_at is not None:
            self.latency, self._pinged_at = self.host.clock() - self._pinged_at, None
        # It may subscribe anew, and then what came until now was for nobody.
        self.prove()
        if isinstance(message, Error):
            return self._refused(received, message)
        if isinstance(message, Heartbeat):
            # It may be ahead of a channel that is about to go back.
            return None if self._awaited else received
        return None if received.channel in self._awaited else received

    def _refused(self, received: Received, error: Error) -> Received:
        if error.code is ErrorCode.RATE_LIMITED:
            raise Ended(End(error.message, spoken=True, said=error))
        if error.channel is None and self._awaited:
            # It does not say what was wrong in which; they are answered in their order.
            channel = next(iter(self._awaited))
            received = evolve(
                received,
                body={**received.body, "channel": channel},
                message=evolve(error, channel=channel),
            )
        if error.code is not ErrorCode.CHANNEL_UNAVAILABLE:
            self._awaited.pop(received.channel, None)
        return received

    def _closed(self, closed: ConnectionClosed) -> End:
        frame = closed.rcvd
        if frame is None:
            return End("the connection broke")
        final = frame.code in FINAL
        return End(
            frame.reason or f"the connection was closed ({frame.code})",
            # Below it are the codes of a connection that something on the way closed.
            spoken=frame.code >= CloseCode.RESTART,
            final=final,
            said=self._last_error if final else None,
        )
