"""The WebSocket adapter: text frames, one message each, in both dialects."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.types import Receive, Scope, Send

from schema.errors import CloseCode, ProtocolError
from transports.base import Hub, Session, Wire, sink_of
from transports.refusal import error_frame
from transports.wakeup import Wakeup

SUBPROTOCOL = "pulsewire.v1"


class WebSocketTransport:
    """Serves ``/api/ws`` to clients that ask for an upgrade."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        # Without Starlette's WebSocket, which follows the state of the connection in every message.
        await receive()
        v1 = SUBPROTOCOL in scope["subprotocols"]
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if v1 else None})
        wakeup, sink = Wakeup(), sink_of(scope)
        try:
            wake = wakeup.set if sink is None else sink.pump
            session = self._hub.open(Wire.WEBSOCKET, wake, heritage=not v1)
        except ProtocolError as error:
            await self._turn_away(send, error)
            return
        try:
            if sink is not None and sink.attach(session):
                await _read(receive, session)
            else:
                # Something in between may hold the handshake's answer back.
                session.wake = wakeup.set
                await _serve(receive, send, session, wakeup)
        finally:
            session.leave()

    async def _turn_away(self, send: Send, error: ProtocolError) -> None:
        code = CloseCode.RESTART if self._hub.draining else CloseCode.CONNECTION_LIMIT
        with contextlib.suppress(OSError):
            await send({"type": "websocket.send", "text": error_frame(error).string})
            await send({"type": "websocket.close", "code": code, "reason": error.message})


async def _serve(receive: Receive, send: Send, session: Session, wakeup: Wakeup) -> None:
    """Read and write side by side until one of the two is done."""
    reader = asyncio.ensure_future(_read(receive, session))
    writer = asyncio.ensure_future(_write(send, session, wakeup))
    try:
        done, _ = await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        session.leave()
        reader.cancel()
        writer.cancel()
        await asyncio.gather(reader, writer, return_exceptions=True)


async def _read(receive: Receive, session: Session) -> None:
    """Hand over what the client says until it goes.

    There must always be a reader: a server that is not asked to receive stops reading, sees no
    pong, and takes a healthy client for dead.
    """
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        session.receive(message["bytes"] if text is None else text)


async def _write(send: Send, session: Session, wakeup: Wakeup) -> None:
    """Give the wire what the session has for it, until one of them is done."""
    # That is what a server says of a connection that is lost.
    with contextlib.suppress(OSError):
        while True:
            for frame in session.take():
                await send({"type": "websocket.send", "text": frame.string})
            if session.more:
                await asyncio.sleep(0)
            elif (close := session.close) is not None:
                await send({"type": "websocket.close", "code": close.code, "reason": close.reason})
                return
            else:
                await wakeup.wait()
