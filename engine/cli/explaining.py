"""A decision told to a person: what was sent, who must look, what is waited for, and why and why not for every rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.text import Text

from engine.decide.decision import Decision
from engine.decide.document import decision_to_json
from engine.decide.resolve import Blocked
from engine.decide.trace import Because, Entry, Outcome, trace
from engine.facts.effects import EffectState
from engine.facts.values import Money, Rec
from engine.language.ruleset import RuleSet
from engine.language.show import show

STATUS_STYLE = {
    "settled": "green",
    "settled_elsewhere": "green",
    "planned": "cyan",
    "refused": "red",
    "unsure": "yellow",
    "performing": "yellow",
}
TOLD = {
    "order": ("state",),
    "sale": ("financial_status",),
    "rma": ("status", "scanned_at", "refund_due"),
    "parcel": ("status", "first_scan_at"),
    "receipt": ("status",),
    "market_return": ("state",),
}


def explanation(rule_set: RuleSet, decision: Decision, *, every: bool) -> Iterator[Text]:
    """The whole story of a case as it stands, line by line. `every` also lists rules with nothing to look at."""
    entries = trace(rule_set, decision)
    yield _heading(decision)
    yield from _not_sent(rule_set, decision)
    yield from _facts(decision)
    yield from _section("Sent and to be sent", _effects(decision), "Nothing has been asked for.")
    yield from _section("For people", _exceptions(decision), "Nobody has to look at this case.")
    yield from _section("Held", _told(entries, "held"), "No rule holds.")
    yield from _section("Waiting for time", _told(entries, "waiting"))
    yield from _section("Cannot be decided", _told(entries, "unknown"))
    yield from _section("Why not", _told(entries, "did not hold"), "Every rule holds.")
    quiet = [e.rule for e in entries if e.outcome in {"no items", "off"}]
    if every and quiet:
        yield from _section("Nothing to look at", [Text(", ".join(quiet), style="dim")])


def explanation_json(rule_set: RuleSet, decision: Decision) -> dict[str, Any]:
    return decision_to_json(rule_set, decision)


def _heading(decision: Decision) -> Text:
    wake = f", looks again {show(decision.wake_at)}" if decision.wake_at else ""
    return Text.assemble(
        (f"{decision.case}", "bold"), f"  decided {show(decision.now)} under rule set {decision.rule_set[:12]}{wake}"
    )


def _not_sent(rule_set: RuleSet, decision: Decision) -> Iterator[Text]:
    """Why nothing at all is sent for the case, if so."""
    opened_at = decision.view.env["case"]["opened_at"]
    if rule_set.mode == "shadow":
        yield Text("  The client is in shadow: all is decided and shown, nothing is sent.", style="magenta")
    elif rule_set.since is not None and opened_at is not None and opened_at < rule_set.since:
        said = f"  Opened {show(opened_at)}, before {show(rule_set.since)}: decided and shown, nothing is sent."
        yield Text(said, style="magenta")


def _facts(decision: Decision) -> Iterator[Text]:
    for kind, names in TOLD.items():
        for rec in decision.view.facts.records.get(kind, ()):
            known = [f"{name.replace('_', ' ')} {show(rec[name])}" for name in names if rec.get(name) is not None]
            yield _in(1, Text(f"{kind.replace('_', ' ')} {rec.key}: {', '.join(known) or 'nothing known yet'}"))
    for unit in decision.view.facts.records.get("unit", ()):
        yield _in(1, Text(f"unit {unit.key}: {unit['sku']}, {_unit_state(unit)}"))


def _unit_state(unit: Rec) -> str:
    if unit["refunded"] is True:
        return f"refunded {show(unit['refunded_at'])}" if unit["refunded_at"] else "refunded"
    if unit["cancelled"] is True:
        return "cancelled"
    left = f"{show(unit['due'])} can be refunded"
    return f"{left}, but it is unclear what earlier refunds cover" if unit["coverage"] == "unclear" else left


def _section(title: str, lines: Iterable[Text], empty: str = "") -> Iterator[Text]:
    body = list(lines) or ([Text(empty, style="dim")] if empty else [])
    if body:
        yield Text()
        yield Text(title, style="bold")
        yield from (_in(1, line) for line in body)


def _in(depth: int, line: Text) -> Text:
    return Text("  " * depth).append_text(line)


def _told(entries: Sequence[Entry], outcome: Outcome) -> Iterator[Text]:
    for entry in entries:
        if entry.outcome == outcome:
            yield from entry_lines(entry)


def _effects(decision: Decision) -> Iterator[Text]:
    for effect in decision.memory.effects:
        yield _effect(effect)
        if effect.reason or effect.detail:
            said = ": ".join(t for t in (effect.reason, effect.detail) if t)
            yield _in(1, Text(said, style="red" if effect.status == "refused" else "dim"))


def _effect(effect: EffectState) -> Text:
    amount = effect.params.get("amount")
    reference = effect.receipt.get("refund_id") or effect.receipt.get("reference")
    return Text.assemble(
        (f"{'shadow' if effect.mode == 'shadow' else effect.status.replace('_', ' '):<17}", STATUS_STYLE.get(effect.status, "")),
        f" {effect.action} {effect.subject}",
        f" {amount}" if isinstance(amount, Money) else "",
        f"  {show(effect.settled_at or effect.sent_at or effect.planned_at)}",
        (f"  by {effect.rule} for {effect.item or 'the case'}", "dim"),
        (f"  receipt {reference}" if reference else "", "dim"),
    )


def _exceptions(decision: Decision) -> Iterator[Text]:
    for one in decision.exceptions:
        until = f" until {show(one.until)}" if one.until else ""
        how = "only shown, its rule is in shadow," if one.mode == "shadow" else f"{one.state}{until}"
        state = f"  {one.owner}, {how} since {show(one.opened_at)}"
        yield Text.assemble((f"{one.severity} ", "red"), (one.title, "bold"), (state, "dim"))
        if one.runbook:
            yield _in(1, Text(one.runbook))
        for name, meaning in one.answers.items():
            yield _in(1, Text.assemble("answer ", (name, "bold"), f": {meaning}"))


def entry_lines(entry: Entry) -> Iterator[Text]:
    """What came of one rule for one item, and why."""
    head = Text.assemble((entry.rule, "bold"), f" {entry.item}" if entry.item else "", (f"  {entry.place}", "dim"))
    if entry.mode == "shadow":
        head.append("  in shadow", "magenta")
    if entry.overrides:
        head.append(f", overridden at {', '.join(entry.overrides)}", "dim")
    if entry.until is not None:
        head.append(f"  until {show(entry.until)}", "cyan")
    yield head
    yield from (_in(1, _because(b)) for b in entry.because)
    yield from (_in(1, _blocked(b)) for b in entry.blocked)
    if entry.planned or entry.done:
        yield _in(1, Text("; ".join((*entry.planned, *entry.done)), style="dim"))


def _because(because: Because) -> Text:
    verdict = {True: ("is true", "green"), False: ("is false", "red"), None: ("is unknown", "yellow")}[because.truth]
    values = ", ".join(f"{name} = {value}" for name, value in because.values)
    text = Text.assemble(because.text.replace("\n", " "), " ", verdict, (f": {values}" if values else "", ""))
    if because.missing:
        text.append(f"; not known: {', '.join(because.missing)}", "yellow")
    if because.reason:
        text.append(f"; {because.reason}", "yellow")
    return text.append(f"  {because.place}", "dim")


def _blocked(blocked: Blocked) -> Text:
    what = f"{blocked.action}{' of ' + ', '.join(blocked.units) if blocked.units else ''}"
    if blocked.why == "claimed":
        return Text.assemble((f"{what} goes to ", "yellow"), (blocked.by, "bold yellow"))
    if blocked.why == "conflict":
        return Text(f"{what} waits: {blocked.because}", style="yellow")
    return Text.assemble((f"{what} is forbidden by ", "yellow"), (blocked.by, "bold yellow"), (f": {blocked.because}", "yellow"))
