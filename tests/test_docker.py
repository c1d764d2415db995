"""The containers source against a real Docker engine, whose figures the kernel's own files confirm.

The engine is the test's own: its socket, its data, its cgroups; nothing of it is left behind. It
has no network, since that would take the machine's.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from attrs import define

from app.core.source import Window
from app.settings import Settings
from app.sources.containers import ContainersSample, ContainersSource
from schema.fields import Detail
from tests.serving import serving

pytestmark = [pytest.mark.external("dockerd"), pytest.mark.external("busybox")]

PATIENCE_S = 20
CAP = 0.5
LIMIT = 64 * 2**20
CGROUPS = Path("/sys/fs/cgroup")
PARENT = f"pulsewire-test-{os.getpid()}"
LISTENS = "API listen on"
PROCESSORS = psutil.cpu_count() or 1
BURN = "while :; do :; done"
HOLD = "dd if=/dev/zero of=/dev/shm/x bs=1M count=24; while :; do sleep 100; done"


def until(condition: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever is waited for
    """Wait until something is true, that nobody announces, and return it."""
    patience = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < patience, "it never came true"
        time.sleep(0.05)
    return value


@define(eq=False)
class Docker:
    """The engine, by its API."""

    socket: Path
    api: httpx.Client

    def do(self, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401
        """Ask for something that must succeed."""
        response = self.api.request(method, path, **options)
        assert response.is_success, response.text
        return response

    def run(self, name: str, script: str, **settings: object) -> str:
        """Start a container and return its identity."""
        host = {"NetworkMode": "none", **settings}
        cmd = ["/bin/busybox", "sh", "-c", script]
        body = {"Image": "local/busybox:1", "Cmd": cmd, "HostConfig": host}
        created = self.do("POST", "/containers/create", params={"name": name}, json=body)
        identity = str(created.json()["Id"])
        self.act(name, "start")
        return identity

    def act(self, name: str, action: str) -> None:
        """Do something to a container."""
        self.do("POST", f"/containers/{name}/{action}", params={"t": "0"})

    def remove(self, name: str) -> None:
        """Kill a container and forget it."""
        self.do("DELETE", f"/containers/{name}", params={"force": "1"})


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    """Run an engine, with an image that holds nothing but busybox."""
    with tempfile.TemporaryDirectory(prefix="pulse") as folder:
        here = Path(folder)
        command = ["dockerd", f"--host=unix://{here}/d.sock", f"--cgroup-parent=/{PARENT}"]
        command += [f"--data-root={here}/data", f"--exec-root={here}/exec"]
        command += [f"--pidfile={here}/pid", "--iptables=false", "--bridge=none"]
        log = here / "log"
        with log.open("wb") as file:
            daemon = subprocess.Popen(command, stdout=file, stderr=file)
        transport = httpx.HTTPTransport(uds=f"{here}/d.sock")
        try:
            with httpx.Client(base_url="http://d", transport=transport, timeout=PATIENCE_S) as api:
                until(lambda: daemon.poll() is not None or LISTENS in log.read_text())
                assert daemon.poll() is None, log.read_text()
                headers = {"content-type": "application/x-tar"}
                query = {"fromSrc": "-", "repo": "local/busybox", "tag": "1"}
                engine = Docker(here / "d.sock", api)
                engine.do("POST", "/images/create", params=query, content=image(), headers=headers)
                yield engine
                for entry in engine.do("GET", "/containers/json?all=1").json():
                    engine.remove(entry["Id"])
        finally:
            daemon.terminate()
            daemon.wait(PATIENCE_S)
            for left in CGROUPS.glob(f"*/{PARENT}"):
                left.rmdir()


def image() -> bytes:
    """Pack a file system with one program in it."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        tar.add(str(shutil.which("busybox")), "bin/busybox")
    return content.getvalue()


@pytest.fixture
def source(docker: Docker) -> Iterator[ContainersSource]:
    """Look at the engine's containers."""
    looking = ContainersSource(docker.socket)
    yield looking
    looking.rest()


def shown(source: ContainersSource, name: str, *samples: ContainersSample) -> Any:  # noqa: ANN401
    """Render one container of a window, or of this moment; None if there is none of that name."""
    samples = samples or (source.sample(),)
    payload = source.render(Window(samples, 1.0), Detail.FULL)
    found = [item for item in payload if item.name == name]
    return found[0] if found else None


def cgroup(controller: str, identity: str, file: str) -> str:
    """Read what the kernel says of a container."""
    return (CGROUPS / controller / PARENT / identity / file).read_text(encoding="ascii")


def test_processor_time_is_what_the_cap_allows_and_the_kernel_counts(
    docker: Docker, source: ContainersSource
) -> None:
    """Over some seconds; the engine itself would need two of them for one figure."""
    identity = docker.run("burns", BURN, NanoCpus=round(CAP * 1e9))
    # Whoever else is busy on this machine must not keep it from its cap.
    (CGROUPS / "cpu" / PARENT / "cpu.shares").write_text("262144", encoding="ascii")
    until(lambda: (item := shown(source, "burns")) and item.memory)
    samples, kernels = [], []
    for _ in range(5):
        samples.append(source.sample())
        end = time.monotonic() + 1
        while time.monotonic() < end:
            kernels.append((time.time(), read_cpu(identity)))
            time.sleep(0.01)
    item = shown(source, "burns", *samples)
    docker.remove("burns")
    looks = [sample.containers[identity].counted for sample in samples]
    reads = [counted.counters.read / 1e6 for counted in looks if counted]
    (began, least), *_, (ended, most) = [at for at in kernels if reads[0] <= at[0] <= reads[-1]]
    assert ended - began > 2
    assert item.cpu.cores == pytest.approx((most - least) / (ended - began), rel=0.03)
    assert item.cpu.cores == pytest.approx(CAP, rel=0.1)
    assert item.cpu.docker_percent == pytest.approx(100 * item.cpu.cores, abs=0.01)
    assert item.cpu.usage == pytest.approx(100 * item.cpu.cores / PROCESSORS, abs=0.01)
    assert item.cpu.limit_cores == CAP
    assert item.cpu.limit_usage == pytest.approx(min(100, 100 * item.cpu.cores / CAP), abs=0.1)
    assert item.cpu.throttled_percent > 50


def read_cpu(identity: str) -> float:
    """Seconds."""
    return int(cgroup("cpuacct", identity, "cpuacct.usage")) / 1e9


def test_memory_is_what_the_kernel_counts(docker: Docker, source: ContainersSource) -> None:
    """With all caches, and without those that nobody uses."""
    identity = docker.run("holds", HOLD, Memory=LIMIT)
    until(lambda: int(cgroup("memory", identity, "memory.usage_in_bytes")) > 24 * 2**20)
    item = until(
        lambda: (
            (item := shown(source, "holds"))
            and item.memory
            and (item.memory.used or 0) > 24 * 2**20
            and item
        )
    )
    raw = int(cgroup("memory", identity, "memory.usage_in_bytes"))
    stat = dict(line.split() for line in cgroup("memory", identity, "memory.stat").splitlines())
    docker.remove("holds")
    assert item.memory.raw == pytest.approx(raw, abs=2**20)
    assert item.memory.used == pytest.approx(raw - int(stat["total_inactive_file"]), abs=2**20)
    assert item.memory.limit == LIMIT
    assert item.memory.usage == pytest.approx(100 * item.memory.used / LIMIT, abs=0.01)
    assert item.pids >= 1
    assert item.network is None


def test_what_becomes_of_a_container_is_seen_at_once(
    docker: Docker, source: ContainersSource
) -> None:
    """By the engine's events: nobody waits for the next list."""
    docker.run("changes", BURN)
    until(lambda: (item := shown(source, "changes")) and item.memory)

    docker.act("changes", "pause")
    paused = until(lambda: (item := shown(source, "changes")) and item.state == "paused" and item)
    assert paused.error is None
    docker.act("changes", "unpause")
    until(lambda: (item := shown(source, "changes")) and item.state == "running")

    docker.act("changes", "stop")
    stopped = until(lambda: (item := shown(source, "changes")) and item.state == "exited" and item)
    measured = (stopped.cpu, stopped.memory, stopped.pids, stopped.age_ms, stopped.error)
    assert measured == (None,) * 5

    docker.act("changes", "start")
    samples = [source.sample()]

    def again() -> Any:  # noqa: ANN401
        samples.append(source.sample())
        return shown(source, "changes", *samples)

    assert until(lambda: (item := again()) and item.memory and item).cpu is None
    assert 0 < until(lambda: again().cpu).cores < 2 * PROCESSORS

    docker.remove("changes")
    until(lambda: shown(source, "changes") is None)


async def test_a_server_tells_of_them(docker: Docker) -> None:
    """From the engine to a client; in the engine's own words."""
    identity = docker.run("served", HOLD)
    settings = Settings(container_socket=docker.socket)
    async with (
        serving(settings=settings) as served,
        httpx.AsyncClient(base_url=served.http, trust_env=False) as client,
    ):
        query = {"channels": "containers:1000:simple"}
        batch = (await client.get("/api/poll", params=query)).json()
    ((message,), (entry,)) = batch["messages"], docker.do("GET", "/containers/json").json()
    docker.remove("served")
    assert message["data"] == [
        {
            "id": identity[:12],
            "name": "served",
            "image": "local/busybox:1",
            "state": "running",
            "status": message["data"][0]["status"],
            "ports": [],
            "created": entry["Created"],
        }
    ]
