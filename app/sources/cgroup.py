"""The control groups that this process is in: where they are, and what they may use at most.

Both versions and their mixture: with version 1 each controller has a tree of its own, with version
2 there is one. A group may use what the tightest of those above it may, as far as these can be
seen: out of a container it is usually one group, its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import IntEnum
from pathlib import Path, PurePosixPath
from typing import TypeVar

from attrs import define, frozen

T = TypeVar("T")

# Spaces and the like in the paths of mountinfo (proc_pid_mountinfo(5)).
ESCAPED = re.compile(r"\\([0-7]{3})")


class Version(IntEnum):
    """Of the kernel's interface."""

    ONE = 1
    TWO = 2


@frozen
class Group:
    """One control group of a controller, and by which files it is read."""

    version: Version
    path: Path

    def read(self, name: str) -> str | None:
        """Give what is in one of its files; None if it has no such file, as the root has not.

        Raises:
            OSError: it cannot be read.
        """
        try:
            return (self.path / name).read_text(encoding="ascii")
        except FileNotFoundError:
            return None

    def count(self, name: str, key: str) -> int | None:
        """Give one of the numbers of a file with a name and a number in each line.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no number.
        """
        for line in (self.read(name) or "").splitlines():
            found, _, value = line.partition(" ")
            if found == key:
                return int(value)
        return None


@frozen
class Mount:
    """A mounted file system: which part of it (``root``) is seen where (``point``)."""

    root: PurePosixPath
    point: PurePosixPath
    kind: str
    options: frozenset[str]


@define(eq=False)
class ControlGroups:
    """Finds the control groups of this process, below ``root`` where ``proc`` and ``sys`` are."""

    root: Path = Path("/")

    def of(self, controller: str) -> list[Group]:
        """Give the groups that bound this process, from the outermost that can be seen.

        Empty where there are no control groups, or none of this controller.

        Raises:
            OSError: they cannot be read.
            ValueError: what the kernel tells of them cannot be understood.
        """
        memberships = self._memberships()
        if controller in memberships:
            version, own = Version.ONE, memberships[controller]
            mounts = [m for m in self.mounts() if m.kind == "cgroup" and controller in m.options]
        elif "" in memberships:
            version, own = Version.TWO, memberships[""]
            mounts = [m for m in self.mounts() if m.kind == "cgroup2"]
        else:
            return []
        chains = (self._chain(mount, own) for mount in mounts)
        return [Group(version, path) for path in next((c for c in chains if c), [])]

    def mounts(self) -> Iterator[Mount]:
        """Yield what is mounted in this process's view.

        Raises:
            OSError: it cannot be read.
            ValueError: it cannot be understood.
        """
        for line in self._lines("mountinfo"):
            left, _, right = line.partition(" - ")
            try:
                root, point = left.split()[3:5]
                kind, _, options = right.split(maxsplit=2)
            except ValueError:
                raise ValueError(f"mountinfo: a line is not understood: {line!r}") from None
            yield Mount(_path(root), _path(point), kind, frozenset(options.split(",")))

    def _memberships(self) -> dict[str, PurePosixPath]:
        """Give this process's place in each controller's tree; version 2 has no controller."""
        memberships: dict[str, PurePosixPath] = {}
        for line in self._lines("cgroup"):
            try:
                _, controllers, path = line.split(":", maxsplit=2)
            except ValueError:
                raise ValueError(f"cgroup: a line is not understood: {line!r}") from None
            memberships |= dict.fromkeys(controllers.split(","), PurePosixPath(path))
        return memberships

    def _lines(self, name: str) -> list[str]:
        try:
            text = (self.root / "proc/self" / name).read_text(errors="surrogateescape")
        except FileNotFoundError:
            return []
        return text.splitlines()

    def _chain(self, mount: Mount, own: PurePosixPath) -> list[Path]:
        """Give the directories from a mount down to a group, as far as they are there."""
        top = self.root / mount.point.relative_to("/")
        # A namespace, or a mount of a part, may hide where the group is: then what is mounted is
        # all that is seen of it, and the group itself as a rule.
        parts = own.relative_to(mount.root).parts if own.is_relative_to(mount.root) else ()
        chain = [top]
        for part in parts:
            chain.append(chain[-1] / part)
        if not chain[-1].is_dir():
            chain = [top]
        return chain if top.is_dir() else []


def _path(escaped: str) -> PurePosixPath:
    return PurePosixPath(ESCAPED.sub(lambda match: chr(int(match[1], 8)), escaped))


def tightest(
    groups: list[Group], limit: Callable[[Group], T | None], size: Callable[[T], float]
) -> tuple[Group, T] | None:
    """Give the group with the smallest limit, and that; None if there is no limit.

    Of equals the outermost: it holds the most, so it comes to its limit first.
    """
    limits = [(group, bound) for group in groups if (bound := limit(group)) is not None]
    return min(limits, key=lambda found: size(found[1]), default=None)
