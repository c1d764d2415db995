"""The hub's own figures, and what the server costs, in Prometheus's manner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.metrics_core import InfoMetricFamily, Metric

from app.core.figures import Figures
from app.scrape.family import Sample, counter, gauge, one, scaled
from app.sources.groups.own import OwnUse


def hub_families(figures: Figures, version: str) -> Iterator[Metric]:
    """Give what the hub does: how many clients, what they were sent, what it took."""
    info = InfoMetricFamily("pulsewire_build", "The server.")
    info.add_metric([], {"version": version})
    yield info
    clients, deliveries = _by(figures.clients), _by(figures.deliveries)
    yield from gauge("pulsewire_clients", "Clients connected.", clients, "transport")
    text = "Data messages that the transports were given."
    yield from counter("pulsewire_deliveries", text, deliveries, "transport")
    text = "Times that a slow reader was given the newest message instead of all."
    yield from counter("pulsewire_skips", text, one(figures.skips))
    text = "Readers that were let go because they had stopped."
    yield from counter("pulsewire_evictions", text, one(figures.evictions))
    text = "Verdicts on the cursors that clients came with."
    yield from counter("pulsewire_resumes", text, _by(figures.resumes), "verdict")
    text = "Kinds of subscription that have members."
    yield from gauge("pulsewire_cohorts", text, one(figures.cohorts))
    yield from counter("pulsewire_samples", "Samples taken.", one(figures.samples))
    text = "Samples that were published."
    yield from counter("pulsewire_publications", text, _by(figures.publications), "channel")
    yield from counter("pulsewire_renders", "Messages rendered.", one(figures.renders))
    yield from counter("pulsewire_encodes", "Messages encoded.", one(figures.encodes))
    text = "By how much the newest tick of a channel was late."
    yield from gauge("pulsewire_tick_lateness_seconds", text, _by(figures.lateness), "channel")
    text = "The longest pause of the event loop in the last minute."
    yield from gauge("pulsewire_loop_pause_seconds", text, one(figures.pause_recent))


def own_families(own: OwnUse) -> Iterator[Metric]:
    """Give what the server itself costs; the first two by the names that all exporters have."""
    text = "Processor time of the server."
    yield from counter("process_cpu_seconds", text, one(own.cpu_s))
    text = "Resident memory of the server."
    yield from gauge("process_resident_memory_bytes", text, one(own.rss))
    text = "What the newest reading of the host took."
    yield from gauge("pulsewire_collect_seconds", text, one(scaled(own.collect_ms, 1e-3)))


def _by(figures: Mapping[str, float]) -> list[Sample]:
    return [((name,), figure) for name, figure in figures.items()]
