"""Who is stalled, and who is merely slow."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from attrs import define

from transports.stall import StallWatch, unacknowledged

TIMEOUT_S = 20.0


@define(eq=False)
class Reader:
    """A connection: ``kept`` bytes wait in user space, and more in the kernel's queue of ``fd``."""

    watch: StallWatch
    kept: int = 1000
    fd: int = -1
    aborted: bool = False

    def buffered(self) -> int:
        """Bytes that wait in user space."""
        return self.kept

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self.fd

    def abort(self) -> None:
        """Go; while it goes it may want to be watched."""
        self.aborted = True
        self.watch.add(self)


@pytest.fixture
def watch() -> StallWatch:
    """Watches over nobody yet."""
    return StallWatch(TIMEOUT_S)


@pytest.fixture
def reader(watch: StallWatch) -> Reader:
    """Somebody for whom bytes are waiting, and who is watched."""
    reader = Reader(watch)
    watch.add(reader)
    return reader


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection over the loopback, so that the kernel keeps a queue for it."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as far:
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        far.connect(server.getsockname())
        near, _ = server.accept()
        with near:
            near.setblocking(False)  # noqa: FBT003 - as the standard library has it
            yield near, far


def sweep(watch: StallWatch, start: int, stop: int) -> None:
    for second in range(start, stop):
        watch.sweep(float(second))


def test_one_who_takes_nothing_is_let_go_after_the_timeout(
    watch: StallWatch, reader: Reader
) -> None:
    """Not a second before, and once."""
    sweep(watch, 100, 120)
    assert (reader.aborted, watch.evicted) == (False, 0)
    watch.sweep(120.0)
    assert (reader.aborted, watch.evicted) == (True, 1)


def test_slow_progress_is_no_stall(watch: StallWatch, reader: Reader) -> None:
    """One byte in just less than the timeout is enough."""
    for second in range(200):
        reader.kept -= second % 19 == 18
        watch.sweep(float(second))
    assert not reader.aborted


def test_progress_starts_the_time_anew(watch: StallWatch, reader: Reader) -> None:
    """It is counted from the last byte that was taken."""
    sweep(watch, 0, 15)
    reader.kept -= 1
    sweep(watch, 15, 35)
    assert not reader.aborted
    watch.sweep(35.0)
    assert reader.aborted


def test_what_comes_in_hides_nothing_that_is_taken_after_it(
    watch: StallWatch, reader: Reader
) -> None:
    """Neither does it count as taken: a ping that is added keeps nobody alive."""
    for second in range(200):
        reader.kept += 6 if second % 10 == 0 else -(second % 10 == 5)
        watch.sweep(float(second))
    assert not reader.aborted
    for second in range(200, 221):
        reader.kept += 6
        watch.sweep(float(second))
    assert reader.aborted


def test_one_who_was_discarded_is_let_be(watch: StallWatch, reader: Reader) -> None:
    """Also if that is said twice."""
    watch.sweep(0.0)
    watch.discard(reader)
    watch.discard(reader)
    assert len(watch) == 0
    watch.sweep(100.0)
    assert not reader.aborted


def test_to_be_added_again_changes_nothing(watch: StallWatch, reader: Reader) -> None:
    """A connection that pauses again for another reason wins no time."""
    for second in range(21):
        watch.add(reader)
        watch.sweep(float(second))
    assert reader.aborted
    assert len(watch) == 1


def test_one_for_whom_nothing_waits_is_not_watched_any_longer(
    watch: StallWatch, reader: Reader
) -> None:
    """However long that lasts, it is no stall."""
    sweep(watch, 0, 10)
    reader.kept = 0
    sweep(watch, 10, 100)
    assert (reader.aborted, len(watch)) == (False, 0)


def test_only_the_stalled_are_let_go(watch: StallWatch, reader: Reader) -> None:
    """Among others who take what they are given."""
    others = [Reader(watch) for _ in range(3)]
    for other in others:
        watch.add(other)
    for second in range(21):
        for other in others:
            other.kept -= 1
        watch.sweep(float(second))
    assert reader.aborted
    assert not any(other.aborted for other in others)


def test_what_the_peer_has_not_acknowledged_counts(
    watch: StallWatch, pair: tuple[socket.socket, socket.socket]
) -> None:
    """The kernel takes from us what the reader does not take from the kernel."""
    near, far = pair
    sent = near.send(bytes(1 << 22))
    waiting = unacknowledged(near.fileno())
    assert 0 < waiting < sent
    reader = Reader(watch, kept=0, fd=near.fileno())
    watch.add(reader)
    for second in range(0, 60, 15):
        watch.sweep(float(second))
        taken = 0
        while unacknowledged(near.fileno()) >= waiting:
            taken += len(far.recv(1 << 16))
        assert taken
        waiting = unacknowledged(near.fileno())
    assert not reader.aborted
    sweep(watch, 60, 82)
    assert reader.aborted


def test_a_closed_socket_has_nothing_waiting(pair: tuple[socket.socket, socket.socket]) -> None:
    """It may be swept while its connection has not yet been told of the end."""
    near, _ = pair
    near.send(b"message")
    near.close()
    assert unacknowledged(near.fileno()) == 0


def test_a_kernel_that_cannot_tell_is_not_asked_to() -> None:
    """As a pipe's cannot; then what waits in user space decides."""
    ends = os.pipe()
    try:
        assert unacknowledged(ends[0]) == 0
    finally:
        for end in ends:
            os.close(end)
