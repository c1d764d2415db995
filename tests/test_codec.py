"""The codec: what goes in comes out, and what does not fit is refused by name."""

import json
import math
from collections.abc import Iterator
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schema.codec import (
    CLIENT_MESSAGES,
    ServerMessage,
    decode_client,
    decode_server,
    encode,
    encode_around,
    encode_json,
    structure_field,
    structure_server,
)
from schema.cursor import Cursor
from schema.documentation import camel
from schema.errors import ErrorCode, InvalidMessage
from schema.fields import Detail
from schema.messages import (
    Batch,
    ClientMessage,
    Error,
    History,
    Ping,
    Subscribe,
)
from schema.metrics import Simple
from tests.strategies import (
    CLIENT_EXAMPLES,
    CURSOR,
    NOW,
    SERVER_EXAMPLES,
    SIMPLE,
    STANDARD,
    batches,
    body,
    client_bodies,
    client_messages,
    data_messages,
    gaps,
    histories,
    numbers,
    server_messages,
)

# A key's name, a colon, and a reason; what was sent is shown, but cut.
LONGEST = 400
NOT_INTEGERS = ['"5000"', "1.5", "5000.0", "true", "1e3", "[]", "{}", "1" + "0" * 30]

Path = tuple[str, ...]


def refusal(text: str | bytes) -> str:
    with pytest.raises(InvalidMessage) as caught:
        decode_client(text)
    return caught.value.message


def asked(**keys: object) -> bytes:
    return orjson.dumps({"type": "subscribe", "channel": "metrics", **keys})


def asked_with(key: str, text: str) -> str:
    """Return a subscribe with a JSON text as the value of a key."""
    return f'{{"type":"subscribe","channel":"metrics","{key}":{text}}}'


def integers(value: object, path: Path = ()) -> Iterator[Path]:
    """Find where the integers of a parsed message are; lists hold none that a class knows of."""
    if type(value) is int:
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from integers(inner, (*path, key))


def replaced(value: dict[str, Any], path: Path, text: str) -> str:
    """Return the JSON of a parsed message with another JSON text in one place."""
    key, *rest = path
    inner = replaced(value[key], tuple(rest), text) if rest else text
    pairs = (
        f"{json.dumps(name)}:{inner if name == key else json.dumps(old)}"
        for name, old in value.items()
    )
    return "{" + ",".join(pairs) + "}"


INTEGERS = [(message, path) for message in SERVER_EXAMPLES for path in integers(body(message))]


# What goes in comes out


@given(server_messages)
def test_messages_of_a_server_are_read_back_as_they_were_written(message: ServerMessage) -> None:
    """Every one of them, with whatever it may hold."""
    assert decode_server(encode(message)) == message


@given(client_messages)
def test_messages_of_a_client_are_read_back_as_they_were_written(message: ClientMessage) -> None:
    """A client in Python may use the same classes."""
    assert decode_client(encode(message)) == message
    assert decode_client(encode(message).decode()) == message


@pytest.mark.parametrize("message", [*SERVER_EXAMPLES, *CLIENT_EXAMPLES])
def test_what_is_read_has_the_types_that_the_class_names(message: object) -> None:
    """Equality alone would take a plain string for one of a choice of words."""
    read = (decode_client if isinstance(message, CLIENT_MESSAGES) else decode_server)(
        encode(message)
    )
    assert repr(read) == repr(message)


@given(server_messages | client_messages)
def test_the_type_is_the_first_key(message: ServerMessage | ClientMessage) -> None:
    """A reader of the text sees at once what it is."""
    assert encode(message).startswith(b'{"type":"%b",' % message.TAG.encode())


@given(server_messages)
def test_unknown_keys_are_ignored(message: ServerMessage) -> None:
    """Else no key could ever be added."""
    assert structure_server({**body(message), "newKey": {"deep": [1]}}) == message


def test_unknown_keys_of_a_client_are_ignored() -> None:
    """Even one that looks like Python's name of a known key."""
    assert decode_client(asked(interval_ms="x", fooBar=None)) == Subscribe("metrics")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_null_on_the_wire(value: float) -> None:
    """JSON has no word for it."""
    text = encode(attrs.evolve(SIMPLE, data=Simple(value, value, value, value)))
    assert text.endswith(b'"data":{"cpu":null,"memory":null,"disk":null,"uptime":null}}')
    assert encode_json([value]) == b"[null]"


def test_an_item_of_a_history_is_a_message_of_its_own() -> None:
    """A client gives it to the function that reads a parsed message."""
    history = SERVER_EXAMPLES[6]
    assert isinstance(history, History)
    assert [structure_server(item) for item in history.items] == [SERVER_EXAMPLES[5], STANDARD]


@given(histories, st.lists(data_messages | gaps, max_size=3))
def test_a_history_around_texts_is_the_history_of_their_messages(
    history: History, items: list[Any]
) -> None:
    """Byte for byte, though nothing is encoded again."""
    empty, full = attrs.evolve(history, items=[]), attrs.evolve(history, items=[*map(body, items)])
    assert encode_around(empty, map(encode, items)) == encode(full)


@given(batches, st.lists(server_messages, max_size=3))
def test_a_batch_around_texts_is_the_batch_of_their_messages(
    batch: Batch, messages: list[ServerMessage]
) -> None:
    """With nothing, one or several messages in it."""
    empty = attrs.evolve(batch, messages=[])
    full = attrs.evolve(batch, messages=[*map(body, messages)])
    assert encode_around(empty, map(encode, messages)) == encode(full)


# What does not fit is refused by name


@pytest.mark.parametrize("bad", [*NOT_INTEGERS, "-1", "60001", "999"])
def test_an_interval_is_an_integer_in_its_range(bad: str) -> None:
    """`"5000"`, `1500.5` and `true` are none, whatever Python's `int` would make of them."""
    text = refusal(asked_with("interval", bad))
    assert text.startswith("interval: must be an integer from 1000 to 60000, got ")


@pytest.mark.parametrize("bad", [*NOT_INTEGERS, "-1", "361", "null"])
def test_a_history_count_is_an_integer_in_its_range(bad: str) -> None:
    """None of them counts anything."""
    text = refusal(asked_with("history", bad))
    assert text.startswith("history: must be an integer from 0 to 360, got ")


@pytest.mark.parametrize("bad", NOT_INTEGERS)
@pytest.mark.parametrize(("message", "path"), INTEGERS)
def test_no_integer_of_a_server_takes_anything_else(
    message: ServerMessage, path: Path, bad: str
) -> None:
    """A client that reads with these classes is as strict; the error names a key of the path."""
    with pytest.raises(InvalidMessage) as caught:
        decode_server(replaced(body(message), path, bad))
    assert caught.value.message.partition(": ")[0] in path


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e400"])
@pytest.mark.parametrize("key", ["interval", "history", "timestamp"])
def test_what_json_has_no_word_for_is_not_json(key: str, text: str) -> None:
    """Python's own parser takes the first three."""
    said = refusal(asked_with(key, text))
    assert said.startswith("message is not JSON: ")


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", True])
def test_a_number_is_finite_and_no_text(value: object) -> None:
    """Also where the message was parsed by somebody else."""
    with pytest.raises(InvalidMessage, match=r"^cpu: must be a number, got "):
        structure_server({**body(SIMPLE), "data": {**body(SIMPLE)["data"], "cpu": value}})


@given(numbers | st.integers(-(2**63), 2**64 - 1))
def test_the_timestamp_of_a_client_may_be_any_number(timestamp: float) -> None:
    """Heritage clients send what their clock says; nobody looks at it."""
    assert decode_client(orjson.dumps({"type": "ping", "timestamp": timestamp})) == Ping(timestamp)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"channel": None}, "channel: must be a string, got null"),
        ({"channel": 5}, "channel: must be a string, got 5"),
        ({"channel": ["metrics"]}, 'channel: must be a string, got ["metrics"]'),
        ({"detail": None}, "detail: must be one of simple, standard, full, got null"),
        ({"detail": "FULL"}, 'detail: must be one of simple, standard, full, got "FULL"'),
        ({"detail": ["full"]}, 'detail: must be one of simple, standard, full, got ["full"]'),
        ({"since": 1042}, "since: must be a string, got 1042"),
        ({"since": "a:01"}, "since: must be a cursor such as k3v9x2ab:1042, got 'a:01'"),
        ({"since": "a:1\n"}, "since: must be a cursor such as k3v9x2ab:1042, got 'a:1\\n'"),
        ({"timestamp": "now"}, 'timestamp: must be a number, got "now"'),
        ({"timestamp": True}, "timestamp: must be a number, got true"),
        ({"type": "metrics"}, 'type: must be one of subscribe, unsubscribe, ping, got "metrics"'),
        ({"type": None}, "type: must be one of subscribe, unsubscribe, ping, got null"),
        ({"type": ["ping"]}, 'type: must be one of subscribe, unsubscribe, ping, got ["ping"]'),
    ],
)
def test_a_refusal_says_what_is_wrong_with_which_key(keys: dict[str, Any], said: str) -> None:
    """The texts are for the people who write clients."""
    assert refusal(asked(**keys)) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "message is not JSON: "),
        ("{", "message is not JSON: "),
        ('{"type":"ping"} x', "message is not JSON: "),
        (b'{"type":"\xff"}', "message is not JSON: "),
        ('{"type":"subscribe","channel":"\\ud800"}', "message is not JSON: "),
        ("null", "message must be a JSON object, got null"),
        ('["ping"]', 'message must be a JSON object, got ["ping"]'),
        ('"ping"', 'message must be a JSON object, got "ping"'),
        ("{}", "type: must be one of subscribe, unsubscribe, ping, got null"),
        ('{"type":"subscribe"}', "channel: is required"),
        ('{"type":"unsubscribe","Channel":"metrics"}', "channel: is required"),
    ],
)
def test_what_is_no_message_at_all_is_told_so(text: str | bytes, said: str) -> None:
    """The connection stays open for the next try."""
    assert refusal(text).startswith(said)


@pytest.mark.parametrize("key", ["interval", "since", "timestamp"])
def test_null_is_as_good_as_nothing_where_nothing_is(key: str) -> None:
    """Many clients write an absent value so."""
    assert decode_client(asked(**{key: None})) == Subscribe("metrics")


@pytest.mark.parametrize(
    ("index", "key"),
    [
        (index, key)
        for index, message in enumerate(SERVER_EXAMPLES)
        for key in body(message)
        if (type(message), key) != (Error, "channel")
    ],
)
def test_every_key_of_a_server_is_required_but_one(index: int, key: str) -> None:
    """A message that lacks one is refused by the name that it has on the wire."""
    lacking = {name: value for name, value in body(SERVER_EXAMPLES[index]).items() if name != key}
    said = "type: must be one of" if key == "type" else f"{key}: is required"
    with pytest.raises(InvalidMessage, match=f"^{said}"):
        structure_server(lacking)


@pytest.mark.parametrize(
    ("index", "keys", "name"),
    [
        (0, {"channels": [1]}, "channels"),
        (0, {"channels": "metrics"}, "channels"),
        (0, {"channels": None}, "channels"),
        (1, {"cursor": None}, "cursor"),
        (1, {"data": None}, "data"),
        (1, {"data": {}}, "data"),
        (4, {"detail": "huge"}, "detail"),
        (4, {"resume": {"recovered": 1, "reason": "ok", "missed": None}}, "recovered"),
        (4, {"resume": {"recovered": True, "reason": "so", "missed": None}}, "reason"),
        (5, {"reason": "because"}, "reason"),
        (5, {"to": None}, "to"),
        (8, {"code": "NONSENSE"}, "code"),
        (9, {"resume": []}, "resume"),
        (9, {"messages": {}}, "messages"),
    ],
)
def test_what_a_server_never_says_is_refused(index: int, keys: dict[str, Any], name: str) -> None:
    """By its key, which may be one inside."""
    with pytest.raises(InvalidMessage, match=f"^{name}: "):
        structure_server({**body(SERVER_EXAMPLES[index]), **keys})


@pytest.mark.parametrize("value", ["x" * 16_384, "\0" * 16_384, "\N{PILE OF POO}" * 4096])
@pytest.mark.parametrize("key", ["type", "interval", "detail", "since", "history", "timestamp"])
def test_a_hostile_value_is_not_sent_back_at_length(key: str, value: str) -> None:
    """Nor one that grows when it is escaped."""
    for held in (value, [value], {value: value}):
        assert len(refusal(asked(**{key: held})).encode()) < LONGEST


@pytest.mark.parametrize("depth", [200, 300, 1000, 8000])
@pytest.mark.parametrize(
    "text",
    ["%s", '{"type":%s}', '{"type":"subscribe","channel":%s}', '{"type":"ping","timestamp":%s}'],
)
def test_deep_nesting_is_refused_like_any_other_nonsense(text: str, depth: int) -> None:
    """The parser goes deeper than the encoder, which shows what was sent."""
    assert len(refusal(text % ("[" * depth + "]" * depth))) < LONGEST


@example({"type": "ping"})
@example({"type": "ping", "timestamp": "x"})
@given(client_bodies)
def test_whatever_a_client_says_it_is_read_or_refused_by_name(said: dict[str, Any]) -> None:
    """No text brings out any other exception."""
    told = "channel: "
    try:
        decode_client(json.dumps(said))
    except InvalidMessage as refused:
        told = refused.message
    assert told.partition(": ")[0] in {*said, "channel"}
    assert len(told) < LONGEST


@given(st.binary(max_size=64) | st.text(max_size=64))
def test_noise_is_refused(noise: str | bytes) -> None:
    """As is, with no other exception."""
    assert refusal(noise)


# What the query and the schema use


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("channel", "channel"),
        ("interval_ms", "intervalMs"),
        ("from_", "from"),
        ("load_avg", "loadAvg"),
    ],
)
def test_keys_are_camel_case(name: str, key: str) -> None:
    """A final underscore, which keeps a name off Python's words, is not on the wire."""
    assert camel(name) == key


@pytest.mark.parametrize(
    ("name", "value", "result"),
    [
        ("interval", 1000, 1000),
        ("detail", "full", Detail.FULL),
        ("since", "k3v9x2ab:1042", CURSOR),
        ("history", 360, 360),
    ],
)
def test_one_field_is_checked_like_the_message_that_has_it(
    name: str, value: object, result: object
) -> None:
    """So a query parameter means what the key means."""
    read = structure_field(Subscribe, name, value)
    assert (type(read), read) == (type(result), result)


def test_one_field_is_refused_by_its_key() -> None:
    """With the words of the message's own refusal, and the key's spelling."""
    with pytest.raises(InvalidMessage, match=r"^afterMs: must be an integer from 0 to \d+, got -1"):
        structure_field(
            next(type(m) for m in SERVER_EXAMPLES if m.TAG == "reconnect"), "after_ms", -1
        )


def test_codes_are_read_as_codes() -> None:
    """So a client can ask for the status of one."""
    read = decode_server(encode(Error(NOW, ErrorCode.FORBIDDEN, "no")))
    assert isinstance(read, Error)
    assert read.code is ErrorCode.FORBIDDEN


def test_plain_values_are_encoded_as_they_are() -> None:
    """For bodies that are no messages, such as the status page's."""
    assert encode_json({"snake_case": [1, None, "é"]}) == '{"snake_case":[1,null,"é"]}'.encode()


def test_a_cursor_is_a_text_on_the_wire() -> None:
    """And nothing like the object it is here."""
    assert body(STANDARD)["cursor"] == str(Cursor("k3v9x2ab", 1042))
