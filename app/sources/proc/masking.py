"""Command lines without their secrets, as far as secrets can be told from the rest.

Everybody on a machine may read the command lines on it, but what is served goes further: monitors
that served them gave passwords to the whole network (CVE-2026-32596). They are therefore left out
unless the server is told otherwise, and masked even then. The mask is a net and has holes: a
password that stands by itself, with nothing before it that tells, is a word like any other.

So it rather hides too much. What follows a telling name is hidden to the end of its argument, or
the whole argument after it: where a value ends, only the program knows that takes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

HIDDEN = "***"
# What is longer is cut, after it has been masked.
LENGTH_MAX = 256

# Searched for anywhere in a word: `--authToken`, `DB_PASSWORD`, `X-Api-Key` and `passphrase`. That
# `--keyboard` and `--author` are caught too does no harm.
_TELLING = re.compile(
    r"pass|pw|token|secret|key|auth|credential|bearer|cookie|session|private|signature|dsn"
    r"|connection|webhook|community|literal",
    re.IGNORECASE,
)
_NO_WORD = re.compile(r"[^\w.-]")
# What a shell would set, and `-e NAME=value`, `-DNAME=value`: names do not tell in all of these.
_VARIABLE = re.compile(r"(?:^|[^\w.-])(?:-[A-Za-z])?[A-Z_][A-Z0-9_]*=")
# `-p` is a password to some programs, and to others a port, which is hidden as well.
_SHORT = re.compile(r"(?:^|\s)-[pP]")
# `curl -u name:password`, `smbclient -U name%password`; no more of it than what follows the name,
# since `-u` means many things.
_USER = re.compile(r"(?:^|\s)(?:-[uU]|--[\w-]*user)[=\s]?[^\s:%=]*[:%]")
_USER_FLAG = re.compile(r"-[uU]|--[\w-]*user")
_USER_NAME = re.compile(r"[^\s:%]*[:%]")
# `scheme://name:password@host`, where the name may be a token: up to the last `@`, as a password
# may hold one. The second without a scheme, `name:password@tcp(host)`.
_URL_USER = re.compile(r"://\S*@")
_BARE_USER = re.compile(r"(?<![\w:/@])([\w.-]+):[^\s/]\S*@")
# Hashes, tokens, identifiers: nothing that a human wrote, or needs to read.
_OPAQUE = re.compile(
    r"(?<![\w+=-])(?:[0-9a-fA-F]{32,}|(?=[\w+-]*[0-9])(?=[\w+-]*[A-Za-z])[\w+-]{32,}=*)(?![\w+=-])"
)
# Flags of one letter that are secrets to these programs alone.
_PROGRAMS = {
    re.compile(r"(redis|valkey|keydb)-"): re.compile(r"-a"),
    re.compile(r"ldap"): re.compile(r"-w"),
    re.compile(r"openssl$"): re.compile(r"-k"),
    re.compile(r"snmp"): re.compile(r"-[cAX]"),
}
_NOTHING = re.compile(r"(?!)")
_PATH = re.compile(r"[\w./+-]*")

Mask = Callable[[str], str]


def mask(arguments: Sequence[str]) -> str:
    """Give a command line as one line of text that can be printed, its secrets as ``***``.

    Args:
        arguments: the program and its arguments; some programs put all of them into the first.
    """
    if not arguments:
        return ""
    program, *others = arguments
    # A path to a program does not announce a secret: /usr/bin/ssh-keygen.
    shown = [program if _PATH.fullmatch(program) else _masked(program)]
    own = _own_flags(program)
    treat: Mask = _masked
    for argument in others:
        shown.append(treat(argument))
        treat = _next(argument, own)
    return _one_line(" ".join(shown))


def _own_flags(program: str) -> re.Pattern[str]:
    name = program.rpartition("/")[2]
    flags = (flag for pattern, flag in _PROGRAMS.items() if pattern.match(name))
    return next(flags, _NOTHING)


def _next(argument: str, own: re.Pattern[str]) -> Mask:
    """Tell how the argument after this one is to be treated.

    Whether this one is hidden itself does not matter: of ``--use-key --password x``, the second
    is no key.
    """
    last = _NO_WORD.split(argument.rstrip("=: "))[-1]
    if last in {"-p", "-P"} or _TELLING.search(last) or own.fullmatch(last):
        return _hidden
    return _without_password if _USER_FLAG.fullmatch(argument) else _masked


def _hidden(_argument: str) -> str:
    return HIDDEN


def _without_password(argument: str) -> str:
    name = _USER_NAME.match(argument)
    return name[0] + HIDDEN if name else _masked(argument)


def _masked(argument: str) -> str:
    # First, as a password may hold a word that tells, and would be shown up to there.
    argument = _URL_USER.sub(f"://{HIDDEN}@", argument)
    argument = _BARE_USER.sub(rf"\1:{HIDDEN}@", argument)
    signs = (pattern.search(argument) for pattern in (_VARIABLE, _SHORT, _USER))
    ends = [sign.end() for sign in signs if sign]
    if telling := _TELLING.search(argument):
        # The rest of its word is looked for once, whatever somebody calls his process.
        rest = _NO_WORD.search(argument, telling.end())
        ends.append(rest.start() if rest else len(argument))
    end = min(ends, default=len(argument))
    if end < len(argument):
        # The character in between is the sign, or the blank, that makes it a value.
        argument = argument[: end + (argument[end] in "=: ")] + HIDDEN
    return _OPAQUE.sub(HIDDEN, argument)


def _one_line(text: str) -> str:
    # No escape sequence of a terminal, no line break, no sign that changes the direction.
    text = "".join(character if character.isprintable() else " " for character in text).strip()
    return text if len(text) <= LENGTH_MAX else text[: LENGTH_MAX - 1] + "…"
