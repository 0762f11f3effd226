"""`instep simulate` and `instep events export` as a person types them, over the demo's day."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from engine.cli import app
from tests.conftest import Played


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def one(demo_day: Played) -> list[str]:
    """One case of the demo's day."""
    return ["simulate", "demo", "--database", str(demo_day[2]), "--case", "M-1001", "--workers", "1"]


def test_what_was_recorded_comes_out_again_and_is_told(one: list[str]) -> None:
    done = run(*one)
    assert done.exit_code == 0
    assert "Decides as recorded" in done.stdout
    assert "No case differs" in run(*one, "--against", "live").stdout


def test_what_was_kept_fails_with_the_differences(one: list[str], tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    assert run(*one, "--record", str(kept)).exit_code == 0
    assert "As kept: no case differs." in run(*one, "--expect", str(kept)).stdout
    kept.write_text(kept.read_text().replace("119.00", "118.00"))
    done = run(*one, "--expect", str(kept), "--json")
    assert done.exit_code == 1
    assert {d["what"] for d in json.loads(done.stdout)["unexpected"]} == {"effect otherwise"}


def test_a_history_can_be_written_out_and_replayed_without_its_store(one: list[str], demo_day: Played, tmp_path: Path) -> None:
    exported = run("events", "export", "--database", str(demo_day[2]))
    assert exported.exit_code == 0
    path = tmp_path / "history.jsonl"
    path.write_text(exported.stdout)
    told = json.loads(run("simulate", "demo", "--history", str(path), "--case", "M-1001", "--workers", "1", "--json").stdout)
    assert told["recorded"]["same"] == told["recorded"]["decisions"] > 0
    assert told["totals"] == json.loads(run(*one, "--json").stdout)["totals"]


def test_the_page_is_written(one: list[str], tmp_path: Path) -> None:
    assert run(*one, "--against", "live", "--html", str(tmp_path / "report.html")).exit_code == 0
    assert "No case differs" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--since", "yesterday"], "--since wants an instant"),
        (["--sample", "half"], "--sample wants a share like 10%"),
        (["--against", "nowhere"], '"nowhere" names no rule set'),
        (["--history", "/nowhere.jsonl"], "there is no file"),
        (["--expect", "/nowhere.json"], "No such file"),
    ],
)
def test_what_is_asked_wrongly_is_said_in_one_line(one: list[str], words: list[str], said: str) -> None:
    done = run(*one, *words)
    assert done.exit_code == 2
    assert said in done.stderr.replace("\n", "")
    assert "Traceback" not in done.stderr
