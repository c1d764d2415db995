"""Finds out whether an event stream is held back on its way."""

from __future__ import annotations

import math
from collections.abc import Callable

from attrs import define, field

from app.client.wire import Wire
from schema.messages import DataMessage

# A message may come so much later than by another transport, or than it was due.
LATE_S = 1.0
OVERDUE_S = 2.0
# Messages that come this close together were held back, unless they were measured together.
BUNCH_S = 0.05
SETTLED_S = 5.0


@define(eq=False)
class Witness:
    """Looks on while an event stream is active.

    If it is quiet when a message is due, or brings several at once, a long-poll is asked beside
    it: ``wire``. Who is first is proof.
    """

    _stream: Wire
    _ask: Callable[[], Wire]
    wire: Wire | None = None
    _ahead_since: float = math.inf
    _patience: int = 1
    _bunched: bool = False
    _last_at: float = -math.inf
    _last_timestamp: int = 0
    _since: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._since = self._now

    @property
    def _now(self) -> float:
        return self._stream.host.clock()

    def look(self, interval: float) -> Wire | None:
        """Look at the clock; return the long-poll that has shown the stream to be held back.

        ``interval`` is in seconds, between two messages.
        """
        liveness = self._stream.liveness
        due = min(interval, liveness.limit / 2)
        overdue = liveness.quiet >= (due + OVERDUE_S) * self._patience
        if self.wire is None and (overdue or self._bunched):
            self.wire = self._ask()
        return self.wire if self._now - self._ahead_since >= LATE_S else None

    def heard(self, wire: Wire, message: DataMessage, *, is_new: bool) -> None:
        """Take note of a data message, and of the wire that brought it."""
        now = self._now
        if wire is self.wire and is_new:
            self._ahead_since = min(self._ahead_since, now)
        if wire is not self._stream:
            return
        self.dismiss()
        apart = message.timestamp - self._last_timestamp >= 0.8 * message.interval_ms
        close = now - self._last_at < BUNCH_S
        self._bunched = apart and close and now - self._since > SETTLED_S
        self._last_at, self._last_timestamp = now, message.timestamp

    def dismiss(self) -> None:
        """Leave it at that, and take longer to doubt again."""
        if self.wire is not None:
            self.wire.close()
            self.wire = None
            self._ahead_since = math.inf
            self._patience *= 2
