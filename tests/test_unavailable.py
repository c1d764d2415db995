"""A channel without anything to say: an error among the messages, and the others go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.core.sampler import Report, State
from schema.fields import GapReason
from tests.clients import Want
from tests.synthetic import SyntheticSource

if TYPE_CHECKING:  # pytest wants to be the first to import a plugin
    from tests.stage import Opener, Stage

pytest_plugins = ["tests.stage"]

BOTH = (Want("alpha", 1000), Want("beta", 1000))


def turn(at: Stage, channel: str, state: State, error: str | None = None) -> None:
    """Let a sampler report a tick without a sample."""
    sampler = at.hub.samplers[channel]
    sampler.state, sampler.error = state, error
    at.hub._publisher._report(sampler, Report(99))


async def test_who_subscribes_is_told_and_gets_the_rest(stage: Opener, wire: str) -> None:
    """Once, with the channel's name and the reason; it begins when the source does."""
    async with stage("alpha", "beta") as at:
        turn(at, "beta", State.UNAVAILABLE, "no engine")
        at.hub.tick(1, "alpha")
        client = await at.join(wire, *BOTH)
        told = {m.kind: m.body for m in await client.news(2)}
        assert told["error"]["code"] == "CHANNEL_UNAVAILABLE"
        assert (told["error"]["channel"], told["error"]["message"]) == ("beta", "no engine")
        assert told["alpha"]["cursor"] == at.cursor(1)
        assert client.resumes["beta"]["reason"] in {"first", "ok"}
        at.hub.tick(2, "alpha")
        assert [m.kind for m in await client.news()] == ["alpha"]
        turn(at, "beta", State.OK)
        at.hub.tick(3, "beta")
        assert [m.kind for m in await client.news()] == ["beta"]


async def test_who_is_there_is_told_when_it_is_lost_and_when_it_is_back(
    stage: Opener, wire: str
) -> None:
    """Once; and what was not published in between is a gap."""
    async with stage("alpha", "beta") as at:
        at.tick(1)
        client = await at.join(wire, *BOTH)
        await client.news(2)
        if wire == "longpoll":
            await at.settled(client)
        turn(at, "beta", State.UNAVAILABLE, "no engine")
        turn(at, "beta", State.UNAVAILABLE, "no engine")
        assert [m.kind for m in await client.news()] == ["error"]
        at.hub.tick(2, "alpha")
        assert [m.kind for m in await client.news()] == ["alpha"]
        turn(at, "beta", State.OK)
        at.hub.tick(3, "beta", hole=GapReason.SOURCE)
        assert [m.kind for m in await client.news(2)] == ["gap", "beta"]


async def test_a_poller_is_not_told_again_and_again(stage: Opener) -> None:
    """Or it would be answered at once, each time it asks."""
    async with stage("alpha", "beta") as at:
        turn(at, "beta", State.UNAVAILABLE, "no engine")
        at.hub.tick(1, "alpha")
        client = await at.join("longpoll", *BOTH)
        await client.news(2)
        await at.settled(client)
        assert at.hub.clients()["longpoll"] == 1


@pytest.mark.parametrize("alone", [True, False])
async def test_a_real_source_that_comes_late_is_served_when_it_comes(
    stage: Opener, wire: str, *, alone: bool
) -> None:
    """With samplers that run by the clock."""
    beta = SyntheticSource("beta")
    beta.vanish("no engine")
    async with stage(sources=[SyntheticSource("alpha"), beta], live=True, tick=100) as at:
        await at.until(lambda: at.hub.unavailable("beta") is not None and at.hub.log.head > 0)
        client = await at.join(wire, *BOTH[alone:])
        assert "error" in {m.kind for m in await client.news(1 if alone else 2)}
        beta.failure = None
        (*_, first) = await client.until("beta")
        assert first.body["data"]["value"] > 0
        codes = [m.body["code"] for m in client.received if m.kind == "error"]
        assert codes == ["CHANNEL_UNAVAILABLE"]
