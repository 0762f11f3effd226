"""`instep check` as a pipeline and a person call it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from engine.cli import app
from engine.cli.checking import annotation
from engine.problems import Place, Problem
from engine.problems.codes import CODES
from tests.language.small_world import project

ERROR = "rules: {example: {group: nothing}}"
PACK = "precedence: [sync]\nparams: {grace: {type: duration, default: 1h}}"
MAPPINGS = "records: {order: {key: id, plural: orders, fields: {id: {type: text}}}}"


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["check", *words])


@pytest.fixture
def doubtful(tmp_path: Path) -> str:
    """A project with one warning and no error."""
    for name, text in {"rules/base/base.yaml": PACK, "mappings/facts.yaml": MAPPINGS}.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    return str(tmp_path)


def test_what_is_shipped_has_no_problem_at_all() -> None:
    assert run("--strict").exit_code == 0
    assert "No problems found" in run().stdout


def test_warnings_fail_only_a_strict_check(doubtful: str) -> None:
    assert run(doubtful).exit_code == 0
    assert run(doubtful, "--strict").exit_code == 1
    assert "rules/base/base.yaml:2:10: warning unused-param:" in run(doubtful).stdout


def test_errors_fail_every_check(tmp_path: Path) -> None:
    root = project(tmp_path, {"rules/base/more.yaml": ERROR})
    assert run(str(root)).exit_code == 1


def test_json_has_every_part_of_a_problem(doubtful: str) -> None:
    for words in (["--json"], ["--format", "json"]):
        (problem,) = json.loads(run(doubtful, *words).stdout)["problems"]
        assert problem["code"] == "unused-param"
        assert problem["severity"] == "warning"
        assert (problem["file"], problem["line"], problem["column"]) == ("rules/base/base.yaml", 2, 10)


def test_annotations_name_files_as_the_repository_does(doubtful: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(doubtful).parent)
    line = run(doubtful, "--format", "github").stdout.splitlines()[0]
    assert line.startswith(f"::warning file={Path(doubtful).name}/rules/base/base.yaml,line=2,col=10,title=unused-param::")


def test_annotations_escape_what_would_end_them() -> None:
    problem = Problem(Place("rules/a,b:c.yaml", 3, 4), "wrong-shape", "100 % wrong:\r\nsee :: below, please")
    line = annotation(problem, Path.cwd())
    assert line == ("::error file=rules/a%2Cb%3Ac.yaml,line=3,col=4,title=wrong-shape::100 %25 wrong:%0D%0Asee :: below, please")


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_is_explained_with_both_examples(code: str) -> None:
    said = run("--explain", code).stdout
    assert said.startswith(f"{code} ({CODES[code].severity}): {CODES[code].summary}")
    assert _follow(said, ["Wrong:", "Right:"])
    assert ("silence:" in said.splitlines()[-1]) == (CODES[code].severity != "error")
    assert len(said) < 4_000


def test_explain_alone_lists_every_code() -> None:
    lines = run("--explain").stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(CODES)
    assert {each["code"] for each in json.loads(run("--explain", "--json").stdout)["codes"]} == set(CODES)


def test_a_misspelt_code_gets_the_nearest() -> None:
    found = run("--explain", "open-relatin")
    assert found.exit_code == 2
    assert 'did you mean "open-relation"?' in found.stderr


def _follow(text: str, parts: Sequence[str]) -> bool:
    places = [text.find(part) for part in parts]
    return places == sorted(places) and -1 not in places


def test_a_directory_that_is_no_project_is_not_taken_for_the_shipped_one(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        done = run(str(path))
        assert done.exit_code == 2
        assert str(path) in done.stderr.replace("\n", "")
