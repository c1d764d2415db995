"""Files of ``/proc`` that are read every tick, through a descriptor that stays open."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from attrs import define, field

T = TypeVar("T")

# More than most of these files hold, so that one call brings all of it.
CHUNK = 16 * 1024


@define(eq=False)
class HeldFile:
    """A file that is read again and again: opening it each time costs more than reading it.

    After a failure it is opened anew, since what it leads to may have been replaced.
    """

    path: Path
    _descriptor: int | None = field(init=False, default=None)

    def read(self) -> bytes:
        """Give what is in it now.

        Raises:
            OSError: it cannot be opened or read.
        """
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _all(self._descriptor)
        except OSError:
            self.close()
            raise

    def parsed(self, parse: Callable[[bytes], T]) -> T:
        """Give what is in it now, as ``parse`` understands it.

        Raises:
            OSError: it cannot be opened or read.
            ValueError: it cannot be understood; the text names the file.
        """
        text = self.read()
        try:
            return parse(text)
        except ValueError as error:
            raise ValueError(f"{self.path}: cannot be understood: {error}") from error

    def close(self) -> None:
        """Let go of the descriptor; the next reading takes a new one."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


def _all(descriptor: int) -> bytes:
    """Read from the beginning to the end, which the kernel may give piece by piece."""
    pieces: list[bytes] = []
    size = 0
    while piece := os.pread(descriptor, CHUNK, size):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)
