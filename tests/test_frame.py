"""The frame: one text, and the event that carries it."""

import re

from hypothesis import given
from hypothesis import strategies as st

from schema.codec import ServerMessage, encode
from schema.cursor import Cursor
from schema.frame import Frame
from schema.messages import DataMessage
from tests.strategies import (
    CURSOR,
    NOW,
    SERVER_EXAMPLES,
    SIMPLE,
    cursors,
    data_messages,
    server_messages,
)


def read_event(stream: bytes) -> dict[str, list[str]]:
    """Read a stream of one event as the HTML standard tells an EventSource to, field by field."""
    event, end, rest = stream.decode().partition("\n\n")
    assert (end, rest) == ("\n\n", "")
    fields: dict[str, list[str]] = {}
    # Not splitlines: to an EventSource only these three end a line.
    for line in re.split("\r\n|\n|\r", event):
        name, _, value = line.partition(":")
        fields.setdefault(name, []).append(value.removeprefix(" "))
    return fields


@given(server_messages)
def test_an_event_carries_the_text_byte_for_byte(message: ServerMessage) -> None:
    """Whatever a message holds, its text stays one line, and one field of data."""
    frame = Frame.of(message)
    assert read_event(frame.event) == {"event": [message.TAG], "data": [frame.string]}
    assert frame.string.encode() == frame.text == encode(message)


@given(data_messages, cursors)
def test_a_cursor_becomes_the_id_of_the_event(message: DataMessage, cursor: Cursor) -> None:
    """An EventSource gives it back as `Last-Event-ID`."""
    fields = read_event(Frame.of(message, cursor).event)
    assert list(map(Cursor.parse, fields["id"])) == [cursor]


@given(st.integers(0, 60_000))
def test_a_wait_becomes_the_retry_of_the_event(retry: int) -> None:
    """An EventSource takes only a run of ASCII digits for it."""
    assert read_event(Frame.of(SERVER_EXAMPLES[0], retry=retry).event)["retry"] == [str(retry)]


def test_the_event_is_spelled_like_this() -> None:
    """The order is the page's: what to wait, what it is, where it stands, what it says."""
    frame = Frame("metrics", b'{"type":"metrics"}', CURSOR, 2500)
    assert frame.event == (
        b'retry: 2500\nevent: metrics\nid: k3v9x2ab:1042\ndata: {"type":"metrics"}\n\n'
    )


def test_the_forms_are_built_once() -> None:
    """All clients of a cohort share one string and one event."""
    frame = Frame.of(SIMPLE, SIMPLE.cursor)
    assert frame.string is frame.string
    assert frame.event is frame.event


def test_the_size_covers_all_forms() -> None:
    """What is kept is counted by it, so it must not be less than what is held."""
    frame = Frame.of(SIMPLE, SIMPLE.cursor, retry=NOW)
    assert frame.size >= len(frame.text) + len(frame.string) + len(frame.event)


def test_the_text_is_not_in_the_repr() -> None:
    """A frame in a log line or a failing test stays readable."""
    assert "usage" not in repr(Frame.of(SERVER_EXAMPLES[1], CURSOR))
