"""Who is there: the clients of a hub, counted, and no more of them than it may have."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from attrs import define, field

from schema.errors import ErrorCode, ProtocolError
from transports.base import Wire

if TYPE_CHECKING:  # through its desk, a session knows of them
    from app.core.session import Session


@define(eq=False)
class Clients:
    """The clients of a hub.

    ``shared`` are those who wait for the answer to a poll together with the one of the session.
    """

    sessions: set[Session] = field(factory=set)
    shared: int = 0

    def __len__(self) -> int:
        return len(self.sessions) + self.shared

    def make_room(self, limit: int) -> None:
        """See that one more can be taken.

        Raises:
            ProtocolError: there are as many as there may be.
        """
        if len(self) >= limit:
            msg = "the server has as many clients as it may have"
            raise ProtocolError(ErrorCode.OVERLOADED, msg)

    def by_wire(self) -> dict[str, int]:
        """Count the clients by the wire they are on."""
        count = Counter(session.wire for session in self.sessions)
        count[Wire.LONGPOLL] += self.shared
        return {wire.value: count[wire] for wire in Wire}
