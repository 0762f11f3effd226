"""States of records come back from the store as they went in, also under a vocabulary that has changed since."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.facts.record import RecordState, Snapshot
from engine.facts.schema import FieldSpec, Kind, Type, Vocabulary, enum_of
from engine.facts.values import Money, Unreadable
from engine.store.rows import RecordRow
from engine.store.states import States, decode_state, encode_state
from tests.facts.words import WORDS

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
PLAIN_TEXT = st.text(st.characters(codec="utf-8"), max_size=8)


def of_type(type_: Type) -> st.SearchStrategy[Any]:
    match type_.name:
        case "text":
            return PLAIN_TEXT
        case "number":
            return st.integers(-1000, 1000) | st.decimals(-1000, 1000, places=2).filter(lambda d: d != d.to_integral_value())
        case "money":
            return st.builds(Money, st.decimals(-1000, 1000, places=2), st.sampled_from(["EUR", "USD"]))
        case "boolean":
            return st.booleans()
        case "timestamp":
            return st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
        case "enum":
            return st.sampled_from(type_.values) | PLAIN_TEXT.filter(lambda t: t not in type_.values).map(Unreadable)
    assert type_.of is not None
    if type_.of.name == "text":
        return st.lists(PLAIN_TEXT, max_size=3).map(tuple)
    return items_of(WORDS[type_.of.kind])


def fields_of(kind: Kind, depth: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    chosen = {f.name: f.type for f in kind.fields.values() if not f.computed and (depth or f.type.name != "list")}
    return st.fixed_dictionaries({}, optional={name: st.deferred(lambda t=t: of_type(t)) for name, t in chosen.items()})  # type: ignore[misc]


def items_of(kind: Kind) -> st.SearchStrategy[tuple[dict[str, Any], ...]]:
    keys = st.lists(PLAIN_TEXT.filter(bool), max_size=2, unique=True)
    scalars = fields_of(kind, 0)
    return keys.flatmap(lambda ks: st.tuples(*(scalars.map(lambda f, k=k: {**f, kind.key: k}) for k in ks)))  # type: ignore[misc]


LINKS = st.frozensets(st.tuples(st.sampled_from(["order", "sale"]), PLAIN_TEXT.filter(bool)), max_size=3)


@st.composite
def states(draw: st.DrawFn) -> RecordState:
    kind = draw(st.sampled_from(["order", "rma", "sale", "parcel", "receipt", "seller"]))
    snapshots = st.builds(Snapshot, PLAIN_TEXT, PLAIN_TEXT, fields_of(WORDS[kind]), LINKS)
    return RecordState(
        kind, draw(PLAIN_TEXT.filter(bool)), NOON, draw(st.dictionaries(PLAIN_TEXT, snapshots, max_size=2)),
        draw(fields_of(WORDS[kind], 0)), draw(LINKS),
    )  # fmt: skip


def row(state: RecordState, text: str) -> RecordRow:
    return RecordRow(1, state.kind, state.key, state.seen_at, text)


@settings(max_examples=50, deadline=None)
@given(states())
def test_a_state_comes_back_as_it_went_in(state: RecordState) -> None:
    back = decode_state(WORDS, row(state, encode_state(WORDS, state)))
    assert back == state


def vocabulary(**fields: Type) -> Vocabulary:
    specs = {name: FieldSpec(name, type_) for name, type_ in fields.items()}
    return Vocabulary({"thing": Kind("thing", "id", {"id": FieldSpec("id", Type("text")), **specs})})


def a_thing(**fields: Any) -> RecordState:
    return RecordState("thing", "1", NOON, {"m": Snapshot("1", "d", {"id": "1", **fields})})


def test_a_field_that_is_gone_is_left_out() -> None:
    text = encode_state(vocabulary(a=Type("text"), b=Type("text")), a_thing(a="x", b="y"))
    back = decode_state(vocabulary(a=Type("text")), row(a_thing(), text))
    assert back.snapshots["m"].fields == {"id": "1", "a": "x"}


def test_a_value_that_no_longer_fits_is_unreadable() -> None:
    text = encode_state(vocabulary(a=Type("text")), a_thing(a="x"))
    back = decode_state(vocabulary(a=Type("number")), row(a_thing(), text))
    assert back.snapshots["m"].fields == {"id": "1", "a": Unreadable("x")}


def test_a_word_that_is_no_longer_listed_is_unreadable() -> None:
    text = encode_state(vocabulary(a=enum_of("x", "y")), a_thing(a="y"))
    back = decode_state(vocabulary(a=enum_of("x")), row(a_thing(), text))
    assert back.snapshots["m"].fields["a"] == Unreadable("y")


def test_what_is_remembered_is_what_is_in_the_store() -> None:
    words = vocabulary(a=Type("number"))
    known = States(words, size=1)
    one, two = a_thing(a=1), a_thing(a=Decimal("2.5"))
    assert known.decode(row(one, known.encode(one))) == one
    assert known.decode(row(two, known.encode(two))) == two
    other = replace(one, key="2")
    assert known.decode(row(other, known.encode(other))) == other
    assert known.decode(row(one, known.encode(one))) == one
