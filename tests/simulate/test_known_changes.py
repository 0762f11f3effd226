"""Ten edits of the shipped rules, each with exactly the difference it makes to a known history.

With INSTEP_REWRITE=1 the differences are written anew; read them before they are kept.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engine.language.files import read_files, shipped_root
from engine.simulate.backtest import Plan, Result, backtest
from engine.simulate.history import Entry, recorded
from engine.store.sqlite.store import SqliteStore
from tests.conftest import Played
from tests.simulate.histories import CLIENT, of_orders

KNOWN = Path(__file__).with_name("known_changes.json")
OWN = f"rules/clients/{CLIENT}/client.yaml"
ORDERS = [f"M-{n}" for n in (1001, 1002, 1005, 1101, 1102, 1104, 1201, 1206, 1302, 1303, 1401, 1403, 1501, 1505, 1602, 1604)]

EDITS: dict[str, list[tuple[str, str, str]]] = {
    "refund on receipt instead of inspection": [(OWN, "refund_on: inspection", "refund_on: receipt")],
    "refund on the first scan": [(OWN, "refund_on: inspection", "refund_on: first_scan")],
    "a tighter limit of the marketplace": [(OWN, "refund_within: 12h", "refund_within: 5h")],
    "people are told later": [(OWN, "sla_alarm: 1h", "sla_alarm: 1m")],
    "returns are closed at once": [(OWN, "close_after: 4h", "close_after: 1m")],
    "postings go out at once": [(OWN, 'cadence:\n  finance.post: {batch: "daily 20:00"}\n', "")],
    "no refund in part": [(OWN, "params:\n", "params:\n  permissions: {partial_refund: false}\n")],
    "nothing is told to the returns platform": [
        (OWN, "mode: live", "mode: live"),
        ("rules/clients/demo/own.yaml", "", "rules:\n  tell_returns: {override: true, mode: off}\n"),
    ],
    "the deadline's rule is only watched": [
        ("rules/clients/demo/own.yaml", "", "rules:\n  refund_before_deadline: {override: true, mode: shadow}\n")
    ],
    "layout and comments alone": [(OWN, "params:\n", "# what this shop set\nparams:\n")],
}


def edited(files: dict[str, bytes], edit: str) -> dict[str, bytes]:
    changed = dict(files)
    for name, old, new in EDITS[edit]:
        text = changed.get(name, b"").decode()
        assert old in text, f"{name} has no {old!r}"
        changed[name] = (text.replace(old, new, 1) if old else text + new).encode()
    return changed


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return dict(read_files(shipped_root()).contents)


@pytest.fixture(scope="module")
def some(demo_day: Played, files: dict[str, bytes]) -> list[Entry]:
    store = SqliteStore.open(demo_day[2], as_="visitor")
    history = list(recorded(store))
    store.close()
    return of_orders(history, files, ORDERS)


def told(result: Result) -> dict[str, Any]:
    """The difference as it is kept: how much of what, and each effect and promise by name."""
    moved: Counter[str] = Counter()
    for one in result.differences:
        if one.amount is not None:
            moved[one.amount.currency] += int(one.amount.amount * 100)
    return {
        "cases": result.differing,
        "by_kind": {f"{what} by {rule}": count for (what, rule), count in sorted(result.kinds.items())},
        "depend_on_the_world": result.reactions,
        "cents_moved": {currency: cents for currency, cents in sorted(moved.items()) if cents},
        "effects": sorted(f"{d.case} {d.what} {d.key}" for d in result.differences if d.what.startswith(("effect", "promise"))),
    }


@pytest.mark.parametrize("edit", EDITS)
def test_a_known_change_makes_the_known_difference(edit: str, some: list[Entry], files: dict[str, bytes]) -> None:
    found = told(backtest(Plan(CLIENT, edited(files, edit), against=files), some))
    known = json.loads(KNOWN.read_text(encoding="utf-8")) if KNOWN.exists() else {}
    if os.environ.get("INSTEP_REWRITE") == "1":
        KNOWN.write_text(json.dumps({**known, edit: found}, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    else:
        assert found == known[edit]
