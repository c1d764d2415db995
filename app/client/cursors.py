"""How far each channel has come."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, evolve, field

from schema.cursor import Cursor

# Of two epochs one is over, but which? A cursor that no server ever gave has both told.
NOWHERE = Cursor("0", 0)


def beyond(cursor: Cursor, had: Cursor | None) -> bool:
    """Tell whether a cursor lies beyond what one had; in another epoch everything does."""
    return had is None or cursor.epoch != had.epoch or cursor.seq > had.seq


@define(eq=False)
class Cursors:
    """The cursor of each channel: everything up to there has come, or is not coming."""

    _all: dict[str, Cursor] = field(factory=dict)

    def get(self, channel: str) -> Cursor | None:
        """Return the cursor of a channel that has come to anywhere."""
        return self._all.get(channel)

    def forget(self, channel: str) -> None:
        """Let a channel begin anew."""
        self._all.pop(channel, None)

    def advance(self, channel: str, cursor: Cursor) -> bool:
        """Take the cursor of a message; False if the message had come before."""
        is_new = beyond(cursor, self.get(channel))
        if is_new:
            self._all[channel] = cursor
        return is_new

    def skip(self, channel: str, to: Cursor) -> bool:
        """Take a gap: what lies before its end is not coming; False if that is known already."""
        is_new = beyond(to, self.get(channel))
        if is_new and to.seq > 0:
            self.advance(channel, evolve(to, seq=to.seq - 1))
        return is_new

    def reach(self, cursor: Cursor | None) -> None:
        """Take a cursor up to which there was nothing more, in any channel."""
        for channel, had in self._all.items():
            if cursor is not None and cursor.epoch == had.epoch:
                self.advance(channel, cursor)

    def lowest(self, channels: Iterable[str]) -> Cursor | None:
        """Return the one cursor from which a stream of all these channels lacks nothing.

        None if none of them has come to anywhere.
        """
        known = [cursor for cursor in map(self.get, channels) if cursor is not None]
        if len({cursor.epoch for cursor in known}) > 1:
            return NOWHERE
        return min(known, key=lambda cursor: cursor.seq, default=None)

    def snapshot(self) -> dict[str, Cursor]:
        """Return a copy of all of them."""
        return dict(self._all)
