"""What can be done from the console and over its API: the same functions, with the role each of them is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.desk import asides, corrections, effects, exceptions, rules
from engine.desk.doing import reason
from engine.store.accounts import Role

Given = Mapping[str, str]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Doable:
    """Something a person can do: `wants` names what has to be said. What came of it is told in a sentence."""

    role: Role
    wants: tuple[str, ...]
    do: Callable[[Path, Given, str], str]


def _answer(database: Path, given: Given, by: str) -> str:
    return exceptions.decided(database, None, number(given["number"]), given["answer"], by, given.get("reason", ""))


def _resolve(database: Path, given: Given, by: str) -> str:
    return exceptions.decided(database, None, number(given["number"]), "resolve", by, reason(given["reason"]))


def _assign(database: Path, given: Given, by: str) -> str:
    return exceptions.assigned(database, None, number(given["number"]), given.get("to", ""), by)


def _retry_effect(database: Path, given: Given, by: str) -> str:
    which = effects.Which(names=(given["effect"],))
    return _told(effects.retried(database, None, which, by, given.get("reason", "")))


def _discard_effect(database: Path, given: Given, by: str) -> str:
    return _told(effects.discarded(database, None, effects.Which(names=(given["effect"],)), by, given["reason"]))


def _retry_event(database: Path, given: Given, by: str) -> str:
    which = asides.Which(numbers=(number(given["number"]),))
    return _told(asides.retried(database, None, which, by, given.get("reason", "")))


def _discard_event(database: Path, given: Given, by: str) -> str:
    which = asides.Which(numbers=(number(given["number"]),))
    return _told(asides.discarded(database, None, which, by, given["reason"]))


def _activate(database: Path, given: Given, by: str) -> str:
    return rules.activate(database, None, given.get("hash", ""), by)[0]


def _correct(database: Path, given: Given, by: str) -> str:
    return corrections.corrected(database, None, given["case"], given["what"], given["value"], by, given["reason"])


def _told(rows: list[Json]) -> str:
    return " ".join(text for row in rows for text in (str(row.get("outcome", "")), str(row.get("rules_say", ""))) if text)


def number(text: str) -> int:
    """Raises ValueError."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise ValueError(f"{text[:40]!r} is not a number of the list")
    return int(text)


DOABLE: Mapping[str, Doable] = {
    "exceptions/answer": Doable("operator", ("number", "answer"), _answer),
    "exceptions/resolve": Doable("operator", ("number", "reason"), _resolve),
    "exceptions/assign": Doable("operator", ("number",), _assign),
    "cases/correct": Doable("operator", ("case", "what", "value", "reason"), _correct),
    "effects/retry": Doable("operator", ("effect",), _retry_effect),
    "effects/discard": Doable("operator", ("effect", "reason"), _discard_effect),
    "events/retry": Doable("operator", ("number",), _retry_event),
    "events/discard": Doable("operator", ("number", "reason"), _discard_event),
    "rules/activate": Doable("consultant", (), _activate),
}
