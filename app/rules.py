"""Rules: what the value of a setting may be, in words and as a check.

Strict where it matters: ``true``, ``1.5`` and ``"5000"`` are no integers. Only the text of a flag
or of a variable is parsed; a TOML file has types, and has to use them.
"""

import json
import re
from collections.abc import Callable
from ipaddress import IPv6Address
from pathlib import Path
from typing import cast

from attrs import frozen
from typed_settings.converters import to_bool

from app.guard import Authority, Origin

__all__ = [
    "ENGINE_SOCKET",
    "FILE_PATH",
    "HOST",
    "HOST_NAMES",
    "LOG_LEVEL",
    "MOUNT_POINT",
    "ORIGINS",
    "ROOT_PATH",
    "SWITCH",
    "Rule",
    "RuleError",
    "number",
    "whole",
]

_DEFAULT_PORTS = {"http": 80, "https": 443}


class RuleError(ValueError):
    """A value breaks its rule; the text says what is allowed and what was given."""

    def __init__(self, rule: "Rule", value: object) -> None:
        # JSON writes true, "5000" and line breaks as the sources do, and all of it in ASCII.
        super().__init__(f"must be {rule.allowed}, not {json.dumps(value, default=str)}")


@frozen
class Rule:
    """The values that a setting takes; called with one, it gives that in its normal form.

    ``allowed`` is the range in words and ``metavar`` the kind of value for ``--help``. ``parse``
    reads a text and ``normal`` judges a value; both raise ValueError for what is wrong.
    A normal form obeys its rule and is its own normal form.
    """

    allowed: str
    metavar: str
    parse: Callable[[str], object]
    normal: Callable[[object], object]

    def __call__(self, value: object) -> object:
        """Judge a value that has a type, as those of a TOML file do.

        Raises:
            RuleError: it is not allowed.
        """
        try:
            return self.normal(value)
        except RuleError:  # one item of a list: told instead of the whole list
            raise
        except ValueError:
            raise RuleError(self, value) from None

    def read(self, text: str) -> object:
        """Judge the text of a flag or of a variable.

        Raises:
            RuleError: it cannot be parsed, or its value is not allowed.
        """
        try:
            value = self.parse(text)
        except ValueError:
            raise RuleError(self, text) from None
        return self(value)


def whole(low: int, high: int, unit: str = "") -> Rule:
    """Allow integers from ``low`` to ``high``, both included."""
    allowed = f"an integer from {low} to {high} {unit}".rstrip()
    return Rule(allowed, "INTEGER", int, lambda value: _ranged(value, {int}, low, high))


def number(low: float, high: float, unit: str) -> Rule:
    """Allow integers and decimal fractions from ``low`` to ``high``; the normal form is a float."""
    allowed = f"a number from {low:g} to {high:g} {unit}"
    return Rule(
        allowed, "NUMBER", float, lambda value: float(_ranged(value, {int, float}, low, high))
    )


def _ranged(value: object, kinds: set[type], low: float, high: float) -> float:
    # type() and not isinstance(), since True is an instance of int. NaN lies in no range.
    if type(value) in kinds and low <= cast("float", value) <= high:
        return cast("float", value)
    raise ValueError


def _text(allowed: str, metavar: str, normal: Callable[[str], object]) -> Rule:
    return Rule(allowed, metavar, str, lambda value: normal(_printable(value)))


def _printable(value: object) -> str:
    # Neither line breaks nor a NUL byte, which the calls of the operating system choke on.
    if isinstance(value, str) and value.isprintable():
        return value
    raise ValueError


def _matching(pattern: str) -> Callable[[str], str]:
    def normal(text: str) -> str:
        if re.fullmatch(pattern, text):
            return text
        raise ValueError

    return normal


def _list_of(item: Rule) -> Rule:
    def parse(text: str) -> list[str]:
        return [part.strip() for part in text.split(",") if part.strip()]

    def normal(value: object) -> tuple[object, ...]:
        if isinstance(value, list | tuple):
            return tuple(dict.fromkeys(map(item, value)))
        raise ValueError

    return Rule(f"a list, each item {item.allowed}", f"{item.metavar},...", parse, normal)


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError


def _host(text: str) -> str:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in text or bare != text:
        IPv6Address(bare)
        return bare
    return _matching(r"[\w-]+(\.[\w-]+)*\.?")(text)


def _origin(text: str) -> str:
    # The guard's own reading: what passes here is what it will compare with.
    origin = Origin.parse(text)
    default_port = _DEFAULT_PORTS.get(origin.scheme)
    if default_port is None:
        raise ValueError
    host, port = origin.authority.host, origin.authority.port
    return f"{origin.scheme}://{host}" + ("" if port == default_port else f":{port}")


def _host_name(text: str) -> str:
    authority = Authority.parse(text)
    if authority.port is not None:
        raise ValueError
    return authority.host


def _socket_path(value: object) -> Path | None:
    if value is None or isinstance(value, Path):
        return value
    text = _printable(value)
    return Path(text) if text else None


def _engine_socket(value: object) -> Path | None:
    if isinstance(value, str) and "://" in value:
        # As in DOCKER_HOST; an engine elsewhere would tell of another machine.
        return _socket_path(_matching("unix:///.*")(value).removeprefix("unix://"))
    return _socket_path(value)


HOST = _text("a host name, an IPv4 or an IPv6 address", "HOST", _host)
"""Normal form: IPv6 addresses without brackets."""

ORIGINS = _list_of(
    _text("an http or https origin such as https://dash.example:8443, no path", "ORIGIN", _origin)
)
"""Normal form: lower case, without the scheme's own port, as browsers send it; no duplicates."""

HOST_NAMES = _list_of(_text("a host name without a port", "NAME", _host_name))
"""Normal form: lower case, without a trailing dot; no duplicates."""

FILE_PATH = Rule("a path, or empty for none", "PATH", str, _socket_path)
"""Normal form: a `Path`, relative if it was written so, or None."""

ENGINE_SOCKET = Rule(
    "the path of a Unix socket, or empty to look for one", "PATH", str, _engine_socket
)
"""Normal form: a `Path`, also of unix:///path, or None."""

ROOT_PATH = _text(
    'empty, or a path such as /pulse that does not end with "/"',
    "PATH",
    _matching(r"(/[^/\s?#]+)*"),
)
MOUNT_POINT = _text("an absolute path", "PATH", _matching("/.*"))
LOG_LEVEL = _text(
    "debug, info, warning or error",
    "LEVEL",
    lambda text: _matching("debug|info|warning|error")(text.lower()),
)
SWITCH = Rule("true or false", "", to_bool, _boolean)
