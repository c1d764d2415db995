"""The long-poll adapter: stateless, so that any process with the same log can answer any poll."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache, partial

from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from schema.errors import ProtocolError
from schema.query import Query, parse_poll
from transports.base import DirectSink, Hub, gone, sink_of
from transports.parked import Answer, Leaver, Parked
from transports.refusal import refuse

# A query as it came, and the Prefer header: what decides the answer, beside the log.
Asked = tuple[bytes, str | None]
# More than one interval's worth of different cursors.
KEPT_QUERIES = 1024


class LongPollTransport:
    """Serves ``/api/poll``."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._parked: dict[Asked, Parked] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one poll."""
        sink = sink_of(scope)
        leaver = partial(_received, receive) if sink is None else partial(_lost, sink)
        try:
            answer = await self._answer((scope["query_string"], _prefer(scope)), leaver)
        except ProtocolError as error:
            await refuse(error)(scope, receive, send)
        else:
            if answer is not None:
                await answer.send(send)

    async def _answer(self, asked: Asked, leaver: Leaver) -> Answer | None:
        """Wait for something to say, but not for a client that has gone."""
        query = _parsed(*asked)
        answer = None
        while answer is None:
            parked = self._parked.get(asked)
            if parked is None or parked.over:
                parked = self._parked[asked] = Parked(self._hub, query.subscriptions)
            try:
                stays = await parked.hold(query.wait, leaver)
            finally:
                if parked.over and self._parked.get(asked) is parked:
                    del self._parked[asked]
            if not stays:
                return None
            answer = parked.collect()
        return answer


@lru_cache(maxsize=KEPT_QUERIES)
def _parsed(query: bytes, prefer: str | None) -> Query:
    return parse_poll(QueryParams(query), prefer)


def _prefer(scope: Scope) -> str | None:
    return next((v.decode("latin-1") for k, v in scope["headers"] if k == b"prefer"), None)


def _lost(sink: DirectSink, call: Callable[[], None]) -> Callable[[], object]:
    """Let our own server tell when the connection is lost, which takes no task."""
    sink.on_lost = call
    return partial(setattr, sink, "on_lost", None)


def _received(receive: Receive, call: Callable[[], None]) -> Callable[[], object]:
    """Listen for the end of the connection as any ASGI server tells it."""

    async def listen() -> None:
        await gone(receive)
        call()

    return asyncio.ensure_future(listen()).cancel
