"""What is measured: each row's server, how its clients speak, and what it needs to be there."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from benchmarks.machine import node_package
from benchmarks.servers import nchan

SERVERS = Path(__file__).parent / "servers"
MESSAGES_PER_S = 20_000


@frozen
class Load:
    """So many clients, each of which gets so many messages a second, for so long."""

    clients: int
    hz: float
    seconds: float


@frozen
class Row:
    """One server with one kind of client.

    ``missing`` says what is not installed, "" if all is there. ``pins_itself`` is for a server
    that must not be on the servers' processor with all its processes.
    """

    name: str
    title: str
    dialect: str
    command: tuple[str | Path, ...]
    missing: Callable[[], str] = str
    pins_itself: bool = False

    @property
    def polls(self) -> bool:
        """Whether its clients ask anew for each message."""
        return self.dialect.endswith("poll")


def python(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command of a module, without the port and what follows it."""
    return (sys.executable, "-m", f"benchmarks.servers.{module}", "{port}", *arguments)


def node(script: str) -> tuple[str | Path, ...]:
    """Return the command of a script for Node."""
    return ("node", SERVERS / "node" / script, "{port}")


def _node_lacks(package: str) -> Callable[[], str]:
    def missing() -> str:
        if not shutil.which("node"):
            return "Node.js is not installed"
        if not package or node_package(package):
            return ""
        return f"`{package}` is in no folder of NODE_PATH: npm install {package}"

    return missing


def _python_lacks(module: str, package: str) -> Callable[[], str]:
    def missing() -> str:
        found = importlib.util.find_spec(module)
        return "" if found else f"`{package}` is not installed: pip install {package}"

    return missing


def _nchan_lacks() -> str:
    return "" if nchan.module() else "not installed: apt-get install nginx libnginx-mod-nchan"


ROWS = (
    Row("ws-direct", "Pulsewire WebSocket, direct", "ws", python("pulsewire", "direct")),
    Row("sse-direct", "Pulsewire SSE, direct", "sse", python("pulsewire", "direct")),
    Row("ws-ordinary", "Pulsewire WebSocket, ordinary", "ws", python("pulsewire", "ordinary")),
    Row("sse-ordinary", "Pulsewire SSE, ordinary", "sse", python("pulsewire", "ordinary")),
    Row("poll", "Pulsewire long-poll", "poll", python("pulsewire", "direct")),
    Row("starlette-ws", "Starlette, `send_text` in a loop", "plain-ws", python("starlette_ws")),
    Row(
        "starlette-poll",
        "Starlette, polls that wait for a future",
        "plain-poll",
        python("starlette_poll"),
    ),
    Row("sse-starlette", "sse-starlette, queues", "plain-sse", python("sse_library")),
    Row("node-ws", "Node `ws`", "plain-ws", node("ws.cjs"), _node_lacks("ws")),
    Row("node-sse", "Node SSE", "plain-sse", node("sse.cjs"), _node_lacks("")),
    Row("socketio", "socket.io", "socketio", node("socketio.cjs"), _node_lacks("socket.io")),
    Row(
        "python-socketio",
        "python-socketio",
        "socketio",
        python("python_socketio"),
        _python_lacks("socketio", "python-socketio"),
    ),
    *(
        Row(name, title, name, python("nchan"), _nchan_lacks, pins_itself=True)
        for name, title in (
            ("nchan-ws", "nchan WebSocket"),
            ("nchan-sse", "nchan EventSource"),
            ("nchan-poll", "nchan long-poll"),
        )
    ),
)

PYTHON_FLOOR = Row("floor", "`socket.send` in a loop", "raw", python("floor"))


def c_floor(folder: str) -> Row | None:
    """Compile the floor in C into a folder; None where there is no compiler."""
    if not shutil.which("cc"):
        return None
    program = Path(folder) / "floor"
    subprocess.run(["cc", "-O2", "-o", program, SERVERS / "floor.c"], check=True)
    return Row("floor-c", "`send` in a loop, in C", "raw", (program, "{port}"))
