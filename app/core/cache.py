"""The frames that are kept, so that nothing is rendered twice while it may be asked for again."""

from __future__ import annotations

from collections import OrderedDict

from schema.frame import Frame

CACHE_BYTES = 32 * 1024 * 1024


class FrameCache:
    """The frames that are kept, of all cohorts together, bounded in bytes; the oldest go first."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._frames: OrderedDict[tuple[object, ...], Frame] = OrderedDict()
        self.size = 0

    def get(self, *key: object) -> Frame | None:
        """Return a kept frame."""
        return self._frames.get(key)

    def put(self, frame: Frame, *key: object) -> Frame:
        """Keep a frame, and let go of as many old ones as that takes."""
        self._frames[key] = frame
        self.size += frame.size
        while self.size > self._limit:
            _, gone = self._frames.popitem(last=False)
            self.size -= gone.size
        return frame
