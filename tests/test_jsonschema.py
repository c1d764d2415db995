"""The JSON Schema: it takes what is said, and nothing that the codec would refuse."""

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import attrs
import pytest
from hypothesis import example, given
from jsonschema import Draft202012Validator

from schema.codec import (
    CLIENT_MESSAGES,
    SERVER_MESSAGES,
    ServerMessage,
    decode_client,
    encode_json,
)
from schema.containers import ContainersMessage
from schema.errors import ErrorCode, InvalidMessage
from schema.jsonschema import message_schema
from schema.messages import ClientMessage, DataMessage
from schema.metrics import MetricsMessage
from schema.processes import ProcessesMessage
from tests.strategies import (
    CLIENT_EXAMPLES,
    SERVER_EXAMPLES,
    STANDARD,
    body,
    client_bodies,
    client_messages,
    server_messages,
)

SCHEMA = message_schema([MetricsMessage, ContainersMessage, ProcessesMessage])
SERVER = Draft202012Validator(SCHEMA)
CLIENT = Draft202012Validator({"$ref": "#/$defs/clientMessages", "$defs": SCHEMA["$defs"]})


def only(tag: str) -> Draft202012Validator:
    """Return a validator of one message."""
    return Draft202012Validator({"$ref": f"#/$defs/{tag}", "$defs": SCHEMA["$defs"]})


def schemas(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            yield from schemas(inner)


def test_it_is_a_schema_by_its_own_draft() -> None:
    """And plain JSON, as it is served."""
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(encode_json(SCHEMA)) == SCHEMA


@given(server_messages)
def test_every_message_of_a_server_fits(message: ServerMessage) -> None:
    """As one of the server's, and as the one that it is."""
    SERVER.validate(body(message))
    only(message.TAG).validate(body(message))


@given(client_messages)
def test_every_message_of_a_client_fits(message: ClientMessage) -> None:
    """As one of the client's, and as the one that it is."""
    CLIENT.validate(body(message))
    only(message.TAG).validate(body(message))


def test_every_message_is_defined() -> None:
    """By its type, and listed with those of its side."""
    listed = [entry["$ref"] for entry in SCHEMA["oneOf"]]
    assert sorted(listed) == sorted(f"#/$defs/{cls.TAG}" for cls in SERVER_MESSAGES)
    listed = [entry["$ref"] for entry in SCHEMA["$defs"]["clientMessages"]["oneOf"]]
    assert sorted(listed) == sorted(f"#/$defs/{cls.TAG}" for cls in CLIENT_MESSAGES)


def test_neither_side_says_what_the_other_does() -> None:
    """The two lists have nothing in common."""
    assert not any(CLIENT.is_valid(body(message)) for message in SERVER_EXAMPLES)
    assert not any(SERVER.is_valid(body(message)) for message in CLIENT_EXAMPLES)


@pytest.mark.parametrize("message", SERVER_EXAMPLES)
def test_unknown_keys_are_allowed_and_missing_ones_are_not(message: ServerMessage) -> None:
    """Clients that generate their code from it must live with additions."""
    said = body(message)
    assert SERVER.is_valid({**said, "newKey": 1})
    for key in said:
        lacking = {name: value for name, value in said.items() if name != key}
        assert SERVER.is_valid(lacking) is ((message.TAG, key) == ("error", "channel"))


@pytest.mark.parametrize("message", SERVER_EXAMPLES)
def test_a_value_of_another_type_is_refused(message: ServerMessage) -> None:
    """Every key says what it holds."""
    said = body(message)
    for key in said:
        for wrong in (1.5, True, -1, {"x": [None]}):
            assert not SERVER.is_valid({**said, key: wrong}), key


@example({"type": "ping"})
@example({"type": "ping", "timestamp": True})
@example({"type": "subscribe", "channel": "metrics", "interval": 5000.0})
@given(client_bodies)
def test_schema_and_codec_agree_on_what_a_client_may_say(said: dict[str, Any]) -> None:
    """But for `5000.0`, which JSON Schema takes for an integer."""
    if any(type(value) is float and value.is_integer() for value in said.values()):
        said = {key: value for key, value in said.items() if type(value) is not float}
    try:
        decode_client(json.dumps(said))
    except InvalidMessage:
        assert not CLIENT.is_valid(said)
    else:
        CLIENT.validate(said)


@pytest.mark.parametrize(("key", "low", "high"), [("interval", 1000, 60_000), ("history", 0, 360)])
def test_ranges_are_those_of_the_codec(key: str, low: int, high: int) -> None:
    """The numbers stand in one place, `schema.fields`."""
    said = body(CLIENT_EXAMPLES[0])
    assert all(CLIENT.is_valid({**said, key: value}) for value in (low, high))
    assert not any(CLIENT.is_valid({**said, key: value}) for value in (low - 1, high + 1))


@pytest.mark.parametrize("items", [["x"], [{}], [body(SERVER_EXAMPLES[3])]])
def test_a_history_holds_data_and_gaps_alone(items: list[object]) -> None:
    """No heartbeat was ever kept."""
    history = body(SERVER_EXAMPLES[6])
    assert not SERVER.is_valid({**history, "items": items})
    assert SERVER.is_valid({**history, "items": []})


def test_a_batch_holds_anything_but_a_batch() -> None:
    """Whatever would have been sent over another transport."""
    said = [body(message) for message in SERVER_EXAMPLES]
    (batch,) = (message for message in said if message["type"] == "batch")
    others = [message for message in said if message is not batch]
    assert SERVER.is_valid({**batch, "messages": others})
    assert not SERVER.is_valid({**batch, "messages": [batch]})
    assert not SERVER.is_valid({**batch, "resume": {"metrics": None}})


def test_codes_are_listed() -> None:
    """With all of their words, so that a client can have a branch for each."""
    assert SCHEMA["$defs"]["error"]["properties"]["code"]["enum"] == list(ErrorCode)


def test_everything_says_what_it_is() -> None:
    """In a sentence, with the names of the wire and none of Python's."""
    told = [schema for schema in schemas(SCHEMA) if "properties" in schema or "enum" in schema]
    assert all(schema["description"].endswith(".") for schema in told)
    gap = SCHEMA["$defs"]["gap"]["description"]
    assert gap == "What lies between `from` and `to` is not coming; sent before the message `to`."


def test_a_source_brings_its_own_message() -> None:
    """Its data are described by its class; a key may be left out only where the class says so."""

    @attrs.frozen
    class Reading:
        """One thermometer."""

        deg_c: float | None
        label: str = attrs.field(default="", metadata={"optional": True})
        trend: int = 0

    @attrs.frozen
    class Weather(DataMessage):
        TAG: ClassVar[str] = "weather"
        data: list[Reading]

    attrs.resolve_types(Weather, localns={"Reading": Reading})
    schema = message_schema([MetricsMessage, Weather])
    validator = Draft202012Validator(schema)
    weather = {**body(STANDARD), "type": "weather"}
    assert validator.is_valid({**weather, "data": [{"degC": None, "trend": 1}]})
    assert not validator.is_valid({**weather, "data": [{"degC": 21.5}]})
    assert not validator.is_valid({**weather, "data": {}})
    assert not SERVER.is_valid({**weather, "data": []})
    history = {**body(SERVER_EXAMPLES[6]), "items": [{**weather, "data": []}]}
    assert validator.is_valid(history)
    assert schema["$defs"]["weather"]["description"] == ""
