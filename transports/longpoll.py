"""The long-poll adapter: stateless, so that any process with the same log can answer any poll."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from schema.errors import ProtocolError
from schema.frame import Frame
from schema.query import parse_poll
from transports.base import Hub, Session, Wire
from transports.refusal import NO_STORE, refuse
from transports.wakeup import Wakeup


class LongPollTransport:
    """Serves ``/api/poll``."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one poll."""
        request = Request(scope)
        wakeup = Wakeup()
        try:
            query = parse_poll(request.query_params, request.headers.get("prefer"))
            session = self._hub.open(Wire.LONGPOLL, wakeup.set)
        except ProtocolError as error:
            await refuse(error)(scope, receive, send)
            return
        try:
            session.subscribe(query.subscriptions)
            response = await _answer(session, wakeup, query.wait, receive)
        except ProtocolError as error:
            response = refuse(error)
        finally:
            session.leave()
        await response(scope, receive, send)


async def _answer(session: Session, wakeup: Wakeup, wait: float, receive: Receive) -> Response:
    """Wait for something to say, but not for a client that has gone."""
    frames = await _take(session)
    over = session.close is not None
    if not frames and not over and wait > 0:
        held = asyncio.ensure_future(_hold(session, wakeup))
        gone = asyncio.ensure_future(_gone(receive))
        await asyncio.wait({held, gone}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        for task in (held, gone):
            task.cancel()
        await asyncio.gather(held, gone, return_exceptions=True)
        frames = [] if held.cancelled() else held.result()
        if session.close is not None:
            # The farewell may have come after the data; alone it leaves the client its cursor.
            frames = session.take() or frames
    body = session.batch(frames)
    return Response(body, headers=_headers(session), media_type="application/json")


async def _hold(session: Session, wakeup: Wakeup) -> list[Frame]:
    while True:
        await wakeup.wait()
        frames = await _take(session)
        if frames or session.close is not None:
            return frames


async def _take(session: Session) -> list[Frame]:
    frames = session.take()
    while session.more:
        await asyncio.sleep(0)
        frames += session.take()
    return frames


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _headers(session: Session) -> Mapping[str, str]:
    return NO_STORE if session.close is None else {**NO_STORE, "Connection": "close"}
