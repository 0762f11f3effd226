"""The state of the service as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

METRICS_TYPE = CONTENT_TYPE_LATEST


def metrics_text(status: Mapping[str, Any]) -> bytes:
    """What `Service.status` says, in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Status(status))
    return generate_latest(registry)


class _Status(Collector):
    def __init__(self, status: Mapping[str, Any]) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        status = self._status
        counts = status["counts"]
        yield CounterMetricFamily("instep_events", "Events journalled", counts["journal"])
        yield CounterMetricFamily("instep_decisions", "Decisions that came out otherwise than the last one", counts["decisions"])
        yield GaugeMetricFamily("instep_cases", "Cases", counts["cases"])
        yield GaugeMetricFamily("instep_events_waiting", "Events not taken in yet", status["behind"])
        yield GaugeMetricFamily("instep_events_waiting_seconds", "How long the first of them has waited", _waited(status))
        yield GaugeMetricFamily("instep_events_set_aside", "Events that could not be taken in and wait", status["set_aside"])
        yield _by("instep_effects", "Effects by what became of them", "status", status["effects"])
        yield _by("instep_exceptions_open", "Exceptions people have to look at", "severity", status["exceptions"])
        yield from _clock(status["clock"])
        yield from _outside(status)
        failing = {f"{feed['connector']}.{feed['feed']}": feed["failures"] for feed in status["failing"]}
        yield _by("instep_feed_failures", "Failures in a row of feeds that fail", "feed", failing)
        sent = CounterMetricFamily(
            "instep_requests", "Requests sent since the start", labels=["connector", "operation", "purpose"]
        )
        for each in status["requests"]:
            sent.add_metric([each["connector"], each["operation"], each["purpose"]], each["count"])
        yield sent
        yield from _budgets(status["budgets"])
        if rules := status["rules"]:
            yield from _rules(rules)


def _clock(clock: Mapping[str, Any]) -> Iterable[Metric]:
    ahead, held = clock["ahead_seconds"], clock["nothing_sent_for_seconds"]
    yield GaugeMetricFamily("instep_clock_ahead_seconds", "How far the service is ahead of the machine's clock", ahead)
    yield GaugeMetricFamily("instep_held_seconds", "How long nothing is sent yet, because the store was restored", held or 0)


def _budgets(budgets: Iterable[Mapping[str, Any]]) -> Iterable[Metric]:
    labels = ["connector", "operation", "limit"]
    most = GaugeMetricFamily("instep_budget_units", "How much a limit of an outside system allows", labels=labels)
    left = GaugeMetricFamily("instep_budget_left_units", "How much of it is left", labels=labels)
    for each in budgets:
        named = [each["connector"], each["operation"], each["limit"]]
        most.add_metric(named, each["most"])
        left.add_metric(named, each["left"])
    yield most
    yield left


def _rules(rules: Mapping[str, Any]) -> Iterable[Metric]:
    read, waiting = rules["last_read"], rules["waiting"]
    info = InfoMetricFamily("instep_rules_active", "The rule set that decides")
    info.add_metric([], {"hash": rules["active"], "activated_by": rules["activated_by"]})
    yield info
    yield GaugeMetricFamily("instep_rules_activated_timestamp_seconds", "When it was activated", _seconds(rules["activated_at"]))
    yield GaugeMetricFamily(
        "instep_rules_last_reload_successful", "1 if the files made a rule set when read last", int(read["ok"])
    )
    yield GaugeMetricFamily("instep_rules_last_reload_timestamp_seconds", "When the files were read last", _seconds(read["at"]))
    yield GaugeMetricFamily("instep_rules_problems", "Problems in the files when read last", len(read["problems"]))
    yield GaugeMetricFamily("instep_rules_waiting", "1 if a rule set waits for `instep rules activate`", int(waiting is not None))
    yield GaugeMetricFamily(
        "instep_rules_passed_over", "1 if a set chosen by hand takes the place of the files", int(rules["passed_over"])
    )
    yield GaugeMetricFamily("instep_rules_cases_behind", "Open cases not decided yet since the activation", rules["catching_up"])


def _outside(status: Mapping[str, Any]) -> Iterable[Metric]:
    """Whether connectors can be reached, what waits for them, and which deadlines ahead cannot be met."""
    left_alone = GaugeMetricFamily("instep_connector_left_alone", "1 while it does not answer", labels=["connector", "way"])
    due = GaugeMetricFamily("instep_effects_due", "Effects that could be sent now", labels=["connector"])
    for one in status["connectors"]:
        due.add_metric([one["connector"]], one["due"])
        for way in ("look_up", "perform"):
            left_alone.add_metric([one["connector"], way], int(one[way]["state"] == "open"))
    yield due
    yield left_alone
    ahead = status["deadlines"]
    yield GaugeMetricFamily("instep_deadlines_ahead", "Effects with a deadline within a day", ahead["ahead"])
    unmet = GaugeMetricFamily("instep_deadlines_unmet", "Of these, what cannot be out in time", labels=["connector", "why"])
    for one in ahead["unmet"]:
        unmet.add_metric([one["connector"], one["why"]], one["count"])
    yield unmet


def _waited(status: Mapping[str, Any]) -> float:
    if since := status["waiting_since"]:
        return (datetime.fromisoformat(status["now"]) - datetime.fromisoformat(since)).total_seconds()
    return 0.0


def _by(name: str, said: str, label: str, values: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, said, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _seconds(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0
