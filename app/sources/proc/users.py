"""Names of users by their numbers."""

from __future__ import annotations

import re
from pathlib import Path

from attrs import define, field

PASSWD = Path("/etc/passwd")
LINE = re.compile(r"([^:]+):[^:]*:([0-9]{1,10}):")


@define(eq=False)
class Users:
    """Knows the users of the local file, which is read again whenever it has changed.

    Not ``pwd.getpwuid``: that asks whatever the system is set up to ask, and a directory in the
    network (LDAP, NIS) that is down keeps it waiting for minutes. A user who is known there alone
    is told by number, as is one of a container.
    """

    path: Path = PASSWD
    _names: dict[int, str] = field(init=False, factory=dict)
    _seen: tuple[int, ...] | None = field(init=False, default=None)

    def refresh(self) -> None:
        """Look whether the file has changed; what cannot be read is empty."""
        try:
            status = self.path.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen != self._seen:
                self._names = _read(self.path)
        except OSError:
            self._names, seen = {}, None
        self._seen = seen

    def __call__(self, uid: int) -> str:
        """Give a user's name, or the number where there is no name."""
        return self._names.get(uid, str(uid))


def _read(path: Path) -> dict[int, str]:
    names: dict[int, str] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        # Lines of NIS (`+::::::`) have no number. Of two names of a number, the first counts.
        if found := LINE.match(line):
            names.setdefault(int(found[2]), found[1])
    return names
