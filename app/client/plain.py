"""What the wires of plain requests have in common."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus

import httpx
from attrs import define, frozen

from app.client.link import Query
from app.client.messages import Received, parse, receive_item
from app.client.want import Want
from app.client.wire import End, Ended, Wire
from schema.codec import structure_server
from schema.cursor import Cursor
from schema.errors import ErrorCode, InvalidMessage
from schema.messages import Batch, Error

# Refusals that pass.
_PASSING = {ErrorCode.RATE_LIMITED, ErrorCode.OVERLOADED, ErrorCode.CHANNEL_UNAVAILABLE}
_PASSING_STATUS = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> End:
    """Say what an answer means that is not what was asked for."""
    after = _seconds(headers.get("Retry-After"))
    said = _said(body)
    if said is not None:
        passes = said.code in _PASSING
        return End(said.message, spoken=True, final=not passes, said=said, after=after)
    barred = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return End(
        f"unexpected answer (HTTP {status})",
        final=status == HTTPStatus.NO_CONTENT,
        barred=barred and status not in _PASSING_STATUS,
        after=after,
    )


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() else None


def _said(body: bytes) -> Error | None:
    try:
        message = structure_server(parse(body))
    except InvalidMessage:
        return None
    return message if isinstance(message, Error) else None


@frozen
class Answer:
    """The answer to a poll: its messages, the channels that were asked for, and its cursor."""

    items: tuple[Received | None, ...]
    channels: tuple[str, ...]
    cursor: Cursor | None


@define(eq=False)
class PlainWire(Wire):
    """A wire of plain requests."""

    @contextlib.asynccontextmanager
    async def get(self, path: str, kind: str, query: Query) -> AsyncIterator[httpx.Response]:
        """Send a request.

        Raises:
            Ended: the answer is not of the right kind.
        """
        asked_at = self.host.clock()
        async with self.host.link.get(path, query) as response:
            is_right = response.headers.get("Content-Type", "").startswith(kind)
            if response.status_code != HTTPStatus.OK or not is_right:
                body = await response.aread()
                raise Ended(refusal(response.status_code, response.headers, body))
            if self.latency is None:  # later polls wait
                self.latency = self.host.clock() - asked_at
            yield response

    def query(self, wanted: Mapping[str, Want]) -> dict[str, str | int | float]:
        """Return the query that asks for these channels, from the cursors that there are."""
        query: dict[str, str | int | float] = {
            "channels": ",".join(
                f"{channel}:{want.interval}:{want.detail}" for channel, want in wanted.items()
            )
        }
        history = max(want.history for want in wanted.values())
        since = self.host.cursors.lowest(wanted)
        if history:
            query["history"] = history
        if since is not None:
            query["since"] = str(since)
        return query

    async def poll(self, wanted: Mapping[str, Want], wait: float) -> Answer:
        """Poll once, waiting so many seconds at most."""
        query = {**self.query(wanted), "wait": wait}
        async with self.get("api/poll", "application/json", query) as response:
            batch = parse(await response.aread())
        self.liveness.heard()
        message = structure_server(batch)
        if not isinstance(message, Batch):
            raise InvalidMessage(f"type: must be batch, got {message.TAG}")
        items = tuple(receive_item(body, wanted) for body in message.messages)
        return Answer(items, tuple(wanted), message.cursor)

    def unpack(self, answer: Answer) -> None:
        """Take what an answer holds."""
        for received in answer.items:
            self.hand(received)
        if answer.cursor is not None and not self.over:
            self.host.covered(self, answer.channels, answer.cursor)

    async def prime(self) -> None:
        """Fetch the channels that have no cursor yet: one `since` serves all channels."""
        wanted = self.host.wanted()
        fresh = {
            channel: want for channel, want in wanted.items() if not self.host.cursors.get(channel)
        }
        self.anchored = len(fresh) < len(wanted)
        if fresh and self.anchored:
            self.unpack(await self.poll(fresh, 0))
