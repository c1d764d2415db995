"""The rules of the settings: what each kind of value may be, and its normal form."""

import datetime as dt
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import rules
from app.rules import Rule, RuleError, number, whole

PORT = whole(0, 65535)
DRAIN = number(0, 300, "s")
TEXTS = st.text() | st.from_regex(r"[a-z]+://[a-z.]+(:\d+)?(,[a-z]+)?", fullmatch=True)
RULES = [PORT, DRAIN, rules.HOST, rules.HOST_NAMES, rules.LOG_LEVEL, rules.MOUNT_POINT]
RULES += [rules.ORIGINS, rules.ROOT_PATH, rules.FILE_PATH, rules.SWITCH]


@pytest.mark.parametrize("value", [True, 80.0, "80", None, [80], -1, 65536, dt.date(2025, 1, 1)])
def test_a_value_that_is_no_integer_of_the_range_is_no_port(value: object) -> None:
    """Neither a boolean nor a round float nor a text is taken for an integer."""
    with pytest.raises(RuleError, match="must be an integer from 0 to 65535, not "):
        PORT(value)


@pytest.mark.parametrize("text", ["", "abc", "1.0", "true", "0x50", "80 81", "9" * 5000])
def test_a_text_that_is_no_integer_is_no_port(text: str) -> None:
    """The text of a flag or variable has to be an integer and nothing else."""
    with pytest.raises(RuleError, match="must be an integer from 0 to 65535, not "):
        PORT.read(text)


@given(st.integers(0, 65535))
def test_every_integer_of_the_range_is_a_port(port: int) -> None:
    """As a value and as a text."""
    assert PORT(port) == PORT.read(str(port)) == port


def test_a_number_is_a_float_whichever_way_it_is_written() -> None:
    """TOML's 5, its 5.0 and the texts of both are the same number of seconds."""
    values = [DRAIN(5), DRAIN(5.0), DRAIN.read("5"), DRAIN.read("5.0")]

    assert values == [5.0] * 4
    assert {type(value) for value in values} == {float}


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 301, True, "5"])
def test_a_value_that_is_no_number_of_the_range_is_refused(value: object) -> None:
    """TOML has nan and inf; they are in no range."""
    with pytest.raises(RuleError, match="must be a number from 0 to 300 s, not "):
        DRAIN(value)


def test_a_refusal_shows_values_as_their_source_writes_them() -> None:
    """Texts in quotes and on one line, truth values in TOML's spelling, dates somehow."""
    messages = []
    for value in ("a\nb\x1b", True, dt.date(2025, 1, 1)):
        with pytest.raises(RuleError) as caught:
            PORT(value)
        messages.append(str(caught.value).split(", not ")[1])

    assert messages == [r'"a\nb\u001b"', "true", '"2025-01-01"']


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
        ("::", "::"),
        ("[::1]", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("my_host.example.", "my_host.example."),
    ],
)
def test_a_host_is_a_name_or_an_address_and_loses_its_brackets(text: str, host: str) -> None:
    """The socket wants an IPv6 address bare, people write it in brackets."""
    assert rules.HOST.read(text) == host


@pytest.mark.parametrize(
    "text", ["", "a b", "localhost:80", "[localhost]", "http://a", "a..b", "::1]", "a\0", "*"]
)
def test_what_cannot_be_a_host_is_refused(text: str) -> None:
    """A host with a port is the likeliest mistake."""
    with pytest.raises(RuleError, match="must be a host name, an IPv4 or an IPv6 address, not"):
        rules.HOST.read(text)


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", ()),
        ("http://a", ("http://a",)),
        (" HTTPS://Dash.Example:8443 , http://b,", ("https://dash.example:8443", "http://b")),
        ("https://a:443,http://b:80,http://c:443", ("https://a", "http://b", "http://c:443")),
        ("http://[0::1]:3000", ("http://[::1]:3000",)),
        ("http://a,HTTP://A:80", ("http://a",)),
    ],
)
def test_origins_are_kept_as_browsers_send_them(text: str, origins: tuple[str, ...]) -> None:
    """Lower case, without the scheme's own port, each once."""
    assert rules.ORIGINS.read(text) == origins


@pytest.mark.parametrize(
    "item", ["a.example", "ftp://a", "http://a/", "http://a/b", "null", "*", "http://a:99999"]
)
def test_of_a_list_with_a_wrong_origin_the_wrong_one_is_told(item: str) -> None:
    """Not the whole list, which may be long."""
    with pytest.raises(RuleError, match=r"must be an http or https origin .*, no path, not") as e:
        rules.ORIGINS.read(f"http://good, {item}")

    assert str(e.value).endswith(f'not "{item}"')


@pytest.mark.parametrize("value", ["http://a", {"http://a": 1}, 5, None])
def test_a_list_in_a_file_has_to_be_an_array(value: object) -> None:
    """Commas are for flags and variables, which have nothing better."""
    with pytest.raises(RuleError, match="must be a list, each item an http or https origin"):
        rules.ORIGINS(value)


def test_host_names_bear_no_port() -> None:
    """The guard compares names alone."""
    assert rules.HOST_NAMES.read("Metrics.Example.,b") == ("metrics.example", "b")
    with pytest.raises(RuleError, match='a host name without a port, not "a:80"'):
        rules.HOST_NAMES.read("a:80")


@pytest.mark.parametrize("text", ["", "/pulse", "/a/b-c"])
def test_a_root_path_is_empty_or_begins_with_a_slash(text: str) -> None:
    """It is put before paths that begin with a slash."""
    assert rules.ROOT_PATH.read(text) == text


@pytest.mark.parametrize("text", ["/", "pulse", "/pulse/", "//a", "/a b", "/a?b", "/a#b"])
def test_a_root_path_that_would_not_join_is_refused(text: str) -> None:
    """No slash at the end, no query, no fragment."""
    with pytest.raises(RuleError, match="such as /pulse"):
        rules.ROOT_PATH.read(text)


def test_a_mount_point_is_an_absolute_path() -> None:
    """What a relative one means would depend on where the server was started."""
    assert rules.MOUNT_POINT.read("/srv/data") == "/srv/data"
    with pytest.raises(RuleError, match='must be an absolute path, not "srv"'):
        rules.MOUNT_POINT.read("srv")


def test_a_socket_path_may_be_empty_and_then_there_is_none() -> None:
    """That is how a flag undoes a line of the file."""
    assert rules.FILE_PATH.read("") is None
    assert rules.FILE_PATH.read("run/x.sock") == Path("run/x.sock")
    with pytest.raises(RuleError, match="must be a path, or empty for none, not 5"):
        rules.FILE_PATH(5)


def test_a_log_level_may_be_written_in_capitals() -> None:
    """The logging module writes them so."""
    assert rules.LOG_LEVEL.read("WARNING") == "warning"
    with pytest.raises(RuleError, match='must be debug, info, warning or error, not "trace"'):
        rules.LOG_LEVEL.read("trace")


def test_a_switch_reads_the_usual_words() -> None:
    """In capitals too."""
    assert {rules.SWITCH.read(text) for text in ("true", "yes", "On", "1")} == {True}
    assert {rules.SWITCH.read(text) for text in ("no", "FALSE", "off", "0")} == {False}
    with pytest.raises(RuleError, match='must be true or false, not "maybe"'):
        rules.SWITCH.read("maybe")


@pytest.mark.parametrize("value", [1, "yes", None])
def test_a_switch_in_a_file_has_to_be_a_boolean(value: object) -> None:
    """TOML has them."""
    with pytest.raises(RuleError, match="must be true or false, not "):
        rules.SWITCH(value)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.allowed)
@given(text=TEXTS)
def test_any_text_is_refused_in_one_line_or_has_a_normal_form_that_stays(
    rule: Rule, text: str
) -> None:
    """No other exception, and the normal form is a fixed point."""
    try:
        value = rule.read(text)
    except RuleError as error:
        message = str(error)
    else:
        message = ""
        assert rule(value) == value
    assert message.isprintable()
