"""Every channel with its real source: on all transports and servers, the same to the letter."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import attrs
import orjson
import pytest
from jsonschema import Draft202012Validator

from app.core.source import Source
from app.factory import create_hub
from app.settings import Settings
from app.sources.containers import ContainersSource
from app.sources.host import HostSource
from app.sources.processes import ProcessSource
from schema.documentation import camel
from schema.metrics import Full
from tests.clientbase import http_client
from tests.clients import WIRES, Client, Want, connect
from tests.fake_engine import FakeEngine, fake_engine
from tests.serving import SERVERS, TLS_SERVERS, Served, serving

CHANNELS = ("metrics", "containers", "processes")
PATIENCE_S = 20


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    with fake_engine() as fake:
        fake.add("web", pace=1.0)
        yield fake


@contextlib.asynccontextmanager
async def joined(served: Served, wire: str) -> AsyncIterator[Client]:
    """Let a client in that wants everything, every second."""
    client = await connect(wire, served)
    await client.subscribe(*(Want(channel, 1000, "full") for channel in CHANNELS))
    try:
        yield client
    finally:
        await client.aclose()


async def told(clients: list[Client]) -> dict[str, str]:
    """Read until a message of each channel has come to all clients, the same to the letter.

    Returns:
        The newest such text of each channel.
    """
    texts: list[dict[tuple[str, int], str]] = [{} for _ in clients]
    while True:
        for client, seen in zip(clients, texts, strict=True):
            seen |= {(m.kind, m.seq): m.text for m in await client.news() if m.is_data}
        common = sorted(set.intersection(*map(set, texts)), key=lambda name: name[1])
        assert all(len({seen[name] for seen in texts}) == 1 for name in common)
        if {channel for channel, _ in common} == set(CHANNELS):
            return {channel: texts[0][channel, seq] for channel, seq in common}


@pytest.mark.parametrize("server", [*SERVERS, *TLS_SERVERS])
async def test_a_message_is_the_same_on_every_transport(server: str, engine: FakeEngine) -> None:
    """Byte for byte, in full detail, and fitting the schema that is served."""
    settings = Settings(tick=200)
    sources: list[Source] = [HostSource(), ContainersSource(engine.path), ProcessSource()]
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(PATIENCE_S):
        hub = create_hub(settings, sources)
        served = await stack.enter_async_context(serving(hub, settings, server))
        clients = [await stack.enter_async_context(joined(served, wire)) for wire in WIRES]
        texts = await told(clients)
        async with http_client(served) as http:
            schema = (await http.get("/api/schema")).json()
    bodies: dict[str, Any] = {channel: orjson.loads(text) for channel, text in texts.items()}
    for body in bodies.values():
        Draft202012Validator(schema).validate(body)
    host = bodies["metrics"]["data"]
    assert list(host) == [camel(field.name) for field in attrs.fields(Full)]
    assert host["self"]["clients"] >= 2  # and a poll, if it waits just then
    assert host["self"]["dropped"] == 0
    assert len(host["cpu"]["perCore"]) >= host["cpu"]["cores"]
    (container,) = bodies["containers"]["data"]
    assert (container["name"], container["cpu"]["cores"]) == ("web", 0.5)
    assert bodies["processes"]["data"]["total"] > 1
