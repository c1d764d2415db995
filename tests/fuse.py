"""A real FUSE file system, empty, that stops answering when a test likes: raw protocol, no library.

It needs root and /dev/fuse. Whatever happens, it is unmounted (lazily) and its connection ended,
which fails every call that hangs in it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import stat
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import define, field

DEVICE = "/dev/fuse"
MNT_DETACH = 2
PATIENCE_S = 20
BLOCK = 4096
# What statfs tells: blocks, free ones, those free for users; inodes, free ones.
STATFS = (1000, 600, 500, 100, 75)

_HEADER = struct.Struct("<IIQQIIII")
_INIT, _GETATTR, _STATFS = 26, 3, 17
_UNANSWERED = {2, 36, 42}  # FORGET, INTERRUPT, BATCH_FORGET


@define(eq=False)
class FuseMount:
    """An empty file system; ``hang`` makes it take requests and not answer, ``answer`` ends that.

    ``questions`` counts those about its room.
    """

    path: Path
    kind: str = "fuse.test"
    questions: int = 0
    _device: int = -1
    _stop: tuple[int, int] = field(factory=os.pipe)
    _hanging: threading.Event = field(factory=threading.Event)
    _unanswered: list[tuple[int, int]] = field(factory=list)
    _lock: threading.Lock = field(factory=threading.Lock)
    _asked: threading.Condition = field(factory=threading.Condition)
    _thread: threading.Thread | None = None

    def mount(self) -> None:
        self._device = os.open(DEVICE, os.O_RDWR)
        options = f"fd={self._device},rootmode={stat.S_IFDIR:o},user_id=0,group_id=0,allow_other"
        if "." in self.kind:
            options += f",subtype={self.kind.partition('.')[2]}"
        mount_or_skip("pulsewire-test", self.path, self.kind.partition(".")[0], options)
        self._thread = threading.Thread(target=self._serve, name=f"fuse {self.path}", daemon=True)
        self._thread.start()

    def asked(self, questions: int) -> bool:
        """Wait until it has been asked so often about its room."""
        with self._asked:
            return self._asked.wait_for(lambda: self.questions >= questions, PATIENCE_S)

    def hang(self) -> None:
        """Take requests, and answer none."""
        self._hanging.set()

    def answer(self) -> None:
        """Answer again, what was asked in the meantime first."""
        with self._lock:
            self._hanging.clear()
            waiting, self._unanswered = self._unanswered, []
            for opcode, unique in waiting:
                self._reply(opcode, unique)

    def unmount(self) -> None:
        """Unmount lazily and end the connection, so that nothing hangs in it any longer."""
        _libc().umount2(os.fsencode(self.path), MNT_DETACH)
        if self._device >= 0:
            os.write(self._stop[1], b"x")
            if self._thread is not None:
                self._thread.join()
            os.close(self._device)
            self._device = -1
        for end in self._stop:
            os.close(end)

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._device, select.POLLIN)
        poll.register(self._stop[0], select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self._stop[0] in ready:
                os.read(self._stop[0], 1)
                return
            try:
                request = os.read(self._device, 1 << 17)
            except OSError:  # unmounted, or a request that was taken back
                continue
            _, opcode, unique, *_ = _HEADER.unpack_from(request)
            self._take(opcode, unique)

    def _take(self, opcode: int, unique: int) -> None:
        if opcode in _UNANSWERED:
            return
        with self._lock:
            if self._hanging.is_set() and opcode != _INIT:
                self._unanswered.append((opcode, unique))
            else:
                self._reply(opcode, unique)
        if opcode == _STATFS:
            with self._asked:
                self.questions += 1
                self._asked.notify_all()

    def _reply(self, opcode: int, unique: int) -> None:
        error, body = 0, b""
        if opcode == _INIT:
            body = struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 0, 16, 12, 1 << 16, 1, 0, 0, 0)
        elif opcode == _GETATTR:
            attributes = struct.pack("<6Q10I", 1, 0, 0, 0, 0, 0, *(0, 0, 0), 0o40755, 2, *[0] * 5)
            body = struct.pack("<QII", 0, 0, 0) + attributes
        elif opcode == _STATFS:
            body = struct.pack("<5Q4I24x", *STATFS, BLOCK, 255, BLOCK, 0)
        else:
            error = -errno.ENOSYS
        with contextlib.suppress(OSError):  # who asked may have gone
            os.write(self._device, struct.pack("<IiQ", 16 + len(body), error, unique) + body)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def mount_or_skip(source: str, target: Path, kind: str, options: str) -> None:
    """Mount a file system; skip the test where that is not allowed."""
    if _libc().mount(source.encode(), os.fsencode(target), kind.encode(), 0, options.encode()):
        pytest.skip(f"needs root to mount: {os.strerror(ctypes.get_errno())}")


@contextlib.contextmanager
def fuse_mount(path: Path, kind: str = "fuse.test") -> Iterator[FuseMount]:
    """Mount an empty file system at a new folder; skip the test where that is not possible."""
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        pytest.skip(f"needs root and {DEVICE}")
    path.mkdir()
    mounted = FuseMount(path, kind)
    try:
        mounted.mount()
        yield mounted
    finally:
        mounted.unmount()
