"""A seeded world around one order: customers, agents, a warehouse, a carrier, a marketplace that does what it is told, and the
people who answer what the engine asks.

The world keeps its own books. Observations of it reach the engine late, twice and out of order; effects are looked up, sent,
time out after having worked, and are refused. What the engine did is judged by the world's books (`Claims`), not by its own.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from engine.decide import Decision, Memory, decide
from engine.decide.memory import ExceptionState
from engine.decide.outcomes import again, begin, refused, retried, settled, settled_elsewhere, unsure
from engine.decide.people import answered, resolved
from engine.facts.case import case_of
from engine.facts.effects import EffectState
from engine.facts.merge import links_of, merge
from engine.facts.record import Observation, RecordState
from engine.facts.values import Money, Unreadable
from engine.language.ruleset import RuleSet
from engine.simulate.claims import Claims

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
EUR = "EUR"
DEADLINE = timedelta(hours=48)  # from the first scan, as in the pack


@dataclass(frozen=True)
class Temper:
    """How unkind a world is: the chance of each kind of trouble."""

    late: timedelta = timedelta(minutes=5)
    repeat: float = 0.0
    agent: float = 0.0
    goodwill: float = 0.0
    store: float = 0.0
    cancel: float = 0.0
    second_rma: float = 0.0
    same_sku: float = 0.0
    unlisted: float = 0.0
    reject: float = 0.0
    times_out: float = 0.0
    refuse: float = 0.0
    rma_cancelled: float = 0.0
    answer: float = 0.0


CALM = Temper()
HOSTILE = Temper(
    late=timedelta(hours=20),
    repeat=0.3,
    agent=0.25,
    goodwill=0.1,
    store=0.2,
    cancel=0.05,
    second_rma=0.15,
    same_sku=0.15,
    unlisted=0.05,
    reject=0.1,
    times_out=0.25,
    refuse=0.05,
    rma_cancelled=0.1,
    answer=0.5,
)


@dataclass
class Line:
    id: str
    sku: str
    quantity: int
    unit: Decimal
    refunds: list[dict[str, Any]] = field(default_factory=list)

    @property
    def price(self) -> Decimal:
        return self.unit * self.quantity

    @property
    def left(self) -> Decimal:
        return self.price - sum((r["amount"].amount for r in self.refunds), Decimal())


@dataclass
class Story:
    """What came of one case."""

    seed: int
    opened: dict[str, str] = field(default_factory=dict)  # exception key -> owner
    broken: list[str] = field(default_factory=list)
    too_much: list[str] = field(default_factory=list)  # refunds that asked for more than was left of their line
    unfounded: list[str] = field(default_factory=list)  # refunds of pieces nobody gave a reason to refund, or already refunded
    unpaid: list[str] = field(default_factory=list)  # what was owed at its deadline or at the end, while nobody was told
    sent: int = 0
    dealt_with: int = 0
    raced: bool = False
    left_alone: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)


class World:
    """Runs one case to its end. Every random choice comes from the seed."""

    def __init__(self, rule_set: RuleSet, seed: int, temper: Temper) -> None:
        self.rule_set = rule_set
        self.random = random.Random(seed)
        self.temper = temper
        self.story = Story(seed)
        self.now = START
        self._queue: list[tuple[datetime, int, Callable[[], None]]] = []
        self._count = 0
        self._records: dict[tuple[str, str], RecordState] = {}
        self._memory = Memory()
        self._last: Decision | None = None
        self._refund_ids = 0
        self.order_state = "received"
        self.lines = self._make_lines()
        ordered: dict[str, int] = {}
        for line in self.lines:
            ordered[line.sku] = ordered.get(line.sku, 0) + line.quantity
        self.claims = Claims(ordered)
        self._ordered = ordered
        self.rmas: dict[str, dict[str, Any]] = {}
        self.parcels: dict[str, dict[str, Any]] = {}
        self.receipts: dict[str, dict[str, Any]] = {}
        self.ledger: dict[str, dict[str, Any]] = {}
        self.sale: dict[str, Any] = {"id": "S", "order_ref": "A", "of_marketplace": True, "currency": EUR, "refunds": ()}
        self._plot()

    # The plot: who does what when.

    def _chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def _make_lines(self) -> list[Line]:
        lines = []
        for n in range(1, self.random.choice((1, 1, 2, 3)) + 1):
            same = lines and self._chance(self.temper.same_sku)
            sku = lines[0].sku if same else f"SKU-{n}"
            price = lines[0].unit if same else Decimal(self.random.randint(500, 9999)) / 100
            lines.append(Line(f"A-{n}", sku, self.random.choice((1, 1, 2, 3)), price))
        return lines

    def at(self, when: datetime, what: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (when, self._count, what))

    def _plot(self) -> None:
        self.at(START, lambda: self.observe("order", "A"))
        self.at(START + timedelta(minutes=1), lambda: self.observe("sale", "S"))
        self._plan_rma("1001", START + timedelta(hours=self.random.randint(1, 48)))
        if self._chance(self.temper.second_rma):
            self._plan_rma("1002", START + timedelta(hours=self.random.randint(2, 96)))
        within = 24 * 8
        if self._chance(self.temper.agent):
            self.at(START + timedelta(hours=self.random.randint(1, within)), self._agent_refunds)
        if self._chance(self.temper.goodwill):
            self.at(START + timedelta(hours=self.random.randint(1, within)), self._agent_is_generous)
        if self._chance(self.temper.store):
            self.at(START + timedelta(hours=self.random.randint(1, within)), self._store_refunds)
        if self._chance(self.temper.cancel):
            self.at(START + timedelta(hours=self.random.randint(1, within)), self._store_cancels)
        for hour in range(12, 24 * 14, 24):  # the poll that sees everything in the end
            self.at(START + timedelta(hours=hour), lambda: self.observe("order", "A", prompt=True))

    def _plan_rma(self, rma_id: str, when: datetime) -> None:
        hours = lambda a, b: timedelta(hours=self.random.randint(a, b))  # noqa: E731
        shipped = when + hours(3, 48)
        arrived = shipped + hours(20, 90)
        inspected = arrived + hours(2, 72)
        self.at(when, lambda: self._request(rma_id))
        self.at(when + timedelta(hours=1), lambda: self._change_rma(rma_id, status="approved"))
        if self._chance(self.temper.rma_cancelled):
            self.at(when + hours(2, 60), lambda: self._change_rma(rma_id, status="cancelled"))
        self.at(shipped, lambda: self._scan(rma_id))
        self.at(arrived, lambda: self._arrive(rma_id))
        self.at(inspected, lambda: self._inspect(rma_id))
        self.at(inspected + hours(1, 24), lambda: self._change_rma(rma_id, status="done", unless="cancelled"))

    def _request(self, rma_id: str) -> None:
        units = []
        for line in self.lines:
            for _ in range(self.random.randint(0 if units else 1, line.quantity)):
                resolution: Any = "refund"
                if self._chance(self.temper.unlisted):
                    resolution = Unreadable("RefundToSomethingNew")
                elif self.temper is not CALM and self._chance(0.1):
                    resolution = "exchange"
                else:
                    self.claims.asked_back(line.sku)
                units.append(
                    {
                        "key": f"{rma_id}{len(units)}",
                        "sku": line.sku,
                        "resolution": resolution,
                        "method": "ship",
                        "shipment_id": f"sh{rma_id}",
                    }
                )
        tracking, ref = f"TRK{rma_id}", f"RG-{rma_id}-sh{rma_id}"
        self.rmas[rma_id] = {
            "id": rma_id,
            "status": "requested",
            "sale_id": "S",
            "requested_at": self.now,
            "tracking_numbers": (tracking,),
            "receipt_refs": (ref,),
            "units": tuple(units),
            "shipments": (
                {
                    "id": f"sh{rma_id}",
                    "status": "label_created",
                    "tracking_number": tracking,
                    "outbound": False,
                    "receipt_ref": ref,
                },
            ),
            "transactions": (),
        }
        self.observe("rma", rma_id)

    def _change_rma(self, rma_id: str, *, status: str, unless: str = "") -> None:
        if self.rmas[rma_id]["status"] != unless:
            self.rmas[rma_id]["status"] = status
            self.observe("rma", rma_id)

    def _scan(self, rma_id: str) -> None:
        if self.rmas[rma_id]["status"] == "cancelled":
            return
        key = f"TRK{rma_id}"
        self.parcels[key] = {"tracking_number": key, "status": "in_transit", "first_scan_at": self.now}
        self.observe("parcel", key)
        self.at(self.now + DEADLINE, lambda: self._owed_by_now("at its deadline"))

    def _arrive(self, rma_id: str) -> None:
        if f"TRK{rma_id}" not in self.parcels:
            return
        self.parcels[f"TRK{rma_id}"] |= {"status": "delivered", "delivered_at": self.now}
        self.observe("parcel", f"TRK{rma_id}")
        ref = f"RG-{rma_id}-sh{rma_id}"
        if ref in self.receipts:
            self.receipts[ref] |= {"status": "arrived", "arrived_at": self.now}
            self.observe("receipt", ref)
        self._change_rma(rma_id, status="received", unless="cancelled")

    def _inspect(self, rma_id: str) -> None:
        rma = self.rmas[rma_id]
        if f"TRK{rma_id}" not in self.parcels or rma["status"] == "cancelled":
            return
        rma["units"] = tuple(
            {**u, "inspected_at": self.now, "verdict": "rejected" if self._chance(self.temper.reject) else "accepted"}
            for u in rma["units"]
        )
        self._change_rma(rma_id, status="validated", unless="cancelled")

    # Agents.

    def _refund(self, line: Line, amount: Decimal) -> str:
        self._refund_ids += 1
        made = {
            "id": str(self._refund_ids),
            "state": "refunded",
            "amount": Money(amount, EUR),
            "shipping_amount": Money(Decimal(), EUR),
            "taxes": (),
            "shipping_taxes": (),
            "created_at": self.now,
            "commission": Money((amount / 10).quantize(Decimal("0.01")), EUR),
            "commission_taxes": (),
        }
        line.refunds.append(made)
        return str(made["id"])

    def _agent_refunds(self) -> None:
        line = self.random.choice(self.lines)
        if line.left >= line.unit and self.order_state == "received":
            self._refund(line, line.unit)
            self.claims.refunded(line.sku, 1)
            self.observe("order", "A")

    def _agent_is_generous(self) -> None:
        line = self.random.choice(self.lines)
        amount = Decimal(self.random.randint(1, 499)) / 100
        if line.left > amount and self.order_state == "received":
            self._refund(line, amount)
            self.observe("order", "A")

    def _store_refunds(self) -> None:
        line = self.random.choice(self.lines)
        self.claims.refunded_in_store(line.sku)
        number = len(self.sale["refunds"]) + 1
        refund = {
            "id": f"R{number}",
            "created_at": self.now,
            "amount": Money(line.unit, EUR),
            "lines": (
                {"id": f"R{number}L", "sku": line.sku, "quantity": 1, "restock": "return", "subtotal": Money(line.unit, EUR)},
            ),
        }
        self.sale["refunds"] = (*self.sale["refunds"], refund)
        self.observe("sale", "S")

    def _store_cancels(self) -> None:
        self.sale["cancelled_at"] = self.now
        self.claims.called_off()
        self.observe("sale", "S")

    # People.

    def _told(self, one: ExceptionState) -> None:
        """Somebody is told of something, and may see to it within two days."""
        self.story.opened[one.key] = one.owner
        self.story.log.append(f"{self.now:%d %H:%M} opened {one.key}: {one.title}")
        if one.rule == "promise_broken":
            self.story.broken.append(one.title)
        if self._chance(self.temper.answer):
            self.at(self.now + timedelta(hours=self.random.randint(1, 48)), lambda: self._see_to(one.key))

    def _see_to(self, key: str) -> None:
        """An answer, if one is asked for; else a refused effect is tried again, or the exception put off."""
        one = self._memory.exceptions.get(key)
        if one is None or one.state != "open":
            return
        refused_ones = [e.key for e in self._memory.effects if e.status == "refused"]
        if one.answers:
            answer = self.random.choice(sorted(one.answers))
            self._memory = answered(self._memory, key, answer, "Kim", self.now)
            self.claims.called_off()  # from here on what is paid is a person's word
        elif refused_ones and self._chance(0.5):
            answer = f"try {refused_ones[0]} again"
            self._memory = retried(self._memory, refused_ones[0])
        else:
            answer = "later"
            self._memory = resolved(self._memory, key, self.now)
        self.story.dealt_with += 1
        self.story.log.append(f"{self.now:%d %H:%M} Kim says of {key}: {answer}")
        self._decide()

    def _owed_by_now(self, when: str) -> None:
        """What was scanned two days ago is paid, or somebody knows why not."""
        if self._memory.exceptions or self._memory.answers:
            return
        for sku, ordered in self._ordered.items():
            rmas = [(rma_id, rma) for rma_id, rma in self.rmas.items() if rma["status"] != "cancelled"]
            back = [(rma_id, unit) for rma_id, rma in rmas for unit in rma["units"] if unit["sku"] == sku]
            owed = sum(
                u["resolution"] == "refund"
                and u.get("verdict") != "rejected"
                and self._scanned_before(rma_id, self.now - DEADLINE)
                for rma_id, u in back
            )
            if self.claims.paid(sku) < min(owed, ordered - (len(back) - owed)):  # any other claim may be to one of the pieces
                self.story.unpaid.append(f"{sku} {when}")

    def _scanned_before(self, rma_id: str, when: datetime) -> bool:
        parcel = self.parcels.get(f"TRK{rma_id}")
        return parcel is not None and bool(parcel["first_scan_at"] <= when)

    # What the engine is told.

    def observe(self, kind: str, key: str, *, prompt: bool = False) -> None:
        """A snapshot of now, delivered late and perhaps twice."""
        observation = self._snapshot(kind, key)
        delay = timedelta() if prompt else self.random.random() * self.temper.late
        self.at(self.now + delay, lambda: self._deliver(observation))
        if not prompt and self._chance(self.temper.repeat):
            self.at(self.now + delay + self.random.random() * self.temper.late * 3, lambda: self._deliver(observation))

    def _snapshot(self, kind: str, key: str) -> Observation:
        if kind == "order":
            fields = self._order()
        else:
            books = {"rma": self.rmas, "parcel": self.parcels, "receipt": self.receipts, "ledger_line": self.ledger}
            fields = dict({**books, "sale": {"S": self.sale}}[kind][key])
        links = frozenset(links_of(self.rule_set.vocabulary, kind, fields)) - {(kind, key)}
        version = self.now.isoformat(timespec="microseconds")
        return Observation(f"world.{kind}", kind, key, version, "", self.now, fields, links=links)

    def _order(self) -> dict[str, Any]:
        lines = tuple(
            {
                "id": line.id,
                "index": n,
                "state": "received",
                "sku": line.sku,
                "quantity": line.quantity,
                "price": Money(line.price, EUR),
                "shipping_price": Money(Decimal(), EUR),
                "taxes": (),
                "shipping_taxes": (),
                "commission": Money((line.price / 10).quantize(Decimal("0.01")), EUR),
                "debited_at": START - timedelta(days=5),
                "shipped_at": START - timedelta(days=4),
                "refunds": tuple(dict(r) for r in line.refunds),
                "cancelations": (),
            }
            for n, line in enumerate(self.lines, 1)
        )
        return {
            "id": "A",
            "state": self.order_state,
            "currency": EUR,
            "tax_mode": "included",
            "created_at": START - timedelta(days=6),
            "debited_at": START - timedelta(days=5),
            "can_cancel": False,
            "fully_refunded": all(not line.left for line in self.lines),
            "customer_pays_seller": False,
            "lines": lines,
        }

    def _deliver(self, observation: Observation) -> None:
        key = (observation.kind, observation.key)
        was = self._records.get(key)
        self._records[key] = merge(was, observation)
        if self._records[key] != was:
            self._decide()

    # The engine's side: decide, look up, send.

    def _decide(self) -> Decision:
        case = case_of("order:A", list(self._records.values()), [], START)
        before = self._memory.exceptions
        decision = decide(self.rule_set, case, self._memory, self.now, self._last.basis if self._last else None)
        self._memory, self._last = decision.memory, decision
        for one in decision.exceptions:
            if one.key not in before:
                self._told(one)
        if decision.wake_at is not None:
            self.at(max(decision.wake_at, self.now), self._wake)
        for effect in decision.effects:
            self.at(self.now, lambda key=effect.key: self._dispatch(key))
        return decision

    def _wake(self) -> None:
        if self._last is not None and self._last.wake_at is not None and self._last.wake_at <= self.now:
            self._decide()

    def _dispatch(self, key: str) -> None:
        effect = self._memory.effect(key)
        if effect is None or effect.status != "planned":
            return
        if effect.action == "warehouse.create_asn" and effect.params["shipment"]["receipt_ref"] in self.receipts:
            self._memory = settled_elsewhere(self._memory, key, {}, self.now)
            self._decide()
            return
        self._look()
        now_planned = self._memory.effect(key)
        if (
            now_planned is None
            or now_planned.status != "planned"
            or now_planned.params != effect.params
            or self._line_busy(effect)
        ):
            return
        self._memory = begin(self._memory, key, self.now)
        if effect.action == "marketplace.refund" and self._chance(self.temper.agent * 0.05):
            self.story.raced = True  # somebody acts between look-up and sending: nobody can close that gap
            self._agent_refunds()
        self._send(effect)

    def _line_busy(self, effect: EffectState) -> bool:
        lines = {u.rpartition("#")[0] for u in effect.units}
        busy = {u.rpartition("#")[0] for e in self._memory.effects if e.status in {"performing", "unsure"} for u in e.units}
        return not lines.isdisjoint(busy)

    def _look(self) -> None:
        """The marketplace is asked, and the case decided with its answer."""
        self._deliver(self._snapshot("order", "A"))

    def _send(self, effect: EffectState) -> None:
        if effect.action != "marketplace.refund":
            self._memory = settled(self._memory, effect.key, {"reference": effect.key}, self.now)
            if effect.action == "warehouse.create_asn":
                ref = effect.params["shipment"]["receipt_ref"]
                self.receipts[ref] = {"ref": ref, "id": f"W{ref}", "status": "awaiting", "lines": (), "created_at": self.now}
                self.observe("receipt", ref)
            if effect.action == "finance.post":
                self._book(effect)
            self._decide()
            return
        line = next(one for one in self.lines if one.id == effect.params["line"])
        amount = effect.params["amount"].amount
        fate = self.random.random()
        self.story.sent += 1
        self.story.log.append(f"{self.now:%d %H:%M} sent {effect.key} {amount} by {effect.rule}")
        if amount > line.left and not self.story.raced:
            self.story.too_much.append(f"{effect.key}: {amount} of {line.left}")
        if amount <= 0:
            self._memory = refused(self._memory, effect.key, "invalid_amount", "nothing to refund", self.now)
        elif fate < self.temper.refuse or amount > line.left or self.order_state != "received":
            self._memory = refused(self._memory, effect.key, "balance_too_low", "not enough", self.now)
        elif fate < self.temper.refuse + self.temper.times_out / 2:
            self._memory = unsure(self._memory, effect.key, "timed out")
            self._chase(effect.key)
        else:
            if not self.claims.allow(line.sku, len(effect.units)):
                self.story.unfounded.append(effect.key)
            made = self._refund(line, amount)
            self.claims.refunded(line.sku, len(effect.units))
            if fate < self.temper.refuse + self.temper.times_out:
                self._memory = unsure(self._memory, effect.key, "timed out")
                self._chase(effect.key)
            else:
                self._memory = settled(self._memory, effect.key, {"refund_id": made}, self.now)
                self.observe("order", "A")
        self._decide()

    def _book(self, effect: EffectState) -> None:
        refund = effect.params["refund"]
        for component in ("amount", "commission"):
            key = f"{refund['id']}/{component}"
            sign = -1 if component == "amount" else 1
            self.ledger[key] = {
                "id": key,
                "posting": effect.key,
                "order_id": "A",
                "refund_id": refund["id"],
                "component": component,
                "amount": refund[component] * sign,
                "posted_at": self.now,
            }
            self.observe("ledger_line", key)

    def _chase(self, key: str) -> None:
        for minutes in (5, 12, 21):
            self.at(self.now + timedelta(minutes=minutes), self._look)
        self.at(self.now + timedelta(minutes=22), lambda: self._once_more(key))

    def _once_more(self, key: str) -> None:
        effect = self._memory.effect(key)
        if effect is not None and effect.status == "unsure":
            self._memory = again(self._memory, key)
            self._decide()

    def run(self) -> Story:
        """To the end: until nothing is left to happen, or 40 days have passed."""
        while self._queue:
            when, _, what = heapq.heappop(self._queue)
            if when > START + timedelta(days=40):
                break
            self.now = max(self.now, when)
            what()
        assert self._last is not None
        self._owed_by_now("at the end")
        self.story.left_alone = [e.key for e in self._memory.effects if e.status in {"planned", "performing", "unsure"}]
        return self.story
