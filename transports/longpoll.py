"""The long-poll adapter: stateless, so that any process with the same log can answer any poll."""

from __future__ import annotations

import asyncio
from functools import lru_cache, partial

from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from schema.errors import ProtocolError
from schema.query import Query, parse_poll
from transports.answer import Answer
from transports.base import Hub, gone, header, sink_of
from transports.parked import Parked, Poll

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
        asked = scope["query_string"], header(scope, b"prefer")
        sink = sink_of(scope)
        respond = None if sink is None else sink.hold(send)
        if sink is None or respond is None:
            answer = await self._answer(asked, receive)
            if answer is not None:
                await answer.send(send)
            return
        # From here on nothing waits for the client but the connection.
        poll = Poll(respond)
        self._ask(asked, poll)
        if poll.parked is not None:
            sink.on_lost = poll.leave

    async def _answer(self, asked: Asked, receive: Receive) -> Answer | None:
        """Wait for the answer; None if the client has gone before."""
        waiter: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        poll = Poll(partial(_tell, waiter))
        self._ask(asked, poll)
        if waiter.done():
            return waiter.result()
        listening = asyncio.ensure_future(gone(receive))
        listening.add_done_callback(lambda _: _tell(waiter, None))
        try:
            return await waiter
        finally:
            listening.cancel()
            poll.leave()

    def _ask(self, asked: Asked, poll: Poll) -> None:
        """Have a poll answered, now or later."""
        try:
            parked = self._parked.get(asked)
            if parked is None:
                again, forget = partial(self._ask, asked), partial(self._parked.pop, asked, None)
                parked = Parked(self._hub, _parsed(*asked), again, forget)
                if not parked.over:
                    self._parked[asked] = parked
            parked.admit(poll)
        except ProtocolError as error:
            poll.respond(Answer.refusal(error))


@lru_cache(maxsize=KEPT_QUERIES)
def _parsed(query: bytes, prefer: str | None) -> Query:
    return parse_poll(QueryParams(query), prefer)


def _tell(waiter: asyncio.Future[Answer | None], answer: Answer | None) -> None:
    if not waiter.done():
        waiter.set_result(answer)
