"""The message that is delivered: 612 bytes of JSON, with the moment at which it was published."""

from __future__ import annotations

CHANNEL = "bench"
SIZE = 612
_HEAD, _MIDDLE, _TAIL = f'{{"type":"{CHANNEL}","sent":', ',"padding":"', '"}'


def payload(sent_ns: int) -> str:
    """Return the message of a moment, in ns of the monotonic clock, which all processes share."""
    head = f"{_HEAD}{sent_ns}{_MIDDLE}"
    return head + "x" * (SIZE - len(head) - len(_TAIL)) + _TAIL
