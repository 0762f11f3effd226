"""A case told to a person: the questions people ask answered piece by piece, then every rule with what made it so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.text import Text

from engine.decide.decision import Decision
from engine.decide.resolve import Blocked
from engine.decide.trace import Because, Entry, Outcome, trace
from engine.desk.explained import Explained
from engine.facts.effects import EffectState
from engine.facts.values import Money
from engine.language.ruleset import RuleSet
from engine.language.show import show
from engine.run.kept.story import Said, Told
from engine.simulate.chronicle import CAUSES, Line
from engine.store.safekeeping import Late, Lateness, late_by

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
LINE_STYLE = {
    "fact": "",
    "asked": "cyan",
    "withdrawn": "yellow",
    "withheld": "yellow",
    "freed": "green",
    "opened": "red",
    "closed": "green",
}
NAMED = 3  # items that are named one by one; more are counted
LONGEST_VALUE = 80  # characters of a value, and how many values, are
MOST_VALUES = 3  # told of a condition that did not hold; `--every` tells all
WAYS = {True: ("is true", "green"), False: ("is false", "red"), None: ("is unknown", "yellow")}


def explanation(found: Explained, *, every: bool) -> Iterator[Text]:
    """The whole story of a case at one moment, line by line. `every` shows each rule and item by itself, and also rules that had
    nothing to look at.
    """
    rule_set, decision = found.rule_set, found.decision
    entries = [entry for entry in trace(rule_set, decision) if found.rule in ("", entry.rule)]
    yield _heading(found)
    yield from _not_sent(rule_set, decision)
    if not found.rule:
        yield from _facts(decision)
        yield from (_in(1, Text(f"{line.text}, {show(line.at)}", style="yellow")) for line in found.corrected)
        yield from _pieces(found.story)
        if not found.unit:
            yield from _section("Sent and to be sent", _effects(decision, found.late), "Nothing has been asked for.")
            yield from _section("For people", _exceptions(decision, found.late), "Nobody has to look at this case.")
    if found.unit and not found.rule:
        return
    yield from _section("Rules that hold", _told(entries, "held", every=every), "" if found.rule else "No rule holds.")
    yield from _section("Waiting for time", _told(entries, "waiting", every=every))
    yield from _section("Cannot be decided", _told(entries, "unknown", every=every))
    left = entries if every or found.rule else [e for e in entries if not _idle(rule_set, decision, e)]
    yield from _section("Why not", _told(left, "did not hold", every=every), "" if found.rule else "Every rule holds.")
    hidden = len({e.rule for e in entries}) - len({e.rule for e in left})
    if hidden:
        yield _in(
            1,
            Text(
                f"and {hidden} rule{'s' if hidden > 1 else ''} about refusals and unsure ends, of which there are none (--every)",
                style="dim",
            ),
        )
    quiet = [e.rule for e in entries if e.outcome in {"no items", "off"}]
    if (every or found.rule) and quiet:
        yield from _section("Nothing to look at", [Text(", ".join(quiet), style="dim")])


def timeline(found: Explained) -> Iterator[Text]:
    """The life of the case up to the moment asked for: what happened, and what came of it."""
    yield _heading(found)
    for at, lines in groupby(found.timeline, key=lambda line: line.at):
        yield Text()
        yield Text(show(at), style="bold")
        for line, times in Counter(lines).items():
            yield _in(1 if line.what in CAUSES else 2, _line(line, times))


def _line(line: Line, times: int) -> Text:
    text = Text(line.text, style=LINE_STYLE.get(line.what, ""))
    if times > 1:
        text.append(f" ({times} times)", "dim")
    if line.mode == "shadow":
        text.append("  in shadow", "magenta")
    return text.append(f"  {line.place}", "dim") if line.place else text


def _heading(found: Explained) -> Text:
    decision = found.decision
    wake = f", looks again {show(decision.wake_at)}" if decision.wake_at else ""
    at = f"  at {show(found.at)}," if found.at else " "
    text = Text.assemble(
        (decision.case, "bold"), f"{at} decided {show(decision.now)} under rule set {decision.rule_set[:12]}{wake}"
    )
    return text.append(f"\n  {found.note}", "yellow") if found.note else text


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


# --- the questions people ask ---


def _pieces(story: Sequence[Told]) -> Iterator[Text]:
    """Pieces of which the same is to be said are told together."""
    alike: dict[tuple[object, ...], list[Told]] = {}
    for one in story:
        alike.setdefault((one.sku, one.state, one.refunded, one.held, one.waiting, one.who), []).append(one)
    for together in alike.values():
        one = together[0]
        yield Text()
        if one.unit:
            name = f"unit{'s' if len(together) > 1 else ''} {', '.join(each.unit for each in together)}"
            yield Text.assemble(
                (name, "bold"), f"  {one.sku}: ", (one.state, "green" if one.state.startswith("refunded") else "")
            )
        else:
            yield Text("The case as a whole", style="bold")
        yield from _answer("Why was it refunded?", one.refunded)
        yield from _answer("Why is it still held?" if one.unit else "What is held?", one.held)
        yield from _answer("What are we waiting for, and until when?", one.waiting)
        yield from _answer("Who did it?" if one.refunded or one.state == "cancelled" else "Who did what?", one.who)


def _answer(question: str, said: Sequence[Said]) -> Iterator[Text]:
    if said:
        yield _in(1, Text(question, style="bold cyan"))
    for one in said:
        text = Text(one.text)
        if one.since is not None:
            text.append(f", {'' if _is_deed(question) else 'since '}{show(one.since)}", "cyan")
        yield _in(2, text.append(f"  {one.place}", "dim") if one.place else text)
        yield from (_in(3, _because(b)) for b in one.because)


def _is_deed(question: str) -> bool:
    return question.startswith(("Who", "Why was"))


# --- everything that was sent, and whoever has to look ---


def _section(title: str, lines: Iterable[Text], empty: str = "") -> Iterator[Text]:
    body = list(lines) or ([Text(empty, style="dim")] if empty else [])
    if body:
        yield Text()
        yield Text(title, style="bold")
        yield from (_in(1, line) for line in body)


def _in(depth: int, line: Text) -> Text:
    return Text("  " * depth).append_text(line)


def _effects(decision: Decision, late: Lateness) -> Iterator[Text]:
    for effect in sorted(decision.memory.effects, key=lambda e: (e.planned_at, e.key)):
        yield _effect(effect).append_text(_late(late.get(("effect", effect.key, effect.planned_at))))
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


def _late(late: Late | None) -> Text:
    return Text() if late is None else Text(f"  late by {late_by(late)}: it was due {show(late.due_at)}", style="yellow")


def _exceptions(decision: Decision, late: Lateness) -> Iterator[Text]:
    for one in decision.exceptions:
        until = f" until {show(one.until)}" if one.until else ""
        how = "only shown, its rule is in shadow," if one.mode == "shadow" else f"{one.state}{until}"
        state = f"  {one.owner}, {how} since {show(one.opened_at)}"
        since = _late(late.get(("exception", one.key, one.opened_at)))
        yield Text.assemble((f"{one.severity} ", "red"), (one.title, "bold"), (state, "dim"), since)
        if one.runbook:
            yield _in(1, Text(one.runbook))
        for name, meaning in one.answers.items():
            yield _in(1, Text.assemble("answer ", (name, "bold"), f": {meaning}"))


# --- every rule, and what made it so ---


def _idle(rule_set: RuleSet, decision: Decision, entry: Entry) -> bool:
    """Whether it is a rule about ends of effects, and this one ended well."""
    rule = rule_set.rule(entry.rule)
    if rule is None or rule.each is None or rule.each.kind != "effect" or entry.outcome != "did not hold":
        return False
    effect = decision.view.index.get("effect", {}).get(entry.item.partition(":")[2])
    return effect is None or effect["status"] not in ("refused", "unsure")


def _told(entries: Sequence[Entry], outcome: Outcome, *, every: bool) -> Iterator[Text]:
    mine = [entry for entry in entries if entry.outcome == outcome]
    if every:
        for entry in mine:
            yield from entry_lines(entry)
        return
    alike: dict[tuple[object, ...], list[Entry]] = {}
    for entry in mine:
        same = tuple((b.path, b.truth, b.missing) for b in entry.because)
        alike.setdefault((entry.rule, same, entry.until, bool(entry.blocked)), []).append(entry)
    for together in alike.values():
        yield from _folded(together, short=outcome == "did not hold")


def _folded(together: Sequence[Entry], *, short: bool) -> Iterator[Text]:
    """A rule with all items of which the same is to be said; `short` is one line, with its one condition."""
    first = together[0]
    items = "" if first.item == "" else f" for {_items([entry.item for entry in together])}"
    one = len(together) == 1
    if short:
        because = _because(first.because[0], values=one, most=MOST_VALUES) if first.because else Text(first.place, style="dim")
        yield Text.assemble((first.rule, "bold"), items, "  in shadow" if first.mode == "shadow" else "", "  ").append_text(
            because
        )
        return
    if one:
        yield from entry_lines(first)
        return
    yield _head(first, items)
    yield from (_in(1, _because(b, values=False)) for b in first.because)
    for entry in together:
        yield from (_in(1, _blocked(b)) for b in entry.blocked)
    done = [what for entry in together for what in (*entry.planned, *entry.done)]
    if done:
        yield _in(1, Text("; ".join(done), style="dim"))


def _items(items: Sequence[str]) -> str:
    if len(items) <= NAMED:
        return ", ".join(items)
    kinds = Counter(item.partition(":")[0].replace("_", " ") for item in items)
    return " and ".join(f"{count} {kind}s" for kind, count in kinds.items())


def entry_lines(entry: Entry) -> Iterator[Text]:
    """What came of one rule for one item, and why."""
    yield _head(entry, f" {entry.item}" if entry.item else "")
    yield from (_in(1, _because(b)) for b in entry.because)
    yield from (_in(1, _blocked(b)) for b in entry.blocked)
    if entry.planned or entry.done:
        yield _in(1, Text("; ".join((*entry.planned, *entry.done)), style="dim"))


def _head(entry: Entry, items: str) -> Text:
    head = Text.assemble((entry.rule, "bold"), items, (f"  {entry.place}", "dim"))
    if entry.mode == "shadow":
        head.append("  in shadow", "magenta")
    if entry.overrides:
        head.append(f", overridden at {', '.join(entry.overrides)}", "dim")
    if entry.until is not None:
        head.append(f"  until {show(entry.until)}", "cyan")
    return head


def _because(because: Because, *, values: bool = True, most: int = 0) -> Text:
    """`most` is how many values are told; without it all are."""
    longest = LONGEST_VALUE if most else None
    told = [f"{name} = {_cut(value, longest)}" for name, value in because.values if value] if values else []
    more = len(told) - most if most and len(told) > most else 0
    said = ", ".join(told[:most] if more else told) + (f" and {more} more" if more else "")
    way = ("", "") if because.path in ("after", "for") else WAYS[because.truth]
    text = Text.assemble(
        f"{because.path}: " if because.path in ("after", "for") else "",
        " ".join(because.text.split()),
        " " if way[0] else "",
        way,
    )
    if said:
        text.append(f": {said}")
    if because.missing:
        text.append(f"; not known: {', '.join(because.missing)}", "yellow")
    if because.reason:
        text.append(f"; {because.reason}", "yellow")
    return text.append(f"  {because.place}", "dim")


def _cut(value: str, longest: int | None) -> str:
    return value if longest is None or len(value) <= longest else f"{value[:longest]}..."


def _blocked(blocked: Blocked) -> Text:
    what = f"{blocked.action}{' of ' + ', '.join(blocked.units) if blocked.units else ''}"
    if blocked.why == "claimed":
        return Text.assemble((f"{what} goes to ", "yellow"), (blocked.by, "bold yellow"))
    if blocked.why == "conflict":
        return Text(f"{what} waits: {blocked.because}", style="yellow")
    return Text.assemble((f"{what} is forbidden by ", "yellow"), (blocked.by, "bold yellow"), (f": {blocked.because}", "yellow"))
