"""File systems and their room, one reading for each, however often it is mounted."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Sequence

from attrs import define, evolve, field, frozen

from app.sources.devices.mounts import Mount, Mounts, MountTable
from app.sources.devices.prober import Answer, Probe, Prober
from app.sources.devices.space import Blocks, Space, read_blocks
from app.sources.groups.cpu import percent
from schema.devices import DiskVolume, VolumeStatus

EVERY_S = 10.0
# What is no longer mounted is told of for so long: every client hears of it, whatever its interval.
GONE_S = 60.0

# Not on any disk, and images, which are always full.
_NEVER = frozenset(
    ["autofs", "tmpfs", "ramfs", "devtmpfs", "squashfs", "erofs", "cramfs", "iso9660"]
)
# Their number of inodes is not fixed, whatever they tell.
_NO_INODES = frozenset(["btrfs", "zfs"])


@frozen
class Volume:
    """A file system and its mounts; ``paths`` are where to ask, one for each dataset of a pool."""

    id: str
    device: str
    fs_type: str
    mounts: tuple[str, ...]
    read_only: bool
    remote: bool
    paths: tuple[str, ...]


@frozen
class VolumeReading:
    """What is known of one file system; read at the moment ``at``, None before it ever was."""

    volume: Volume
    status: VolumeStatus
    space: Space | None
    at: float | None


@frozen
class VolumesSample:
    """All file systems at the moment ``at``, in monotonic seconds."""

    at: float
    readings: tuple[VolumeReading, ...]


def volumes(mounts: Mounts, *, remote: bool) -> list[Volume]:
    """Put mounts together by their file systems, those left out that are none of a disk.

    Listed is what lies on a block device, ZFS, and the root whatever it is (``overlay`` in a
    container). With ``remote`` also what lies on another machine, or is made by a program (FUSE).
    """
    listed = sorted(
        (mount for mount in mounts.by_path.values() if _is_listed(mount, remote=remote)), key=_id
    )
    return [_volume(id_, list(group), mounts) for id_, group in itertools.groupby(listed, _id)]


def _is_listed(mount: Mount, *, remote: bool) -> bool:
    on_device = not mount.number.startswith("0:") or mount.source.startswith("/dev/")
    if mount.path == "/" and not mount.remote:
        return True
    if mount.fs_type == "zfs":
        return "@" not in mount.source  # a snapshot, which uses what its dataset does
    if mount.fs_type in _NEVER:
        return False
    return remote if mount.remote or (mount.risky and not on_device) else on_device


def _id(mount: Mount) -> str:
    return mount.source.partition("/")[0] if mount.fs_type == "zfs" else mount.number


def _volume(id_: str, group: list[Mount], mounts: Mounts) -> Volume:
    def preference(mount: Mount) -> tuple[bool, bool, int, str]:
        # Not beneath what may hang, if there is another way; not a part, which may have a quota.
        return mounts.under_risk(mount.path), mount.root != "/", len(mount.path), mount.path

    best: dict[str, str] = {}
    for mount in sorted(group, key=preference):
        best.setdefault(mount.number, mount.path)
    first = group[0]
    return Volume(
        id=id_,
        device=id_ if first.fs_type == "zfs" else first.source,
        fs_type=first.fs_type,
        mounts=tuple(sorted(mount.path for mount in group)),
        read_only=all(mount.read_only for mount in group),
        remote=first.remote,
        paths=tuple(sorted(best.values())),
    )


@define(eq=False)
class _Direct:
    """Asks a file system whose answer lies in memory."""

    path: str
    read: Callable[[str], Blocks]
    clock: Callable[[], float]
    _answer: Answer = field(init=False, factory=Answer)
    _due: float = field(init=False, default=-math.inf)

    def __call__(self) -> Answer:
        now = self.clock()
        if now >= self._due:
            self._due = now + EVERY_S
            try:
                self._answer = Answer(self.read(self.path), now)
            except OSError as error:
                self._answer = evolve(self._answer, error=error)
        return self._answer


@define(eq=False)
class Volumes:
    """Reads what room there is, every 10 seconds; what may hang, by a prober.

    ``remote`` lists what lies on other machines too. ``table`` and ``prober`` may be shared,
    ``read`` asks the file system of a path, ``clock`` gives monotonic seconds.
    """

    remote: bool = False
    table: Callable[[], Mounts] = field(factory=MountTable)
    prober: Prober = field(factory=Prober)
    read: Callable[[str], Blocks] = read_blocks
    clock: Callable[[], float] = time.monotonic
    _mounts: Mounts | None = field(init=False, default=None)
    _volumes: Sequence[Volume] = field(init=False, default=())
    _asking: dict[tuple[str, str], Callable[[], Answer]] = field(init=False, factory=dict)
    _readings: tuple[VolumeReading, ...] = field(init=False, default=())
    _gone_at: dict[str, float] = field(init=False, factory=dict)

    def __call__(self) -> VolumesSample:
        """Give what is known of each; returns at once.

        Raises:
            OSError: the table of mounts cannot be read.
        """
        mounts = self.table()
        if mounts is not self._mounts:
            self._volumes = volumes(mounts, remote=self.remote)
            self._asking = dict(self._asked(mounts))
            self._mounts = mounts
        self.prober.collect()
        now = self.clock()
        present = [self._reading(volume) for volume in self._volumes]
        readings = (*present, *self._gone(now))
        if readings != self._readings:
            self._readings = readings
        return VolumesSample(now, self._readings)

    def _asked(self, mounts: Mounts) -> Iterable[tuple[tuple[str, str], Callable[[], Answer]]]:
        for volume in self._volumes:
            for path in volume.paths:
                risky = mounts.under_risk(path)
                asking = self._asking.get((volume.id, path))
                if asking is None or isinstance(asking, Probe) != risky:
                    asking = (
                        self.prober.probe(path, EVERY_S)
                        if risky
                        else _Direct(path, self.read, self.clock)
                    )
                yield (volume.id, path), asking

    def _reading(self, volume: Volume) -> VolumeReading:
        answers = [self._asking[volume.id, path]() for path in volume.paths]
        told = [answer for answer in answers if answer.told is not None]
        return VolumeReading(
            volume,
            _status(answers),
            _together([Space.of(answer.told) for answer in told if answer.told]),
            min((answer.at for answer in told if answer.at is not None), default=None),
        )

    def _gone(self, now: float) -> Iterable[VolumeReading]:
        present = {volume.id for volume in self._volumes}
        gone = {
            reading.volume.id: reading
            for reading in self._readings
            if reading.volume.id not in present
        }
        self._gone_at = {id_: self._gone_at.get(id_, now) for id_ in gone}
        return [
            reading
            if reading.status is VolumeStatus.GONE
            else evolve(reading, status=VolumeStatus.GONE)
            for id_, reading in gone.items()
            if now - self._gone_at[id_] < GONE_S
        ]


def _status(answers: Sequence[Answer]) -> VolumeStatus:
    if any(answer.late for answer in answers):
        return VolumeStatus.TIMEOUT
    if any(answer.error for answer in answers):
        return VolumeStatus.ERROR
    return VolumeStatus.OK


def _together(spaces: Sequence[Space]) -> Space | None:
    """Put the datasets of a pool together: each uses its own, and what is free is everybody's."""
    if len(spaces) <= 1:
        return spaces[0] if spaces else None
    used = sum(space.used for space in spaces)
    free = max(space.free for space in spaces)
    return Space(used + free, used, free, 0, 0, 0)


def render_volumes(sample: VolumesSample | None) -> list[DiskVolume]:
    """Give all file systems, sorted by their ids; none if ``sample`` is None: it failed.

    What has no size is left out, as ``df`` does: nothing can be stored there.
    """
    if sample is None:
        return []
    return [
        _disk_volume(reading, sample.at)
        for reading in sorted(sample.readings, key=lambda reading: reading.volume.id)
        if reading.space is None or reading.space.total > 0
    ]


def _disk_volume(reading: VolumeReading, now: float) -> DiskVolume:
    volume, space = reading.volume, reading.space
    return DiskVolume(
        id=_text(volume.id),
        device=_text(volume.device),
        fs_type=volume.fs_type,
        mounts=[_text(path) for path in volume.mounts],
        total=space.total if space else None,
        used=space.used if space else None,
        free=space.free if space else None,
        reserved=space.reserved if space else None,
        usage=percent(space.used, space.used + space.free) if space else None,
        inodes_usage=_inodes_usage(volume, space),
        read_only=volume.read_only,
        remote=volume.remote,
        status=reading.status,
        age_ms=None if reading.at is None else max(round((now - reading.at) * 1000), 0),
    )


def _inodes_usage(volume: Volume, space: Space | None) -> float | None:
    if space is None or space.inodes <= 0 or volume.fs_type in _NO_INODES:
        return None
    return percent(space.inodes - space.inodes_free, space.inodes)


def _text(name: str) -> str:
    """Make text of a name that may be any bytes."""
    return name.encode(errors="surrogateescape").decode(errors="replace")
