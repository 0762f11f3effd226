"""Canonical values survive JSON, and what cannot be read is named by its path."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.facts.codec import decode_fields, dumps, encode, encode_fields, loads
from engine.facts.schema import (
    BOOLEAN,
    MONEY,
    NUMBER,
    TEXT,
    TIMESTAMP,
    FieldSpec,
    Kind,
    Vocabulary,
    enum_of,
    list_of,
    record_of,
)
from engine.facts.values import UNKNOWN, Items, Money, Rec, Unreadable


def _kind(name: str, key: str, fields: dict[str, Any], **more: Any) -> Kind:
    return Kind(name, key, {n: FieldSpec(n, t) for n, t in fields.items()}, **more)


LINE = _kind(
    "order_line",
    "id",
    {"id": TEXT, "quantity": NUMBER, "price": MONEY, "shipped_at": TIMESTAMP, "taxes": list_of(record_of("tax"))},
    scope="item",
)
TAX = _kind("tax", "code", {"code": TEXT, "amount": MONEY}, scope="item")
ORDER = Kind(
    "order",
    "id",
    {
        **_kind(
            "order",
            "id",
            {
                "id": TEXT,
                "state": enum_of("shipping", "shipped"),
                "open": BOOLEAN,
                "tags": list_of(TEXT),
                "lines": list_of(record_of("order_line")),
            },
        ).fields,
        "units": FieldSpec("units", list_of(record_of("order_line")), computed=True),
    },
)
WORDS = Vocabulary({"order": ORDER, "order_line": LINE, "tax": TAX})

numbers = st.integers(-(10**12), 10**12) | st.decimals(
    allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9
)
money = st.builds(Money, st.decimals(min_value=-99999, max_value=99999, places=2), st.sampled_from(["EUR", "USD", "JPY"]))
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
moments = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def _optional(fields: dict[str, st.SearchStrategy[Any]], **required: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(required, optional=fields)


def _keyed(items: st.SearchStrategy[Any], key: str) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(items, max_size=3, unique_by=lambda item: item[key]).map(tuple)


keys = text.filter(bool)
taxes = _keyed(_optional({"amount": money}, code=keys), "code")
lines = _keyed(
    _optional(
        {"quantity": numbers, "price": money | st.builds(Unreadable, text), "shipped_at": moments, "taxes": taxes},
        id=keys,
    ),
    "id",
)
orders = _optional(
    {
        "id": text,
        "state": st.sampled_from(["shipping", "shipped"]) | st.just(Unreadable("dreaming")),
        "open": st.booleans(),
        "tags": st.lists(text).map(tuple),
        "lines": lines,
    }
)


@settings(max_examples=150)
@given(orders)
def test_fields_survive_being_written_and_read_back(fields: dict[str, Any]) -> None:
    written = dumps(encode_fields(WORDS, "order", fields))
    assert decode_fields(WORDS, "order", loads(written)) == fields


@settings(max_examples=100)
@given(orders)
def test_the_json_of_equal_values_is_the_same_text(fields: dict[str, Any]) -> None:
    shuffled = dict(reversed(fields.items()))
    assert dumps(fields) == dumps(shuffled)
    assert loads(dumps(fields)) == encode(loads(dumps(fields)))


@settings(max_examples=200)
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_reading_any_bytes_gives_json_or_a_value_error(raw: bytes | str) -> None:
    try:
        value = loads(raw)
    except ValueError:
        return
    dumps(value).encode()


def test_decimals_are_exact() -> None:
    assert loads("[0.1, 25.96, 7]") == [Decimal("0.1"), Decimal("25.96"), 7]


@pytest.mark.parametrize(
    "raw", ["NaN", "Infinity", "1e999999999", '"\\ud800"', "[" * 100_000, b"\xff\xfe\x00", "", "{", "9" * 5000]
)
def test_what_no_store_could_keep_is_refused(raw: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - one kind of error for every bad text is the promise
        loads(raw)


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert loads('"\\ud83d\\ude00"') == "😀"


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (Decimal("3.0"), 3),
        (Decimal("3.50"), "3.50"),
        (Money.of("12.50", "EUR"), {"amount": "12.50", "currency": "EUR"}),
        (Money.of("1E+2", "EUR"), {"amount": "100", "currency": "EUR"}),
        (datetime(2026, 11, 1, 10, tzinfo=timezone(timedelta(hours=1))), "2026-11-01T09:00:00Z"),
        (timedelta(hours=4), "PT14400S"),
        (timedelta(seconds=-1.5), "-PT1.5S"),
        (Unreadable("?"), {"unreadable": "?"}),
        (UNKNOWN, {"unknown": True}),
        (Rec("rma", "1001", {"id": "1001"}), "rma:1001"),
        (Items(["a"], ["b"]), ["a"]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({"a": (1, Decimal("0.5"))}, {"a": [1, "0.5"]}),
    ],
)
def test_each_value_has_one_json_form(value: Any, form: Any) -> None:
    assert encode(value) == form
    json.dumps(form)


@pytest.mark.parametrize("value", [1.5, {1: "a"}, object(), [0.1]])
def test_floats_and_strangers_have_no_json_form(value: Any) -> None:
    with pytest.raises(TypeError):
        encode(value)


def test_an_unlisted_enum_value_is_unreadable_not_an_error() -> None:
    assert decode_fields(WORDS, "order", {"state": "lost"}) == {"state": Unreadable("lost")}


def test_null_is_missing() -> None:
    assert decode_fields(WORDS, "order", {"id": None, "lines": [{"id": "1", "price": None}]}) == {"lines": ({"id": "1"},)}


@pytest.mark.parametrize(
    ("kind", "given_json", "message"),
    [
        ("ordr", {}, 'ordr: there is no such kind of record (did you mean "order"?)'),
        ("order", [], "order: fields by name are wanted, not a list"),
        ("order", {"stat": "x"}, 'order.stat: order has no such field (did you mean "state"?)'),
        ("order", {"units": []}, "order.units: is worked out from other facts and cannot be given"),
        ("order", {"id": 7}, "order.id: text is wanted, not the number 7"),
        ("order", {"open": "yes"}, "order.open: true or false is wanted, not the text 'yes'"),
        ("order", {"lines": {}}, "order.lines: a list is wanted, not a group of fields"),
        ("order", {"lines": [{"id": "1"}, {"quantity": 1}]}, "order.lines[1]: needs its key, id"),
        ("order", {"lines": [{"id": "1"}, {"id": "1"}]}, "order.lines[1].id: '1' is there twice"),
        ("order", {"lines": [{"id": "1", "quantity": "many"}]}, "order.lines[0].quantity: 'many' is not a number"),
        ("order", {"lines": [{"id": "1", "quantity": True}]}, "order.lines[0].quantity: a number is wanted, not true"),
        (
            "order",
            {"lines": [{"id": "1", "quantity": "1e99"}]},
            "order.lines[0].quantity: 1E+99 has more digits than any amount",
        ),
        (
            "order",
            {"lines": [{"id": "1", "shipped_at": "2026-11-01T09:00:00"}]},
            "order.lines[0].shipped_at: '2026-11-01T09:00:00' has no time zone; write 2026-11-01T09:30:00Z",
        ),
        (
            "order",
            {"lines": [{"id": "1", "price": {"amount": "1", "currency": "euro"}}]},
            "order.lines[0].price.currency: 'euro' is not an ISO 4217 code",
        ),
        (
            "order",
            {"lines": [{"id": "1", "taxes": [{"code": "VAT", "amount": 3}]}]},
            'order.lines[0].taxes[0].amount: money is wanted, like {"amount": "12.50", "currency": "EUR"}, not the number 3',
        ),
    ],
)
def test_what_cannot_be_read_is_named_by_its_path(kind: str, given_json: Any, message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the whole message is compared
        decode_fields(WORDS, kind, given_json)
    assert str(raised.value) == message


def test_writing_an_undeclared_field_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="no such field"):
        encode_fields(WORDS, "order", {"colour": "red"})
