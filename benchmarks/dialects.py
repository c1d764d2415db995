"""How a client of each kind opens its connection, and how it knows the end of a message."""

from __future__ import annotations

import re
from collections.abc import Callable

from attrs import frozen

from benchmarks.frames import TEXT, masked
from benchmarks.payload import CHANNEL

# Where the moment of publication stands in every message.
MARK = b'"sent":'
_KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"


@frozen
class Dialect:
    """What to send and what to wait for, in turn, until the connection stands.

    ``end`` is the last byte of every message, None where it comes in a frame of its own.
    ``again`` makes the next poll of an answer.
    """

    steps: tuple[tuple[bytes, bytes], ...]
    end: int | None = None
    again: Callable[[bytes], bytes] | None = None


def _get(target: str, *headers: str) -> bytes:
    lines = (f"GET {target} HTTP/1.1", "Host: 127.0.0.1", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def _upgrade(target: str, *headers: str) -> bytes:
    return _get(target, "Upgrade: websocket", "Connection: Upgrade", _KEY.rstrip(), *headers)


def _poll_pulsewire(since: bytes = b"") -> bytes:
    return _get(f"/api/poll?channels={CHANNEL}:1000&wait=60{since.decode()}")


def _poll_pulsewire_again(answer: bytes) -> bytes:
    found = re.search(rb'"cursor":"([^"]+)"', answer)
    return _poll_pulsewire(b"&since=" + found[1] if found else b"")


def _poll_nchan_again(answer: bytes) -> bytes:
    # nchan's cursor lies in these two (https://nchan.io/#long-polling).
    modified = re.search(rb"Last-Modified: ([^\r]+)", answer)
    tag = re.search(rb"Etag: ([^\r]+)", answer, re.IGNORECASE)
    if not modified or not tag:
        return _get("/sub")
    return _get(
        "/sub",
        f"If-Modified-Since: {modified[1].decode()}",
        f"If-None-Match: {tag[1].decode()}",
    )


_SUBSCRIBE = b'{"type":"subscribe","channel":"%b","interval":1000}' % CHANNEL.encode()
_BRACE, _NEWLINE = b"}\n"

DIALECTS = {
    "raw": Dialect((), _BRACE),
    "ws": Dialect(
        (
            (_upgrade("/api/ws", "Sec-WebSocket-Protocol: pulsewire.v1"), b'"connected"'),
            (masked(TEXT, _SUBSCRIBE), b'"subscribed"'),
        )
    ),
    "sse": Dialect(
        ((_get(f"/api/sse?channels={CHANNEL}:1000"), b'"subscribed"'),),
        _NEWLINE,
    ),
    "poll": Dialect(((_poll_pulsewire(), b"]}"),), _BRACE, _poll_pulsewire_again),
    "plain-ws": Dialect(((_upgrade("/"), b"\r\n\r\n"),)),
    "plain-sse": Dialect(((_get("/"), b"\r\n\r\n"),), _NEWLINE),
    "plain-poll": Dialect(((_get("/"), b""),), _BRACE, lambda _: _get("/")),
    "socketio": Dialect(
        (
            (_upgrade("/socket.io/?EIO=4&transport=websocket"), b'0{"sid"'),
            (masked(TEXT, b"40"), b'40{"sid"'),
        )
    ),
    "nchan-ws": Dialect(((_upgrade("/sub"), b"\r\n\r\n"),)),
    "nchan-sse": Dialect(((_get("/sub", "Accept: text/event-stream"), b"\r\n\r\n"),), _NEWLINE),
    "nchan-poll": Dialect(((_get("/sub"), b""),), _BRACE, _poll_nchan_again),
}
