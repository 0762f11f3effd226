"""The file that declares the words becomes a vocabulary, or problems at the place of each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.facts.schema import TEXT, TIMESTAMP, FieldSpec, Vocabulary, enum_of, list_of, record_of
from engine.language.scope import case_names
from engine.language.source import read_source
from engine.language.vocabulary import read_vocabulary, with_field
from engine.problems import Problems

SHIPPED = Path(__file__).parents[2] / "mappings/facts.yaml"
SMALL = """
records:
  order:
    key: id
    plural: orders
    fields:
      id: {type: text}
      state: {enum: [open, shut], doc: Where it stands}
      lines: {list: line}
      refunds: {list: refund, computed: true}
    relations:
      parcels: {to: parcel, back: order_id, many: true}
  parcel:
    key: id
    plural: parcels
    fields:
      id: {type: text}
      order_id: {type: text}
    relations:
      order: {to: order, keys: order_id}
items:
  line:
    key: id
    parent: order
    fields:
      id: {type: text}
      refunds: {list: refund}
  refund:
    key: id
    parent: line
    fields:
      id: {type: text}
"""


def read(text: str) -> tuple[Vocabulary, list[str]]:
    problems = Problems()
    node = read_source(text, "facts.yaml", problems)
    assert node is not None, str(problems)
    found = read_vocabulary(node, problems)
    return found, [f"{p.place.line}:{p.place.column} {p.code}: {p.message}" for p in problems]


def test_the_shipped_words_have_no_problem() -> None:
    vocabulary, said = read(SHIPPED.read_text())
    assert said == []
    assert {"order", "rma", "unit", "effect", "case"} <= set(vocabulary.kinds)
    for kind in vocabulary.kinds.values():
        for spec in kind.fields.values():
            named = spec.type.of or spec.type
            assert not named.kind or named.kind in vocabulary, f"{kind.name}.{spec.name}"


def test_fields_relations_and_parents_have_their_types() -> None:
    vocabulary, said = read(SMALL)
    assert said == []
    order, line = vocabulary["order"], vocabulary["line"]
    assert order.type_of("state") == enum_of("open", "shut")
    assert order.type_of("lines") == list_of(record_of("line"))
    assert order.type_of("parcels") == list_of(record_of("parcel"))
    assert order.relations["parcels"].open
    assert vocabulary["parcel"].type_of("order") == record_of("order")
    assert not vocabulary["parcel"].relations["order"].open
    assert line.type_of("order") == record_of("order")
    assert vocabulary["refund"].type_of("line") == record_of("line")
    assert order.type_of("seen_at") == TIMESTAMP
    assert line.type_of("seen_at") is None


def test_every_rule_sees_the_order_the_case_and_all_plurals() -> None:
    names = case_names(read(SMALL)[0])
    assert names == {
        "order": record_of("order"),
        "case": record_of("case"),
        "orders": list_of(record_of("order")),
        "parcels": list_of(record_of("parcel")),
    }


def test_a_derived_fact_is_one_more_field() -> None:
    vocabulary, _ = read(SMALL)
    wider = with_field(vocabulary, "order", FieldSpec("shop", TEXT, computed=True))
    assert wider["order"].type_of("shop") == TEXT
    assert vocabulary["order"].type_of("shop") is None


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (
            "{type: text}\n      state",
            "{type: txet}\n      state",
            '7:18 unknown-type: order.id: there is no type "txet" (did you mean "text"?)',
        ),
        ("{list: line}", "{list: lien}", '(did you mean "line"?)'),
        ("{enum: [open, shut], doc", "{enum: [open, open], doc", "duplicate-member"),
        ("{enum: [open, shut], doc", "{enum: [], doc", "empty-enum"),
        ("doc: Where it stands", "docs: Where it stands", '(did you mean "doc"?)'),
        ("{enum: [open, shut], doc", "{enum: [open], type: text, doc", "exactly one of"),
        (
            "key: id\n    plural: orders",
            "key: ident\n    plural: orders",
            '4:10 unknown-field: the key of "order" must be one of its fields',
        ),
        ("plural: parcels", "plural: orders", "duplicate-kind"),
        ("plural: parcels", "plural: line", "duplicate-kind"),
        ("{to: order, keys: order_id}", "{to: ordr, keys: order_id}", '(did you mean "order"?)'),
        ("{to: order, keys: order_id}", "{to: line, keys: order_id}", 'there is no record kind "line"'),
        ("{to: order, keys: order_id}", "{to: order, keys: order_di}", '(did you mean "order_id"?)'),
        ("{to: order, keys: order_id}", "{to: order}", "bad-relation"),
        ("back: order_id, many", "back: orderid, many", '"parcel" has no field "orderid"'),
        ("parent: line", "parent: id", "duplicate-field"),
        ("refunds: {list: refund}", "note: {type: text}", "exactly one kind must list it: none"),
        ("  refund:\n", "  line:\n", "duplicate-key"),
        ("items:", "item:", '(did you mean "items"?)'),
        ("      lines: {list: line}", "      a-b: {type: text}\n      lines: {list: line}", "bad-name"),
    ],
)
def test_a_mistake_is_told_at_its_place(right: str, wrong: str, said: str) -> None:
    assert right in SMALL
    found = read(SMALL.replace(right, wrong, 1))[1]
    assert any(said in one for one in found), found


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_never_raises(data: st.DataObject) -> None:
    lines = SMALL.split("\n")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        change = data.draw(st.sampled_from(["drop", "twice", "empty", "list", "deeper"]))
        head = lines[at].split(":")[0]
        lines[at : at + 1] = {
            "drop": [], "twice": [lines[at], lines[at]], "empty": [f"{head}:"], "list": [f"{head}: [1, {{a: b}}]"],
            "deeper": [f"  {lines[at]}"],
        }[change]  # fmt: skip
        lines = lines or [""]
    problems = Problems()
    node = read_source("\n".join(lines), "facts.yaml", problems)
    if node is not None:
        read_vocabulary(node, problems)
