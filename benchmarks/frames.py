"""As much of RFC 6455 as a client needs that only reads: its frames are masked, with zeros."""

from __future__ import annotations

TEXT, PING, PONG = 0x81, 0x89, 0x8A
LENGTH_16, LENGTH_64 = 126, 127
SHORT_HEAD, MEDIUM_HEAD, LONG_HEAD = 2, 4, 10


def masked(opcode: int, payload: bytes) -> bytes:
    """Return a short frame of a client; masked with zeros its payload is what it was."""
    return bytes([opcode, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def unframe(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Split what was read into whole frames, what is to be answered to pings, and a rest."""
    # One message, as nearly always.
    if data[:2] == b"\x81\x7e" and len(data) == MEDIUM_HEAD + int.from_bytes(data[2:4]):
        return data, b"", b""
    at, answer = 0, b""
    while (end := _end(data, at)) <= len(data):
        if data[at] == PING:
            answer += masked(PONG, data[at + SHORT_HEAD : end])
        at = end
    return data[:at], answer, data[at:]


def _end(data: bytes, at: int) -> int:
    """Return where a frame ends; beyond the data if that is not known yet."""
    if len(data) < at + SHORT_HEAD:
        return len(data) + 1
    length = data[at + 1]
    if length < LENGTH_16:
        return at + SHORT_HEAD + length
    head = MEDIUM_HEAD if length == LENGTH_16 else LONG_HEAD
    if len(data) < at + head:
        return len(data) + 1
    return at + head + int.from_bytes(data[at + SHORT_HEAD : at + head])
