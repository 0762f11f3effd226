"""A decision told to a person: what was sent, who must look, what is waited for, and why and why not for every rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from engine.decide.decision import Decision
from engine.decide.document import decision_to_json
from engine.decide.resolve import Blocked
from engine.decide.trace import Because, Entry, trace
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


def explanation(rule_set: RuleSet, decision: Decision, *, every: bool) -> RenderableType:
    """The whole story of a case as it stands. `every` also lists rules with nothing to look at."""
    entries = trace(rule_set, decision)
    parts: list[RenderableType] = [_heading(decision), *_facts(decision)]
    parts += _section("Sent and to be sent", list(_effects(decision)), "Nothing has been asked for.")
    parts += _section("For people", list(_exceptions(decision)), "Nobody has to look at this case.")
    parts += _section("Held", [_entry(e) for e in entries if e.outcome == "held"], "No rule holds.")
    waiting = [_entry(e) for e in entries if e.outcome == "waiting"]
    if waiting:
        parts += _section("Waiting for time", waiting, "")
    unknown = [_entry(e) for e in entries if e.outcome == "unknown"]
    if unknown:
        parts += _section("Cannot be decided", unknown, "")
    parts += _section("Why not", [_entry(e) for e in entries if e.outcome == "did not hold"], "Every rule holds.")
    quiet = [e.rule for e in entries if e.outcome in {"no items", "off"}]
    if every and quiet:
        parts += _section("Nothing to look at", [Text(", ".join(quiet), style="dim")], "")
    return Group(*parts)


def explanation_json(rule_set: RuleSet, decision: Decision) -> dict[str, Any]:
    return decision_to_json(rule_set, decision)


def _heading(decision: Decision) -> Text:
    wake = f", looks again {show(decision.wake_at)}" if decision.wake_at else ""
    return Text.assemble(
        (f"{decision.case}", "bold"), f"  decided {show(decision.now)} under rule set {decision.rule_set[:12]}{wake}"
    )


def _facts(decision: Decision) -> Iterator[RenderableType]:
    told = {
        "order": ("state",),
        "sale": ("financial_status",),
        "rma": ("status", "scanned_at", "refund_due"),
        "parcel": ("status", "first_scan_at"),
    }
    told |= {"receipt": ("status",), "market_return": ("state",)}
    for kind, names in told.items():
        for rec in decision.view.facts.records.get(kind, ()):
            known = [f"{name.replace('_', ' ')} {show(rec[name])}" for name in names if rec.get(name) is not None]
            yield Padding(Text(f"{kind.replace('_', ' ')} {rec.key}: {', '.join(known) or 'nothing known yet'}"), (0, 0, 0, 2))
    for unit in decision.view.facts.records.get("unit", ()):
        yield Padding(Text(f"unit {unit.key}: {unit['sku']}, {_unit_state(unit)}"), (0, 0, 0, 2))


def _unit_state(unit: Rec) -> str:
    if unit["refunded"] is True:
        return f"refunded {show(unit['refunded_at'])}" if unit["refunded_at"] else "refunded"
    if unit["cancelled"] is True:
        return "cancelled"
    left = f"{show(unit['due'])} can be refunded"
    return f"{left}, but it is unclear what earlier refunds cover" if unit["coverage"] == "unclear" else left


def _section(title: str, lines: Sequence[RenderableType], empty: str) -> list[RenderableType]:
    body = list(lines) or [Text(empty, style="dim")]
    return [Text(), Text(title, style="bold"), *(Padding(line, (0, 0, 0, 2)) for line in body)]


def _effects(decision: Decision) -> Iterator[RenderableType]:
    for effect in decision.memory.effects:
        yield _effect(effect)


def _effect(effect: EffectState) -> Text:
    amount = effect.params.get("amount")
    when = effect.settled_at or effect.sent_at or effect.planned_at
    line = Text.assemble(
        (f"{effect.status.replace('_', ' '):<17}", STATUS_STYLE.get(effect.status, "")),
        f" {effect.action} {effect.subject}",
        f" {amount}" if isinstance(amount, Money) else "",
        f"  {show(when)}",
        (f"  by {effect.rule} for {effect.item or 'the case'}", "dim"),
    )
    reference = effect.receipt.get("refund_id") or effect.receipt.get("reference")
    if reference:
        line.append(f"  receipt {reference}", "dim")
    if effect.reason or effect.detail:
        line.append(
            f"\n{'':18}{': '.join(t for t in (effect.reason, effect.detail) if t)}",
            "red" if effect.status == "refused" else "dim",
        )
    return line


def _exceptions(decision: Decision) -> Iterator[RenderableType]:
    for one in decision.exceptions:
        until = f" until {show(one.until)}" if one.until else ""
        head = Text.assemble(
            (f"{one.severity} ", "red"),
            (one.title, "bold"),
            (f"  {one.owner}, {one.state}{until} since {show(one.opened_at)}", "dim"),
        )
        yield head
        if one.runbook:
            yield Padding(Text(one.runbook), (0, 0, 0, 2))
        for name, meaning in one.answers.items():
            yield Padding(Text.assemble("answer ", (name, "bold"), f": {meaning}"), (0, 0, 0, 2))


def _entry(entry: Entry) -> RenderableType:
    head = Text.assemble((entry.rule, "bold"), f" {entry.item}" if entry.item else "", (f"  {entry.place}", "dim"))
    if entry.until is not None:
        head.append(f"  until {show(entry.until)}", "cyan")
    lines: list[RenderableType] = [head]
    lines += [Padding(_because(b), (0, 0, 0, 2)) for b in entry.because]
    lines += [Padding(_blocked(b), (0, 0, 0, 2)) for b in entry.blocked]
    if entry.planned or entry.done:
        lines.append(Padding(Text("; ".join((*entry.planned, *entry.done)), style="dim"), (0, 0, 0, 2)))
    return Group(*lines)


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
