"""What a table gives once it is known which rows match: the hit policies of DMN 1.5, over rows that match and rows that may.

An output is known only if it is the same whichever of the unsure rows match. Where DMN calls a result undefined (two rows of a
unique table, rows of an any table that do not agree) it is unknown, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from engine.facts.schema import Type
from engine.facts.values import UNKNOWN, Items, Money, is_gap
from engine.language.functions import greatest, least, total, zero_of
from engine.language.operations import equal
from engine.language.tables.index import Bits, rows_in
from engine.language.tables.policies import Hit

Values = tuple[Any, ...]  # one for each output


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a table gives for one set of inputs.

    `values` stand in the order of the outputs. `rows` are those the values come from, `unsure` those that may match too and
    could change them; both count from 0. `fell_through` says that `otherwise` was used, or may be. `reason` says why values are
    unknown where that is no fact's fault.
    """

    values: Values
    rows: tuple[int, ...] = ()
    unsure: tuple[int, ...] = ()
    fell_through: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """The rows of a table as far as hit policies look at them: outputs per row, `otherwise`, each row's rank (the lower
    the earlier), how it is called, and what the sum of nothing is.
    """

    outputs: Sequence[Values]
    otherwise: Values | None
    ranks: Sequence[tuple[int, ...]]
    names: Callable[[int], str]
    width: int
    zero: Any = 0

    @property
    def nothing(self) -> Values:
        """The outcome where no row matches."""
        return (None,) * self.width if self.otherwise is None else self.otherwise


def outcome(hit: Hit, given: Given, sure: Bits, unsure: Bits) -> Outcome:
    """The outcome where the rows of `sure` match, and those of `unsure` may."""
    return _POLICIES[hit](given, sure, unsure)


# --- one row decides ------------------------------------------------------------------------------------------------


def _first(given: Given, sure: Bits, unsure: Bits) -> Outcome:
    if sure:
        decisive = sure & -sure
        return _agreed(given, rows_in(decisive), rows_in(unsure & (decisive - 1)))
    return _agreed(given, [], rows_in(unsure))


def _priority(given: Given, sure: Bits, unsure: Bits) -> Outcome:
    def order(row: int) -> tuple[tuple[int, ...], int]:
        return given.ranks[row], row

    if not sure:
        return _agreed(given, [], rows_in(unsure))
    best = min(rows_in(sure), key=order)
    return _agreed(given, [best], [row for row in rows_in(unsure) if order(row) < order(best)])


def _unique(given: Given, sure: Bits, unsure: Bits) -> Outcome:
    matching, doubtful = rows_in(sure), rows_in(unsure)
    if len(matching) > 1:
        return _undefined(given, matching, f"{_listed(given, matching)} match, and only one may: the table is unique")
    if len(matching) + len(doubtful) > 1:
        return Outcome((UNKNOWN,) * given.width, tuple(matching), tuple(doubtful))
    return _agreed(given, matching, doubtful)


def _any(given: Given, sure: Bits, unsure: Bits) -> Outcome:
    matching, doubtful = rows_in(sure), rows_in(unsure)
    if _differ([given.outputs[row] for row in matching]):
        said = f"{_listed(given, matching)} match and do not give the same: the table says any of them will do"
        return _undefined(given, matching, said)
    if _differ([given.outputs[row] for row in (*matching, *doubtful)]):
        return Outcome((UNKNOWN,) * given.width, tuple(matching), tuple(doubtful))
    return _agreed(given, matching[:1], [] if matching else doubtful)


def _agreed(given: Given, matching: list[int], doubtful: list[int]) -> Outcome:
    """One of the doubtful rows decides, or else the matching one, or else none does."""
    fell = not matching
    candidates = [given.outputs[row] for row in (*doubtful, *matching)]
    if fell:
        candidates.append(given.nothing)
    values = tuple(_common([each[n] for each in candidates]) for n in range(given.width))
    return Outcome(values, tuple(matching), tuple(doubtful), fell_through=fell)


def _common(values: list[Any]) -> Any:
    first = values[0]
    return first if all(_same(first, value) for value in values) else UNKNOWN


def _same(left: Any, right: Any) -> bool:
    if left is None or right is None:
        return left is right
    try:
        return equal(left, right) is True
    except ValueError:
        return False


def _differ(outputs: list[Values]) -> bool:
    return any(not all(map(_same, outputs[0], other)) for other in outputs[1:])


def _undefined(given: Given, matching: list[int], reason: str) -> Outcome:
    return Outcome((UNKNOWN,) * given.width, tuple(matching), reason=reason)


def _listed(given: Given, rows: list[int]) -> str:
    return " and ".join(given.names(row) for row in rows)


# --- all rows count -------------------------------------------------------------------------------------------------


def _rule_order(given: Given, sure: Bits, unsure: Bits) -> Outcome:
    return _list(given, rows_in(sure), rows_in(unsure))


def _output_order(given: Given, sure: Bits, unsure: Bits) -> Outcome:
    def sort(rows: Bits) -> list[int]:
        return sorted(rows_in(rows), key=lambda row: given.ranks[row])

    return _list(given, sort(sure), sort(unsure))


def _list(given: Given, matching: list[int], doubtful: list[int]) -> Outcome:
    fell = not matching
    last = [given.otherwise] if fell and given.otherwise is not None else []
    found = [given.outputs[row] for row in matching] + ([] if doubtful else last)
    perhaps = [given.outputs[row] for row in doubtful] + (last if doubtful else [])
    values = tuple(Items([each[n] for each in found], [each[n] for each in perhaps]) for n in range(given.width))
    return Outcome(values, tuple(matching), tuple(doubtful), fell_through=fell)


def _aggregate(
    given: Given, sure: Bits, unsure: Bits, over: Callable[[list[Any]], Any], same: Callable[[Any, Any], bool]
) -> Outcome:
    """`same(result, value)` tells whether one value more leaves the result as it is."""
    matching, doubtful = rows_in(sure), rows_in(unsure)
    values = [given.outputs[row][0] for row in matching]
    if not values and given.otherwise is not None:
        values = [given.otherwise[0]]
    reason = ""
    try:
        found = over(values)
        more = [given.outputs[row][0] for row in doubtful]
        # over nothing sure, what is left out falls away as soon as a row does match, so that row must give the very result
        fine = all(_keeps(same, found, value) if matching else _same(found, value) for value in more)
        if not matching and len(more) > 1 and fine:
            fine = _same(found, over(more))
    except ValueError as fault:  # two currencies, or the sum of no money
        found, fine, reason = UNKNOWN, True, str(fault)
    return Outcome((found if fine else UNKNOWN,), tuple(matching), tuple(doubtful), not matching, reason)


def _keeps(same: Callable[[Any, Any], bool], found: Any, value: Any) -> bool:
    return not is_gap(found) and not is_gap(value) and same(found, value)


def _sum(given: Given, sure: Bits, unsure: Bits) -> Outcome:
    return _aggregate(given, sure, unsure, lambda values: total(Items(values), given.zero), lambda _, value: not value)


def _min(given: Given, sure: Bits, unsure: Bits) -> Outcome:
    return _aggregate(given, sure, unsure, lambda values: least(Items(values)), lambda found, value: bool(found <= value))


def _max(given: Given, sure: Bits, unsure: Bits) -> Outcome:
    return _aggregate(given, sure, unsure, lambda values: greatest(Items(values)), lambda found, value: bool(found >= value))


def _count(_: Given, sure: Bits, unsure: Bits) -> Outcome:
    matching, doubtful = rows_in(sure), rows_in(unsure)
    return Outcome((UNKNOWN if doubtful else len(matching),), tuple(matching), tuple(doubtful), not matching)


def zero_for(values: Sequence[Any], of: Type) -> Any:
    """The sum of none of a table's values: of money, zero in the one currency the table speaks of."""
    currencies = {value.currency for value in values if isinstance(value, Money)}
    return Money(Decimal(0), currencies.pop()) if len(currencies) == 1 else zero_of(of)


_POLICIES: Mapping[Hit, Callable[[Given, Bits, Bits], Outcome]] = {
    "unique": _unique,
    "any": _any,
    "first": _first,
    "priority": _priority,
    "rule order": _rule_order,
    "output order": _output_order,
    "collect": _rule_order,
    "collect sum": _sum,
    "collect min": _min,
    "collect max": _max,
    "collect count": _count,
}
