"""The outside's own books at the end, held against what is right: every difference, in words."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from connectors.easypost.connector import EasyPostConnector
from connectors.shipbob.connector import ShipBobConnector
from connectors.shopify.connector import ShopifyConnector
from engine.demo.outside import Post, Sold
from engine.facts.outside import Event, Hint, WebhookRequest
from engine.store.sqlite.journal import digest_of
from tests.crash.stage import Stage
from tests.crash.stories import Right

NOTE = "is refunded in the marketplace"
ZERO = Decimal(0)
STOPPED = frozenset({"unsure", "interrupted", "later", "again"})  # steps of an effect that was cut off
KNOWN = frozenset({"code_not_taken"})  # the sandbox's operator knows fewer reasons than the pack has words for
CUT_OFF = frozenset(  # of effects whose sending was cut off, by the end of the process or of a connection
    {
        "gave_up", "outcome_unknown", "market_return_refused", "returns_platform_refused", "expected_return_refused",
        "posting_refused", "deadline_at_risk", "deadline_missed",
    }
)  # fmt: skip
LATE_NEWS = frozenset(  # what is true of what is known while the rest is still on its way
    {
        "not_approved", "which_was_rejected", "expected_return_missing", "deadline_at_risk", "parcel_without_return",
        "poll_failing", "connector_down",
    }
)  # fmt: skip
ONE_LIFE = timedelta(hours=1)
AT_ONCE = timedelta(hours=2)  # of a service that is killed and down for up to an hour; without that it is the same moment


What = Literal[
    "done twice", "not done", "done otherwise", "event lost", "not told", "told without a reason", "not at rest", "fault"
]


@dataclass(frozen=True, slots=True)
class Wrong:
    """Something that is not as it must be, and of what kind."""

    what: What
    text: str

    def __str__(self) -> str:
        return f"{self.what}: {self.text}"


def in_the_outside(stage: Stage, rights: Mapping[str, Right]) -> Iterator[Wrong]:
    """What the six systems hold that is not right, or lack."""
    for order, right in rights.items():
        for wrong in (*_paid(stage, order, right), *_returns(stage, order, right)):
            yield replace(wrong, text=f"{order} ({right.kind}): {wrong.text}")
    yield from _ledger(stage)


def twice(stage: Stage, rights: Mapping[str, Right]) -> dict[str, datetime]:
    """Lines that were paid for twice because an agent acted between our look-up and our refund, and when that came to be."""
    found = {}
    for order, right in rights.items():
        for number in right.twice:
            line = stage.market.world.orders[order]["order_lines"][number - 1]
            if sum((r["amount"] for r in line["refunds"]), ZERO) > right.paid[number]:
                found[line["order_line_id"]] = max(datetime.fromisoformat(r["created_date"]) for r in line["refunds"])
    return found


def at_once(at: datetime, ends: Sequence[datetime]) -> datetime:
    """By when it has to be told. A life that is ended until then could not; the next one looks at the next hour."""
    limit = at + AT_ONCE
    for end in sorted({end for end in ends if end >= at}):
        if end > limit:
            break
        limit += ONE_LIFE
    return limit


def _paid(stage: Stage, order: str, right: Right) -> Iterator[Wrong]:
    """Per line and component."""
    for number, line in enumerate(stage.market.world.orders[order]["order_lines"], 1):
        line_id, whole = line["order_line_id"], right.paid[number]
        paid = sum((r["amount"] for r in line["refunds"]), ZERO)
        most = whole + (right.twice.get(number, ZERO) if line_id in stage.raced else ZERO)
        if not whole <= paid <= most:
            text = f"{paid} refunded on {line_id}, right is {whole}" + (f" to {most}" if most != whole else "")
            yield Wrong("done twice" if paid > most else "not done", text)
        for tax in line["taxes"]:
            given = sum((t["amount"] for r in line["refunds"] for t in r["taxes"] if t["code"] == tax["code"]), ZERO)
            due = tax["amount"] * paid / line["price"]
            if abs(given - due) > Decimal("0.01") or (paid == line["price"] and given != tax["amount"]):
                yield Wrong("done otherwise", f"{given} of tax {tax['code']} refunded on {line_id}, right is {due:.2f}")
        off = sum((c["amount"] for c in line["cancelations"]), ZERO)
        if off != (line["price"] if number in right.cancelled else ZERO):
            yield Wrong("done twice" if off else "not done", f"{off} cancelled on {line_id}")
    for found in stage.market.world.desk.returns.values():
        if found["order_id"] == order and found["state"] != right.market_return:
            yield Wrong("done otherwise", f"the marketplace's return is {found['state']}, right is {right.market_return}")


def _returns(stage: Stage, order: str, right: Right) -> Iterator[Wrong]:
    sold: Sold = stage.sold[order]
    for number, (rma, wanted) in enumerate(zip(sold.rmas, right.rmas, strict=True)):
        if stage.returns.world.status(rma) != wanted:
            yield Wrong("done otherwise", f"RMA {rma} is {stage.returns.world.status(rma)}, right is {wanted}")
        notes = sum(NOTE in comment["htmlText"] for comment in stage.returns.world.rma(rma)["comments"])
        if notes != (number in right.noted):
            yield Wrong("done twice" if notes else "not done", f"RMA {rma} carries our note {notes} times")
        for parcel, shipment in enumerate(stage.returns.world.shipments(rma)):
            made = [one.status for one in stage.warehouse.returns.values() if shipment in one.reference_id]
            wish = right.expected.get((number, parcel))
            unannounced = made == [] and wish == "Cancelled"  # it was called off before the warehouse could be told
            if made != ([wish] if wish else []) and not unannounced:
                what: What = "not done" if not made else "done twice" if len(made) > bool(wish) else "done otherwise"
                yield Wrong(what, f"the warehouse expects shipment {shipment} as {made}, right is {wish}")


def _ledger(stage: Stage) -> Iterator[Wrong]:
    """Each refund once, with all its components and what it brings back of commission."""
    booked: dict[str, Counter[str]] = {}
    postings: dict[str, set[str]] = {}
    for line in stage.books.lines():
        booked.setdefault(line.refund_id, Counter())[line.component] += line.amount.amount  # type: ignore[assignment]
        postings.setdefault(line.refund_id, set()).add(line.posting)
    refunds = {r["id"]: r for o in stage.market.world.orders.values() for line in o["order_lines"] for r in line["refunds"]}
    for refund_id, refund in refunds.items():
        want = {
            "amount": -refund["amount"], "shipping": -refund["shipping_amount"], "tax": -_sum(refund["taxes"]),
            "shipping_tax": -_sum(refund["shipping_taxes"]), "commission": refund["commission_amount"],
            "commission_tax": refund["commission_tax_amount"],
        }  # fmt: skip
        found = booked.get(refund_id, Counter())
        if {k: v for k, v in want.items() if v} != {k: v for k, v in found.items() if v}:
            yield Wrong(
                "done otherwise" if found else "not done", f"refund {refund_id} is posted as {dict(found)}, right is {want}"
            )
        if len(postings.get(refund_id, ())) != 1:
            count = len(postings.get(refund_id, ()))
            yield Wrong("done twice" if count else "not done", f"refund {refund_id} is in {count} postings")
    for stray in sorted(booked.keys() - refunds.keys()):
        yield Wrong("done otherwise", f"posted is refund {stray}, which nobody made")


def _sum(taxes: Sequence[Mapping[str, Any]]) -> Decimal:
    return sum((tax["amount"] for tax in taxes), ZERO)


class Kept:
    """The store after the last life, read as a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self, query: str, *given: Any) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as connection:
            return connection.execute(query, given).fetchall()

    def settled(self) -> int:
        """How many effects came to pass."""
        return int(self.rows("select count(*) from effects where status in ('settled', 'settled_elsewhere')")[0][0])

    def wrong(
        self, rights: Mapping[str, Right], doubled: Mapping[str, datetime], ends: Sequence[datetime], *, disturbed: bool
    ) -> Iterator[Wrong]:
        """What is not at rest, not explained, or not sound. `disturbed` says whether lives or connections were cut off, `ends`
        are the instants at which lives were.
        """
        if self.rows("pragma integrity_check") != [("ok",)]:
            yield Wrong("fault", "the store is damaged")
        yield from self._unfinished()
        yield from self._told(rights, disturbed=disturbed)
        yield from self._told_of(rights, doubled, ends)

    def _unfinished(self) -> Iterator[Wrong]:
        behind = self.rows("select count(*) from journal where seq > (select journal_seq from position)")[0][0]
        if behind:
            yield Wrong("event lost", f"{behind} events are journalled and not taken in")
        for kind, reason in self.rows(
            "select kind, reason from set_aside join journal on seq = journal_seq where taken_in_at is null"
        ):
            yield Wrong("fault", f"{kind} is set aside: {reason}")
        for key, status, detail, case in self.rows(
            "select key, status, detail, name from effects join cases on cases.id = case_id"
            " where status in ('planned', 'performing', 'unsure', 'refused')"
        ):
            if not self._owned(case):
                yield Wrong("not at rest", f"{case}: {key} is {status} and nobody's ({detail})")

    def _owned(self, case: str) -> bool:
        found = "select 1 from exceptions join cases on cases.id = case_id where name = ? and closed_at is null"
        return bool(self.rows(found, case))

    def _told(self, rights: Mapping[str, Right], *, disturbed: bool) -> Iterator[Wrong]:
        """Exceptions nobody gave a reason for. Where something was cut off that explains some, of that very case, and what came
        of late news has closed by itself.
        """
        cut = {case for case, step in self.rows("select case_name, step from steps") if json.loads(step)["what"] in STOPPED}
        part = "select c.name, into_.name from cases c join cases into_ on into_.id = c.absorbed_into"
        cut |= {whole for name, whole in self.rows(part) if name in cut}
        for case, rule, title, closed in self.rows(
            "select coalesce(name, ''), rule, title, closed_at from exceptions left join cases on cases.id = case_id"
        ):
            right = rights.get(case.removeprefix("order:"))
            if rule in KNOWN or (right is not None and rule in right.told | right.may):
                continue
            if disturbed and ((rule in CUT_OFF and case in cut) or (rule in LATE_NEWS and closed)):
                continue
            kind = right.kind if right else "no order"
            said = f"{case} ({kind}): nobody has a reason for {rule}: {title}" + (" (closed)" if closed else "")
            yield Wrong("told without a reason", said)

    def _told_of(self, rights: Mapping[str, Right], doubled: Mapping[str, datetime], ends: Sequence[datetime]) -> Iterator[Wrong]:
        """What somebody has to be told and was not, or not at once."""
        told: dict[str, set[str]] = {}
        for case, rule in self.rows("select name, rule from exceptions join cases on cases.id = case_id"):
            told.setdefault(case.removeprefix("order:"), set()).add(rule)
        for order, right in rights.items():
            for rule in sorted(right.told - told.get(order, set())):
                yield Wrong("not told", f"{order} ({right.kind}): {rule} was never told")
        for line, at in doubled.items():
            order = line.rpartition("-")[0]
            first = self.rows(
                "select min(e.opened_at) from exceptions e join cases c on c.id = case_id"
                " where rule = 'refunded_twice' and name = ?",
                f"order:{order}",
            )[0][0]
            if first is None or datetime.fromisoformat(first) > at_once(at, ends):
                yield Wrong("not told", f"{order}: {line} was paid for twice at {at}; that was told {first or 'never'}")

    def detours(self) -> Counter[str]:
        """How often effects took each step that is not the straight way."""
        steps = Counter(json.loads(step)["what"] for (step,) in self.rows("select step from steps"))
        return Counter({what: n for what, n in steps.items() if what not in {"begun", "settled"}})

    def exceptions(self) -> Counter[str]:
        return Counter(rule for (rule,) in self.rows("select rule from exceptions"))

    def lost(self, stage: Stage, acknowledged: Sequence[tuple[datetime, Post]]) -> Iterator[Wrong]:
        """Every acknowledged webhook is in the journal and was taken in; a hint was followed by a look."""
        journal = {digest for (digest,) in self.rows("select digest from journal where payload is not null")}
        heard = _hearing(stage)
        for at, post in acknowledged:
            for event in heard(post, at):
                if isinstance(event, Event) and digest_of(event.payload) not in journal:
                    said = f"a webhook of {post.connector}, acknowledged at {at}, is not in the journal: {event.delivery}"
                    yield Wrong("event lost", said)


def _hearing(stage: Stage) -> Any:
    """What each connector makes of a webhook: worked out anew, away from the service."""
    settings = {"shopify": stage.store.settings, "easypost": stage.carrier.settings, "shipbob": stage.warehouse.settings}
    made = {
        cls.name: cls(cls.Settings.model_validate(settings[cls.name]("http://127.0.0.1:1")), stage.market._clock, {})
        for cls in (ShopifyConnector, EasyPostConnector, ShipBobConnector)
    }

    def heard(post: Post, at: datetime) -> Sequence[Event | Hint]:
        if post.connector not in made:
            return ()
        return made[post.connector].receive(WebhookRequest(post.body, post.headers, {}, at))

    return heard
