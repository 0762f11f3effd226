"""Facts are a pure function of records, effects and answers."""

from __future__ import annotations

import random
from decimal import Decimal, Inexact, localcontext
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.facts.case import Case
from engine.facts.derive import derive
from engine.facts.record import RecordState, Snapshot
from engine.facts.refunds import payload
from engine.facts.schema import Type
from engine.facts.values import Items, Money, Rec, Unreadable
from tests.facts.words import T0, WORDS, at, case, effect, eur, facts, line, order, piece, record, refund, rma, sale, store_refund


def flat(rec: Rec) -> dict[str, Any]:
    """A record with the records in it replaced by their names."""

    def name(value: Any) -> Any:
        if isinstance(value, Rec):
            return value.item
        return [name(v) for v in value] if isinstance(value, Items) else value

    return {field: name(value) for field, value in rec.items()}


def everything(*args: Any, **kwargs: Any) -> Any:
    found = facts(*args, **kwargs)
    return {kind: [flat(r) for r in recs] for kind, recs in found.records.items()}, found.matches, found.unfit, found.claimants


def test_an_expression_sees_the_order_the_case_the_shop_and_every_plural() -> None:
    shop = record("seller", {"id": "2001"})
    env = facts(order(line()), rma("1", piece("a")), sale(), client=[shop]).env()
    assert env["order"]["id"] == "A"
    assert env["seller"]["id"] == "2001"
    assert (env["case"]["anchored"], env["case"]["out_of_scope"], env["case"]["opened_at"]) == (True, False, T0)
    assert {"orders", "rmas", "sales", "parcels", "receipts", "units", "effects", "market_returns"} <= env.keys()
    assert [u.key for u in env["units"]] == ["A-1#1"]


def test_a_case_without_its_order_still_has_facts() -> None:
    lone = Case("rma:1", (rma("1", piece("a")),), (), at(3))
    found = derive(WORDS, lone, (), {})
    assert found.order is None
    assert (found.case["anchored"], found.case["opened_at"], found.unfit) == (False, at(3), ("rma_unit:1/a",))
    assert found.env()["order"] is None
    assert found.env()["seller"] is None


def test_a_sale_that_is_not_the_marketplace_s_is_out_of_scope_unless_an_order_says_otherwise() -> None:
    elsewhere = sale(of_marketplace=False)
    assert derive(WORDS, case(elsewhere, case_id="sale:S"), (), {}).case["out_of_scope"] is True
    assert facts(order(line()), elsewhere).case["out_of_scope"] is False
    assert derive(WORDS, case(sale(of_marketplace=None), case_id="sale:S"), (), {}).case["out_of_scope"] is False


def test_only_answers_about_coverage_touch_the_facts() -> None:
    world = case(order(line(quantity=2, price="100", refunds=(refund("r1", "10"),))))
    found = derive(WORDS, world, (), {("another_rule", "order_refund:A/A-1/r1"): "apart"})
    assert found.order is not None
    assert len(found.order["unexplained_refunds"]) == 1


def test_the_decimal_context_of_the_caller_makes_no_difference() -> None:
    world = (order(line(quantity=3, price="100.01", refunds=(refund("r1", "33.34"),))), rma("1", piece("a")))
    plain = everything(*world)
    with localcontext() as context:
        context.prec = 3
        context.traps[Inexact] = True
        assert everything(*world) == plain


worlds = st.fixed_dictionaries(
    {
        "quantity": st.integers(1, 3),
        "refunds": st.lists(st.tuples(st.sampled_from(["50", "100", "10", "0"]), st.integers(-2, 12)), max_size=3),
        "rmas": st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.sampled_from(["approved", "cancelled"])), max_size=3),
        "store": st.lists(st.integers(1, 2), max_size=2),
        "effects": st.lists(
            st.tuples(st.integers(1, 3), st.sampled_from(["settled", "unsure", "refused", "planned"])), max_size=2
        ),
        "answers": st.dictionaries(st.integers(0, 2), st.sampled_from(["apart", "covers"]), max_size=2),
    }
)


def build(world: dict[str, Any]) -> tuple[list[Any], list[Any], dict[str, str]]:
    quantity = world["quantity"]
    refunds = tuple(refund(f"r{i}", amount, hours=h) for i, (amount, h) in enumerate(world["refunds"]))
    records = [
        order(
            line(quantity=quantity, price=str(50 * quantity), refunds=refunds),
            line("A-2", "HAT", 1, "20"),
            line("A-3", "HAT", 1, "20"),
        )
    ]
    for i, (pieces, hours, status) in enumerate(world["rmas"]):
        skus = ("SHOE", "HAT")[i % 2]
        records.append(
            rma(str(i), *(piece(f"p{n}", skus) for n in range(pieces)), hours=hours, status=status, tracking_numbers=(f"T{i}",))
        )
    records.append(
        sale(*(store_refund(f"s{i}", {"id": "l", "sku": "SHOE", "quantity": n}) for i, n in enumerate(world["store"])))
    )
    effects = [
        effect(f"A-1#{n}", status=status, key=f"e{i}", claims={f"rma_unit:0/p{i}": f"A-1#{n}"}, hours=i)
        for i, (n, status) in enumerate(world["effects"])
        if n <= quantity
    ]
    return records, effects, {f"A/A-1/r{i}": answer for i, answer in world["answers"].items()}


@settings(max_examples=150, deadline=None)
@given(worlds, st.randoms(use_true_random=False))
def test_the_order_of_records_effects_and_answers_makes_no_difference(world: dict[str, Any], chance: random.Random) -> None:
    records, effects, answers = build(world)
    first = everything(*records, effects=effects, answers=answers)
    chance.shuffle(records)
    chance.shuffle(effects)
    mixed = list(answers.items())
    chance.shuffle(mixed)
    assert everything(*records, effects=effects, answers=dict(mixed)) == first


@settings(max_examples=150, deadline=None)
@given(worlds)
def test_what_units_say_fits_together(world: dict[str, Any]) -> None:
    records, effects, answers = build(world)
    found = facts(*records, effects=effects, answers=answers)
    assert found.order is not None
    for unit in found.records["unit"]:
        assert unit["settled"] is (unit["refunded"] or unit["cancelled"])
        assert unit["refunded"] is (unit["times_refunded"] > 0)
        assert not (unit["settled"] and unit["in_flight"])
        assert not (unit["settled"] and (unit["coverage"] == "unclear" or unit["due"]))
        assert eur(0) <= unit["due"] <= unit["line"]["left"]
    for seen in found.order["refunds"]:
        assert isinstance(seen["ours"], bool)
        assert seen["explained"] is (seen not in found.order["unexplained_refunds"])
    if not found.order["unexplained_refunds"]:
        assert {u["coverage"] for u in found.records["unit"]} == {"clear"}


def test_deriving_changes_nothing_it_was_given() -> None:
    world = case(order(line(quantity=2, price="100", refunds=(refund("r1", "50"),))), rma("1", piece("a")))
    before = repr(world)
    derive(WORDS, world, (), {})
    assert repr(world) == before


def test_a_record_knows_its_own_key_even_where_no_mapping_wrote_it() -> None:
    lone = record("parcel", {"tracking_number": "T"})
    bare = type(lone)("parcel", "T", T0)
    assert facts(order(line()), bare).records["parcel"][0]["tracking_number"] == "T"


def values_of(spec: Type) -> st.SearchStrategy[Any]:
    plain: dict[str, st.SearchStrategy[Any]] = {
        "text": st.sampled_from(["A", "A-1", "S", "1", "T", "SHOE"]),
        "number": st.integers(-1, 3) | st.just(Decimal("1.5")),
        "money": st.builds(Money, st.integers(-5, 100).map(Decimal), st.sampled_from(["EUR", "USD"])),
        "boolean": st.booleans(),
        "timestamp": st.integers(0, 20).map(at),
    }
    if spec.name == "enum":
        known: st.SearchStrategy[Any] = st.sampled_from(spec.values)
    elif spec.name == "list" and spec.of is not None:
        known = st.lists(items_of(spec.of.kind) if spec.of.kind else plain[spec.of.name], max_size=2).map(tuple)
    else:
        known = plain[spec.name]
    return st.one_of(known, known, known, st.none(), st.just(Unreadable("?")))


def items_of(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    mapped = {name: values_of(spec.type) for name, spec in WORDS[kind].fields.items() if not spec.computed and name != "seen_at"}
    return st.fixed_dictionaries({}, optional=mapped)


def states_of(kind: str, *keys: str) -> st.SearchStrategy[RecordState]:
    held = st.tuples(st.sampled_from(keys), items_of(kind))
    return held.map(lambda made: RecordState(kind, made[0], T0, {"m": Snapshot("", "", made[1])}))


anything = st.tuples(
    states_of("order", "A"),
    st.lists(states_of("rma", "1", "2"), max_size=2, unique_by=lambda r: r.key),
    st.lists(states_of("sale", "S"), max_size=1),
    st.lists(st.one_of(states_of("parcel", "T"), states_of("market_return", "1"), states_of("receipt", "1")), max_size=1),
)


@settings(max_examples=150, deadline=None)
@given(anything, st.sampled_from(["settled", "unsure", "refused"]), st.sampled_from(["apart", "covers", ""]))
def test_no_record_however_odd_breaks_derivation(world: tuple[Any, ...], status: str, answer: str) -> None:
    first, *others = world
    records = [first, *(state for states in others for state in states)]
    sent = effect("A-1#1", status=status, claims={"rma_unit:1/A": "A-1#1"}, receipt={"refund_id": "1"})
    found = facts(*records, effects=[sent], answers={"A/A-1/1": answer})
    for unit in found.records["unit"]:
        if unit["price"] is not None:
            asked = payload(unit["line"], [unit], reason="")
            assert asked["amount"].amount >= 0 or unit["price"].amount < 0
