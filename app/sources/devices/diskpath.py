"""The file system that one path lies in, which may be one that never answers."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from app.sources.devices.mounts import Mounts, MountTable
from app.sources.devices.prober import Probe, Prober
from app.sources.devices.space import Blocks, DiskSpace, read_blocks

# How long the very first answer is waited for: without it there is no sample at all.
FIRST_S = 1.0


@define(eq=False)
class DiskPath:
    """Reads the room of the file system that a path lies in.

    Directly, as a rule; by a prober if something on the way to it may hang. ``table`` and
    ``prober`` may be shared, ``read`` asks the file system of a path.
    """

    path: str
    table: Callable[[], Mounts] = field(factory=MountTable)
    prober: Prober = field(factory=Prober)
    read: Callable[[str], Blocks] = read_blocks
    _probe: Probe | None = field(init=False, default=None)

    def __call__(self) -> DiskSpace:
        """Give the newest figures; returns at once, only the first answer is waited for.

        Raises:
            TimeoutError: it has not answered for a second, or never.
            OSError: there is no such path, or it cannot be reached.
        """
        if not self.table().risky(self.path):
            self._probe = None
            self.prober.collect()  # it may have nobody else who does
            return DiskSpace.of(self.path, self.read(self.path))
        if self._probe is None:
            self._probe = self.prober.probe(self.path, every=0)
            answer = self._probe.first(FIRST_S)
        else:
            answer = self._probe()
        if answer.error is not None:
            raise answer.error
        if answer.late or answer.told is None:
            raise TimeoutError(f"the file system of {self.path} does not answer")
        return DiskSpace.of(self.path, answer.told)
