"""Real proxies on loopback: our own configurations, and what a distribution installs.

The good ones run the files of docs/proxies/. The others run Debian's own files, with as little
changed as it takes to run them beside each other: addresses, and where logs and the like are put.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import httpx
from attrs import frozen

CONFIGURATIONS = Path(__file__).resolve().parent.parent / "docs" / "proxies"
PATIENCE_S = 20.0
GRACE_S = 5.0
PAUSE_S = 0.02
APACHE_MODULES = "\n".join(
    f"Include mods-available/{name}" for name in ("proxy.load", "proxy.conf", "proxy_http.load")
)

# Daemons live where the PATH of a person need not lead to.
os.environ["PATH"] += os.pathsep + os.pathsep.join(("/usr/local/sbin", "/usr/sbin", "/sbin"))

Command = tuple[str, ...]
Parser = Literal["httptools", "h11"]


@frozen
class Place:
    """Where a proxy is put: a directory of its own, its port, and the port of Pulsewire."""

    directory: Path
    port: int
    upstream: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pulsewire(self) -> str:
        return f"127.0.0.1:{self.upstream}"

    def write(self, name: str, text: str) -> str:
        """Write a file, and return its path."""
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def ours(self, name: str) -> str:
        """Return a file of docs/proxies/ for this place, which differs from it in ports only."""
        text = (CONFIGURATIONS / name).read_text(encoding="utf-8")
        assert "127.0.0.1:8321" in text, f"{name} leads to no Pulsewire"
        assert ":8080" in text, f"{name} listens nowhere"
        text = text.replace("127.0.0.1:8321", self.pulsewire)
        return text.replace("*:8080", self.address).replace(":8080", f":{self.port}")


@frozen
class Proxy:
    """A proxy that can be started: the program that it needs, and how to make its command.

    ``parser`` is the HTTP parser of the Pulsewire behind it. A ``forward`` proxy is one that
    clients have to be told of.
    """

    name: str
    program: str
    prepare: Callable[[Place], Command]
    parser: Parser = "httptools"
    forward: bool = False


@frozen(eq=False)
class Running:
    """A proxy that was started as a process, at a place."""

    proxy: Proxy
    place: Place
    child: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Where a client looks for Pulsewire."""
        return f"http://{self.place.pulsewire if self.proxy.forward else self.place.address}"

    @property
    def via(self) -> str | None:
        """What a client has to be told of, None for a reverse proxy."""
        return f"http://{self.place.address}" if self.proxy.forward else None

    @property
    def output(self) -> str:
        """What it has printed."""
        return (self.place.directory / "output").read_text(errors="replace")


# The configurations


def debian(path: str, changes: Mapping[str, str]) -> str:
    """Return a file that a package has installed, with each of these patterns replaced."""
    text = Path(path).read_text(encoding="utf-8")
    for pattern, replacement in changes.items():
        text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        assert count, f"{path} has no {pattern}"
    return text


def nginx(place: Place, site: str) -> Command:
    site = place.write("site.conf", site)
    changes = {
        r"^pid .*": f"pid {place.directory}/pid;",
        r"^error_log .*": "error_log stderr;",
        r"^\s*access_log .*": "access_log off;",
        r"^\s*include /etc/nginx/conf\.d.*": f"include {site};",
        r"^\s*include /etc/nginx/sites-enabled.*": "",
    }
    main = place.write("nginx.conf", debian("/etc/nginx/nginx.conf", changes))
    return "nginx", "-c", main, "-e", "stderr", "-g", "daemon off;"


def nginx_ours(place: Place) -> Command:
    return nginx(place, place.ours("nginx.conf"))


def nginx_default(place: Place, *more: str) -> Command:
    location = "".join((f"proxy_pass http://{place.pulsewire};", *more))
    return nginx(place, f"server {{ listen {place.address}; location / {{ {location} }} }}")


def nginx_deaf(place: Place) -> Command:
    return nginx_default(place, "proxy_ignore_headers X-Accel-Buffering;")


def haproxy(place: Place, site: str, timeout: str = "50000") -> Command:
    changes = {r"^\s*stats socket.*": "", r"50000$": timeout}
    main = place.write("main.cfg", debian("/etc/haproxy/haproxy.cfg", changes))
    return "haproxy", "-db", "-f", main, "-f", place.write("site.cfg", site)


def haproxy_ours(place: Place) -> Command:
    return haproxy(place, place.ours("haproxy.cfg"))


def haproxy_hasty(place: Place) -> Command:
    site = f"listen site\n bind {place.address}\n server pulsewire {place.pulsewire}\n"
    return haproxy(place, site, timeout="10000")


def apache(place: Place, site: str) -> Command:
    changes = {
        r"^Include ports\.conf": APACHE_MODULES,
        r"^IncludeOptional sites-enabled.*": f"Include {place.write('site.conf', site)}",
    }
    main = place.write("apache2.conf", debian("/etc/apache2/apache2.conf", changes))
    variables = {
        "RUN_USER": "www-data",
        "RUN_GROUP": "www-data",
        "PID_FILE": f"{place.directory}/pid",
        "RUN_DIR": f"{place.directory}",
        "LOCK_DIR": f"{place.directory}",
        "LOG_DIR": f"{place.directory}",
    }
    environment = (f"APACHE_{name}={value}" for name, value in variables.items())
    return "env", *environment, "apache2", "-DFOREGROUND", "-d", "/etc/apache2", "-f", main


def apache_ours(place: Place) -> Command:
    return apache(place, place.ours("apache.conf"))


def apache_default(place: Place) -> Command:
    return apache(place, f"Listen {place.address}\nProxyPass / http://{place.pulsewire}/\n")


def caddy_ours(place: Place) -> Command:
    # What Caddy has beside its sites: an interface to change it, and addresses other than loopback.
    site = place.write("site", place.ours("Caddyfile"))
    options = "admin off\n default_bind 127.0.0.1\n"
    main = place.write("Caddyfile", f"{{\n {options}}}\nimport {site}\n")
    home = f"HOME={place.directory}"
    return "env", home, "caddy", "run", "--adapter", "caddyfile", "--config", main


def varnish_default(place: Place) -> Command:
    changes = {r"\"8080\"": f'"{place.upstream}"'}
    program = place.write("default.vcl", debian("/etc/varnish/default.vcl", changes))
    where = ("-a", place.address, "-n", f"{place.directory}/n")
    return "varnishd", "-j", "none", "-F", *where, "-f", program, "-s", "malloc,16m"


def squid_default(place: Place) -> Command:
    changes = {
        r"^http_port .*": f"http_port {place.address}",
        r"^coredump_dir .*": "shutdown_lifetime 0 seconds\npid_filename none\npinger_enable off\n"
        "access_log none\ncache_log /dev/null\nnetdb_filename none",
    }
    main = place.write("squid.conf", debian("/etc/squid/squid.conf", changes))
    return "squid", "-N", "-f", main


def privoxy_default(place: Place) -> Command:
    changes = {
        r"^listen-address\s+\[::1\].*": "",
        r"^listen-address\s+127.*": f"listen-address {place.address}",
        r"^logdir .*": f"logdir {place.directory}",
    }
    main = place.write("config", debian("/etc/privoxy/config", changes))
    return "privoxy", "--no-daemon", main


GOOD = (
    Proxy("nginx", "nginx", nginx_ours),
    Proxy("nginx-h11", "nginx", nginx_ours, "h11"),
    Proxy("haproxy", "haproxy", haproxy_ours),
    Proxy("apache", "apache2", apache_ours),
    Proxy("caddy", "caddy", caddy_ours),
)
"""The files of docs/proxies/; nginx also with the upstream whose streams it would hold back."""
RESTRICTIVE = (
    Proxy("nginx-default", "nginx", nginx_default, "h11"),
    Proxy("nginx-deaf", "nginx", nginx_deaf, "h11"),
    Proxy("haproxy-hasty", "haproxy", haproxy_hasty),
    Proxy("apache-default", "apache2", apache_default),
    Proxy("varnish-default", "varnishd", varnish_default),
    Proxy("squid-default", "squid", squid_default, forward=True),
    Proxy("privoxy-default", "privoxy", privoxy_default, forward=True),
)
"""What a distribution installs, told no more than where Pulsewire is.

But nginx-deaf does not obey ``X-Accel-Buffering``, and haproxy-hasty has timeouts of 10 s.
"""


# Starting and stopping


@contextlib.asynccontextmanager
async def running(
    proxies: Iterable[Proxy], upstreams: Mapping[Parser, int]
) -> AsyncIterator[dict[str, Running]]:
    """Run all those proxies whose programs are installed, each until it answers, and stop them."""
    installed = [proxy for proxy in proxies if shutil.which(proxy.program)]
    ports = free_ports(len(installed))
    with open_directory() as home:
        started: dict[str, Running] = {}
        try:
            for proxy, port in zip(installed, ports, strict=True):
                place = Place(home / proxy.name, port, upstreams[proxy.parser])
                started[proxy.name] = start(proxy, place)
            await asyncio.gather(*map(answers, started.values()))
            yield started
        finally:
            stop(started.values())


@contextlib.contextmanager
def open_directory() -> Iterator[Path]:
    """Make a directory that everybody may look into, for servers drop the rights of root."""
    with tempfile.TemporaryDirectory(prefix="proxies-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def start(proxy: Proxy, place: Place) -> Running:
    """Start a proxy, in the foreground; what it prints is the file ``output`` of its place."""
    place.directory.mkdir()
    with (place.directory / "output").open("wb") as output:
        child = subprocess.Popen(
            proxy.prepare(place),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return Running(proxy, place, child)


def stop(started: Collection[Running]) -> None:
    """Stop proxies by their numbers, all at one time, and see that nothing of them is left."""
    for one in started:
        one.child.terminate()
    for one in started:
        with contextlib.suppress(subprocess.TimeoutExpired):
            one.child.wait(GRACE_S)
        # With the children that it may have; the session, and so the group, is its own.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(one.child.pid, signal.SIGKILL)
        one.child.wait()


async def answers(one: Running) -> None:
    """Wait until Pulsewire is reached through a proxy."""
    async with client(one) as http:
        for _ in range(round(PATIENCE_S / PAUSE_S)):
            with contextlib.suppress(httpx.HTTPError):
                if (await http.get("/healthz")).status_code == httpx.codes.OK:
                    return
            if one.child.poll() is not None:
                break
            await asyncio.sleep(PAUSE_S)
    raise AssertionError(f"{one.proxy.name} does not answer: {one.output}")


def client(one: Running) -> httpx.AsyncClient:
    """Make an HTTP client for what is behind a proxy."""
    return httpx.AsyncClient(
        base_url=one.url,
        transport=httpx.AsyncHTTPTransport(verify=False, proxy=one.via),
        timeout=PATIENCE_S,
    )


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]
