"""Polls that ask the same and wait together: one session, one wake-up and one body for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from attrs import define

from schema.errors import ProtocolError
from schema.frame import Frame
from schema.query import Query
from transports.answer import Answer
from transports.base import Hub, Wire

# A timer of asyncio's is early by less.
EARLY_S = 0.001


@define(eq=False)
class Poll:
    """One poll; ``respond`` is called with what it is answered, once."""

    respond: Callable[[Answer], None]
    parked: Parked | None = None
    until: float = 0.0

    def leave(self) -> None:
        """Wait no more, if it does."""
        if self.parked is not None:
            self.parked.release(self)


class Parked:
    """One session for all the polls that came with the same query and have yet to be answered.

    What a poll is answered depends on its query and the log alone, so whoever comes while others
    wait with the same query waits for the same. Nobody may join any more when it is ``over``, which
    ``forget`` is called with. Those who cannot share an answer are given back, to ``again``.
    """

    __slots__ = (
        "_again",
        "_answer",
        "_due",
        "_forget",
        "_frames",
        "_hub",
        "_loop",
        "_session",
        "_timer",
        "_wait",
        "_waiting",
        "over",
    )

    def __init__(
        self,
        hub: Hub,
        query: Query,
        again: Callable[[Poll], None],
        forget: Callable[[], object],
    ) -> None:
        self.over = False
        self._hub = hub
        self._wait = query.wait
        self._again = again
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        # In the order in which their time ends, since they wait equally long.
        self._waiting: dict[Poll, None] = {}
        self._frames: list[Frame] = []
        self._answer: Answer | None = None
        self._due = False
        self._timer: asyncio.TimerHandle | None = None
        self._session = hub.open(Wire.LONGPOLL, self._wake)
        try:
            self._session.subscribe(query.subscriptions)
        except ProtocolError:
            self._leave()
            raise
        self._take()

    def admit(self, poll: Poll) -> None:
        """Let a poll wait for the answer, or give it at once.

        Raises:
            ProtocolError: no more clients can be taken.
        """
        if self._answer is not None:
            poll.respond(self._answer)
        elif self._wait > 0 or self._session.more or self._waiting:
            if self._waiting:
                self._hub.admit()
            poll.parked, poll.until = self, self._loop.time() + self._wait
            self._waiting[poll] = None
            if self._timer is None:
                self._timer = self._loop.call_at(poll.until, self._expire)
        else:
            poll.respond(self._empty())
            self._leave()

    def release(self, poll: Poll) -> None:
        """Let a poll go."""
        del self._waiting[poll]
        poll.parked = None
        if self._waiting:
            self._hub.dismiss()
        elif not self.over:
            self._leave()

    def _wake(self) -> None:
        # Not at once: of one tick there may be more to come, of other channels.
        if not self._due:
            self._due = True
            self._loop.call_soon(self._take)

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
            self._answer = Answer(self._session.batch(self._frames), last=last)
            self._leave()
            self._respond(self._answer)

    def _respond(self, answer: Answer) -> None:
        """Answer all; but a goodbye only the first.

        Each is told a moment of its own to come back at, so that they do not come all at once.
        """
        for count, poll in enumerate(list(self._waiting)):
            self.release(poll)
            if answer.last and count:
                self._again(poll)
            else:
                poll.respond(answer)

    def _expire(self) -> None:
        # What is being rendered belongs into the answer, and so does the verdict on the cursor.
        if self._session.more:
            self._loop.call_soon(self._expire)
            return
        self._timer = None
        now, answer = self._loop.time() + EARLY_S, self._empty()
        for poll in list(self._waiting):
            if poll.until > now:
                self._timer = self._loop.call_at(poll.until, self._expire)
                break
            self.release(poll)
            poll.respond(answer)

    def _empty(self) -> Answer:
        return Answer(self._session.batch([]))

    def _leave(self) -> None:
        self.over = True
        self._forget()
        if self._timer is not None:
            self._timer.cancel()
        self._session.leave()
        # The two know each other, and only the garbage collector could free them.
        self._session.wake = _asleep


def _asleep() -> None:
    """Wake nobody."""
