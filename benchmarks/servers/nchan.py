"""nginx with nchan, and a publisher that posts to it; only nginx counts as the server.

``python -m benchmarks.servers.nchan PORT``. It is the only program here that does not publish by
itself: what its publisher costs, an HTTP request a message, is not in its figures.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import nginx, on_processor, processors
from benchmarks.payload import payload
from benchmarks.servers.control import announce, moments, say

MODULE = "ngx_nchan_module.so"
CONFIGURATION = """
daemon off; worker_processes 1; pid nginx.pid; error_log error.log crit; {user}
load_module {module};
worker_rlimit_nofile 20000;
events {{ worker_connections 18000; use epoll; multi_accept on; }}
http {{
    access_log off; tcp_nodelay on; keepalive_requests 10000000; nchan_shared_memory_size 128M;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        nchan_channel_id bench;
        location = /pub {{
            nchan_publisher; nchan_message_buffer_length 10; nchan_message_timeout 30s;
        }}
        location = /sub {{
            nchan_subscriber websocket eventsource longpoll;
            nchan_subscriber_first_message newest; nchan_subscriber_timeout 0;
            nchan_websocket_ping_interval 0; nchan_eventsource_ping_interval 0;
        }}
    }}
}}
"""


def module() -> Path | None:
    """Find the module of the nginx that is in the path; None if one of the two is missing."""
    program = nginx()
    if program is None:
        return None
    found = Path(program).resolve().parent.parent / "lib" / "nginx" / "modules" / MODULE
    return found if found.exists() else None


def start(found: Path, port: int, folder: str) -> subprocess.Popen[bytes]:
    """Start the nginx of a module, its files in a folder."""
    configuration = CONFIGURATION.format(
        port=port, module=found, user="user root;" if os.geteuid() == 0 else ""
    )
    file = Path(folder) / "nginx.conf"
    file.write_text(configuration, encoding="utf-8")
    program = found.parents[3] / "sbin" / "nginx"
    return subprocess.Popen([program, "-p", f"{folder}/", "-c", file, "-e", "stderr"])


def worker(master: int) -> int:
    """Return the worker's process."""
    children = Path(f"/proc/{master}/task/{master}/children")
    return int(children.read_text(encoding="utf-8").split()[0])


def connect(server: subprocess.Popen[bytes], port: int) -> http.client.HTTPConnection:
    """Connect to nginx as soon as it answers, when all memory is taken that it takes at first.

    Raises:
        ConnectionError: it does not.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while True:
        try:
            connection.request("GET", "/pub")
            connection.getresponse().read()
        except ConnectionRefusedError:
            if server.poll() is not None:
                raise
            connection.close()
            time.sleep(0.01)
        else:
            return connection


def publish(connection: http.client.HTTPConnection, hz: float, seconds: float) -> int:
    """Post a message at each moment; return how many."""
    ticks = 0
    for due in moments(hz, seconds):
        time.sleep(max(0.0, due - time.monotonic()))
        connection.request("POST", "/pub", payload(time.monotonic_ns()))
        connection.getresponse().read()
        ticks += 1
    return ticks


def main() -> None:
    """Run nginx and publish as told until the input ends."""
    port, (servers, others) = int(sys.argv[1]), processors()
    with tempfile.TemporaryDirectory() as folder:
        with on_processor(servers):
            server = start(module() or Path(MODULE), port, folder)
        os.sched_setaffinity(0, {others})
        try:
            connection = connect(server, port)
            announce(port, server.pid, worker(server.pid))
            for line in sys.stdin:
                _, hz, seconds = line.split()
                say({"ticks": publish(connection, float(hz), float(seconds)), "pause_ms": None})
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
