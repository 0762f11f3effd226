"""What deciding by a table costs, by its number of rows, beside reading its rows one by one; and what checking it costs.

    python tests/bench/tables.py

Prints medians of one run: microseconds for one outcome, milliseconds for the index and for all that is proved of the rows.
"""

import statistics
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from engine.facts.schema import NUMBER, TEXT, enum_of
from engine.facts.values import UNKNOWN
from engine.language.tables.cells import ANY_CELL, Cell, Is, Within
from engine.language.tables.check import check_tables
from engine.language.tables.policies import Hit
from engine.language.tables.table import Input, Output, Row, Table
from engine.language.written import constant
from engine.problems import Place, Problems

HERE = Place("t.yaml")
HITS: tuple[Hit, ...] = ("first", "unique")
SIZES = (10, 100, 1000, 4000)


def made(size: int, hit: Hit = "first") -> Table:
    """Four rows for each SKU, by the value of the goods; the last row is for all others."""
    spans = (Within(None, 50), Within(50, 100, True), Within(100, 200, True), Within(200, None, True))
    rows = [
        Row(n + 1, (Cell((Is(f"SKU-{n // 4}"),)), Cell((spans[n % 4],)), ANY_CELL), (f"d{n % 3}",), Place("t.yaml", n + 1))
        for n in range(size)
    ]
    given = [Input(name, constant("x", HERE, of, None)) for name, of in (("sku", TEXT), ("paid", NUMBER), ("reason", TEXT))]
    outputs = (Output("decision", enum_of("d0", "d1", "d2")),)
    return Table("t", "rma", hit, tuple(given), outputs, tuple(rows), ("d0",), HERE, HERE)


def one_by_one(table: Table, values: tuple[Any, ...]) -> Any:
    for row in table.rows:
        tests = [cell.test(value) for cell, value in zip(row.cells, values, strict=True)]
        if all(test is True for test in tests):
            return row.values
        if not any(test is False for test in tests):
            return (UNKNOWN,)
    return table.otherwise


def checks(size: int, hit: Hit) -> None:
    check_tables([made(size, hit)], Problems(), warn=True)


def median(act: Callable[[], Any], times: int = 7) -> float:
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        act()
        found.append(time.perf_counter() - begun)
    return statistics.median(found)


def main() -> None:
    print(f"{'rows':>6} {'outcome':>10} {'one by one':>11} {'ratio':>7} {'index':>9} {'checks':>9} {'unique':>9}")
    for size in SIZES:
        table = made(size)
        cases = [(f"SKU-{n % (size // 4 + 2)}", Decimal(n % 250), "r") for n in range(0, size * 3, max(1, size // 40))]
        rounds = 20 if size <= 100 else 1
        indexed = median(lambda: [table.outcome(c) for _ in range(rounds) for c in cases]) / len(cases) / rounds  # noqa: B023 - at once
        scanned = median(lambda: [one_by_one(table, c) for c in cases], 3) / len(cases)  # noqa: B023 - at once
        built = median(lambda: made(size), 3)  # noqa: B023 - at once
        checked = [median(partial(checks, size, hit), 1) - built for hit in HITS]
        print(
            f"{size:>6} {indexed * 1e6:>7.1f} us {scanned * 1e6:>8.0f} us {scanned / indexed:>6.0f}x {built * 1e3:>6.0f} ms "
            f"{checked[0] * 1e3:>6.0f} ms {checked[1] * 1e3:>6.0f} ms"
        )


if __name__ == "__main__":
    main()
