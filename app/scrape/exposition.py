"""The answer to a scrape, in the format that the scraper asks for, made once a sample."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, field, frozen
from prometheus_client import exposition
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from app.core.broadcaster import Broadcaster
from app.scrape.host import host_families
from app.scrape.hub import hub_families, own_families
from app.sources.groups.sample import HostSample
from schema.metrics import MetricsMessage


@frozen
class HubCollector(Collector):
    """Collects what the hub holds: reads no counter of the machine, however often it is asked."""

    hub: Broadcaster

    def collect(self) -> Iterator[Metric]:
        """Give all families; those of the host from the first sample on."""
        yield from hub_families(self.hub.figures(), self.hub.settings.version)
        newest = self.hub.log.ring(MetricsMessage.TAG, self.hub.settings.host).newest
        sample = newest and newest.reading.sample
        if isinstance(sample, HostSample):
            if sample.own is not None:
                yield from own_families(sample.own)
            yield from host_families(sample)


@define(eq=False)
class Exposition:
    """Answers scrapes; all of the same sample and format share one body."""

    hub: Broadcaster
    _registry: CollectorRegistry = field(init=False)
    _bodies: dict[str, tuple[int, bytes]] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        # Not the library's own registry, which reads this process anew for each scrape.
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(HubCollector(self.hub))

    def answer(self, accept: str | None) -> tuple[bytes, str]:
        """Return the body and its content type, for an ``Accept`` header."""
        encode, content_type = exposition.choose_encoder(accept or "")
        head = self.hub.log.head
        made_at, body = self._bodies.get(content_type, (-1, b""))
        if made_at != head:
            body = encode(self._registry)
            self._bodies[content_type] = head, body
        return body, content_type
