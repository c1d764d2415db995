"""Polls that ask the same and wait together: one session, one wake-up and one body for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from attrs import frozen

from schema.errors import ProtocolError
from schema.frame import Frame
from schema.messages import Subscribe
from transports.base import Hub, Send, Wire
from transports.refusal import NO_STORE

Leaver = Callable[[Callable[[], None]], Callable[[], object]]
"""Calls back when the client has gone; returns what makes it listen no more."""

STAYS, GONE = True, False


@frozen
class Answer:
    """The body of a poll's response, shared by all who get it; ``last`` if the server is going."""

    body: bytes
    last: bool

    async def send(self, send: Send) -> None:
        """Send the response."""
        length = str(len(self.body)).encode()
        headers = [*_HEAD, (b"content-length", length), *(_CLOSE if self.last else ())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class Parked:
    """One session for all the polls that came with the same query and have yet to be answered.

    What a poll is answered depends on its query and the log alone, so whoever comes while others
    wait with the same query waits for the same. Nobody may join any more when it is ``over``.
    """

    __slots__ = ("_answer", "_collected", "_due", "_frames", "_hub", "_session", "_waiting", "over")

    def __init__(self, hub: Hub, wanted: Sequence[Subscribe]) -> None:
        self.over = False
        self._hub = hub
        self._waiting: set[asyncio.Future[bool]] = set()
        self._frames: list[Frame] = []
        self._answer: Answer | None = None
        self._due = self._collected = False
        self._session = hub.open(Wire.LONGPOLL, self._wake)
        try:
            self._session.subscribe(wanted)
        except ProtocolError:
            self._leave()
            raise
        self._take()

    async def hold(self, wait: float, leaver: Leaver) -> bool:
        """Wait for an answer, at most so many seconds.

        Returns:
            False if the client has gone before.

        Raises:
            ProtocolError: no more clients can be taken.
        """
        stays = STAYS
        if self._answer is None and (wait > 0 or self._session.more):
            if self._waiting:
                self._hub.admit()
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[bool] = loop.create_future()
            self._waiting.add(waiter)
            timer = loop.call_later(wait, self._expire, waiter)
            listen_no_more = leaver(lambda: _tell(waiter, GONE))
            try:
                stays = await waiter
            finally:
                timer.cancel()
                listen_no_more()
                self._waiting.discard(waiter)
                if self._waiting:
                    self._hub.dismiss()
        if not self._waiting:
            self._leave()
        return stays

    def collect(self) -> Answer | None:
        """Return what is to be answered.

        Returns:
            None if it was a goodbye, and another has it: each is told a moment of its own to come
            back at, so that they do not come all at once. The poll is to be asked again.
        """
        answer = self._answer
        if answer is None:
            return Answer(self._session.batch([]), last=False)
        if answer.last and self._collected:
            return None
        self._collected = True
        return answer

    def _wake(self) -> None:
        # Not at once: of one tick there may be more to come, of other channels.
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._take)

    def _take(self) -> None:
        self._due = False
        if self.over:
            return
        # The first to ask is not waiting yet.
        self._session.readers = max(1, len(self._waiting))
        self._frames += self._session.take()
        last = self._session.close is not None
        if self._session.more:
            self._wake()
        elif self._frames or last:
            self._answer = Answer(self._session.batch(self._frames), last)
            self._leave()
            for waiter in self._waiting:
                _tell(waiter, STAYS)

    def _expire(self, waiter: asyncio.Future[bool]) -> None:
        # What is being rendered belongs into the answer, and so does the verdict on the cursor.
        if self._session.more and not waiter.done():
            asyncio.get_running_loop().call_soon(self._expire, waiter)
        else:
            _tell(waiter, STAYS)

    def _leave(self) -> None:
        self.over = True
        self._session.leave()
        # The two know each other, and only the garbage collector could free them.
        self._session.wake = _asleep


def _asleep() -> None:
    """Wake nobody."""


def _tell(waiter: asyncio.Future[bool], stays: bool) -> None:  # noqa: FBT001 - a timer's argument
    if not waiter.done():
        waiter.set_result(stays)


_HEAD: Sequence[tuple[bytes, bytes]] = [
    (b"content-type", b"application/json"),
    *((name.lower().encode(), value.encode()) for name, value in NO_STORE.items()),
]
_CLOSE = [(b"connection", b"close")]
