"""A small client to drive the runtime with: three rules made by hand, a marketplace that keeps books, and plain payloads."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from engine.facts.budget import allowance
from engine.facts.codec import decode_fields
from engine.facts.merge import links_of
from engine.facts.outside import (
    Action,
    Connector,
    Event,
    Evidence,
    Feed,
    Hint,
    Order,
    Page,
    Param,
    Receipt,
    Ref,
    Rejected,
    WebhookRequest,
)  # fmt: skip
from engine.facts.record import Observation
from engine.facts.schema import BOOLEAN, TEXT, Type, list_of, record_of
from engine.language.compiled import (  # fmt: skip
    ActionUse,
    Condition,
    Each,
    Env,
    Expression,
    Finding,
    Forbid,
    Raise,
    Rule,
    Template,
)
from engine.language.mapping import SetAside
from engine.language.ruleset import RuleSet  # fmt: skip
from engine.problems import Place
from engine.run.clock import VirtualClock
from engine.run.service import Service
from engine.store.sqlite import SqliteStore
from tests.facts.words import WORDS

EVERYTHING = frozenset(  # small rules read everything, so that what is spared is never missed
    (*(f"{kind.name}.{name}" for kind in WORDS.kinds.values() for name in (*kind.fields, *kind.relations)), *WORDS.kinds)
)

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
HERE = Place("small.yaml")
Json = dict[str, Any]


def expression(text: str, value: Callable[[Env], Any], type_: Type = BOOLEAN) -> Expression:
    """An expression as the compiler would make it, from a Python function."""

    def holds(env: Env) -> Any:
        found = value(env)
        return bool(found) if isinstance(found, tuple) else found

    return Expression(
        text, HERE, type_, EVERYTHING, value,
        lambda env: holds(env) is True, lambda env: holds(env) is False,
        lambda env: Finding(holds(env), value(env), ("rma.status",) if holds(env) is None else ()),
    )  # fmt: skip


def when(*parts: Expression) -> Condition:
    leaves = tuple(Condition("is", f"when/{n}", HERE, part) for n, part in enumerate(parts))
    return Condition("all", "when", HERE, parts=leaves)


def says(text: str) -> Template:
    return Template((text,))


UNITS = expression("rma.units", lambda env: env["rma"]["units"] or (), list_of(record_of("rma_unit")))
REFUND = Action("refund", {"units": Param(list_of(record_of("unit")), "units")}, ("units",), "refund")
TELL = Action(
    "comment", {"rma": Param(record_of("rma"), "rma"), "text": Param(TEXT, "text")}, ("rma", "text"), "tell", once=False
)
BY_RMA = Each("rma", "rma", (), "rma")


def status_is(word: str) -> Expression:
    return expression(
        f'rma.status == "{word}"', lambda env: None if env["rma"]["status"] is None else env["rma"]["status"] == word
    )


def refund_rule(**changes: Any) -> Rule:
    use = ActionUse("marketplace.refund", REFUND, {"units": UNITS}, HERE)
    whole: Json = {
        "id": "refund_when_done", "group": "refund", "rank": 2, "when": when(status_is("done"), UNITS), "place": HERE,
        "each": BY_RMA, "actions": (use,), "meaning": "refund",
    }  # fmt: skip
    return Rule(**(whole | changes))


def hold_rule() -> Rule:
    """Nothing is refunded while the shop is suspended."""
    suspended = expression("seller.state", lambda env: bool(env["seller"]) and env["seller"]["state"] == "suspended")
    return Rule(
        "suspended", "permission", 0, when(suspended), HERE, meaning="suspended", reads=frozenset({"seller.state"}),
        forbids=(Forbid(("marketplace.refund",), says("the shop is suspended"), HERE),),
    )  # fmt: skip


def ask_rule() -> Rule:
    """Someone has to look at a rejected RMA."""
    asked = Raise("customer service", "high", says("rejected"), HERE, answers={"keep": "keep it", "pay": "pay anyway"})
    return Rule("rejected", "verdict", 1, when(status_is("rejected")), HERE, each=BY_RMA, meaning="rejected", raises=(asked,))


def slow_rule() -> Rule:
    """Someone has to look at an RMA that is approved for two days."""
    told = Raise("operations", "low", says("slow"), HERE)
    hold = expression("2d", lambda _: timedelta(days=2), Type("duration"))
    return Rule("slow", "sync", 3, when(status_is("approved")), HERE, each=BY_RMA, meaning="slow", hold_for=hold, raises=(told,))


def unhandled_rule() -> Rule:
    """Every refusal is somebody's."""
    effect = Each("effect", "effect", (), "effect")
    refused = expression("effect.status", lambda env: env["effect"]["status"] in {"refused", "unsure"})
    told = Raise("finance", "high", says("refused"), HERE)
    return Rule("refused", "sync", 3, when(refused), HERE, each=effect, meaning="refused", raises=(told,))


class PlainMapping:
    """Payloads that are records already: `{"kind", "key", "fields", "version"?}`. Without a key they are set aside."""

    pushed = False
    each = None
    tells_time = True
    fields = ()

    def __init__(self, event: str) -> None:
        self.event = event
        self.kind = event.partition(".")[2]

    def observe(self, event: Event) -> list[Observation] | SetAside:
        body = json.loads(event.payload)
        if body.get("key") is None:
            return SetAside("no key", HERE)
        if body.get("fault"):
            raise RuntimeError("a fault of ours")
        kind, key = body["kind"], body["key"]
        fields = decode_fields(WORDS, kind, body["fields"])
        links = frozenset(links_of(WORDS, kind, fields)) - {(kind, key)}
        version = body.get("version") or event.observed_at.isoformat()
        return [Observation(event.kind, kind, key, version, "", event.observed_at, fields, links=links)]


PLAIN = {kind: (PlainMapping(kind),) for kind in ("shop.order", "shop.seller", "shop.ledger_line", "desk.sale", "desk.rma")}


def small_rules(*rules: Rule, **changes: Any) -> RuleSet:
    plain = rules or (refund_rule(), hold_rule(), ask_rule(), slow_rule(), unhandled_rule())
    chosen = [rule if rule.reads else replace(rule, reads=EVERYTHING) for rule in plain]
    whole: Json = {
        "client": "small", "hash": "h1", "vocabulary": WORDS,
        "precedence": ("permission", "verdict", "refund", "sync"), "rules": tuple(sorted(chosen, key=lambda r: r.id)),
        "facts": (), "params": {}, "actions": {"marketplace.refund": REFUND, "returns.comment": TELL}, "promises": (),
        "codes": {}, "cadence": {}, "since": None, "mode": "live", "mappings": PLAIN,
    }  # fmt: skip
    reading = {fact: tuple(chosen) for fact in sorted(EVERYTHING)}
    return RuleSet(**(whole | {"reading": MappingProxyType(reading)} | changes))


def plain(
    kind: str, key: str | None, /, connector: str = "shop", at: datetime = NOON, delivery: str = "", **fields: Any
) -> Event:
    payload = json.dumps({"kind": kind, "key": key, "fields": fields}).encode()
    return Event(connector, f"{connector}.{kind}", payload, at, requested=True, delivery=delivery)


def eur(amount: str) -> Json:
    return {"amount": amount, "currency": "EUR"}


def order_fields(order_id: str = "A", refunds: Sequence[Json] = (), quantity: int = 1, price: str = "50.00", **more: Any) -> Json:
    line = {
        "id": f"{order_id}-1", "index": 1, "sku": "SHOE", "quantity": quantity, "price": eur(price), "shipping_price": eur("0"),
        "taxes": [], "shipping_taxes": [], "state": "shipped", "refunds": list(refunds), "cancelations": [],
    }  # fmt: skip
    whole = {"id": order_id, "currency": "EUR", "tax_mode": "included", "state": "shipped", "lines": [line]}
    return whole | {"created_at": NOON.isoformat()} | more


def an_order(order_id: str = "A", at: datetime = NOON, **more: Any) -> Event:
    return plain("order", order_id, at=at, **order_fields(order_id, **more))


def a_sale(sale_id: str = "S", order_id: str | None = "A", at: datetime = NOON) -> Event:
    return plain("sale", sale_id, connector="desk", at=at, id=sale_id, order_ref=order_id, lines=[], refunds=[])


def an_rma(rma_id: str = "1001", status: str = "done", at: datetime = NOON, units: int = 1, sale_id: str = "S") -> Event:
    pieces = [{"key": f"{rma_id}-{n}", "sku": "SHOE"} for n in range(1, units + 1)]
    return plain(
        "rma", rma_id, connector="desk", at=at, id=rma_id, status=status, sale_id=sale_id, units=pieces,
        requested_at=NOON.isoformat(), shipments=[], transactions=[],
    )  # fmt: skip


@dataclass
class Books:
    """What really happened in the marketplace."""

    refunds: list[Json] = field(default_factory=list)
    orders: dict[str, Json] = field(default_factory=dict)  # fields by id, without refunds
    lag: timedelta = timedelta(0)  # before a refund can be seen

    def book(self, order_id: str, line: str, amount: str, at: datetime) -> str:
        refund_id = f"R{len(self.refunds) + 1}"
        self.refunds.append({"id": refund_id, "order": order_id, "line": line, "amount": amount, "at": at.isoformat()})
        return refund_id

    def shown(self, order_id: str, now: datetime) -> Json:
        made = [
            {"id": r["id"], "amount": eur(r["amount"]), "shipping_amount": eur("0"), "taxes": [], "shipping_taxes": [],
             "created_at": r["at"], "quantity": 1}
            for r in self.refunds if r["order"] == order_id and datetime.fromisoformat(r["at"]) + self.lag <= now
        ]  # fmt: skip
        return order_fields(order_id, refunds=made, **self.orders.get(order_id, {}))


class Shop:
    """The marketplace, in this process. `answers` says how each send goes: a fault to raise before or after booking."""

    name: ClassVar[str] = "shop"
    role: ClassVar[Any] = "marketplace"
    Settings: ClassVar[type[Any]] = dict
    actions: ClassVar[Mapping[str, Action]] = MappingProxyType({"refund": REFUND})

    def __init__(self, clock: Callable[[], datetime], books: Books | None = None) -> None:
        self.clock = clock
        self.books = books or Books()
        self.before: list[Exception] = []  # raised instead of booking, first one first
        self.after: list[Exception] = []  # raised after booking
        self.blind: list[Exception] = []  # raised by look-ups
        self.hidden = False  # look-ups know nothing
        self.pages: list[Page] = []
        self.feeds: Mapping[str, Feed] = {}
        self.asked: list[str] = []
        self.there: dict[str, Event] = {}

    async def _ask(self, what: str) -> None:
        """A request, as a budget counts it."""
        await allowance().spend(what.partition(" ")[0])
        self.asked.append(what)

    async def observe(self, feed: str, cursor: str) -> AsyncIterator[Page]:
        await self._ask(f"poll {feed} from {cursor!r}")
        while self.pages:
            yield self.pages.pop(0)

    def receive(self, request: WebhookRequest) -> Sequence[Event | Hint]:
        if request.query.get("token") != "t":
            raise Rejected(401, "wrong token")
        body = json.loads(request.body)
        if "hint" in body:
            return [Hint("shop", Ref("shop.order", body["hint"]))]
        return [
            plain("order", body["id"], at=request.received_at, delivery=str(body.get("delivery", "")), **order_fields(body["id"]))
        ]

    async def fetch(self, ref: Ref) -> Sequence[Event]:
        await self._ask(f"fetch {ref.kind} {ref.key}")
        if ref.key in self.there:
            return [self.there[ref.key]]
        if ref.key not in self.books.orders:
            return []
        return [self._shown(ref.key, self.clock())]

    async def look_up(self, orders: Sequence[Order]) -> Sequence[Evidence]:
        await self._ask(f"look up {len(orders)}")
        if self.blind:
            raise self.blind.pop(0)
        if self.hidden:
            return [Evidence(o.key, None) for o in orders]
        now = self.clock()
        return [Evidence(o.key, None, None, (self._shown(o.params["order"], now),)) for o in orders]

    def _shown(self, order_id: str, now: datetime) -> Event:
        return plain("order", order_id, at=now, **self.books.shown(order_id, now))

    async def perform(self, order: Order) -> Receipt:
        await self._ask(f"perform {order.key}")
        if self.before:
            raise self.before.pop(0)
        order_id = order.params["order"]
        refund_id = self.books.book(order_id, order.params["line"], f"{order.params['amount'].amount:f}", self.clock())
        if self.after:
            raise self.after.pop(0)
        return Receipt(refund_id, {"refund_id": refund_id})

    async def close(self) -> None:
        self.asked.append("close")


@dataclass
class Client:
    """A service on a virtual clock, and the marketplace it talks to."""

    service: Service
    shop: Shop
    clock: VirtualClock
    path: Path

    @property
    def store(self) -> SqliteStore:
        store = self.service.store
        assert isinstance(store, SqliteStore)
        return store

    def effects(self) -> dict[str, str]:
        return {row.entry.key: row.entry.status for row in self.store.outbox.listed(EVERY_STATUS, 100)}

    def exceptions(self) -> list[str]:
        return sorted(row.entry.rule for row in self.store.exceptions.listed())


EVERY_STATUS = ("planned", "performing", "unsure", "settled", "settled_elsewhere", "refused", "withdrawn")


def client(path: Path, rules: RuleSet | None = None, *, now: datetime = NOON, shop: Shop | None = None, **more: Any) -> Client:
    clock = VirtualClock(now)
    shop = shop or Shop(clock)
    shop.clock = clock
    shop.books.orders.setdefault("A", {})
    connectors: Mapping[str, Connector] = {"marketplace": shop}
    service = Service(SqliteStore.open(path), rules or small_rules(), connectors, clock, **more)
    return Client(service, shop, clock, path)
