"""What is known of things by their names, and hardly ever changes: not asked of the system anew."""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Generic, TypeVar

from attrs import define, field

T = TypeVar("T")

# Links come up, arrays are assembled under a name that was there before: seen after so long.
EVERY_S = 10.0


@define
class Known(Generic[T]):
    """Looks up what is known of some names: at once when one comes or goes, else every 10 seconds.

    ``look_up`` is given the names, ``clock`` gives monotonic seconds.
    """

    look_up: Callable[[AbstractSet[str]], T]
    clock: Callable[[], float]
    _names: frozenset[str] = field(init=False, default=frozenset())
    _due: float = field(init=False, default=-math.inf)
    _facts: T = field(init=False)

    def __call__(self, names: AbstractSet[str]) -> T:
        """Give what is known of the names.

        Raises:
            Exception: whatever looking it up raised.
        """
        now = self.clock()
        if now >= self._due or names != self._names:
            self._facts = self.look_up(names)
            self._names = frozenset(names)
            self._due = now + EVERY_S
        return self._facts
