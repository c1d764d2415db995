"""The one cursor of every transport: ``epoch:seq``."""

from __future__ import annotations

import re
from typing import Self

from attrs import frozen

from schema.errors import CursorError

PATTERN = r"^[a-z0-9]{1,32}:(0|[1-9][0-9]{0,15})$"
# `$` also matches before a final newline, so the match is anchored by fullmatch.
_CURSOR = re.compile(r"([a-z0-9]{1,32}):(0|[1-9][0-9]{0,15})", re.ASCII)


@frozen
class Cursor:
    """A place in one life of the log: "everything of my subscriptions up to here, I have".

    ``epoch`` names the life of the log (another one after a restart), ``seq`` counts its
    publications, whatever their channel.
    """

    epoch: str
    seq: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a cursor.

        Raises:
            CursorError: the text is not ``epoch:seq`` to the letter.
        """
        match = _CURSOR.fullmatch(text)
        if match is None:
            msg = f"must be a cursor such as k3v9x2ab:1042, got {text[:64]!r}"
            raise CursorError(msg)
        return cls(match[1], int(match[2]))

    def __str__(self) -> str:
        return f"{self.epoch}:{self.seq}"


# Stands for a `Last-Event-ID` that is no cursor: an EventSource could never get rid of an error,
# so it is not refused but answered with the verdict `unknown`. No log has this epoch.
UNREADABLE = Cursor("", 0)
