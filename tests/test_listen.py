"""The listening socket: what it is set to, what is said where it cannot be had, what it leaves."""

import errno
import importlib.util
import os
import resource
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import listen
from app.listen import ListenError, UnixListener, bind, raise_descriptor_limit, release, url
from app.settings import Settings

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="these options are Linux's")


@pytest.fixture
def uds(tmp_path: Path) -> Path:
    return tmp_path / "x.sock"


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    """Let a test change the limits of descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield soft, hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def refused(settings: Settings) -> str:
    """Bind where it cannot be done, and give what is said."""
    with pytest.raises(ListenError) as caught:
        bind(settings)
    return str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "localhost"])
def test_the_server_can_be_reached_where_the_url_says(host: str) -> None:
    """Port 0 is any that is free, and the URL has the real one."""
    settings = Settings(host=host, port=0)
    with bind(settings) as sock:
        port = sock.getsockname()[1]
        with socket.create_connection((settings.host, port)):
            pass

        assert url(sock, settings) == f"http://{'[::1]' if ':' in host else host}:{port}/"


def test_two_servers_on_all_ipv6_addresses_do_not_share_a_port() -> None:
    """The any-address is taken as a whole."""
    with bind(Settings(host="::", port=0)) as sock:
        port = sock.getsockname()[1]

        assert "is already in use" in refused(Settings(host="::", port=port))


@LINUX
def test_accepted_sockets_inherit_what_bounds_a_reader_that_stops() -> None:
    """Set once on the listener, and so from the first byte of each connection."""
    with (
        bind(Settings(port=0)) as sock,
        socket.create_connection(sock.getsockname()),
    ):
        accepted, _ = sock.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, 25) == 16384
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1


@LINUX
def test_the_number_of_the_option_is_that_of_this_kernel() -> None:
    """It stands in for a name that not every Python has."""
    assert listen._TCP_NOTSENT_LOWAT == 25


def test_elsewhere_than_on_linux_the_options_of_linux_are_left_alone() -> None:
    """And on Windows a port is not shared, which is what SO_REUSEADDR means there."""
    assert listen._tcp_options("darwin") == [(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)]
    assert listen._tcp_options("win32") == []


def test_a_port_can_be_listened_on_again_at_once() -> None:
    """Connections of the last server that linger do not keep the next one out."""
    with bind(Settings(port=0)) as sock:
        port = sock.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            sock.accept()[0].close()

    with bind(Settings(port=port)) as sock:
        assert sock.getsockname()[1] == port


def test_a_taken_port_is_told_with_the_way_out() -> None:
    """In one line, and the listener that has it stays."""
    with bind(Settings(port=0)) as sock:
        port = sock.getsockname()[1]

        assert refused(Settings(port=port)) == (
            f"port {port} on 127.0.0.1 is already in use; choose another with --port"
        )
        socket.create_connection(sock.getsockname()).close()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70])
def test_an_unknown_host_is_told(host: str) -> None:
    """Also one that no name service would be asked about."""
    assert refused(Settings(host=host)) == f"host {host} is not known; choose another with --host"


def test_an_address_of_another_machine_is_told() -> None:
    """This one is kept for documentation, so nobody has it (RFC 5737)."""
    assert refused(Settings(host="192.0.2.1", port=0)) == (
        "192.0.2.1 is no address of this machine; choose another with --host"
    )


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.EACCES, "Permission denied"), "port 80 on a needs a permission"),
        (OSError(errno.EAFNOSUPPORT, "No IPv6"), "cannot listen on port 80 of a: No IPv6"),
        (OSError("odd"), "cannot listen on port 80 of a: odd"),
    ],
)
def test_other_refusals_of_the_system_are_told_too(error: OSError, told: str) -> None:
    """Root may do everything, so a test cannot provoke them everywhere."""
    assert listen._tcp_problem(error, "a", 80).startswith(told)


def test_a_unix_socket_is_for_its_owner_and_group(uds: Path) -> None:
    """And the process's mask is what it was."""
    mask = os.umask(0o022)
    try:
        with bind(Settings(uds=uds)) as sock:
            assert stat.S_IMODE(uds.stat().st_mode) == 0o660
            assert url(sock, Settings(uds=uds)) == f"unix:{uds}"
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(mask)


def test_a_unix_socket_wins_over_host_and_port(uds: Path) -> None:
    """It takes connections, and none come over TCP."""
    with bind(Settings(host="no-such-host.invalid", uds=uds)) as sock:
        assert sock.family == socket.AF_UNIX
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(uds))


def test_the_file_of_a_dead_server_is_replaced(uds: Path) -> None:
    """A crash leaves it behind."""
    bind(Settings(uds=uds)).close()
    assert uds.is_socket()

    with bind(Settings(uds=uds)), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(uds))


def test_a_live_server_keeps_its_socket(uds: Path) -> None:
    """Even one whose backlog is full."""
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as caller:
        busy.bind(str(uds))
        busy.listen(0)
        caller.connect(str(uds))

        told = refused(Settings(uds=uds))

        assert told == f"{uds} is in use by another server; choose another path with --uds"
        assert uds.is_socket()


def test_a_file_that_is_no_socket_is_left_alone(uds: Path) -> None:
    """Nor is a link followed, wherever it leads."""
    uds.write_text("precious", encoding="utf-8")
    link = uds.with_name("link")
    link.symlink_to(uds)

    for path in (uds, link):
        told = refused(Settings(uds=path))
        assert told == f"{path} is there and is no socket; choose another path with --uds"
    assert uds.read_text(encoding="utf-8") == "precious"


def test_a_unix_socket_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A missing directory, a file instead of one, a path that is too long."""
    (tmp_path / "file").touch()

    for name, why in (
        ("no/x.sock", "No such file or directory"),
        ("file/x.sock", "Not a directory"),
        ("x" * 120, "AF_UNIX path too long"),
    ):
        told = refused(Settings(uds=tmp_path / name))
        assert told == f"cannot listen on {tmp_path / name}: {why}"


def test_release_removes_the_file_of_a_socket_that_the_server_closed(uds: Path) -> None:
    """Twice does no harm."""
    sock = bind(Settings(uds=uds))
    sock.close()

    release(sock)
    release(sock)

    assert not uds.exists()


def test_release_leaves_the_socket_of_a_successor(uds: Path) -> None:
    """Whoever started meanwhile has a file of its own in the same place."""
    old = bind(Settings(uds=uds))
    old.close()
    os.link(uds, uds.with_name("kept"))  # so that the number of the file is not given again at once
    with bind(Settings(uds=uds)):
        release(old)

        assert uds.is_socket()


def test_release_of_a_tcp_socket_has_nothing_to_remove() -> None:
    """The server may call it whatever it listens on."""
    with bind(Settings(port=0)) as sock:
        release(sock)

        assert not isinstance(sock, UnixListener)


def test_the_limit_of_descriptors_is_raised_as_far_as_it_goes(limits: tuple[int, int]) -> None:
    """The hard limit is the administrator's."""
    _, hard = limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))

    assert raise_descriptor_limit() == hard
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


def test_a_system_without_limits_of_this_kind_reports_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where Python has no module for them."""
    monkeypatch.setitem(sys.modules, "resource", None)
    spec = importlib.util.spec_from_file_location("listen_elsewhere", listen.__file__)
    assert spec is not None
    assert spec.loader is not None
    elsewhere = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(elsewhere)

    assert elsewhere.raise_descriptor_limit() == -1
