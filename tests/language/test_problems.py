"""Every mistake is told with its place, what is wanted, and the nearest valid name.

A folder of `problems/` is one case that is laid over the small project; with a file `each_as.txt` in it, every YAML file of the
folder is a case of its own, laid over as the file named there. `expected.txt` is what `check` says. With INSTEP_REWRITE=1 in
the environment the expectations are written anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.language.files import FACTS
from engine.language.pack import check
from engine.problems.codes import CODES as DECLARED
from tests.language.small_world import ACTIONS, SMALL, project

CASES = Path(__file__).parent / "problems"
REWRITE = os.environ.get("INSTEP_REWRITE") == "1"


SINGLE = "each_as.txt"
OF_OTHER_FLOORS = {  # of the service, of scenarios and of the file system, which their own tests and tests/test_codes.py raise
    "not-utf8", "too-large", "unknown-rule", "unknown-sample", "circular-sample", "unknown-payload", "nothing-expected",
    "nothing-observed", "computed-field", "wrong-role", "connector-setting", "secret-missing", "secret-file", "secret-in-file",
    "code-not-taken", "unreadable-file", "unknown-client",
}  # fmt: skip
FOLDERS = sorted(path.name for path in CASES.iterdir())


def overlay(case: Path) -> dict[str, str]:
    return {path.relative_to(case).as_posix(): path.read_text() for path in case.rglob("*.yaml")}


def told(case: Path, directory: Path) -> str:
    """What `check` says of a folder of cases, by the name of the file at fault."""
    if not (case / SINGLE).is_file():
        return str(check(project(directory, overlay(case)), ACTIONS)) + "\n"
    name = (case / SINGLE).read_text().strip()
    root = project(directory)
    before = (root / name).read_bytes() if (root / name).is_file() else None
    lines: list[str] = []
    for one in sorted(case.glob("*.yaml")):
        (root / name).write_bytes(one.read_bytes())
        found = str(check(root, ACTIONS)).replace(name, one.name).splitlines()
        if name == FACTS:  # without its words the rest of the project cannot be understood
            found = [line for line in found if line.startswith(one.name)]
        lines += found or [f"{one.name}: no problem"]
    (root / name).unlink() if before is None else (root / name).write_bytes(before)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("case", FOLDERS)
def test_mistakes_are_told_as_expected(case: str, tmp_path: Path) -> None:
    found = told(CASES / case, tmp_path)
    expected = CASES / case / "expected.txt"
    if REWRITE:
        expected.write_text(found)
    assert found == expected.read_text()


def expectations() -> list[str]:
    return [line for path in CASES.rglob("expected.txt") for line in path.read_text().splitlines()]


def test_there_are_at_least_300_files_with_a_mistake_each() -> None:
    singles = [path for folder in CASES.iterdir() if (folder / SINGLE).is_file() for path in folder.glob("*.yaml")]
    assert len(singles) >= 300


@pytest.mark.parametrize(
    "machine_word",
    ["NoneType", "Traceback", " str", "dict", "tuple", "object at", "<class", "pydantic", "Input should", "ast.", "None", "bool",
     "float", "int ", "repr", "unhashable", "ValueError", "KeyError", "regex", "instance of", "argument of type"],
)  # fmt: skip
def test_no_message_speaks_of_the_machine(machine_word: str) -> None:
    """`str` and the like are looked for as words: a message may well quote what the author wrote."""
    word = re.compile(rf"(?<![\w\"!]){re.escape(machine_word.strip())}(?![\w\"])")
    assert [line for line in expectations() if word.search(line.split(": ", 1)[1])] == []


def test_every_code_of_check_is_told_by_some_broken_file() -> None:
    told_codes = {match[1] for line in expectations() if (match := re.search(r": (?:error|warning|info) ([a-z0-9-]+):", line))}
    assert set(DECLARED) - told_codes - OF_OTHER_FLOORS == set()


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


def test_the_expectations_tell_at_least_200_kinds_of_mistake_apart() -> None:
    assert len({line.split(": ", 1)[1] for line in expectations()}) >= 200


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
