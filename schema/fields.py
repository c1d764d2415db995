"""Field types that carry their range, so that codec and JSON Schema read the same numbers."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from attrs import frozen

INTERVAL_MIN_MS = 1000
INTERVAL_MAX_MS = 60_000
HISTORY_MAX = 360


@frozen
class Range:
    """An inclusive range of an integer field."""

    low: int
    high: int


@frozen
class Unit:
    """What a figure is counted in, as the documentation and the JSON Schema tell."""

    symbol: str


class Detail(StrEnum):
    """How much of a channel is wanted."""

    SIMPLE = "simple"
    STANDARD = "standard"
    FULL = "full"


class GapReason(StrEnum):
    """Why messages are not coming.

    The first four are holes, where nothing was published: the source failed, the machine slept
    (or its wall clock was set), the sampler came too late, or nobody had asked for the source.
    ``slow`` is a reader that fell behind; the others are a cursor that could not be resumed.
    """

    SOURCE = "source"
    SUSPEND = "suspend"
    OVERLOAD = "overload"
    IDLE = "idle"
    SLOW = "slow"
    TOO_OLD = "too_old"
    EPOCH_CHANGED = "epoch_changed"
    UNKNOWN = "unknown"


class ResumeReason(StrEnum):
    """The verdict on the cursor that came with a subscription."""

    FIRST = "first"
    OK = "ok"
    TOO_OLD = "too_old"
    EPOCH_CHANGED = "epoch_changed"
    UNKNOWN = "unknown"


Percent = Annotated[float, Unit("%")]
Bytes = Annotated[int, Unit("B")]
BytesPerSec = Annotated[float, Unit("B/s")]
PerSec = Annotated[float, Unit("1/s")]
Seconds = Annotated[float, Unit("s")]
# A length of time with fractions; `Milliseconds` is for moments and whole numbers.
Duration = Annotated[float, Unit("ms")]
Moment = Annotated[int, Unit("ms since the epoch")]
Age = Annotated[int, Unit("ms")]
Cores = Annotated[float, Unit("cores")]
Megahertz = Annotated[float, Unit("MHz")]
Celsius = Annotated[float, Unit("°C")]
Rpm = Annotated[float, Unit("1/min")]
Megabits = Annotated[int, Unit("Mbit/s")]

Interval = Annotated[int, Range(INTERVAL_MIN_MS, INTERVAL_MAX_MS)]
HistoryCount = Annotated[int, Range(0, HISTORY_MAX)]
Milliseconds = Annotated[int, Range(0, 2**53)]
Count = Annotated[int, Range(0, 2**53)]
