"""The machine: which processor is whose, and what a table should say about where it was made."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

NODE_PACKAGES = ("ws", "socket.io")
PACKAGES = ("uvicorn", "starlette", "sse-starlette", "httptools", "websockets", "python-socketio")


def processors() -> tuple[int, int]:
    """Return the processor of the servers, and that of everything else.

    Raises:
        RuntimeError: there is but one, and a reader on it would be in the server's way.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) == 1:
        raise RuntimeError("two processors are needed: one for the server, one for its readers")
    return allowed[0], allowed[1]


@contextlib.contextmanager
def on_processor(number: int) -> Iterator[None]:
    """Let the processes that are started inside run on one processor, with all their threads."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {number})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_descriptor_limit() -> None:
    """Let this process and its children hold as many connections as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def nginx() -> str | None:
    """Find nginx, which Debian has where only root looks."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def node_package(name: str) -> Path | None:
    """Find a package for Node in the folders of NODE_PATH."""
    folders = os.environ.get("NODE_PATH", "").split(os.pathsep)
    found = (Path(folder) / name for folder in folders if folder)
    return next((folder for folder in found if folder.is_dir()), None)


def describe() -> list[str]:
    """Return lines about the machine, the date and the versions of what was measured."""
    return [
        f"{time.strftime('%Y-%m-%d %H:%M')}, load {os.getloadavg()[0]:.1f} before the start",
        f"{_processor()}, {os.cpu_count()} processors, Linux {platform.release()}",
        f"Python {platform.python_version()}, " + ", ".join(filter(None, map(_package, PACKAGES))),
        ", ".join(filter(None, (_node(), *map(_node_package, NODE_PACKAGES), _nginx()))),
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _package(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return ""


def _node() -> str:
    return f"Node {_first_line('node', '--version')}" if shutil.which("node") else ""


def _node_package(name: str) -> str:
    folder = node_package(name)
    if folder is None:
        return ""
    about = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    return f"{name} {about['version']}"


def _nginx() -> str:
    program = nginx()
    return _first_line(program, "-v").rpartition(" ")[2] if program else ""


def _first_line(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).partition("\n")[0]
