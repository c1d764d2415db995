"""The Server-Sent Events adapter, on sse-starlette."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator
from functools import lru_cache

from sse_starlette import EventSourceResponse
from starlette.datastructures import QueryParams
from starlette.types import Message, Receive, Scope, Send

from schema.errors import ProtocolError
from schema.query import Query, parse_stream
from transports.base import Hub, Session, Wire, gone, header, sink_of
from transports.refusal import error_frame, refuse
from transports.wakeup import Wakeup

HEADERS = {
    "Cache-Control": "no-store, no-transform",
    "Content-Type": "text/event-stream; charset=utf-8",
}
SHED_RETRY_MS = (5_000, 30_000)
# After a restart many come with the same.
KEPT_QUERIES = 256


class EventStream(EventSourceResponse):
    """An event stream of bytes that are encoded already; the hub sends the heartbeats."""

    def __init__(self, events: AsyncGenerator[bytes]) -> None:
        super().__init__(events, headers=HEADERS, ping=0, sep="\n")
        self._events = events

    async def _stream_response(self, send: Send) -> None:
        # The library's own takes a cancel scope for each event, though there is no timeout.
        await send({**_START, "headers": self.raw_headers})
        async with contextlib.aclosing(self._events):
            async for event in self._events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class SseTransport:
    """Serves ``/api/sse``."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one stream."""
        try:
            query = _parsed(scope["query_string"], header(scope, b"last-event-id"))
        except ProtocolError as error:
            await refuse(error)(scope, receive, send)
            return
        # A HEAD has no stream to write to.
        sink = sink_of(scope) if scope["method"] == "GET" else None
        wakeup = Wakeup()
        try:
            session = self._hub.open(Wire.SSE, wakeup.set if sink is None else sink.pump)
        except ProtocolError as error:
            await EventStream(_shed(error))(scope, receive, send)
            return
        # Outside of the stream: a generator that never starts never runs its `finally` either.
        try:
            session.subscribe(query.subscriptions)
            if sink is not None:
                if not sink.begin(send, _HEAD):
                    await send({**_START, "headers": list(_HEAD)})
                if sink.attach(session):
                    await gone(receive)
                    return
                # Something in between holds the start back, or changes what goes through it.
                session.wake, send = wakeup.set, _started(send)
            await EventStream(_events(session, wakeup))(scope, receive, send)
        except ProtocolError as error:
            await refuse(error)(scope, receive, send)
        finally:
            session.leave()


@lru_cache(maxsize=KEPT_QUERIES)
def _parsed(query: bytes, last_event_id: str | None) -> Query:
    return parse_stream(QueryParams(query), last_event_id)


def _started(send: Send) -> Send:
    """Leave out the start of a response, which has been sent."""

    async def rest(message: Message) -> None:
        if message["type"] != "http.response.start":
            await send(message)

    return rest


async def _shed(error: ProtocolError) -> AsyncGenerator[bytes]:
    """Send an EventSource away for a while; after a 503 it would never come back."""
    yield error_frame(error, retry=random.randint(*SHED_RETRY_MS)).event


async def _events(session: Session, wakeup: Wakeup) -> AsyncGenerator[bytes]:
    while True:
        for frame in session.take():
            yield frame.event
        if session.more:
            await asyncio.sleep(0)
        elif session.close is not None:
            return
        else:
            await wakeup.wait()


# The same for every stream, so made once; what a middleware adds to it is for one request.
_START: Message = {"type": "http.response.start", "status": 200}
_HEAD = tuple(EventSourceResponse(iter(()), headers=HEADERS).raw_headers)
