"""Every message of the wire as a value class; the protocol page is the contract.

``TAG`` is the message's ``type``. Names are Python's here; camelCase belongs to the codec.
"""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import field, frozen

from schema.cursor import Cursor
from schema.errors import ErrorCode
from schema.fields import (
    Count,
    Detail,
    GapReason,
    HistoryCount,
    Interval,
    Milliseconds,
    ResumeReason,
)

# Keys that are left out of the message, rather than null, when they have no value.
OPTIONAL = {"optional": True}


@frozen
class Subscribe:
    """Ask for a channel; a second one for the same channel replaces the first.

    ``interval`` None means the server's default; ``timestamp`` may be any number.
    """

    TAG: ClassVar[str] = "subscribe"
    channel: str
    interval: Interval | None = field(default=None, metadata=OPTIONAL)
    detail: Detail = Detail.STANDARD
    since: Cursor | None = None
    history: HistoryCount = 0
    timestamp: float | None = None


@frozen
class Unsubscribe:
    """Give a channel back."""

    TAG: ClassVar[str] = "unsubscribe"
    channel: str
    timestamp: float | None = None


@frozen
class Ping:
    """Ask for a ``heartbeat``."""

    TAG: ClassVar[str] = "ping"
    timestamp: float | None = None


ClientMessage = Subscribe | Unsubscribe | Ping


@frozen
class Connected:
    """The first message of every WebSocket and SSE stream."""

    TAG: ClassVar[str] = "connected"
    timestamp: Milliseconds
    client_id: str
    epoch: str
    heartbeat_ms: Milliseconds
    protocol: str
    version: str
    tick_ms: Milliseconds
    channels: list[str]


@frozen
class DataMessage:
    """What a source has to say; each channel has a subclass whose ``TAG`` is the channel's name.

    ``timestamp`` is when the host was sampled, ``window_ms`` the true length of the window that
    the rates in ``data`` are means over, by the monotonic clock.
    """

    TAG: ClassVar[str]
    timestamp: Milliseconds
    cursor: Cursor
    host: str
    interval_ms: Milliseconds
    window_ms: Milliseconds
    data: Any


@frozen
class Heartbeat:
    """Sign of life; ``cursor`` is the highest up to which everything subscribed has been sent."""

    TAG: ClassVar[str] = "heartbeat"
    timestamp: Milliseconds
    cursor: Cursor | None


@frozen
class Resume:
    """What became of the cursor that a subscription came with.

    ``missed`` counts the due messages between the cursor and now; None if they cannot be counted.
    """

    recovered: bool
    reason: ResumeReason
    missed: Count | None


@frozen
class Subscribed:
    """The answer to a subscribe, before its data."""

    TAG: ClassVar[str] = "subscribed"
    timestamp: Milliseconds
    channel: str
    interval_ms: Milliseconds
    detail: Detail
    resume: Resume


@frozen
class Gap:
    """What lies between ``from_`` and ``to`` is not coming; sent before the message ``to``.

    ``missed`` counts the due messages in it; None if they cannot be counted.
    """

    TAG: ClassVar[str] = "gap"
    timestamp: Milliseconds
    channel: str
    reason: GapReason
    from_: Cursor | None
    to: Cursor
    missed: Count | None


@frozen
class History:
    """Past messages of the grid, oldest first, strictly older than the snapshot that follows."""

    TAG: ClassVar[str] = "history"
    timestamp: Milliseconds
    channel: str
    items: list[Any]


@frozen
class Reconnect:
    """The server is going; come back after ``after_ms``."""

    TAG: ClassVar[str] = "reconnect"
    timestamp: Milliseconds
    reason: str
    after_ms: Milliseconds


@frozen
class Error:
    """Something was refused; ``message`` names what."""

    TAG: ClassVar[str] = "error"
    timestamp: Milliseconds
    code: ErrorCode
    message: str
    channel: str | None = field(default=None, metadata=OPTIONAL)


@frozen
class Batch:
    """The body of a long-poll answer; its ``messages`` are the texts of the other transports."""

    TAG: ClassVar[str] = "batch"
    timestamp: Milliseconds
    cursor: Cursor | None
    resume: dict[str, Resume]
    messages: list[Any]


# What clients of the heritage protocol are never told.
V1_ONLY = frozenset({Subscribed.TAG, Gap.TAG, History.TAG, Reconnect.TAG})
# What they cannot subscribe to.
V1_CHANNELS = frozenset({"processes"})

ControlMessage = Connected | Heartbeat | Subscribed | Gap | History | Reconnect | Error | Batch
