"""The control groups that this process is in: where they are, and what they may use at most.

Both versions and their mixture: with version 1 each controller has a tree of its own, with version
2 there is one. A group may use what the tightest of those above it may, as far as these can be
seen: out of a container it is usually one group, its own.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from pathlib import Path, PurePosixPath
from typing import TypeVar

from attrs import define, frozen

from app.sources.devices.mounts import Mount, parse

T = TypeVar("T")
Limit = TypeVar("Limit", int, float)


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
            return (self.path / name).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None

    def count(self, name: str, key: str) -> int | None:
        """Give one of the numbers of a file that has a name and a number in each line.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no number.
        """
        for line in (self.read(name) or "").splitlines():
            found, _, value = line.partition(" ")
            if found == key:
                return self.number(name, value)
        return None

    def number(self, name: str, text: str) -> int:
        """Understand a number out of one of its files.

        Raises:
            ValueError: it is none; the text names the file.
        """
        try:
            return int(text)
        except ValueError:
            raise ValueError(f"{self.path / name}: {text!r} is no number") from None


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
            mounts = [m for m in self.mounts() if _controls(m, controller)]
        elif "" in memberships:
            version, own = Version.TWO, memberships[""]
            mounts = [m for m in self.mounts() if m.fs_type == "cgroup2"]
        else:
            return []
        chains = (self._chain(mount, own) for mount in mounts)
        return [Group(version, path) for path in next((c for c in chains if c), [])]

    def mounts(self) -> list[Mount]:
        """Give what is mounted in this process's view, in the order of the kernel's table.

        Raises:
            OSError: it cannot be read.
            ValueError: it cannot be understood.
        """
        return self._parsed("mountinfo", parse)

    def _memberships(self) -> dict[str, PurePosixPath]:
        return self._parsed("cgroup", _memberships)

    def _parsed(self, name: str, parse: Callable[[str], T]) -> T:
        file = self.root / "proc/self" / name
        try:
            text = file.read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            text = ""
        try:
            return parse(text)
        except ValueError as error:
            raise ValueError(f"{file}: cannot be understood: {error}") from error

    def _chain(self, mount: Mount, own: PurePosixPath) -> list[Path]:
        """Give the directories from a mount down to a group, as far as they are there."""
        top = self.root / mount.path.lstrip("/")
        # A namespace, or a mount of a part, may hide where the group is: then what is mounted is
        # all that is seen of it, and the group itself as a rule.
        seen = own.is_relative_to(mount.root)
        parts = own.relative_to(mount.root).parts if seen else ()
        chain = [top]
        for part in parts:
            chain.append(chain[-1] / part)
        if not chain[-1].is_dir():
            chain = [top]
        return chain if top.is_dir() else []


def _controls(mount: Mount, controller: str) -> bool:
    return mount.fs_type == "cgroup" and controller in mount.super_options.split(",")


def _memberships(text: str) -> dict[str, PurePosixPath]:
    """Give a process's place in each controller's tree; that of version 2 has no controller."""
    memberships: dict[str, PurePosixPath] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", maxsplit=2)
        memberships |= dict.fromkeys(controllers.split(","), PurePosixPath(path))
    return memberships


def tightest(
    groups: list[Group], limit: Callable[[Group], Limit | None]
) -> tuple[Group, Limit] | None:
    """Give the group with the smallest limit, and that; None if there is no limit.

    Of equals the outermost: it holds the most, so it comes to its limit first.
    """
    limits = [(group, bound) for group in groups if (bound := limit(group)) is not None]
    return min(limits, key=lambda found: found[1], default=None)
