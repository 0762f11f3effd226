"""A small project to test the language in: `tests/language/small`, and the actions its rules can ask for."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from engine.facts.outside import Action, Event, Param
from engine.facts.schema import BOOLEAN, MONEY, TEXT, enum_of, list_of, record_of

SMALL = Path(__file__).parent / "small"
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)

_UNITS = Param(list_of(record_of("unit")), "Order-line units")
_REASON = Param(TEXT, "Why", required=False)
_CODED = {"reason": "Their reason code"}
_STATUS = Param(enum_of("approved", "done"), "The new status")

ACTIONS: Mapping[str, Action] = {
    "marketplace.refund": Action("refund", {"units": _UNITS, "reason": _REASON}, ("units",), "Refund", coded=_CODED),
    "marketplace.cancel": Action("cancel", {"units": _UNITS, "reason": _REASON}, ("units",), "Cancel", coded=_CODED),
    "returns.set_status": Action(
        "set_status",
        {"rma": Param(record_of("rma"), "The RMA"), "status": _STATUS, "quietly": Param(BOOLEAN, "", required=False)},
        ("rma",),
        "Set the status",
        once=False,
        sets="status",
        coded={"status": "Their word for a status"},
    ),
    "returns.comment": Action(
        "comment",
        {"rma": Param(record_of("rma"), "The RMA"), "text": Param(TEXT, "What to say")},
        ("rma", "text"),
        "Comment",
        once=False,
    ),
    "finance.post": Action("post", {"refund": Param(record_of("order_refund"), "The refund")}, ("refund",), "Post"),
    "finance.adjust": Action(
        "adjust",
        {"refund": Param(record_of("order_refund"), "The refund"), "commission": Param(MONEY, "How much")},
        ("refund", "commission"),
        "Adjust",
    ),
}


def project(directory: Path, files: Mapping[str, str] | None = None) -> Path:
    """A copy of the small project in `directory`, with these files put in or over."""
    shutil.copytree(SMALL, directory, dirs_exist_ok=True)
    for name, text in (files or {}).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return directory


def event(payload: bytes, *, kind: str = "portal.rma", requested: bool = False, about: str = "") -> Event:
    return Event(kind.partition(".")[0], kind, payload, NOON, requested, about)
