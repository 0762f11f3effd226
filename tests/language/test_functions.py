"""Every function authors can call, by example, with what it makes of what has not come."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.facts.calendars import Calendar
from engine.facts.schema import (
    ANY,
    BOOLEAN,
    CALENDAR,
    DURATION,
    MONEY,
    NUMBER,
    PERIOD,
    TEXT,
    TIMESTAMP,
    WORKING_DURATION,
    FieldSpec,
    Kind,
    Vocabulary,
    list_of,
)
from engine.facts.values import UNKNOWN, Items, Money, Unreadable, WorkingDuration
from engine.language.compile import compile_expression
from engine.language.functions import FUNCTIONS
from engine.language.scope import Scope
from engine.language.tables.cells import Cell, Within
from engine.language.tables.table import Input, Output, Row, Table
from engine.language.written import constant
from engine.problems import Place, Problems

LONDON = ZoneInfo("Europe/London")
UK = Calendar("uk", LONDON, (*(((540, 1050),),) * 5, (), ()), "GB", "ENG")
FEES = Table(
    "fees", "order", "first", (Input("n", constant("n", Place("t.yaml"), NUMBER, None)),), (Output("fee", NUMBER),),
    (Row(1, (Cell((Within(0, 10, True),)),), (7,), Place("t.yaml")),), None, Place("t.yaml"), Place("t.yaml"),
)  # fmt: skip
SCOPE = Scope(
    Vocabulary({"fees": Kind("fees", "", {"fee": FieldSpec("fee", NUMBER)})}),
    {
        "s": TEXT, "n": NUMBER, "m": MONEY, "t": TIMESTAMP, "p": BOOLEAN, "ns": list_of(NUMBER), "ms": list_of(MONEY),
        "ds": list_of(DURATION), "ps": list_of(BOOLEAN), "ss": list_of(TEXT), "x": ANY, "d": DURATION,
        "w": WORKING_DURATION, "e": PERIOD, "c": CALENDAR,
    },
    codes={"marketplace.refund.reason": {"wrong_size": "17"}},
    time_zone=LONDON,
    calendars={"uk": UK},
    tables={"fees": FEES},
)  # fmt: skip
LATE = datetime(2026, 7, 1, 23, 30, tzinfo=UTC)
EUR = Money.of(2, "EUR")
FRIDAY = datetime(2026, 11, 27, 16, tzinfo=UTC)
MONDAY = datetime(2026, 11, 30, 16, tzinfo=UTC)

EXAMPLES: list[tuple[str, dict[str, Any], Any]] = [
    ("exists(s)", {"s": ""}, True),
    ("exists(ss)", {"ss": Items()}, False),
    ("exists(ss)", {"ss": Items((), ["a"])}, UNKNOWN),
    ("missing(ss)", {"ss": Items()}, True),
    ("missing(s)", {"s": None}, True),
    ('default(s, "d")', {"s": None}, "d"),
    ("known(ns)", {"ns": Items([1, None, UNKNOWN, Unreadable("x"), 2], [3])}, Items([1, 2])),
    ("first(ns)", {"ns": Items([1, 2])}, 1),
    ("first(ns)", {"ns": Items([1, 2], [3])}, UNKNOWN),
    ("last(ns)", {"ns": Items([1, 2])}, 2),
    ("len(s)", {"s": "abc"}, 3),
    ("len(ns)", {"ns": Items([1, None])}, 2),
    ("len(ns)", {"ns": Items([1], [2])}, UNKNOWN),
    ("min(ns)", {"ns": Items([3, Decimal("0.5")])}, Decimal("0.5")),
    ("min(n, 2)", {"n": 5}, 2),
    ("min(n, 2)", {"n": None}, UNKNOWN),
    ("max(ss)", {"ss": Items("ab")}, "b"),
    ("max(ms)", {"ms": Items([EUR, Money.of(3, "GBP")])}, UNKNOWN),
    ("sum(ns)", {"ns": Items([1, Decimal("0.1"), Decimal("0.2")])}, Decimal("1.3")),
    ("sum(ns)", {"ns": None}, None),
    ("sum(ms)", {"ms": Items([EUR, EUR])}, Money.of(4, "EUR")),
    ("sum(ms)", {"ms": Items()}, UNKNOWN),
    ('sum(ms, "EUR")', {"ms": Items()}, Money.of(0, "EUR")),
    ('sum(ms, "GBP")', {"ms": Items([EUR])}, UNKNOWN),
    ("sum(ms, s)", {"ms": Items([EUR]), "s": None}, None),
    ("sum(ds)", {"ds": Items()}, timedelta(0)),
    ("sum(ds)", {"ds": Items([timedelta(hours=1)] * 2)}, timedelta(hours=2)),
    ("any(ps)", {"ps": Items([False, None])}, UNKNOWN),
    ("any(ps)", {"ps": Items([False], [False])}, False),
    ("any(ps)", {"ps": Items([False], [True])}, UNKNOWN),
    ("all(ps)", {"ps": Items([True], [True])}, True),
    ("all(ps)", {"ps": Items([True], [False])}, UNKNOWN),
    ("all(ps)", {"ps": Items([False, None])}, False),
    ("all(ps)", {"ps": None}, UNKNOWN),
    ("count(ns)", {"ns": Items([1, 2])}, 2),
    ("count(ns)", {"ns": Items([1, None])}, UNKNOWN),
    ("unique(ns)", {"ns": Items([1, Decimal(1), 2, None, None], [2, 3, 3])}, Items([1, 2, None], [3])),
    ("lower(s)", {"s": "AbÉ"}, "abé"),
    ("upper(s)", {"s": None}, None),
    ("strip(s)", {"s": " a\n"}, "a"),
    ('starts_with(s, "R")', {"s": "RMA"}, True),
    ('starts_with(s, "R")', {"s": None}, UNKNOWN),
    ('ends_with(s, "R")', {"s": "RMA"}, False),
    ('contains(s, "M")', {"s": "RMA"}, True),
    ('matches(s, "^R.A$")', {"s": "RMA"}, True),
    ('matches(s, "[0-9]+")', {"s": "no. 7"}, True),
    ('matches(s, "(a+)+$")', {"s": "a" * 5000 + "!"}, False),
    ("money(n, s)", {"n": 2, "s": "EUR"}, EUR),
    ('money(n, "EUR")', {"n": 12345678901234567891}, Money.of(12345678901234567891, "EUR")),
    ('money("2.50", "EUR")', {}, Money.of("2.50", "EUR")),
    ("money(s, s)", {"s": "EUR"}, Unreadable("EUR EUR")),
    ('money(n, "euro")', {"n": 2}, Unreadable("2 euro")),
    ('money(x.amount, "EUR")', {"x": {"amount": Decimal("1E+2")}}, Money.of(100, "EUR")),
    ('money(x.amount, "EUR")', {"x": {}}, None),
    ("days(n)", {"n": Decimal("0.5")}, timedelta(hours=12)),
    ("hours(4)", {}, timedelta(hours=4)),
    ("minutes(n)", {"n": 10**15}, UNKNOWN),
    ("date(t)", {"t": LATE}, date(2026, 7, 2)),
    ('add_working(t, w, "uk")', {"t": FRIDAY, "w": WorkingDuration(1)}, MONDAY),
    ('add_working(t, "1 working day", "uk")', {"t": FRIDAY}, MONDAY),
    ('add_working(t, "90 working minutes", "uk")', {"t": FRIDAY}, datetime(2026, 11, 27, 17, 30, tzinfo=UTC)),
    ('add_working(t, "2 working hours", "uk")', {"t": FRIDAY}, datetime(2026, 11, 30, 9, 30, tzinfo=UTC)),
    ('add_working(t, "3d", "uk")', {"t": FRIDAY}, MONDAY),
    ('add_working(t, e, "uk")', {"t": FRIDAY, "e": timedelta(days=3)}, MONDAY),
    ('add_working(t, -e, "uk")', {"t": MONDAY, "e": WorkingDuration(1)}, FRIDAY),
    ("add_working(t, e, c)", {"t": FRIDAY, "e": WorkingDuration(1), "c": UK}, MONDAY),
    ('add_working(t, d if p else w, "uk")', {"t": FRIDAY, "d": timedelta(days=3), "w": WorkingDuration(1), "p": True}, MONDAY),
    ('add_working(t, d if p else w, "uk")', {"t": FRIDAY, "d": timedelta(days=3), "w": WorkingDuration(1), "p": None}, UNKNOWN),
    ('add_working(t, e, "uk")', {"t": None, "e": WorkingDuration(1)}, None),
    ('add_working(t, e, "uk")', {"t": UNKNOWN, "e": WorkingDuration(1)}, UNKNOWN),
    ('add_working(t, w, "uk")', {"t": FRIDAY, "w": WorkingDuration(999_999)}, UNKNOWN),
    ('add_working(t, w, "uk")', {"t": FRIDAY.replace(tzinfo=None), "w": WorkingDuration(1)}, UNKNOWN),
    ('add_working(x.at, x.long, "uk")', {"x": {"at": FRIDAY, "long": "1 working day"}}, UNKNOWN),
    ("add_working(t, w, x.calendar)", {"t": FRIDAY, "w": WorkingDuration(1), "x": {"calendar": "uk"}}, UNKNOWN),
    ('working_days_between(t, x, "uk")', {"t": FRIDAY, "x": MONDAY}, 1),
    ('working_days_between(t, x, "uk")', {"t": MONDAY, "x": FRIDAY}, -1),
    ('working_days_between(t, x, "uk")', {"t": FRIDAY, "x": None}, None),
    ('working_days_between(t, x, "uk")', {"t": FRIDAY, "x": datetime(3026, 1, 1, tzinfo=UTC)}, UNKNOWN),
    ("mapped(marketplace.refund.reason, s)", {"s": "wrong_size"}, "17"),
    ("mapped(marketplace.refund.reason, s)", {"s": "other"}, None),
    ("lookup(fees, n).fee", {"n": 3}, 7),
    ("lookup(fees, n).fee", {"n": 12}, None),
    ("lookup(fees, n).fee", {"n": None}, UNKNOWN),
    ("lower(x.name)", {"x": {"name": 3}}, UNKNOWN),
]


@pytest.mark.parametrize(("text", "env", "wanted"), EXAMPLES, ids=[f"{text} of {env}" for text, env, _ in EXAMPLES])
def test_a_function_does_what_it_says(text: str, env: dict[str, Any], wanted: Any) -> None:
    problems = Problems()
    expression = compile_expression(text, Place("a.yaml"), SCOPE, problems)
    assert expression is not None, str(problems)
    for found in (expression.value(env), expression.explain(env).value):
        assert found is wanted or (found == wanted and type(found) is type(wanted))


def test_every_function_has_an_example_and_a_sentence() -> None:
    assert {text.split("(")[0] for text, _, _ in EXAMPLES} == set(FUNCTIONS)
    for function in FUNCTIONS.values():
        assert function.signature.startswith(f"{function.name}(")
        assert function.doc.endswith(".")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lower(n)", "lower() takes text, not n (number)"),
        ("lower(s, s)", "lower is called as lower(text)"),
        ("lower(text=s)", "arguments have no names"),
        ("s.lower()", "write lower(text)"),
        ("count(ps)", "put the condition after `if`"),
        ("any(ss)", "a list alone is already a condition"),
        ("sum(ss)", "a list of numbers, money or durations"),
        ("sum(ns, s)", "a list of money where a currency is given"),
        ("min(n, s)", "min() takes number, not s (text)"),
        ("min(ps)", "a list of numbers, money, times"),
        ("max(p, p)", "of one type that has an order"),
        ("default(n, s)", "default() takes number, not s (text)"),
        ("matches(s, s)", "the pattern must be written out"),
        ('matches(s, "(?=a)")', "not a pattern of RE2"),
        ("mapped(marketplace.refund.raeson, s)", '(did you mean "marketplace.refund.reason"?)'),
        ("mapped(s + s, s)", "name a parameter"),
        ("date(s)", "date() takes timestamp"),
        ('add_working(t, w, "us")', 'there is no calendar "us" (one of: uk)'),
        ("add_working(t, w, s)", "its name in quotes, or a parameter of type calendar"),
        ('add_working(t, 2, "uk")', 'such as "5 working days" or "48h" in quotes'),
        ('add_working(t, s, "uk")', 'such as "5 working days" or "48h" in quotes'),
        ('add_working(t, "2 working", "uk")', "is not a whole number of one unit"),
        ('add_working("2026-11-27", w, "uk")', "takes timestamp"),
        ('working_days_between(t, w, "uk")', "takes timestamp, not w (working_duration)"),
        ("lowercase(s)", '(did you mean "lower"?)'),
        ("now()", "time enters through"),
        ("lower", "lower is a function: write lower(text)"),
    ],
)
def test_a_wrong_call_is_explained(text: str, said: str) -> None:
    problems = Problems()
    assert compile_expression(text, Place("a.yaml"), SCOPE, problems) is None
    assert any(said in p.message for p in problems), str(problems)
