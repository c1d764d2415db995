"""What a free wire is given of all channels of a client: one order, all of it or nothing."""

from __future__ import annotations

from collections.abc import Collection

from attrs import define, field

from app.core.desk import Desk
from app.core.log import Publication
from app.core.subscription import Sequenced, Spent, Subscription
from schema.frame import Frame

# A reader that missed at most so many messages gets them all, else a gap and the newest.
CATCH_UP = 30


@define(eq=False)
class Delivery:
    """Gaps go before all messages, since no message may overtake one with a lower ``from``.

    ``opened`` are the subscriptions that begin with it.
    """

    opened: list[Subscription] = field(factory=list)
    gaps: list[Frame] = field(factory=list)
    histories: list[Frame] = field(factory=list)
    messages: list[Sequenced] = field(factory=list)

    @classmethod
    def of(
        cls, subscriptions: Collection[Subscription], desk: Desk, spent: Spent
    ) -> Delivery | None:
        """Take what is due.

        Returns:
            None if the time was spent before what the openings need was rendered; ask again.
        """
        log = desk.log
        opening = [(s, s.snapshot) for s in subscriptions if s.opening]
        ready = [(s, snapshot) for s, snapshot in opening if snapshot is not None]
        if not all(s.warm(snapshot, spent) for s, snapshot in ready):
            return None
        delivery = cls()
        behind = sum(s.behind() for s in subscriptions)
        for subscription in subscriptions:
            if not subscription.opening:
                delivery._catch_up(subscription, desk, behind)
        for subscription, snapshot in ready:
            delivery._open(subscription, snapshot, desk)
        for subscription in subscriptions:
            if subscription.owed is not None:
                # Its source sleeps. The gap cannot: any other cursor from here on would cover it.
                delivery.gaps += subscription.lost(log.cursor(log.head + 1), desk.timestamp())
                subscription.told = True
            if subscription.told:
                subscription.position = log.head
        delivery.messages.sort(key=lambda message: message.seq)
        return delivery

    def _catch_up(self, subscription: Subscription, desk: Desk, behind: int) -> None:
        lost, late = subscription.catch_up(desk.log, all_of_it=behind <= CATCH_UP)
        self.gaps += lost
        self.messages += late

    def _open(self, subscription: Subscription, snapshot: Publication, desk: Desk) -> None:
        to = desk.log.cursor(snapshot.seq)
        self.gaps += subscription.lost(to, snapshot.reading.timestamp)
        past, first = subscription.open(desk.log, snapshot)
        self.opened.append(subscription)
        self.histories += past
        self.messages.append(first)
        self._catch_up(subscription, desk, subscription.behind())

    @property
    def frames(self) -> list[Frame]:
        """All of it, as it goes out."""
        return [*self.gaps, *self.histories, *(message.frame for message in self.messages)]
