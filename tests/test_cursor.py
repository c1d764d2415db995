"""The cursor: one spelling, and nothing near it."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schema.cursor import PATTERN, UNREADABLE, Cursor
from schema.errors import CursorError
from tests.strategies import cursors


@given(cursors)
def test_a_cursor_is_read_back_as_it_was_written(cursor: Cursor) -> None:
    """What a client is given, it may give back."""
    assert Cursor.parse(str(cursor)) == cursor


@given(st.from_regex(re.compile(PATTERN, re.ASCII), fullmatch=True))
def test_what_fits_the_published_pattern_is_a_cursor(text: str) -> None:
    """But for the final newline, which `$` lets pass in Python, and not in JSON Schema."""
    line = text.removesuffix("\n")
    assert str(Cursor.parse(line)) == line


@example("a:1")
@example("a:1\n")
@given(st.text("a0:1\n", max_size=8) | st.text(max_size=8))
def test_parser_and_pattern_agree(text: str) -> None:
    """What the parser takes fits the pattern and is spelled in that one way; the rest does not."""
    try:
        cursor = Cursor.parse(text)
    except CursorError:
        assert re.fullmatch(PATTERN, text, re.ASCII) is None
    else:
        assert re.fullmatch(PATTERN, text, re.ASCII)
        assert str(cursor) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("k3v9x2ab", id="no seq"),
        pytest.param("k3v9x2ab:", id="empty seq"),
        pytest.param(":1", id="no epoch"),
        pytest.param("k3v9x2ab:1\n", id="a newline behind it"),
        pytest.param(" k3v9x2ab:1", id="a space before it"),
        pytest.param("k3v9x2ab:1:2", id="three parts"),
        pytest.param("k3v9x2ab:01", id="a leading zero"),
        pytest.param("k3v9x2ab:00", id="two zeros"),
        pytest.param("k3v9x2ab:-1", id="a sign"),
        pytest.param("k3v9x2ab:+1", id="another sign"),
        pytest.param("k3v9x2ab:1_0", id="an underscore, as Python has it"),
        pytest.param("k3v9x2ab:1.0", id="a fraction"),
        pytest.param("k3v9x2ab:\N{ARABIC-INDIC DIGIT ONE}", id="a digit outside of ASCII"),
        pytest.param("K3V9X2AB:1", id="capitals"),
        pytest.param("\N{LATIN SMALL LETTER DOTLESS I}:1", id="a letter outside of ASCII"),
        pytest.param("a" * 33 + ":1", id="33 characters"),
        pytest.param("a:1" + "0" * 16, id="17 digits"),
    ],
)
def test_near_misses_are_refused(text: str) -> None:
    """Each would be a second spelling, or none at all."""
    with pytest.raises(CursorError, match="must be a cursor such as"):
        Cursor.parse(text)


@pytest.mark.parametrize("text", ["a" * 32 + ":0", "0:9999999999999999"])
def test_the_limits_are_inside(text: str) -> None:
    """The longest epoch, seq 0, and the largest seq."""
    assert str(Cursor.parse(text)) == text


def test_the_refusal_of_a_long_text_is_short() -> None:
    """A client cannot have its own 16 KiB sent back."""
    with pytest.raises(CursorError) as caught:
        Cursor.parse("\0" * 16_384)
    assert len(str(caught.value)) < 400


def test_no_text_is_the_unreadable_cursor() -> None:
    """It stands for a header that is no cursor, so no client can name it."""
    with pytest.raises(CursorError):
        Cursor.parse(str(UNREADABLE))
