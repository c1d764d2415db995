"""What the query of ``/api/sse`` and ``/api/poll`` asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from schema.codec import structure_field
from schema.cursor import UNREADABLE, Cursor
from schema.errors import CursorError, InvalidMessage
from schema.messages import Subscribe

WAIT_S = 25.0
WAIT_MAX_S = 60.0
# channel:interval:detail
PARTS = 3
DIGITS = 9
SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)


@frozen
class Query:
    """The subscriptions of a request, and for a poll how many seconds it may be held."""

    subscriptions: tuple[Subscribe, ...]
    wait: float = WAIT_S


def parse_stream(parameters: Mapping[str, str], last_event_id: str | None) -> Query:
    """Read the query of an event stream; the header wins over ``since``.

    Raises:
        InvalidMessage: a parameter is wrong; the text names it.
    """
    since = parameters.get("since")
    cursor = None if since is None else structure_field(Subscribe, "since", since)
    if last_event_id is not None:
        try:
            cursor = Cursor.parse(last_event_id)
        except CursorError:
            cursor = UNREADABLE
    return Query(_subscriptions(parameters, cursor))


def parse_poll(parameters: Mapping[str, str], prefer: str | None) -> Query:
    """Read the query of a poll; ``Prefer: wait=N`` counts where ``wait`` is absent.

    Raises:
        InvalidMessage: a parameter is wrong; the text names it.
    """
    since = parameters.get("since")
    cursor = None if since is None else structure_field(Subscribe, "since", since)
    wait = parameters.get("wait")
    seconds = _preferred_wait(prefer or "") if wait is None else _wait(wait)
    return Query(_subscriptions(parameters, cursor), seconds)


def _preferred_wait(prefer: str) -> float:
    """Find ``wait`` in a ``Prefer`` header; what cannot be honoured is ignored (RFC 7240)."""
    for preference in prefer.split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        seconds = SECONDS.fullmatch(value.strip().strip('"'))
        if name.strip().lower() == "wait" and seconds is not None:
            return min(float(seconds[0]), WAIT_MAX_S)
    return WAIT_S


def _wait(text: str) -> float:
    seconds = float(text) if SECONDS.fullmatch(text) else -1.0
    if not 0 <= seconds <= WAIT_MAX_S:
        msg = f"wait: must be a number of seconds from 0 to {WAIT_MAX_S:g}, got {text[:64]!r}"
        raise InvalidMessage(msg)
    return seconds


def _subscriptions(parameters: Mapping[str, str], since: Cursor | None) -> tuple[Subscribe, ...]:
    wanted = [
        _subscription(entry.strip(), parameters, since)
        for entry in parameters.get("channels", "metrics").split(",")
    ]
    names = [subscribe.channel for subscribe in wanted]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        msg = f"channels: {twice[:64]!r} is named twice"
        raise InvalidMessage(msg)
    return tuple(wanted)


def _subscription(entry: str, parameters: Mapping[str, str], since: Cursor | None) -> Subscribe:
    """Read ``channel[:interval[:detail]]``, the rest from the parameters for all channels."""
    parts = entry.split(":")
    if not parts[0] or len(parts) > PARTS:
        msg = f"channels: must be name[:interval[:detail]], got {entry[:64]!r}"
        raise InvalidMessage(msg)
    channel, interval, detail = [*parts, "", ""][:PARTS]
    values: dict[str, Any] = {"channel": channel, "since": since}
    own = {"interval": interval, "detail": detail}
    for key in ("interval", "detail", "history"):
        # A parameter that a channel has its own value for is wrong all the same if it is wrong.
        for text in (parameters.get(key), own.get(key) or None):
            if text is not None:
                value = text if key == "detail" else _number(text)
                values[key] = structure_field(Subscribe, key, value)
    return Subscribe(**values)


def _number(text: str) -> object:
    """Read an integer; any other text stays one, for the range check to refuse it by name."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= DIGITS else text
