"""All processes at one moment, in little room.

Up to 960 samples are kept, of thousands of processes each, of which hardly any has changed from
one to the next. So a roster is a large table that it shares with others, and a small one of its
own with what is different.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field, frozen

from app.sources.proctable import Row

# When so many are different, and this share of all, there is a new large table.
DIFFERENT_MIN = 32
DIFFERENT_SHARE = 0.25


@frozen(eq=False)
class Roster:
    """The processes by pid; it is not to be changed.

    ``shared`` is what many rosters have in common, ``own`` what is different in this one, None for
    a process that has gone.
    """

    shared: Mapping[int, Row]
    own: Mapping[int, Row | None]

    def table(self) -> dict[int, Row]:
        """Give a table of all, in one go."""
        merged = {**self.shared, **self.own}
        return {pid: row for pid, row in merged.items() if row is not None}


@define(eq=False)
class Rosters:
    """Makes one roster after the other."""

    _shared: Mapping[int, Row] = field(init=False, factory=dict)

    def __call__(self, rows: Mapping[int, Row]) -> Roster:
        """Make the roster of a table, of which the caller lets go."""
        shared = self._shared
        own: dict[int, Row | None] = {
            pid: row for pid, row in rows.items() if shared.get(pid) is not row
        }
        own.update(dict.fromkeys(shared.keys() - rows.keys()))
        if len(own) > max(DIFFERENT_MIN, DIFFERENT_SHARE * len(rows)):
            self._shared, own = rows, {}
        return Roster(self._shared, own)
