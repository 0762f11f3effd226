"""Every problem code is declared once, raised somewhere, and explained."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from engine.problems.codes import CODES

HERE = Path(__file__).parent
ENGINE = HERE.parent / "engine"
SAYING = (*sorted((ENGINE / "language").rglob("*.py")), *sorted((ENGINE / "simulate").rglob("*.py")), ENGINE / "run" / "boot.py")
CODE_LIKE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
NO_CODES = {"utf-8", "utf-8-sig"}


def raised() -> dict[str, str]:
    """Every constant in the code that looks like a problem code, with a place where it stands."""
    found: dict[str, str] = {}
    for path in SAYING:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE_LIKE.fullmatch(node.value):
                found.setdefault(node.value, f"{path.relative_to(ENGINE.parent)}:{node.lineno}")
    return {code: place for code, place in found.items() if code not in NO_CODES}


def test_every_code_that_is_raised_is_declared() -> None:
    undeclared = {code: place for code, place in raised().items() if code not in CODES}
    assert not undeclared, "declare these in engine/problems/codes"


def test_every_code_that_is_declared_is_raised() -> None:
    assert set(CODES) - set(raised()) == set()
