"""An engine on a real socket, and the watch over its containers, whatever the engine does."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.source import SourceUnavailableError, Window
from app.settings import Settings
from app.sources.containers import ContainersSample, ContainersSource
from app.sources.engines import watch
from app.sources.engines.engine import DOCKER_SOCKET, PODMAN_SOCKET, sockets
from app.sources.engines.watch import REFRESH_S
from schema.fields import Detail
from tests.fake_engine import CORES, FakeEngine, fake_engine
from tests.serving import serving

PATIENCE_S = 10
NOBODY = 65534
PODMAN = {"ApiVersion": "1.41", "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]}


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    """Run an engine without containers."""
    with fake_engine() as running:
        yield running


@pytest.fixture
def source(engine: FakeEngine) -> Iterator[ContainersSource]:
    """Look at that engine."""
    looking = ContainersSource(engine.path)
    yield looking
    looking.rest()


def until(condition: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever is waited for
    """Wait until something is true, that nobody announces, and return it."""
    patience = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < patience, "it never came true"
        time.sleep(0.01)
    return value


def shown(source: ContainersSource, *samples: ContainersSample) -> dict[str, Any]:
    """Render a window, or this moment, by the names of the containers."""
    samples = samples or (source.sample(),)
    payload = source.render(Window(samples, 1.0), Detail.FULL)
    return {item.name: item for item in payload}


def unavailable(source: ContainersSource) -> str:
    """Sample where there is nothing to, and give the reason."""
    with pytest.raises(SourceUnavailableError) as caught:
        source.sample()
    return str(caught.value)


# Where it is


def test_a_chosen_socket_is_the_only_one_that_is_tried() -> None:
    """Whatever the environment says."""
    environ = {"DOCKER_HOST": "unix:///else.sock", "XDG_RUNTIME_DIR": "/run/user/1000"}
    assert sockets(Path("/mine.sock"), environ) == [Path("/mine.sock")]


def test_without_one_the_usual_places_are_tried() -> None:
    """Those of the machine, and those of a user's own engine; DOCKER_HOST before all."""
    assert sockets(None, {}) == [DOCKER_SOCKET, PODMAN_SOCKET]
    assert sockets(None, {"DOCKER_HOST": "tcp://10.0.0.1:2375"}) == [DOCKER_SOCKET, PODMAN_SOCKET]
    environ = {"DOCKER_HOST": "unix:///else.sock", "XDG_RUNTIME_DIR": "/run/user/1000"}
    assert sockets(None, environ) == [
        Path("/else.sock"),
        DOCKER_SOCKET,
        PODMAN_SOCKET,
        Path("/run/user/1000/docker.sock"),
        Path("/run/user/1000/podman/podman.sock"),
    ]


def test_the_first_that_answers_is_taken(engine: FakeEngine, tmp_path: Path) -> None:
    """A socket without an engine is passed over."""
    engine.add("web")
    own = engine.path.parent / "podman"
    own.mkdir()
    os.link(engine.path, own / "podman.sock")
    (engine.path.parent / "docker.sock").touch()
    environ = {"XDG_RUNTIME_DIR": str(engine.path.parent), "DOCKER_HOST": f"unix://{tmp_path}/no"}
    source = ContainersSource(environ=environ)
    try:
        assert list(shown(source)) == ["web"]
    finally:
        source.rest()


# When there is none


def test_a_missing_socket_is_named(tmp_path: Path) -> None:
    """With the system's own words."""
    source = ContainersSource(tmp_path / "none.sock")
    assert unavailable(source) == (
        f"no container engine; {tmp_path}/none.sock: No such file or directory"
    )


def test_all_that_were_tried_are_named(tmp_path: Path) -> None:
    """So that it is plain where an engine is looked for."""
    environ = {"DOCKER_HOST": f"unix://{tmp_path}/a", "XDG_RUNTIME_DIR": str(tmp_path)}
    reason = unavailable(ContainersSource(environ=environ))
    assert reason.count("No such file or directory") == 1
    for path in sockets(None, environ):
        assert str(path) in reason


def test_a_socket_that_may_not_be_opened_is_named(engine: FakeEngine) -> None:
    """The commonest case: the server is not in the group docker."""
    engine.path.chmod(0)
    user = os.geteuid()
    with contextlib.suppress(PermissionError):
        os.seteuid(NOBODY)  # for root may open anything
    try:
        assert "Permission denied" in unavailable(ContainersSource(engine.path))
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("name", ["/version", "/info"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, b'"hello"'), "what answers is no container engine"),
        ((200, b"{}"), "what answers is no container engine"),
        ((200, b""), "what answers is no container engine"),
        ((200, b"<html>"), "its answer is no JSON"),
        ((404, b"not here"), "it answers with HTTP 404"),
        ((500, b'{"message":"out of order"}'), "out of order"),
        ((503, b'{"message":5}'), "it answers with HTTP 503"),
    ],
)
def test_what_is_no_engine_is_told(
    engine: FakeEngine, source: ContainersSource, name: str, answer: tuple[int, bytes], reason: str
) -> None:
    """A web server on the socket, say; each answer by itself is enough."""
    engine.answers[name] = answer
    assert unavailable(source) == f"no container engine; {engine.path}: {reason}"


def test_an_engine_that_says_nothing_is_not_waited_for(
    engine: FakeEngine, source: ContainersSource
) -> None:
    """Longer than a second."""
    engine.silent.add("/version")
    began = time.monotonic()
    assert unavailable(source).endswith(": it does not answer within 1 s")
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("body", [b"{}", b"null", b"[", b""])
def test_an_engine_without_a_list_is_unavailable(
    engine: FakeEngine, source: ContainersSource, body: bytes
) -> None:
    """The reason names its socket."""
    engine.answers["/containers/json"] = 200, body
    assert unavailable(source).startswith(f"{engine.path}: its ")


def test_a_list_that_does_not_come_is_not_waited_for(
    engine: FakeEngine, source: ContainersSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the sampler is not held up."""
    monkeypatch.setattr(watch, "LIST_S", 0.05)
    engine.silent.add("/containers/json")
    assert unavailable(source) == f"{engine.path}: it lists no containers within 0.05 s"


def test_an_engine_that_comes_back_is_found_again(
    engine: FakeEngine, source: ContainersSource
) -> None:
    """After a restart, with its containers, whose counters begin anew."""
    fake = engine.add("web", cpu=1000.0)
    first = source.sample()
    engine.stop()
    assert str(engine.path) in unavailable(source)
    engine.start()
    fake.cpu, fake.at = 1.0, 5.0
    again = source.sample()
    assert shown(source, first, again)["web"].cpu is None
    engine.pass_time(1, cpu=0.25)
    assert shown(source, first, again, source.sample())["web"].cpu.cores == 0.25


async def test_a_server_without_an_engine_says_so_and_the_metrics_go_on(tmp_path: Path) -> None:
    """The reason is for whoever set it up."""
    nowhere = tmp_path / "none.sock"
    async with (
        serving(settings=Settings(container_socket=nowhere)) as served,
        httpx.AsyncClient(base_url=served.http, trust_env=False) as client,
    ):
        query = {"channels": "metrics:1000,containers:1000"}
        told: dict[str, Any] = {}
        while len(told) < 2:
            batch = (await client.get("/api/poll", params=query)).json()
            told |= {body["type"]: body for body in batch["messages"]}
            query["since"] = batch["cursor"]
    assert set(told) == {"metrics", "error"}
    error = told["error"]
    assert (error["code"], error["channel"]) == ("CHANNEL_UNAVAILABLE", "containers")
    assert str(nowhere) in error["message"]


# What it is asked


def test_one_that_runs_is_asked_every_time_and_the_list_only_when_there_is_news(
    engine: FakeEngine, source: ContainersSource
) -> None:
    """And for its settings once."""
    running = engine.add("runs")
    engine.add("sleeps", state="exited", status="Exited (0) 2 hours ago")
    source.sample()
    until(lambda: engine.listeners)
    source.sample()
    engine.asked.clear()
    for _ in range(5):
        source.sample()
    assert engine.asked == [f"/containers/{running.identity}/stats"] * 5


def test_the_list_is_asked_for_now_and_then(engine: FakeEngine) -> None:
    """Its texts, such as "Up 2 hours", grow old without an event."""
    fake, ahead = engine.add("web"), 0.0
    source = ContainersSource(engine.path, clock=lambda: time.monotonic() + ahead)
    try:
        source.sample()
        until(lambda: engine.listeners)
        source.sample()
        fake.status = "Up 3 hours"
        assert shown(source)["web"].status == "Up 2 hours"
        ahead = REFRESH_S
        assert shown(source)["web"].status == "Up 3 hours"
    finally:
        source.rest()


def test_events_tell_what_has_changed(engine: FakeEngine, source: ContainersSource) -> None:
    """A new one, new limits, another health, and the end."""
    web = engine.add("web", nano_cpus=500_000_000)
    source.sample()
    until(lambda: engine.listeners)
    first = source.sample()

    engine.add("db")
    engine.emit("create", engine.add("db"))
    until(lambda: "db" in shown(source))

    web.nano_cpus = 250_000_000
    engine.emit("update", web)
    engine.pass_time(1, cpu=0.1)
    until(lambda: shown(source, first, source.sample())["web"].cpu.limit_cores == 0.25)

    web.health = "unhealthy"
    engine.emit("health_status: unhealthy", web)
    until(lambda: shown(source)["web"].health == "unhealthy")

    del engine.fakes[web.identity]
    engine.emit("destroy", web)
    until(lambda: "web" not in shown(source))


def test_what_is_done_inside_of_a_container_is_no_news(
    engine: FakeEngine, source: ContainersSource
) -> None:
    """Each health check is such an event, and so is nonsense."""
    web = engine.add("web")
    source.sample()
    until(lambda: engine.listeners)
    source.sample()
    engine.asked.clear()
    engine.emit("exec_create: pg_isready", web)
    for line in ['{"Action":5}', "[]", ""]:
        engine.say(line)
    # Heard when the one after them is.
    engine.say('{"Action":"start","Actor":5}')
    until(lambda: shown(source) and engine.asked_for("/containers/json"))
    assert engine.asked_for("/containers/json") == 1


def test_a_broken_event_ends_the_listening_which_begins_anew(
    engine: FakeEngine, source: ContainersSource
) -> None:
    """What it said meanwhile is in the list."""
    source.sample()
    until(lambda: engine.listeners)
    engine.say("{broken")
    engine.add("web")
    until(lambda: "web" in shown(source) and engine.asked_for("/events") > 1)


def test_without_events_the_list_is_asked_for_every_time(
    engine: FakeEngine, source: ContainersSource
) -> None:
    """Podman can be set to keep none."""
    engine.answers["/events"] = 500, b'{"message":"no events here"}'
    source.sample()
    engine.add("web")
    until(lambda: "web" in shown(source))
    assert engine.asked_for("/containers/json") > 1


def test_rest_closes_all_connections_and_the_next_sample_opens_them(
    engine: FakeEngine, source: ContainersSource
) -> None:
    """Nothing is left to the engine while nobody asks; a second rest does nothing."""
    engine.add("web")
    source.sample()
    assert engine.connections
    source.rest()
    until(lambda: not engine.connections)
    source.rest()
    assert list(shown(source)) == ["web"]


# When it is slow, or wrong


def all_measured(items: dict[str, Any]) -> dict[str, Any] | None:
    """Return them if all have been measured twice."""
    return items if all(item.cpu for item in items.values()) else None


def test_one_that_hangs_does_not_delay_the_others(
    engine: FakeEngine, source: ContainersSource
) -> None:
    """Sixty are there within a second, it keeps its last figures, and is waited for once only."""
    for number in range(59):
        engine.add(f"shop-{number}", delay=0.01)
    hung = engine.add("hung", delay=0.01)
    samples = [source.sample()]
    engine.pass_time(1, cpu=0.5)
    samples.append(source.sample())
    hung.hangs = True
    engine.pass_time(1, cpu=0.25)

    began = time.monotonic()
    samples.append(source.sample())
    assert time.monotonic() - began < 1
    items = shown(source, *samples[1:])
    assert {item.cpu.cores for name, item in items.items() if name != "hung"} == {0.25}
    assert items["hung"].cpu.cores == 0.5
    assert items["hung"].age_ms >= 900
    until(lambda: shown(source)["hung"].error == "no answer within 900 ms")

    engine.pass_time(1, cpu=0.25)
    began = time.monotonic()
    samples.append(source.sample())
    assert time.monotonic() - began < 0.6
    assert shown(source, *samples[2:])["shop-58"].cpu.cores == 0.25

    hung.hangs = False
    healed = until(lambda: (item := shown(source)["hung"]) and item.error is None and item)
    assert healed.age_ms < 900
    assert 6 <= engine.most <= 8


def test_many_that_hang_leave_the_others_their_places(
    engine: FakeEngine, source: ContainersSource
) -> None:
    """Only the first look is held up by them."""
    for number in range(12):
        engine.add(f"hung-{number}", hangs=True)
    engine.add("well")
    source.sample()
    until(lambda: shown(source)["well"].memory)
    until(lambda: all(item.error for name, item in shown(source).items() if name != "well"))
    began = time.monotonic()
    assert shown(source)["well"].age_ms < 300
    assert time.monotonic() - began < 0.6
    assert engine.most <= 8


def test_a_slow_engine_is_not_waited_for_twice(
    engine: FakeEngine, source: ContainersSource
) -> None:
    """What a look did not see comes with a later one."""
    fakes = [engine.add(f"shop-{number:02}", delay=0.28) for number in range(24)]
    source.sample()
    began = time.monotonic()
    source.sample()
    assert time.monotonic() - began < 0.5
    until(lambda: all(item.memory for item in shown(source).values()))
    for fake in fakes:
        fake.delay = 0.0


def test_an_old_engine_is_not_waited_for(engine: FakeEngine, source: ContainersSource) -> None:
    """Before Docker 25 an answer may take a second; it is there at the next look."""
    engine.version["ApiVersion"] = "1.41"
    fakes = [engine.add(f"shop-{number}", delay=0.5) for number in range(20)]
    samples = [source.sample()]
    engine.pass_time(1, cpu=0.5)
    began = time.monotonic()
    samples.append(source.sample())
    assert time.monotonic() - began < 0.4
    items = until(lambda: all_measured(shown(source, samples[0], source.sample())))
    assert {item.cpu.cores for item in items.values()} == {0.5}
    assert engine.most == len(fakes)  # all are asked together


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((200, b""), "the engine has no figures of it"),
        ((200, b'{"name":"/web"}'), "the engine has no figures of it"),
        ((200, b"[1]"), "the engine has no figures of it"),
        ((200, b'{"read":'), "its answer is no JSON"),
        ((500, b'{"message":"cgroups: cgroup deleted"}'), "cgroups: cgroup deleted"),
        ((418, b""), "it answers with HTTP 418"),
    ],
)
def test_a_wrong_answer_is_an_error_of_that_container_alone(
    engine: FakeEngine, source: ContainersSource, answer: tuple[int, bytes], error: str
) -> None:
    """It keeps the figures that it had."""
    web = engine.add("web")
    engine.add("db")
    source.sample()
    web.answer = answer
    items = shown(source)
    assert (items["web"].error, items["db"].error) == (error, None)
    assert items["web"].memory == items["db"].memory
    web.answer = None
    assert shown(source)["web"].error is None


def test_one_that_has_just_gone_is_no_error(engine: FakeEngine, source: ContainersSource) -> None:
    """The list that tells of it comes later."""
    web = engine.add("web")
    source.sample()
    until(lambda: engine.listeners)
    source.sample()
    del engine.fakes[web.identity]
    assert shown(source)["web"].error is None
    assert shown(source) == {}


def test_one_that_goes_while_it_hangs_is_let_go(
    engine: FakeEngine, source: ContainersSource
) -> None:
    """Nothing waits for it any more."""
    web = engine.add("web", hangs=True)
    source.sample()
    source.sample()
    until(lambda: engine.listeners)
    del engine.fakes[web.identity]
    engine.emit("destroy", web)
    until(lambda: shown(source) == {})
    until(lambda: engine.calls == 0)


def test_settings_that_cannot_be_read_are_asked_for_again(
    engine: FakeEngine, source: ContainersSource
) -> None:
    """And the error is told until they are there."""
    web = engine.add("web", network="host")
    path = f"/containers/{web.identity}/json"
    engine.answers[path] = 500, b'{"message":"no"}'
    assert shown(source)["web"].error == "no"
    del engine.answers[path]
    item = shown(source)["web"]
    assert (item.error, item.network) == (None, None)


# What its figures become


def test_a_restart_gives_no_rate_for_a_moment_and_never_a_spike(
    engine: FakeEngine, source: ContainersSource
) -> None:
    """Also if the new counters have overtaken the old ones."""
    web = engine.add("web", cpu=0.2)
    source.sample()
    until(lambda: engine.listeners)
    samples = [source.sample()]
    web.at, web.cpu = 1.0, 0.7
    engine.emit("start", web)
    item = until(
        lambda: (
            (item := shown(source, *samples, source.sample())["web"]).memory
            and item.cpu is None
            and item
        )
    )
    assert item.network.rx_bytes_per_sec is None
    engine.pass_time(1, cpu=0.5)
    assert shown(source, *samples, source.sample())["web"].cpu.cores == 0.5


def test_rates_are_over_the_engines_own_time(engine: FakeEngine, source: ContainersSource) -> None:
    """Not over that of the answers, which may be late."""
    web = engine.add("web")
    samples = [source.sample()]
    web.delay = 0.2
    engine.pass_time(4, cpu=2.0)
    web.received, web.sent = 4000, 400
    item = shown(source, *samples, source.sample())["web"]
    assert (item.cpu.cores, item.cpu.usage, item.cpu.docker_percent) == (0.5, 50 / CORES, 50.0)
    assert (item.network.rx_bytes_per_sec, item.network.tx_bytes_per_sec) == (2000.0, 100.0)


def test_podman_is_told_apart_and_asked_the_same(
    engine: FakeEngine, source: ContainersSource
) -> None:
    """Its API may be old, and it answers at once all the same."""
    engine.version = PODMAN
    web = engine.add("web")
    stats = {
        "read": "2026-11-22T20:35:00.000000789Z",
        "preread": "0001-01-01T00:00:00Z",
        "cpu_stats": {"cpu_usage": {"total_usage": 10**9}, "system_cpu_usage": 5, "cpu": 0},
        "memory_stats": {"usage": 2**25, "limit": 2**63},
        "networks": {"network": {"rx_bytes": 0, "tx_bytes": 0}},
        "Id": web.identity,
    }
    samples = []
    for second in range(2):
        stats["read"] = f"2026-11-22T20:35:0{second}.000000789Z"
        stats["cpu_stats"] = {"cpu_usage": {"total_usage": 10**9 * (1 + second)}}
        web.answer = 200, json.dumps(stats).encode()
        samples.append(source.sample())
    item = shown(source, *samples)["web"]
    assert (item.engine, item.cpu.cores, item.memory.used) == ("podman", 1.0, 2**25)
    assert item.memory.limit is None


def test_the_same_objects_tell_that_nothing_is_new(
    engine: FakeEngine, source: ContainersSource
) -> None:
    """The log keeps a quarter of an hour of samples."""
    fake = engine.add("sleeps", state="exited")
    samples = [source.sample(), source.sample()]
    first, second = (sample.containers[fake.identity] for sample in samples)
    assert first is second


def test_an_engine_is_asked_over_its_socket_alone(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever proxies the environment has."""
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert stat.S_ISSOCK(engine.path.stat().st_mode)
    source = ContainersSource(engine.path)
    try:
        assert shown(source) == {}
    finally:
        source.rest()
