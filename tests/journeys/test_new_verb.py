"""`instep new` in an empty folder: what it makes passes `instep check` and its own scenarios at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.facts.outside import ROLES

INSTEP = str(Path(sys.executable).with_name("instep"))


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([INSTEP, *words], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    assert run(folder, "new", "client", "northwind").returncode == 0
    made = run(folder, "new", "rule", "unanswered_return", "--group", "hold")
    assert made.returncode == 0, made.stderr
    return folder


def test_a_new_client_and_rule_have_no_problem_and_not_even_a_doubt(own: Path) -> None:
    done = run(own, "check")
    assert (done.returncode, done.stdout.strip()) == (0, "No problems found")


def test_their_scenarios_hold(own: Path) -> None:
    done = run(own, "test", "rules/clients/northwind")
    assert done.returncode == 0, done.stdout
    assert "FAILED" not in done.stdout


def test_an_editor_finds_the_schemas_they_name(own: Path) -> None:
    for path in sorted((own / "rules").rglob("*.yaml")):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert (path.parent / first.removeprefix("# yaml-language-server: $schema=")).is_file(), path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("client", "northwind"), "is there already, and nothing is written over"),
        (("client", "North Wind"), '"North Wind" is no name for a client'),
        (("rule", "unanswered_return"), "there is a rule unanswered_return at rules/clients/northwind/unanswered_return.yaml:"),
        (("rule", "refund_on_first_scan"), "there is a rule refund_on_first_scan at rules/base/refund.yaml:"),
        (("rule", "Mine"), '"Mine" is no id for a rule'),
        (("rule", "mine", "--group", "holt"), 'there is no group "holt" (did you mean "hold"?)'),
        (("rule", "mine", "--client", "northwynd"), 'there is no client "northwynd" (did you mean "northwind"?)'),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_written(own: Path, words: tuple[str, ...], said: str) -> None:
    before = {path: path.read_bytes() for path in own.rglob("*.yaml")}
    done = run(own, "new", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert {path: path.read_bytes() for path in own.rglob("*.yaml")} == before


def test_a_rule_in_a_folder_without_a_client_is_told_to_name_one(tmp_path: Path) -> None:
    done = run(tmp_path, "new", "rule", "mine")
    assert done.returncode == 2
    assert "say whose rule it is, with --client NAME" in done.stderr


@pytest.mark.parametrize("role", ROLES)
def test_a_new_connector_of_any_role_has_a_mapping_without_a_problem(role: str, tmp_path: Path) -> None:
    made = run(tmp_path, "new", "connector", "depot", "--role", role)
    assert made.returncode == 0, made.stderr
    done = run(tmp_path, "check")
    assert (done.returncode, done.stdout.strip()) == (0, "No problems found")
    again = run(tmp_path, "new", "connector", "depot", "--role", role)
    assert again.returncode == 2
    assert "is there already" in again.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("mirakl", "--role", "marketplace"), "a connector mirakl is installed already"),
        (("De-pot", "--role", "carrier"), '"De-pot" is no name for a connector'),
        (("depot", "--role", "wherehouse"), '"wherehouse" is not a role (did you mean "warehouse"?)'),
    ],
)
def test_a_connector_that_cannot_be_made_is_refused(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = run(tmp_path, "new", "connector", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []
