"""What the hub has done since its start, in numbers."""

from __future__ import annotations

from collections import Counter

from attrs import define, field

from schema.fields import ResumeReason
from transports.base import Wire


@define
class Counters:
    """Work done since the start.

    ``renders`` and ``encodes`` grow with cohorts and ticks, never with the number of clients.
    ``deliveries`` are the data messages that the wires were given; ``skips`` how often a reader
    that was slow got a gap and the newest message instead of all; ``evictions`` the readers that
    were let go because they had stopped; ``resumes`` the verdicts on cursors.
    """

    renders: int = 0
    encodes: int = 0
    skips: int = 0
    evictions: int = 0
    deliveries: Counter[Wire] = field(factory=Counter)
    resumes: Counter[ResumeReason] = field(factory=Counter)
    publications: Counter[str] = field(factory=Counter)
