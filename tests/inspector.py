"""What may come on one connection, or in one answer to a poll: PROTOCOL.md sections 2, 3 and 6."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field, frozen

from tests.ledger import BEFORE_ALL, TICK_MS, Account, Ledger, Place
from tests.received import Body, Message

# What a cursor may have missed at most, to be resumed; and what a reader may.
RESUMED_MESSAGES = 360
RESUMED_BYTES = 1024 * 1024
CAUGHT_UP_MESSAGES = 30
# More than a message has beside its padding.
ENVELOPE = 400


@frozen
class Ask:
    """A subscribe that was sent, and how far the log had come by then."""

    ticks: int
    since: Place | None
    head: int


@define
class Inspector:
    """Holds verdicts, gaps and messages against the ledger, and their order against the page.

    ``high`` is the place of the newest message of all channels, ``highs`` of each; ``promised``
    are the reasons of the gaps still to come, ``openings`` the channels to begin with a snapshot,
    ``resumed`` tells how far the log had come when a cursor was.
    """

    ledger: Ledger
    accounts: Mapping[str, Account]
    high: Place = BEFORE_ALL
    highs: dict[str, Place] = field(factory=dict)
    promised: dict[str, str] = field(factory=dict)
    openings: set[str] = field(factory=set)
    resumed: dict[str, Place] = field(factory=dict)

    def verdict(self, channel: str, ask: Ask, resume: Body) -> None:
        """Hold the answer to a subscribe against the table of section 3."""
        allowed = self._reasons(channel, ask, resume["missed"])
        assert resume["reason"] in allowed, f"{ask}: {resume}, not {allowed}"
        assert resume["recovered"] is (resume["reason"] == "ok")
        # Here all begins anew: recovered messages may be older than those before.
        self.high = BEFORE_ALL
        self.highs.pop(channel, None)
        self.promised.pop(channel, None)
        self.resumed.pop(channel, None)
        self.openings.discard(channel)
        if resume["recovered"] and ask.since is not None:
            self.highs[channel] = ask.since
            self.resumed[channel] = (self.ledger.life, ask.head)
        else:
            self.openings.add(channel)
        if resume["reason"] in {"epoch_changed", "too_old"}:
            self.promised[channel] = resume["reason"]

    def _reasons(self, channel: str, ask: Ask, missed: int | None) -> set[str]:
        if ask.since is None or ask.since[0] != self.ledger.life:
            assert missed is None
            return {"first" if ask.since is None else "epoch_changed"}
        # What is published while the question is on its way may count or not.
        least, most = (
            len(self.ledger.due(channel, ask.ticks, ask.since, (self.ledger.life, head + 1)))
            for head in (ask.head, self.ledger.head)
        )
        if missed is not None:
            assert least <= missed <= most
        if not self.ledger.held(channel, ask.since):
            return {"ok", "too_old"}
        assert missed is not None, "what is held can be counted"
        allowed = set()
        if least <= RESUMED_MESSAGES and least * self.ledger.padding <= RESUMED_BYTES:
            allowed.add("ok")
        if most > RESUMED_MESSAGES or most * (self.ledger.padding + ENVELOPE) > RESUMED_BYTES:
            allowed.add("too_old")
        return allowed

    def gap(self, body: Body) -> None:
        """Check a gap and note what it declares."""
        channel, reason, missed = body["channel"], body["reason"], body["missed"]
        account = self.accounts[channel]
        low, high = self.ledger.place(body["from"]), self.ledger.place(body["to"])
        assert self.highs.get(channel, BEFORE_ALL) < high, "a gap comes before the message `to`"
        assert self.high <= low, "a gap comes before any message above its `from`"
        if reason in {"epoch_changed", "too_old"}:
            assert self.promised.pop(channel) == reason
        elif reason == "slow":
            assert self._behind(low) > CAUGHT_UP_MESSAGES
            assert low >= self.resumed.get(channel, BEFORE_ALL), "it was promised one by one"
        else:
            assert self.ledger.entry(channel, high).hole == reason
            assert low == (high[0], high[1] - 1)
        countable = reason in {"slow", "too_old"} and self.ledger.held(channel, low)
        if countable or missed is not None:
            assert missed == len(self.ledger.due(channel, account.ticks, low, high)), body
        account.gaps.append((low, high))

    def _behind(self, low: Place) -> int:
        """Count what a connection that has come so far has missed of all channels."""
        return sum(
            len(self.ledger.due(channel, account.ticks, low, self.ledger.end))
            for channel, account in self.accounts.items()
        )

    def message(self, message: Message) -> Place:
        """Check a channel's message and return its place."""
        account, place = self.accounts[message.kind], self.ledger.place(message.body["cursor"])
        self.ledger.check(message.kind, account.ticks, message.text, message.body)
        assert message.kind not in self.promised, "a gap was promised first"
        if message.kind not in self.openings:
            assert self.ledger.entry(message.kind, place).due(account.ticks), "off the grid"
        assert place > self.highs.get(message.kind, BEFORE_ALL), "repeated on one connection"
        assert place > self.high, "messages of all channels come in the order of seq"
        self.openings.discard(message.kind)
        self.high = self.highs[message.kind] = place
        return place


def ticks_of(subscribed: Body) -> int:
    """Return the interval that a `subscribed` tells, in ticks."""
    return int(subscribed["intervalMs"]) // TICK_MS
