"""The query: what may stand in it, what wins, and what a mistake is told."""

from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schema.cursor import UNREADABLE, Cursor
from schema.errors import InvalidMessage
from schema.fields import Detail
from schema.messages import Subscribe
from schema.query import WAIT_S, parse_poll, parse_stream
from tests.strategies import CURSOR, cursors, subscribes

OTHER = Cursor("other", 7)


def stream(**parameters: str) -> tuple[Subscribe, ...]:
    return parse_stream(parameters, None).subscriptions


def poll(prefer: str | None = None, **parameters: str) -> float:
    return parse_poll(parameters, prefer).wait


def test_an_empty_query_asks_for_metrics() -> None:
    """The shortest URL works, with the server's own interval."""
    assert stream() == (Subscribe("metrics"),)


@given(subscribes.filter(lambda wanted: wanted.interval is not None))
def test_a_query_says_what_a_subscribe_says(wanted: Subscribe) -> None:
    """Each parameter is the key of the message."""
    parameters = {
        "interval": str(wanted.interval),
        "detail": wanted.detail.value,
        "history": str(wanted.history),
        **({} if wanted.since is None else {"since": str(wanted.since)}),
    }
    same = Subscribe("metrics", wanted.interval, wanted.detail, wanted.since, wanted.history)
    assert stream(**parameters) == (same,)
    assert parse_poll(parameters, None).subscriptions == (same,)


def test_each_channel_may_have_its_own_values() -> None:
    """What a channel does not say, the parameters for all say."""
    subscriptions = stream(
        channels="a:1000:simple, b:2000,c::full,d:,e",
        interval="9000",
        detail="standard",
        history="5",
        since=str(CURSOR),
    )
    assert subscriptions == (
        Subscribe("a", 1000, Detail.SIMPLE, CURSOR, 5),
        Subscribe("b", 2000, Detail.STANDARD, CURSOR, 5),
        Subscribe("c", 9000, Detail.FULL, CURSOR, 5),
        Subscribe("d", 9000, Detail.STANDARD, CURSOR, 5),
        Subscribe("e", 9000, Detail.STANDARD, CURSOR, 5),
    )


def test_a_channels_own_interval_stands_without_one_for_all() -> None:
    """The others have the server's default."""
    assert stream(channels="a:1000:,b") == (Subscribe("a", 1000), Subscribe("b"))


def test_unknown_parameters_are_ignored() -> None:
    """As unknown keys of a message are; a cache buster, say."""
    assert stream(_="1700000000", channel="x") == (Subscribe("metrics"),)


BAD = [
    *(("interval", text) for text in ["", "999", "60001", "-1", "+1000", "1e4", "1500.5", "true"]),
    *(("interval", text) for text in ["0x400", "1_000", "\N{SUPERSCRIPT TWO}000", "9" * 5000]),
    ("interval", "\N{FULLWIDTH DIGIT FIVE}000"),
    *(("history", text) for text in ["", "-1", "361", "1.0", "all"]),
    *(("detail", text) for text in ["", "FULL", "complete", "5"]),
    *(("since", text) for text in ["", "now", f"{CURSOR}\n", "a" * 33 + ":1", ":0"]),
    *(("channels", text) for text in ["", ",", "metrics,", ":1000", "a:1000:full:x", "a,b,a"]),
    ("channels", "a:1000,a:2000"),
]


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_bad_value_is_refused_by_the_name_of_its_parameter(name: str, text: str) -> None:
    """On both transports alike, and in a few words."""
    for parse in (parse_stream, parse_poll):
        with pytest.raises(InvalidMessage, match=f"^{name}: ") as caught:
            parse({name: text}, None)
        assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ("metrics:999", "interval"),
        ("metrics: 1000", "interval"),
        ("metrics:simple", "interval"),
        ("metrics:1000:5", "detail"),
        ("metrics::FULL", "detail"),
    ],
)
def test_a_channels_own_value_is_checked_like_any_other(entry: str, name: str) -> None:
    """The entry's parts have the ranges of the parameters."""
    with pytest.raises(InvalidMessage, match=f"^{name}: "):
        stream(channels=entry)


def test_hostile_names_are_not_echoed_at_length() -> None:
    """An error is read by people; the query may be as long as the server lets it."""
    name = "\0" * 16_384
    for channels in (f"{name},{name}", f":{name}", f"a:{name}", f"a:1000:{name}"):
        with pytest.raises(InvalidMessage) as caught:
            stream(channels=channels)
        assert len(caught.value.message) < 400


@given(cursors)
def test_the_header_wins_over_since(cursor: Cursor) -> None:
    """An EventSource repeats its first URL, old cursor and all, when it reconnects."""
    query = parse_stream({"since": str(OTHER), "channels": "a,b"}, str(cursor))
    assert [wanted.since for wanted in query.subscriptions] == [cursor, cursor]


@pytest.mark.parametrize("header", ["", "garbage", "a:01", "a:1, b:2", "\xff"])
def test_a_header_that_is_no_cursor_is_not_an_error(header: str) -> None:
    """An EventSource could never get rid of it; the session gives its verdict instead."""
    query = parse_stream({"since": str(OTHER)}, header)
    assert [wanted.since for wanted in query.subscriptions] == [UNREADABLE]


def test_a_bad_since_is_refused_even_if_the_header_is_good() -> None:
    """The URL is wrong, whoever sends it."""
    with pytest.raises(InvalidMessage, match=r"^since: "):
        parse_stream({"since": "garbage"}, str(CURSOR))


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("25", 25), ("0.5", 0.5), ("60", 60)])
def test_a_poll_says_how_long_it_may_be_held(text: str, seconds: float) -> None:
    """In seconds, and by the parameter before the header."""
    assert poll(wait=text) == seconds
    assert poll("wait=3", wait=text) == seconds


def test_a_poll_that_does_not_say_is_held_for_the_default() -> None:
    """That is 25 s, and the poll's subscriptions are read like a stream's."""
    query = parse_poll({"channels": "a:1000"}, None)
    assert (query.wait, query.subscriptions) == (WAIT_S, (Subscribe("a", 1000),))


@pytest.mark.parametrize("text", ["", "-1", "60.5", "61", "nan", "inf", "-inf", "soon", "1 s"])
def test_a_bad_wait_is_refused_by_name(text: str) -> None:
    """Nobody is held for ever, nor for a time that is none."""
    with pytest.raises(InvalidMessage, match=r"^wait: must be a number of seconds from 0 to 60"):
        poll(wait=text)


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=10", 10),
        ("respond-async, wait=10", 10),
        ("Wait = 10", 10),
        ('wait="10"', 10),
        ("wait=10; reason=none, wait=20", 10),
        ("respond-async", WAIT_S),
        ("", WAIT_S),
        (None, WAIT_S),
    ],
)
def test_a_preference_counts_where_the_parameter_is_absent(
    prefer: str | None, seconds: float
) -> None:
    """RFC 7240: names in any case, values quoted or not, the first of several."""
    assert poll(prefer) == seconds


@example({}, None)
@example({"wait": ""}, None)
@given(
    st.dictionaries(
        st.sampled_from(["channels", "interval", "detail", "history", "since", "wait"]),
        st.text("metrics:,01259.-e \0") | st.text(max_size=20),
    ),
    st.none() | st.text(max_size=20),
)
def test_whatever_a_query_says_it_is_read_or_refused_by_name(
    parameters: Mapping[str, str], header: str | None
) -> None:
    """No text brings out any other exception."""
    for parse in (parse_stream, parse_poll):
        told = ""
        try:
            parse(parameters, header)
        except InvalidMessage as refused:
            told = refused.message
        # A channel's own values have the names of the parameters for all; a header can be wrong.
        assert told.partition(":")[0] in {"", "interval", "detail", "wait", *parameters}
