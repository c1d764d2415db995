"""How fast a client may talk."""

from __future__ import annotations

from attrs import define

RATE_PER_S = 20.0
BURST = 40.0


@define(eq=False)
class TokenBucket:
    """Lets ``BURST`` messages through at once and ``RATE_PER_S`` in the long run."""

    updated: float
    tokens: float = BURST

    def take(self, now: float) -> bool:
        """Use up one token at a moment in monotonic seconds; False if there is none."""
        self.tokens = min(BURST, self.tokens + (now - self.updated) * RATE_PER_S)
        self.updated = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True
