"""What became of deliveries since the process began, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Received:
    """Counts what was acknowledged, and what was not, by reason."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._acknowledged = self._counter("acknowledged", "Deliveries written down and then answered 2xx")
        self._repeated = self._counter("repeated", "Acknowledged deliveries that had been written down before")
        self._refused = self._counter("refused", "Deliveries not answered 2xx, and not written down", "reason")
        self._seconds = Histogram(
            "instep_acknowledgement_seconds",
            "From a delivery's headers to the answer that it is written down",
            buckets=SECONDS,
            registry=self._registry,
        )
        self.open = 0
        being = Gauge("instep_deliveries_open", "Deliveries being read or written down", registry=self._registry)
        being.set_function(lambda: self.open)

    def acknowledged(self, connector: str, seconds: float, *, repeated: bool) -> None:
        """`repeated` where all of it had been written down before."""
        self._acknowledged.labels(connector).inc()
        if repeated:
            self._repeated.labels(connector).inc()
        self._seconds.observe(seconds)

    def refused(self, connector: str, reason: str) -> None:
        """`connector` is empty where none of ours is meant."""
        self._refused.labels(connector, reason).inc()

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def _counter(self, name: str, said: str, *labels: str) -> Counter:
        return Counter(f"instep_deliveries_{name}", said, ("connector", *labels), registry=self._registry)
