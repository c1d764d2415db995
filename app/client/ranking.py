"""The transports, best first, and what is known of them."""

from __future__ import annotations

from attrs import define

# So many short lives in a row, though plain requests work, are proof against a transport.
LIVES = 3


@define
class Ranking:
    """``trusted`` is what has worked last, ``worked`` whether anything ever has."""

    names: tuple[str, ...]
    trusted: str | None = None
    worked: bool = False
    _first: int = 0
    _short_lives: int = 0

    def rank(self, name: str) -> int:
        """Return 0 for the best."""
        return self.names.index(name)

    def better(self, name: str) -> list[str]:
        """Return those that are better."""
        return list(self.names[: self.rank(name)])

    def order(self) -> list[str]:
        """Return in which order they are started."""
        return [*self.names[self._first :], *self.names[: self._first]]

    def works(self, name: str) -> None:
        """Take note of one that works."""
        self._first, self.trusted, self.worked = self.rank(name), name, True

    def died(self, *, young: bool) -> None:
        """Take note that the one that worked did so for long enough, or not."""
        self._short_lives = self._short_lives + 1 if young else 0

    def give_up(self) -> bool:
        """After too many short lives begin with the next one; tell whether it was so."""
        if self._short_lives < LIVES:
            return False
        self._first = (self._first + 1) % len(self.names)
        self.trusted = None
        self._short_lives = 0
        return True
