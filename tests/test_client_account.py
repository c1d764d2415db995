"""The Python client on a bad way: all has come, once and in order, or was declared.

What was published is known to the ledger, independently of the product.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from typing import Any, cast

import pytest

from app.client import Status, Want
from app.core.broadcaster import Broadcaster
from app.settings import Settings
from schema.fields import GapReason
from tests.fence import SSE, WEBSOCKET, Fence, fence
from tests.ledger import TICK_MS, Account, Ledger
from tests.reading import Reader, reading
from tests.relay import Relay, relaying
from tests.serving import DrivenHub, driven_hub, serving
from tests.synthetic import SyntheticSource
from tests.test_hopping import Phoenix

THOROUGH = os.environ.get("PULSEWIRE_TESTS") == "thorough"
SEEDS = range(200 if THOROUGH else 4)
STEPS = 60 if THOROUGH else 25
TICKS = {"alpha": 1, "beta": 3}
SETTINGS = Settings(history=60)


class Journey:
    """A server that restarts, a way that breaks and lets pass now this and now that."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.ledger = Ledger(SETTINGS.history, padding=0)
        self.tick = 0
        self.phoenix = Phoenix(self.new_hub())

    def new_hub(self) -> DrivenHub:
        self.tick = 0
        sources = [SyntheticSource(channel) for channel in TICKS]
        return driven_hub(sources, SETTINGS, epoch=self.ledger.begin())

    def publish(self, count: int, hole: GapReason | None = None) -> None:
        for at in range(count):
            self.tick += 1
            self.ledger.note(self.tick, TICKS, hole if at == 0 else None)
            self.phoenix.hub.tick(self.tick, *TICKS, hole=hole if at == 0 else None)

    async def restart(self, relay: Relay) -> None:
        relay.cut()
        await self.phoenix.hub.stop()
        self.phoenix.hub = self.new_hub()
        await self.phoenix.hub.start()
        self.publish(1)

    async def step(self, reader: Reader, relay: Relay, way: Fence) -> None:
        """Do one of many things, and let time pass or none."""
        what = self.random.randrange(9)
        if what == 0:
            relay.cut()
        elif what == 1:
            way.refused = {path: 502 for path in (WEBSOCKET, SSE) if self.random.random() < 0.5}
            relay.cut()
        elif what == 2:
            await self.restart(relay)
        elif what == 3:
            reader.reading.clear()
        elif what == 4:
            self.publish(1, self.random.choice(list(GapReason)[:4]))
        elif what == 5:
            reader.advance(self.random.choice([3, 12, 31]))
        else:
            self.publish(self.random.choice([1, 1, 3, 40, 400]))
        if self.random.random() < 0.7:
            reader.reading.set()
            reader.advance(1)
        for _ in range(self.random.choice([0, 3, 30])):
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("seed", SEEDS)
async def test_all_has_come_once_and_in_order_or_was_declared(seed: int) -> None:
    """Whatever happened on the way."""
    journey = Journey(seed)
    wants = {channel: Want(ticks * TICK_MS) for channel, ticks in TICKS.items()}
    hub = cast("Broadcaster", journey.phoenix)
    async with serving(hub, SETTINGS) as served, relaying(served.port) as relay:
        way = fence(served)
        async with reading(relay.url, wants) as reader:
            journey.publish(1)
            for _ in range(STEPS):
                await journey.step(reader, relay, way)
            way.tear_down()
            reader.reading.set()
            journey.publish(max(TICKS.values()))
            await reader.until(lambda: arrived(reader, journey))
    assert set(reader.transports) <= {"websocket", "sse", "longpoll"}
    assert reader.client.state.status is Status.CLOSED
    judge(reader, journey.ledger)


def arrived(reader: Reader, journey: Journey) -> bool:
    reader.advance(0.05)
    newest = {message.TAG or getattr(message, "channel", ""): message for message in reader.data}
    due = {
        channel: journey.ledger.due(channel, ticks, (-1, 0), journey.ledger.end)[-1]
        for channel, ticks in TICKS.items()
    }
    return all(
        channel in newest
        and journey.ledger.place(str(newest[channel].cursor)) >= due[channel].place
        for channel in TICKS
    )


def judge(reader: Reader, ledger: Ledger) -> None:
    """Hold all that came against what was published."""
    accounts = {name: Account(ledger, name, ticks) for name, ticks in TICKS.items()}
    for message, text in zip(reader.messages, reader.texts, strict=True):
        body: dict[str, Any] = json.loads(text)
        if body["type"] == "gap":
            low, high = ledger.place(body["from"]), ledger.place(body["to"])
            accounts[body["channel"]].gaps.append((low, high))
        elif body["type"] in accounts:
            account = accounts[body["type"]]
            place = ledger.place(body["cursor"])
            assert account.at is None or place > account.at, f"{message} came twice, or too late"
            ledger.check(body["type"], account.ticks, text, body)
            account.deliver(place)
    assert all(account.complete for account in accounts.values())
