"""The Server-Sent Events adapter, on sse-starlette."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from schema.errors import ProtocolError
from schema.query import parse_stream
from transports.base import Hub, Session, Wire
from transports.refusal import error_frame, refuse
from transports.wakeup import Wakeup

HEADERS = {
    "Cache-Control": "no-store, no-transform",
    "Content-Type": "text/event-stream; charset=utf-8",
}
SHED_RETRY_MS = (5_000, 30_000)


class EventStream(EventSourceResponse):
    """An event stream of bytes that are encoded already; the hub sends the heartbeats."""

    def __init__(self, events: AsyncIterator[bytes]) -> None:
        super().__init__(events, headers=HEADERS, ping=0, sep="\n")


class SseTransport:
    """Serves ``/api/sse``."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one stream."""
        request = Request(scope)
        wakeup = Wakeup()
        try:
            query = parse_stream(request.query_params, request.headers.get("last-event-id"))
        except ProtocolError as error:
            await refuse(error)(scope, receive, send)
            return
        try:
            session = self._hub.open(Wire.SSE, wakeup.set)
        except ProtocolError as error:
            await EventStream(_shed(error))(scope, receive, send)
            return
        # Outside of the stream: a generator that never starts never runs its `finally` either.
        try:
            session.subscribe(query.subscriptions)
            await EventStream(_events(session, wakeup))(scope, receive, send)
        except ProtocolError as error:
            await refuse(error)(scope, receive, send)
        finally:
            session.leave()


async def _shed(error: ProtocolError) -> AsyncIterator[bytes]:
    """Send an EventSource away for a while; after a 503 it would never come back."""
    yield error_frame(error, retry=random.randint(*SHED_RETRY_MS)).event


async def _events(session: Session, wakeup: Wakeup) -> AsyncIterator[bytes]:
    while True:
        for frame in session.take():
            yield frame.event
        if session.more:
            await asyncio.sleep(0)
        elif session.close is not None:
            return
        else:
            await wakeup.wait()
