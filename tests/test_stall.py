"""Who is stalled, and who is merely slow."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator

import pytest
from attrs import define, field

from transports.stall import GROUPS, StallWatch, taken, unacknowledged

TIMEOUT_S = 20.0


@define(eq=False)
class FakeSocket:
    """A socket whose kernel says nothing, or not enough: ``info`` is what it tells of TCP."""

    info: bytes | None = None
    fd: int = field(factory=lambda: os.open(os.devnull, os.O_RDONLY))

    def fileno(self) -> int:
        """A descriptor that has no queue."""
        return self.fd

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        """Tell of TCP."""
        assert (level, option, size) == (socket.IPPROTO_TCP, 11, 128)
        if self.info is None:
            raise OSError
        return self.info


@define(eq=False)
class Reader:
    """A connection, of which ``kept`` bytes wait in user space."""

    sock: socket.socket | FakeSocket
    kept: int = 0
    aborted: bool = False

    def buffered(self) -> int:
        """Bytes that wait in user space."""
        return self.kept

    def socket(self) -> socket.socket | FakeSocket:
        """The socket."""
        return self.sock

    def abort(self) -> None:
        """Go."""
        self.aborted = True


@pytest.fixture
def watch() -> StallWatch:
    """Watches over nobody yet."""
    return StallWatch(TIMEOUT_S)


@pytest.fixture
def fake() -> Iterator[FakeSocket]:
    """A socket of a system that does not tell what a peer has acknowledged."""
    fake = FakeSocket()
    yield fake
    os.close(fake.fd)


@pytest.fixture
def reader(watch: StallWatch, fake: FakeSocket) -> Reader:
    """Somebody of whom only what waits in user space is known, and who is watched."""
    reader = Reader(fake, kept=1000)
    watch.add(reader)
    return reader


Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A connection over the loopback, ours first; its peer keeps little of what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as far:
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        far.connect(server.getsockname())
        near, _ = server.accept()
        with near:
            near.setblocking(False)  # noqa: FBT003 - as the standard library has it
            yield near, far


def sweep(
    watch: StallWatch, start: float, stop: float, act: Callable[[int], object] | None = None
) -> None:
    """Let time pass from one second to another; after each look at everybody something is done."""
    for turn in range(round((stop - start) / 2)):
        for _ in range(GROUPS):
            watch.sweep(start + 2 * turn)
        if act is not None:
            act(turn)


def test_one_who_takes_nothing_is_let_go_after_the_timeout(
    watch: StallWatch, reader: Reader
) -> None:
    """Not before, and once."""
    sweep(watch, 100, 120)
    assert (reader.aborted, watch.evicted, len(watch)) == (False, 0, 1)
    sweep(watch, 120, 122)
    assert (reader.aborted, watch.evicted, len(watch)) == (True, 1, 0)


def test_everybody_is_looked_at_every_two_seconds(watch: StallWatch, fake: FakeSocket) -> None:
    """Ten calls come in a second; each looks at a few."""
    readers = [Reader(fake, kept=1000) for _ in range(1000)]
    for reader in readers:
        watch.add(reader)
    sizes = [len(group) for group in watch._groups]
    assert sum(sizes) == len(watch) == 1000
    assert max(sizes) < 200
    for tenth in range(200):
        watch.sweep(tenth / 10)
    assert watch.evicted == 0
    # A look to find it out, the timeout, and the next look.
    for tenth in range(200, 200 + 2 * GROUPS):
        watch.sweep(tenth / 10)
    assert watch.evicted == 1000


def test_slow_progress_is_no_stall(watch: StallWatch, reader: Reader) -> None:
    """One byte in just less than the timeout is enough."""

    def nibble(turn: int) -> None:
        reader.kept -= turn % 9 == 8

    sweep(watch, 0, 400, nibble)
    assert not reader.aborted


def test_progress_starts_the_time_anew(watch: StallWatch, reader: Reader) -> None:
    """It is counted from the last byte that was seen to be taken."""
    sweep(watch, 0, 16)
    reader.kept -= 1
    sweep(watch, 16, 36)
    assert not reader.aborted
    sweep(watch, 36, 38)
    assert reader.aborted


def test_what_comes_in_is_not_taken_and_hides_nothing_that_is(
    watch: StallWatch, reader: Reader
) -> None:
    """A ping that is added to what waits keeps nobody alive."""

    def ping_and_nibble(turn: int) -> None:
        reader.kept += 6 if turn % 6 == 0 else -(turn % 6 == 3)

    def ping(_turn: int) -> None:
        reader.kept += 6

    sweep(watch, 0, 200, ping_and_nibble)
    assert not reader.aborted
    sweep(watch, 200, 224, ping)
    assert reader.aborted


def test_one_who_was_discarded_is_let_be(watch: StallWatch, reader: Reader) -> None:
    """Also if that is said twice."""
    sweep(watch, 0, 2)
    watch.discard(reader)
    watch.discard(reader)
    assert len(watch) == 0
    sweep(watch, 2, 100)
    assert not reader.aborted


def test_one_for_whom_nothing_waits_is_let_be(watch: StallWatch, reader: Reader) -> None:
    """However long; and when something does, the time begins then."""
    sweep(watch, 0, 10)
    reader.kept = 0
    sweep(watch, 10, 100)
    reader.kept = 1000
    sweep(watch, 100, 120)
    assert not reader.aborted
    sweep(watch, 120, 122)
    assert reader.aborted


def test_only_the_stalled_are_let_go(watch: StallWatch, reader: Reader, fake: FakeSocket) -> None:
    """Among others who take what they are given."""
    others = [Reader(fake, kept=1000) for _ in range(30)]
    for other in others:
        watch.add(other)

    def nibble(_turn: int) -> None:
        for other in others:
            other.kept -= 1

    sweep(watch, 0, 22, nibble)
    assert reader.aborted
    assert not any(other.aborted for other in others)


def test_bytes_that_only_the_kernel_keeps_count_as_waiting(watch: StallWatch, pair: Pair) -> None:
    """It takes from us what the reader does not take from it."""
    near, far = pair
    sent = near.send(bytes(1 << 22))
    assert 0 < unacknowledged(near.fileno()) < sent
    reader = Reader(near)
    watch.add(reader)

    def nibble(_turn: int) -> None:
        # As long as it takes the peer's kernel to open its window again.
        before = unacknowledged(near.fileno())
        while unacknowledged(near.fileno()) >= before:
            assert far.recv(1 << 12)

    sweep(watch, 0, 60, nibble)
    assert not reader.aborted
    sweep(watch, 60, 82)
    assert reader.aborted


def test_a_busy_stream_is_no_stall_though_as_much_waits_at_every_look(
    watch: StallWatch, pair: Pair
) -> None:
    """A message under way each time, to a distant peer say, is not always the same one."""
    near, far = pair
    near.send(bytes(1 << 22))
    waiting = unacknowledged(near.fileno())
    reader = Reader(near)
    watch.add(reader)

    def exchange(_turn: int) -> None:
        while unacknowledged(near.fileno()) >= waiting:
            assert far.recv(1 << 12)
        near.send(bytes(waiting - unacknowledged(near.fileno())))

    sweep(watch, 0, 60, exchange)
    assert not reader.aborted


def test_of_a_unix_socket_only_what_waits_in_user_space_tells(watch: StallWatch) -> None:
    """A proxy may always have just been sent something; nothing is added to what is kept back."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)  # noqa: FBT003 - as the standard library has it
        near.send(bytes(1000))
        reader = Reader(near)
        watch.add(reader)
        assert unacknowledged(near.fileno()) > 0
        sweep(watch, 0, 100)
        assert not reader.aborted
        reader.kept = 10
        sweep(watch, 100, 120)
        assert far.recv(1 << 12)
        sweep(watch, 120, 140)
        assert not reader.aborted
        sweep(watch, 140, 142)
        assert reader.aborted


def test_a_closed_socket_is_not_asked(pair: Pair) -> None:
    """It may be looked at while its connection has not yet been told of the end."""
    near, _ = pair
    near.send(b"message")
    near.close()
    assert taken(near, 1000) is None


def test_an_old_kernel_that_tells_less_of_tcp_is_not_believed(fake: FakeSocket) -> None:
    """What waits is told from what is kept then."""
    fake.info = bytes(104)
    assert taken(fake, 1000) == -1000
    fake.info = bytes(128)
    assert taken(fake, 1000) == 0
