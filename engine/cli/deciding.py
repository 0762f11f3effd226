"""`instep decide`: JSON in, JSON out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.decide.decision import decide
from engine.decide.document import BadDocument, decision_to_json, read_case
from engine.facts.codec import loads
from engine.facts.outside import installed_actions
from engine.language.pack import load, project_root

__all__ = ["BadDocument", "decided"]


def decided(root: Path | None, client: str, document: bytes) -> dict[str, Any]:
    """The decision of one case. Raises `BadDocument`, or `ProblemsFound` where the rules do not compile."""
    rule_set = load(project_root(root), client, installed_actions())
    try:
        given = loads(document)
    except ValueError as fault:
        raise BadDocument(f"the input is not JSON: {fault}") from fault
    case, memory, now = read_case(rule_set, given)
    return decision_to_json(rule_set, decide(rule_set, case, memory, now))
