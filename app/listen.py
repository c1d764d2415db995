"""The listening socket, made by us and not by the server library.

Only so can the kernel be told, before the first connection, how much to buffer for a reader that
stops reading: accepted sockets inherit it. And only so does a port that is taken end in one clear
line.
"""

import contextlib
import errno
import os
import socket
import stat
import sys
from pathlib import Path

from app.settings import Settings
from schema.errors import PulsewireError

try:
    import resource
except ImportError:
    HAS_LIMITS = False  # not a POSIX system
else:
    HAS_LIMITS = True

__all__ = ["ListenError", "UnixListener", "bind", "raise_descriptor_limit", "release", "url"]

BACKLOG = 2048
"""Connections that may wait to be accepted; the kernel's own limit may be lower."""
NOTSENT_LOWAT = 16 * 1024
"""Unsent bytes in the kernel above which a socket counts as not writable."""
SOCKET_MODE = 0o660
"""Of the Unix socket's file: a proxy gets in by the group, nobody else does."""

# Linux: include/uapi/linux/tcp.h. Not every build of Python has the name.
_TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)

_TCP_PROBLEMS = {
    errno.EADDRINUSE: "port {port} on {host} is already in use; choose another with --port",
    errno.EACCES: "port {port} on {host} needs a permission that this process lacks, as ports "
    "below 1024 mostly do; choose another with --port",
    errno.EADDRNOTAVAIL: "{host} is no address of this machine; choose another with --host",
}


class ListenError(PulsewireError):
    """The server cannot listen where it was told to; the text is one line that says why."""


class UnixListener(socket.socket):
    """A listening Unix socket that knows its file, also after it was closed."""

    def __init__(self, path: Path) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self.path = path
        self._made: tuple[int, ...] = ()

    def listen_at_path(self) -> None:
        """Make the file, with mode `SOCKET_MODE`, and listen.

        Raises:
            OSError: the directory is missing or closed to us, or the path too long (107 bytes).
        """
        # The mask is the whole process's: call this before threads are started that make files.
        mask = os.umask(0o777 & ~SOCKET_MODE)
        try:
            self.bind(os.fspath(self.path))
        finally:
            os.umask(mask)
        self._made = _identity(self.path)
        self.listen(BACKLOG)

    def unlink(self) -> None:
        """Remove the file, unless it is gone or another server has made its own there."""
        with contextlib.suppress(OSError):
            if _identity(self.path) == self._made:
                self.path.unlink()


def _identity(path: Path) -> tuple[int, ...]:
    # With the time, since a file system may give the number of a removed file to the next one.
    status = path.lstat()
    return (status.st_dev, status.st_ino, status.st_mtime_ns)


def bind(settings: Settings) -> socket.socket:
    """Listen on the Unix socket of the settings, or else on their host and port.

    Of several addresses of a host name the first is used. An IPv6 socket on ``::`` takes IPv4 as
    well where the system's default is so. The file of a Unix socket on which nobody listens, left
    by a crash, is replaced.

    Raises:
        ListenError: the place is taken, not permitted or not there.
    """
    if settings.uds is not None:
        return _bind_unix(settings.uds)
    return _bind_tcp(settings.host, settings.port)


def release(sock: socket.socket) -> None:
    """Remove what `bind` left on the disk; the socket may already be closed."""
    if isinstance(sock, UnixListener):
        sock.unlink()


def url(sock: socket.socket, settings: Settings) -> str:
    """Where the server can be reached, for people: ``http://[::1]:8321/``, ``unix:/run/x.sock``.

    The port is the real one, also where the settings ask for any; the socket must be open.
    """
    if isinstance(sock, UnixListener):
        return f"unix:{sock.path}"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    scheme = "http" if settings.tls_cert is None else "https"
    return f"{scheme}://{host}:{sock.getsockname()[1]}/"


def raise_descriptor_limit() -> int:
    """Let this process open as many files as it may without asking anybody.

    Returns:
        The limit that holds now; -1 where there is none.
    """
    if not HAS_LIMITS:
        return -1
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS calls its hard limit infinite, and then refuses that.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _bind_tcp(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise ListenError(f"host {host} is not known; choose another with --host") from error
    family, kind, protocol, _, address = found[0]
    with contextlib.ExitStack() as undo:
        try:
            sock = undo.enter_context(socket.socket(family, kind, protocol))
            for option in _tcp_options(sys.platform):
                sock.setsockopt(*option)
            sock.bind(address)
            sock.listen(BACKLOG)
        except OSError as error:
            raise ListenError(_tcp_problem(error, host, port)) from error
        undo.pop_all()
        return sock


def _tcp_options(platform: str) -> list[tuple[int, int, int]]:
    options = []
    if platform != "win32":  # where it means that two servers may share a port
        options += [(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)]
    if platform == "linux":
        # Not TCP_USER_TIMEOUT: it cuts off readers that are merely slow (transports/stall.py).
        options += [(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, NOTSENT_LOWAT)]
    return options


def _tcp_problem(error: OSError, host: str, port: int) -> str:
    other = "cannot listen on port {port} of {host}: {reason}"
    text = _TCP_PROBLEMS.get(error.errno or 0, other)
    return text.format(host=host, port=port, reason=error.strerror or error)


def _bind_unix(path: Path) -> socket.socket:
    with contextlib.ExitStack() as undo:
        try:
            _make_room(path)
            sock = undo.enter_context(UnixListener(path))
            sock.listen_at_path()
        except OSError as error:
            raise ListenError(f"cannot listen on {path}: {error.strerror or error}") from error
        undo.pop_all()
        return sock


def _make_room(path: Path) -> None:
    """Remove the socket file of a dead server, and nothing else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"{path} is there and is no socket; choose another path with --uds")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)  # a live server whose backlog is full keeps a caller waiting
        answer = probe.connect_ex(os.fspath(path))
    if answer not in {errno.ECONNREFUSED, errno.ENOENT}:
        raise ListenError(f"{path} is in use by another server; choose another path with --uds")
    path.unlink(missing_ok=True)
