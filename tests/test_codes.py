"""Every problem code is declared once, raised somewhere, and explained."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from engine.language.pack import check
from engine.problems import ProblemsFound
from engine.problems.codes import CODES
from engine.simulate.suite import suites
from tests.language.small_world import ACTIONS, project

HERE = Path(__file__).parent
ENGINE = HERE.parent / "engine"
SAYING = [path for floor in ("language", "simulate", "run") for path in sorted((ENGINE / floor).rglob("*.py"))]
CODE_LIKE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
HEADERS = {
    "x-forwarded-for",
    "x-forwarded-host",
    "x-real-ip",
    "content-length",
    "content-type",
    "content-encoding",
    "retry-after",
}
NO_CODES = {"utf-8", "utf-8-sig", "latin-1", *HEADERS}


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


RULE = {
    "group": "sync",
    "each": "rma",
    "when": '[rma.status == "done"]',
    "then": "[{returns.comment: {rma: rma, text: Done}}]",
}
BEFORE_COMPILING = {"unknown-client", "unreadable-file"}  # of a call or the file system, not of a text
AT_START = {
    "wrong-role",
    "connector-setting",
    "secret-missing",
    "secret-file",
    "secret-in-file",
    "code-not-taken",
}  # found by the service: tests/run


def as_file(example: str) -> tuple[str, bytes]:
    """A whole file, or some keys of a rule put into one: its name and what stands in it."""
    named = re.match(r"# (\S+\.ya?ml)\n", example)
    if named:
        return named[1], example.encode()
    if re.match(r"(rules|params):", example):
        return "rules/base/example.yaml", example.encode()
    given = set(re.findall(r"^([a-z_]+):", example, re.MULTILINE))
    rest = "".join(f"{key}: {value}\n" for key, value in RULE.items() if key not in given)
    body = "".join(f"    {line}\n" for line in (rest + example).splitlines())
    return "rules/base/example.yaml", f"rules:\n  example:\n{body}".encode("utf-8", "surrogateescape")


def found_in(example: str, directory: Path) -> list[str]:
    name, text = as_file(example)
    root = project(directory)
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    if name == "mappings/facts.yaml":  # the examples are a vocabulary of their own
        for folder in ("rules/base", "rules/clients/acme", "mappings/portal", "mappings/shop"):
            for path in (root / folder).iterdir():
                path.unlink()
        (root / "rules/base/base.yaml").write_text("")
    (root / name).write_bytes(text)
    found = check(root, ACTIONS)
    if name.endswith(".test.yaml"):
        try:
            suites(root, ACTIONS, "base")
        except ProblemsFound as told:
            found.extend(told.problems)
    return [problem.code for problem in found]


EXAMPLES = sorted(set(CODES) - BEFORE_COMPILING - AT_START)


@pytest.mark.parametrize("code", EXAMPLES)
def test_the_wrong_example_raises_the_code(code: str, tmp_path: Path) -> None:
    assert code in found_in(CODES[code].examples[0], tmp_path)


@pytest.mark.parametrize("code", EXAMPLES)
def test_the_right_example_raises_nothing(code: str, tmp_path: Path) -> None:
    """But that nothing reads what it declares, and that it tries only itself, unless that is the very thing it is about."""
    beside = {"unused-param", "unused-fact", "untried-rule"} - {code}
    assert set(found_in(CODES[code].examples[1], tmp_path)) <= beside
