"""What the hub has done since its start, in numbers."""

from __future__ import annotations

from attrs import define


@define
class Counters:
    """Work done since the start; it must not grow with the number of clients."""

    renders: int = 0
    encodes: int = 0
