"""What is mounted where, and which of it may hang (``/proc/self/mountinfo``, proc(5))."""

from __future__ import annotations

import math
import os
import re
import select
import time
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil
from attrs import define, field, frozen

# As df(1) has them, and what reaches a hypervisor's files or, by FUSE, another machine's.
_REMOTE = frozenset(
    (  # noqa: SIM905 - else it is a page
        "nfs nfs4 cifs smb3 smbfs ncpfs afs auristorfs coda ceph lustre gpfs ocfs2 gfs2 beegfs "
        "fhgfs acfs ibrix panfs davfs 9p virtiofs vboxsf vmhgfs prl_fs fuse.sshfs fuse.glusterfs "
        "fuse.ceph fuse.s3fs fuse.rclone fuse.gcsfuse fuse.blobfuse2 fuse.davfs fuse.juicefs"
    ).split()
)
_ESCAPE = re.compile(r"\\([0-7]{3})")
_LINKS_MAX = 40  # as the kernel has it
_CHUNK = 2**16

ELSEWHERE_S = 10.0


@frozen
class Mount:
    """One line of the table.

    ``number`` names the file system (``major:minor``), all its mounts have the same; ``root`` is
    which of its directories is mounted, ``source`` what is: a device, a dataset, a share;
    ``super_options`` are those of the file system itself, such as the controllers of a cgroup.
    """

    mount_id: int
    parent_id: int
    number: str
    root: str
    path: str
    fs_type: str
    source: str
    read_only: bool
    super_options: str = field(default="", eq=False)

    @property
    def remote(self) -> bool:
        """Whether its files lie on another machine."""
        # host:/share, //host/share; a path with a colon in it is a path.
        return (
            self.fs_type in _REMOTE
            or self.source.startswith("//")
            or (":" in self.source and not self.source.startswith("/"))
        )

    @property
    def risky(self) -> bool:
        """Whether it may never answer: another machine does, or a program (FUSE, automount)."""
        return self.remote or self.fs_type == "autofs" or self.fs_type.startswith("fuse")


@frozen
class Mounts:
    """The mounts that can be reached by their path, by that path."""

    by_path: dict[str, Mount]

    @classmethod
    def of(cls, mounts: Iterable[Mount]) -> Mounts:
        """Leave out what others are mounted over."""
        listed = list(mounts)
        top = {mount.path: mount for mount in listed}  # the later one lies above
        everything = cls(top)
        ids = {mount.mount_id for mount in listed}
        return cls(
            {
                path: mount
                for path, mount in top.items()
                if mount.parent_id not in ids or everything._stands_on_its_parent(mount, listed)
            }
        )

    def holder(self, path: str) -> Mount | None:
        """Give the mount that a path lies in, taken as it is written, without symbolic links."""
        while (mount := self.by_path.get(path)) is None and path not in {"/", ""}:
            path = _above(path)
        return mount

    def under_risk(self, path: str) -> bool:
        """Tell whether one of the mounts on the way to a path may hang, links left aside."""
        mount = self.holder(path)
        while mount is not None:
            if mount.risky:
                return True
            above = _above(mount.path)
            mount = None if above == mount.path else self.holder(above)
        return False

    def risky(self, path: str) -> bool:
        """Tell whether asking about a path may hang, without touching anything that may.

        Symbolic links are followed as far as they lie where nothing hangs.
        """
        done, todo = "/", _parts(path)
        links = 0
        while todo:
            step = todo.pop()
            if step == "..":
                done = _above(done)
                continue
            here = f"{done.rstrip('/')}/{step}"
            if self.under_risk(here):
                return True
            target = _link(here)
            if target is None:
                done = here
            elif (links := links + 1) > _LINKS_MAX:
                return False  # the system refuses it too
            else:
                done = "/" if target.startswith("/") else done
                todo += _parts(target)
        return False

    def _stands_on_its_parent(self, mount: Mount, listed: list[Mount]) -> bool:
        """Tell whether nothing was mounted later over a directory above it."""
        parents = {other.mount_id: other for other in listed}
        parent = parents[mount.parent_id]
        if parent.path == mount.path:  # it lies on top of another one at its own place
            return parent.parent_id not in parents or self._stands_on_its_parent(parent, listed)
        return self.holder(_above(mount.path)) is parent


def _above(path: str) -> str:
    """Give the directory that a path lies in; that of the root is the root."""
    return path.rpartition("/")[0] or "/"


def _parts(path: str) -> list[str]:
    """Split a path into its steps, the last one first."""
    return [step for step in reversed(path.split("/")) if step not in {"", "."}]


def _link(path: str) -> str | None:
    try:
        return str(Path(path).readlink())
    except OSError:
        return None


def parse(text: str) -> list[Mount]:
    """Read the table, in its order: what was mounted later comes later."""
    return [_mount(line) for line in text.split("\n") if line]


def _mount(line: str) -> Mount:
    left, _, right = line.partition(" - ")
    mount_id, parent_id, number, root, path, options = left.split(" ")[:6]
    fs_type, source, super_options = ([*right.split(" "), "", ""])[:3]
    return Mount(
        mount_id=int(mount_id),
        parent_id=int(parent_id),
        number=number,
        root=_unescaped(root),
        path=_unescaped(path),
        fs_type=fs_type,
        source=_unescaped(source),
        read_only="ro" in options.split(",") or "ro" in super_options.split(","),
        super_options=super_options,
    )


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)


@define(eq=False)
class MountTable:
    """The machine's mounts; read anew when the kernel tells that they changed, which costs nothing.

    ``proc`` is where procfs is. Where there is none, psutil is asked every 10 seconds. ``clock``
    gives monotonic seconds.
    """

    proc: Path = Path("/proc")
    clock: Callable[[], float] = time.monotonic
    _mounts: Mounts | None = field(init=False, default=None)
    _file: int | None = field(init=False, default=None)
    _changes: select.poll = field(init=False, factory=select.poll)
    _due: float = field(init=False, default=-math.inf)

    def __call__(self) -> Mounts:
        """Give what is mounted; the same object as long as nothing changes.

        Raises:
            OSError: the table cannot be read.
        """
        known = self._mounts
        if known is None or self._changed():
            mounts = Mounts.of(self._read())
            self._mounts = known = known if mounts == known else mounts
        return known

    def _changed(self) -> bool:
        if self._file is None:
            return self.clock() >= self._due
        return bool(self._changes.poll(0))

    def _read(self) -> list[Mount]:
        self._due = self.clock() + ELSEWHERE_S
        if self._file is None:
            try:
                self._file = self._open()
            except OSError:
                return [_elsewhere(shown) for shown in psutil.disk_partitions(all=False)]
        return parse(_content(self._file).decode(errors="surrogateescape"))

    def _open(self) -> int:
        file = os.open(self.proc / "self" / "mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        # Not at the end of the process, when a last look may still be under way on its thread.
        weakref.finalize(self, os.close, file).atexit = False
        # Registered before it is read, or a change in between would not be told.
        self._changes.register(file, select.POLLPRI)
        return file


def _content(file: int) -> bytes:
    os.lseek(file, 0, os.SEEK_SET)
    return b"".join(iter(lambda: os.read(file, _CHUNK), b""))


def _elsewhere(shown: Any) -> Mount:  # noqa: ANN401 - psutil's, by its fields
    return Mount(
        mount_id=0,
        parent_id=-1,
        number=shown.device,
        root="/",
        path=shown.mountpoint,
        fs_type=shown.fstype,
        source=shown.device,
        read_only="ro" in shown.opts.split(","),
    )
