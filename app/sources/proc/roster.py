"""All processes at one moment, in little room.

Up to 960 samples are kept, of thousands of processes each, of which hardly any has changed from
one to the next. So a roster is a large table that it shares with others, and of its own the rows
that are different.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field, frozen

from app.sources.proc.proctable import Row

# When so many are different, and this share of all, there is a new large table.
DIFFERENT_MIN = 32
DIFFERENT_SHARE = 0.25


@frozen(eq=False)
class Roster:
    """The processes at one moment.

    ``shared`` is what many rosters have in common, by pid; ``own`` are the rows that are different
    in this one, ``gone`` the pids that are not in it.
    """

    shared: Mapping[int, Row]
    own: tuple[Row, ...]
    gone: tuple[int, ...]

    def table(self) -> dict[int, Row]:
        """Give all rows by pid."""
        table = {**self.shared, **{row.life.pid: row for row in self.own}}
        for pid in self.gone:
            del table[pid]
        return table


@define(eq=False)
class Rosters:
    """Makes one roster after the other."""

    _shared: Mapping[int, Row] = field(init=False, factory=dict)

    def __call__(self, rows: Mapping[int, Row]) -> Roster:
        """Make the roster of a table by pid, which is not to be changed any more."""
        shared = self._shared
        own = tuple(row for pid, row in rows.items() if shared.get(pid) is not row)
        gone = tuple(shared.keys() - rows.keys())
        if len(own) + len(gone) > max(DIFFERENT_MIN, DIFFERENT_SHARE * len(rows)):
            self._shared, own, gone = rows, (), ()
        return Roster(self._shared, own, gone)
