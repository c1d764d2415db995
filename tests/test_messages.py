"""The messages as the protocol page spells them: golden JSON, and rules that all of them keep."""

import re
from typing import Any, ClassVar, get_args

import attrs
import orjson
import pytest
from attrs.exceptions import FrozenInstanceError

from schema.codec import CLIENT_MESSAGES, SERVER_MESSAGES, decode_client, encode
from schema.cursor import Cursor
from schema.documentation import camel
from schema.errors import CloseCode, CursorError, ErrorCode, InvalidMessage, PulsewireError
from schema.messages import ControlMessage, DataMessage, Error, Gap, Heartbeat, Subscribe
from tests.strategies import CLIENT_EXAMPLES, CURSOR, GAP, NOW, SERVER_EXAMPLES

STANDARD = b"""\
{"type":"metrics","timestamp":1700000000123,"cursor":"k3v9x2ab:1042","host":"web-1",\
"intervalMs":5000,"windowMs":5001,"data":{"cpu":{"usage":12.5,"cores":8,\
"loadAvg":[0.5,0.25,0.125]},"memory":{"total":1000,"used":600,"free":400,"usage":60.0},\
"disk":{"total":1000,"used":300,"free":600,"usage":33.3,"path":"/"},"uptime":86400.5,\
"hostname":"web-1"}}"""
GAP_TEXT = b"""\
{"type":"gap","timestamp":1700000000123,"channel":"metrics","reason":"slow",\
"from":"k3v9x2ab:1000","to":"k3v9x2ab:1042","missed":41}"""
# One a line, in the order of the examples.
TEXTS = b"""\
{"type":"connected","timestamp":1700000000123,"clientId":"c0ffee","epoch":"k3v9x2ab",\
"heartbeatMs":15000,"protocol":"pulsewire.v1","version":"1.0.0","tickMs":1000,\
"channels":["metrics"]}
%(standard)b
{"type":"metrics","timestamp":1700000000123,"cursor":"k3v9x2ab:1042","host":"web-1",\
"intervalMs":1000,"windowMs":1000,\
"data":{"cpu":12.5,"memory":60.0,"disk":33.3,"uptime":86400.5}}
{"type":"heartbeat","timestamp":1700000000123,"cursor":"k3v9x2ab:1042"}
{"type":"subscribed","timestamp":1700000000123,"channel":"metrics","intervalMs":5000,\
"detail":"standard","resume":{"recovered":true,"reason":"ok","missed":2}}
%(gap)b
{"type":"history","timestamp":1700000000123,"channel":"metrics","items":[%(gap)b,%(standard)b]}
{"type":"reconnect","timestamp":1700000000123,"reason":"drain","afterMs":2500}
{"type":"error","timestamp":1700000000123,"code":"UNKNOWN_CHANNEL",\
"message":"channel: must be one of metrics","channel":"nonsense"}
{"type":"batch","timestamp":1700000000123,"cursor":"k3v9x2ab:1042",\
"resume":{"metrics":{"recovered":false,"reason":"first","missed":0}},"messages":[%(standard)b]}
{"type":"containers","timestamp":1700000000123,"cursor":"k3v9x2ab:1042","host":"web-1",\
"intervalMs":5000,"windowMs":5000,"data":[{"id":"4c01db0b339c","name":"web","image":"nginx:1",\
"state":"running","status":"Up 2 hours","ports":["0.0.0.0:8080->80/tcp"],"created":1700000000}]}
{"type":"processes","timestamp":1700000000123,"cursor":"k3v9x2ab:1042","host":"web-1",\
"intervalMs":5000,"windowMs":5000,\
"data":{"total":0,"running":0,"threads":0,"top":10,"items":[]}}
{"type":"subscribe","channel":"metrics","detail":"simple","since":"k3v9x2ab:1042",\
"history":60,"timestamp":1700000000123,"interval":5000}
{"type":"unsubscribe","channel":"metrics","timestamp":1700000000123}
{"type":"ping","timestamp":1700000000123}
""" % {b"gap": GAP_TEXT, b"standard": STANDARD}
EXAMPLES = (*SERVER_EXAMPLES, *CLIENT_EXAMPLES)
ALL: tuple[type[Any], ...] = (*SERVER_MESSAGES, *CLIENT_MESSAGES)


@pytest.mark.parametrize(("message", "text"), [*zip(EXAMPLES, TEXTS.splitlines(), strict=True)])
def test_messages_are_spelled_like_this(message: object, text: bytes) -> None:
    """Letter for letter: keys, their order, and what stands in them."""
    assert encode(message) == text


def test_every_message_has_an_example() -> None:
    """So none is left out above, nor where the examples are used."""
    assert {type(message) for message in EXAMPLES} == set(ALL)


def test_types_are_unique() -> None:
    """A message is told from the others by its type alone."""
    tags = [cls.TAG for cls in ALL]
    assert len(set(tags)) == len(tags)


@pytest.mark.parametrize("cls", get_args(ControlMessage))
def test_every_message_of_a_server_begins_with_its_time(cls: type[Any]) -> None:
    """Milliseconds since the epoch, on all of them."""
    assert attrs.fields(cls)[0].name == "timestamp"


@pytest.mark.parametrize("cls", ALL)
def test_keys_are_camel_case(cls: type[Any]) -> None:
    """The Python name is told from the key, and the key from the Python name."""
    for field in attrs.fields(cls):
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", camel(field.name))


def test_messages_are_values() -> None:
    """They are shared, so nobody may change them."""
    with pytest.raises(FrozenInstanceError):
        SERVER_EXAMPLES[0].timestamp = 0  # type: ignore[misc]
    assert attrs.evolve(GAP) == GAP


def test_a_source_adds_a_message_of_its_own() -> None:
    """A subclass with a tag is all it takes; its data are encoded like any other."""

    @attrs.frozen
    class Reading:
        deg_c: float | None

    @attrs.frozen
    class Weather(DataMessage):
        TAG: ClassVar[str] = "weather"
        data: list[Reading]

    text = encode(Weather(NOW, CURSOR, "web-1", 5000, 5000, [Reading(21.5), Reading(None)]))
    assert text.startswith(b'{"type":"weather","timestamp":1700000000123,"cursor":"k3v9x2ab:1042"')
    assert text.endswith(b'"windowMs":5000,"data":[{"degC":21.5},{"degC":null}]}')


def test_unknown_values_are_null_but_an_absent_channel_is_absent() -> None:
    """`channel` of an error is the one key of a server that may be missing."""
    assert encode(Heartbeat(NOW, None)) == (
        b'{"type":"heartbeat","timestamp":1700000000123,"cursor":null}'
    )
    gap = orjson.loads(encode(attrs.evolve(GAP, from_=None, missed=None)))
    assert (gap["from"], gap["missed"]) == (None, None)
    assert "channel" not in orjson.loads(encode(Error(NOW, ErrorCode.FORBIDDEN, "no")))
    optional = {
        (cls, field.name)
        for cls in SERVER_MESSAGES
        for field in attrs.fields(cls)
        if field.metadata.get("optional")
    }
    assert optional == {(Error, "channel")}


def test_a_subscribe_needs_its_channel_alone() -> None:
    """The rest has the defaults of the page."""
    assert decode_client(b'{"type":"subscribe","channel":"metrics"}') == Subscribe("metrics")
    wanted = Subscribe("metrics")
    assert (wanted.interval, wanted.detail, wanted.since, wanted.history) == (
        None,
        "standard",
        None,
        0,
    )


def test_a_gap_is_between_two_cursors() -> None:
    """`from` is a word of Python's, but not of the wire's."""
    assert isinstance(GAP, Gap)
    assert orjson.loads(encode(GAP))["from"] == str(Cursor("k3v9x2ab", 1000))


@pytest.mark.parametrize("code", ErrorCode)
def test_every_error_code_has_a_status_for_http(code: ErrorCode) -> None:
    """The page allows these and no others."""
    assert code.http_status in {400, 401, 403, 404, 413, 429, 503}


def test_the_errors_status_is_the_fitting_one() -> None:
    """The rows that clients rely on."""
    assert ErrorCode.UNKNOWN_CHANNEL.http_status == 404
    assert ErrorCode.INVALID_MESSAGE.http_status == 400
    assert ErrorCode.OVERLOADED.http_status == 503


def test_close_codes_tell_whether_to_come_back() -> None:
    """4500 to 4999 mean do not; any other means do."""
    final = {code for code in CloseCode if 4500 <= code <= 4999}
    assert final == {CloseCode.NOT_AUTHORISED, CloseCode.BAD_REQUEST, CloseCode.CONNECTION_LIMIT}


def test_one_base_catches_every_error() -> None:
    """And a bad message is refused with the code that says so."""
    assert issubclass(CursorError, PulsewireError)
    refused = InvalidMessage("channel: is required")
    assert isinstance(refused, PulsewireError)
    assert (refused.code, refused.message, refused.channel) == (
        ErrorCode.INVALID_MESSAGE,
        "channel: is required",
        None,
    )
