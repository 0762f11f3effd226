"""What the demo says while it plays: a line for each thing that happens outside, and for each thing we do, forbid or raise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from engine.facts.codec import loads
from engine.run.service import Service
from engine.store.rows import EffectRow, ExceptionRow

Tone = Literal["outside", "sent", "held", "raised", "closed", "refused", "person"]
EVERY_STATUS = ("planned", "performing", "unsure", "settled", "settled_elsewhere", "refused")
MOST = 100_000

_SAID = {
    "marketplace.refund": "refunded in the marketplace",
    "marketplace.cancel": "cancelled in the marketplace",
    "marketplace.resolve_incident": "incident resolved",
    "marketplace.set_return": "return moved on in the marketplace",
    "marketplace.report_compliance": "goods reported in order",
    "returns.comment": "noted in the returns platform",
    "returns.set_status": "return closed in the returns platform",
    "warehouse.create_asn": "announced to the warehouse",
    "warehouse.cancel_asn": "announcement called off",
    "finance.post": "posted",
    "finance.adjust": "commission adjusted",
}


@dataclass(frozen=True, slots=True)
class DemoLine:
    """One thing that happened. `why` names the rule, and what it said."""

    at: datetime
    tone: Tone
    case: str
    text: str
    why: str = ""


@dataclass(slots=True)
class Teller:
    """Looks at the store after each step and tells what is new in it. `withheld` counts refunds held back, by reason."""

    service: Service
    withheld: Counter[str] = field(default_factory=Counter)
    _effects: dict[tuple[int, str], str] = field(default_factory=dict)
    _open: dict[int, str] = field(default_factory=dict)
    _held: set[tuple[int, str, str]] = field(default_factory=set)
    _decisions: dict[int, int] = field(default_factory=dict)

    def news(self) -> Iterator[DemoLine]:
        now = self.service.clock()
        yield from self._about_effects(now)
        yield from self._about_vetoes(now)
        yield from self._about_exceptions(now)

    def _about_effects(self, now: datetime) -> Iterator[DemoLine]:
        for row in sorted(self.service.store.outbox.listed(EVERY_STATUS, MOST), key=lambda r: r.id):
            at = row.case_id, row.entry.key
            was, status = self._effects.get(at), row.entry.status
            self._effects[at] = status
            if status not in {was, "planned"}:
                line = _effect_line(row, now)
                if line is not None:
                    yield line

    def _about_vetoes(self, now: datetime) -> Iterator[DemoLine]:
        for case in self.service.store.cases.listed(only_open=False, limit=MOST):
            decision = self.service.store.cases.last_decision(case.id)
            if decision is None or self._decisions.get(case.id) == decision.id:
                continue
            self._decisions[case.id] = decision.id
            for blocked in loads(decision.trace)["blocked"]:
                if blocked["action"] != "marketplace.refund" or blocked["why"] not in {"veto", "partial"}:
                    continue
                at = case.id, blocked["by"], blocked["because"]
                if at not in self._held:
                    self._held.add(at)
                    self.withheld[blocked["because"]] += 1
                    text = f"refund of {', '.join(blocked['units'])} held back: {blocked['because']}"
                    yield DemoLine(now, "held", _order(case.name), text, blocked["by"])

    def _about_exceptions(self, now: datetime) -> Iterator[DemoLine]:
        rows = self.service.store.exceptions.listed(only_open=True, limit=MOST)
        there = {row.id: row for row in rows}
        for row in rows:
            if row.id not in self._open:
                self._open[row.id] = row.entry.title
                yield _raised(row, now)
        gone = self._open.keys() - there.keys()
        if gone:
            ended = {r.id: r for r in self.service.store.exceptions.listed(only_open=False, limit=MOST) if r.id in gone}
            for number in sorted(gone):
                title = self._open.pop(number)
                row = ended[number]
                yield DemoLine(now, "closed", _order(row.case), f"closed: {title}", row.why_closed or row.entry.state)


def _effect_line(row: EffectRow, now: datetime) -> DemoLine | None:
    entry, case = row.entry, _order(row.case)
    done = _SAID.get(entry.action, entry.action)
    about = _amount(loads(entry.params)) or _subject(entry.subject)
    match entry.status:
        case "settled":
            return DemoLine(now, "sent", case, f"{done}: {about}", entry.rule)
        case "settled_elsewhere":
            return DemoLine(now, "sent", case, f"somebody else did it, not repeated: {about}", entry.rule)
        case "refused":
            return DemoLine(now, "refused", case, f"{entry.action} refused, {entry.reason}: {about}", entry.detail)
        case "unsure":
            return DemoLine(
                now, "refused", case, f"{entry.action} sent, no answer: looked for before it is sent again", entry.detail
            )
    return None


def _raised(row: ExceptionRow, now: datetime) -> DemoLine:
    return DemoLine(now, "raised", _order(row.case), f"to {row.entry.owner}: {row.entry.title}", row.entry.rule)


def _amount(params: Mapping[str, Any]) -> str:
    amount = params.get("amount")
    return f"{amount['amount']} {amount['currency']} for {params.get('quantity')} of {params.get('line')}" if amount else ""


def _subject(text: str) -> str:
    return text.partition(":")[2] or text


def _order(case: str) -> str:
    return case.removeprefix("order:")
