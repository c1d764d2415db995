"""Families of samples, as Prometheus knows them; what is not known has no sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

# The values of a family's labels, and the figure; None for one that is not known.
Sample = tuple[Sequence[str], float | None]


def counter(name: str, text: str, samples: Iterable[Sample], *labels: str) -> Iterator[Metric]:
    """Give what only grows, or begins anew; ``name`` is without its ``_total``."""
    yield from _filled(CounterMetricFamily(name, text, labels=labels), samples)


def gauge(name: str, text: str, samples: Iterable[Sample], *labels: str) -> Iterator[Metric]:
    """Give what goes up and down."""
    yield from _filled(GaugeMetricFamily(name, text, labels=labels), samples)


def one(value: float | None) -> list[Sample]:
    """Give the only sample of a family without labels."""
    return [((), value)]


def scaled(value: float | None, factor: float) -> float | None:
    """Give a figure in a base unit, such as milliseconds times 0.001; None stays."""
    return None if value is None else value * factor


def _filled(
    family: CounterMetricFamily | GaugeMetricFamily, samples: Iterable[Sample]
) -> Iterator[Metric]:
    for labels, value in samples:
        if value is not None:
            family.add_metric(labels, value)
    if family.samples:
        yield family
