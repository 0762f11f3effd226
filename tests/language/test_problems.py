"""Every mistake is told with its place, what is wanted, and the nearest valid name.

`problems/<case>/` is laid over the small project; `problems/<case>/expected.txt` is what `check` says. With INSTEP_REWRITE=1
in the environment the expectations are written anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.language.pack import check
from tests.language.small_world import ACTIONS, SMALL, project

CASES = Path(__file__).parent / "problems"
REWRITE = os.environ.get("INSTEP_REWRITE") == "1"


def overlay(case: Path) -> dict[str, str]:
    return {path.relative_to(case).as_posix(): path.read_text() for path in case.rglob("*.yaml")}


@pytest.mark.parametrize("case", sorted(p.name for p in CASES.iterdir()))
def test_mistakes_are_told_as_expected(case: str, tmp_path: Path) -> None:
    found = str(check(project(tmp_path, overlay(CASES / case)), ACTIONS)) + "\n"
    expected = CASES / case / "expected.txt"
    if REWRITE:
        expected.write_text(found)
    assert found == expected.read_text()


def test_the_small_project_itself_has_no_problem(tmp_path: Path) -> None:
    assert str(check(project(tmp_path), ACTIONS)) == ""


def test_all_mistakes_are_told_at_once_in_the_order_of_files_and_lines(tmp_path: Path) -> None:
    files: dict[str, str] = {}
    for case in sorted(CASES.iterdir()):
        if case.name in ("rules", "then", "mappings"):
            files |= {name.replace("mistakes", case.name): text for name, text in overlay(case).items()}
    found = check(project(tmp_path, files), ACTIONS)
    assert {p.place.file.split("/")[-1] for p in found} >= {"rules.yaml", "then.yaml", "parcel.yaml", "unit.yaml"}
    assert list(found) == sorted(found)


def test_the_expectations_tell_at_least_fifty_kinds_of_mistake_apart() -> None:
    lines = [line for path in CASES.rglob("expected.txt") for line in path.read_text().splitlines()]
    assert len({line.split(": ", 1)[1] for line in lines}) >= 50


FILES = {path.relative_to(SMALL).as_posix(): path.read_text() for path in sorted(SMALL.rglob("*.yaml"))}
SNIPPETS = ["{", "]", ": ", "- ", "rma", "null", "''", "\n", "  ", "1", "units", "exists(", "any: ", "{a: b}", "\x00", "é", "|"]


@settings(max_examples=100, deadline=None)
@given(file=st.sampled_from(sorted(FILES)), data=st.data())
def test_no_misprint_makes_check_raise(tmp_path_factory: pytest.TempPathFactory, file: str, data: st.DataObject) -> None:
    text = FILES[file]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        gone = data.draw(st.integers(0, 12))
        text = text[:at] + data.draw(st.sampled_from(SNIPPETS)) + text[at + gone :]
    root = project(tmp_path_factory.mktemp("misprint"), {file: text})
    for problem in check(root, ACTIONS):
        assert problem.place.line >= 1
        assert problem.message


@settings(max_examples=50, deadline=None)
@given(file=st.sampled_from(sorted(FILES)), raw=st.binary(max_size=60))
def test_no_bytes_make_check_raise(tmp_path_factory: pytest.TempPathFactory, file: str, raw: bytes) -> None:
    root = project(tmp_path_factory.mktemp("bytes"))
    (root / file).write_bytes(raw)
    check(root, ACTIONS)
