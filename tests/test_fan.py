"""The fan-out over socket pairs: who gets what, and what becomes of those who cannot take it."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import pytest
from attrs import define, field

from transports.base import Sink, Wire
from transports.fan import Fan

SNDBUF = 4096


@define(eq=False)
class Pipe(Sink):
    """A connection whose transport is a list: ``kept`` is what the kernel did not take."""

    fan: Fan
    near: socket.socket
    far: socket.socket
    fd: int = -1
    wire: Wire = Wire.WEBSOCKET
    kept: list[bytes] = field(factory=list)
    aborted: bool = False

    def put(self, data: bytes) -> None:
        """Keep it; under pressure a sink leaves the fan."""
        self.kept.append(data)
        self.fan.discard(self)

    def abort(self) -> None:
        """Leave."""
        self.aborted = True
        self.fan.discard(self)

    def received(self) -> bytes:
        """Take all that has arrived."""
        data = b""
        with contextlib.suppress(BlockingIOError):
            while more := self.far.recv(1 << 16):
                data += more
        return data

    def fill(self) -> bytes:
        """Send until the kernel takes no more, and return what it took."""
        sent = b""
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += b"#" * self.near.send(b"#" * 64)
        return sent


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    """Closes all sockets in the end."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def fan() -> Fan:
    """An empty one."""
    return Fan()


def pipe(stack: contextlib.ExitStack, fan: Fan, *, wrapped: bool = False) -> Pipe:
    near, far = map(stack.enter_context, socket.socketpair())
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SNDBUF)
    near.setblocking(False)  # noqa: FBT003 - as the standard library has it
    far.setblocking(False)  # noqa: FBT003
    sink = Pipe(fan, near, far, -1 if wrapped else near.fileno())
    fan.add(sink)
    return sink


def test_all_get_the_same_bytes_in_order(fan: Fan, stack: contextlib.ExitStack) -> None:
    """Whether the descriptor may be written to or not."""
    bare = [pipe(stack, fan) for _ in range(3)]
    wrapped = [pipe(stack, fan, wrapped=True) for _ in range(2)]
    assert len(fan) == 5
    fan.send(b"one,")
    for sink in wrapped:
        assert sink.kept == [b"one,"]
        fan.add(sink)
    fan.send(b"two")
    assert [sink.received() for sink in bare] == [b"one,two"] * 3
    assert [sink.kept for sink in wrapped] == [[b"one,", b"two"]] * 2
    assert not any(sink.kept for sink in bare)


def test_under_tls_nothing_is_written_to_the_descriptor(
    fan: Fan, stack: contextlib.ExitStack
) -> None:
    """It would be cleartext within a stream of records."""
    sink = pipe(stack, fan, wrapped=True)
    fan.send(b"message")
    assert (sink.kept, sink.received()) == ([b"message"], b"")


def test_what_the_kernel_does_not_take_is_kept_to_the_byte(
    fan: Fan, stack: contextlib.ExitStack
) -> None:
    """A part of the message, and only for the one who is slow."""
    slow, fast = pipe(stack, fan), pipe(stack, fan)
    message = os.urandom(1 << 20)
    fan.send(message)
    for sink in (slow, fast):
        (rest,) = sink.kept
        assert 0 < len(rest) < len(message)
        assert sink.received() + rest == message
    assert len(fan) == 0


def test_a_full_socket_keeps_the_whole_message(fan: Fan, stack: contextlib.ExitStack) -> None:
    """EAGAIN at once; the others have it nevertheless."""
    full, free = pipe(stack, fan), pipe(stack, fan)
    stuffed = full.fill()
    fan.send(b"message")
    assert full.kept == [b"message"]
    assert full.received() == stuffed
    assert free.received() == b"message"
    assert len(fan) == 1


def test_a_broken_connection_is_aborted(fan: Fan, stack: contextlib.ExitStack) -> None:
    """EPIPE; the others do not notice, wherever it stands in the order."""
    pipes = [pipe(stack, fan) for _ in range(5)]
    for gone in pipes[::2]:
        gone.far.close()
    fan.send(b"message")
    assert [sink.aborted for sink in pipes] == [True, False, True, False, True]
    assert [sink.received() for sink in pipes[1::2]] == [b"message"] * 2
    assert len(fan) == 2


def test_a_descriptor_that_is_closed_too_soon_is_aborted(
    fan: Fan, stack: contextlib.ExitStack
) -> None:
    """EBADF, as long as nobody else has the number."""
    sink = pipe(stack, fan)
    sink.near.close()
    fan.send(b"message")
    assert sink.aborted


def test_a_sink_that_left_gets_nothing(fan: Fan, stack: contextlib.ExitStack) -> None:
    """It may leave twice."""
    bare, wrapped = pipe(stack, fan), pipe(stack, fan, wrapped=True)
    for sink in (bare, wrapped, bare, wrapped):
        fan.discard(sink)
    assert not fan
    fan.send(b"message")
    assert (bare.received(), wrapped.kept) == (b"", [])


def test_one_who_leaves_does_not_take_along_who_has_his_descriptor_now(
    fan: Fan, stack: contextlib.ExitStack
) -> None:
    """The numbers of descriptors are given again at once."""
    before = pipe(stack, fan)
    before.near.close()
    after = pipe(stack, fan)
    assert after.fd == before.fd
    fan.discard(before)
    fan.send(b"message")
    assert (after.received(), before.aborted) == (b"message", False)
