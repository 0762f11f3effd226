"""What the guides for consultants show is true: their examples have no problem, and their scenarios hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from engine.facts.outside import installed_actions
from engine.language.pack import check
from tests.guides import blocks, files, project

INSTEP = str(Path(sys.executable).with_name("instep"))
RULES = "rules/README.md"


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    words = command.split()
    assert words[0] == "instep"
    return subprocess.run([INSTEP, *words[1:]], cwd=folder, capture_output=True, text=True, check=False)


def test_the_rules_of_the_language_guide_have_no_problem_and_no_doubt(tmp_path: Path) -> None:
    root = project(RULES, tmp_path)
    assert len(files(RULES)) > 5
    assert str(check(root, installed_actions())) == ""


def test_the_scenarios_of_the_language_guide_hold(tmp_path: Path) -> None:
    done = run(project(RULES, tmp_path), "instep test rules/clients/northwind")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_commands_the_language_guide_begins_with_work_in_an_empty_folder(tmp_path: Path) -> None:
    for command in blocks(RULES, "sh")[0].splitlines():
        done = run(tmp_path, command)
        assert done.returncode == 0, done.stdout + done.stderr


MAPPINGS = "mappings/README.md"


def test_the_mappings_of_the_mapping_guide_have_no_problem_and_no_doubt(tmp_path: Path) -> None:
    root = project(MAPPINGS, tmp_path)
    assert set(files(MAPPINGS)) == {"mappings/depot/receipt.yaml", "rules/clients/northwind/client.yaml"}
    assert str(check(root, installed_actions())) == ""


def test_the_commands_of_the_mapping_guide_show_what_it_says(tmp_path: Path) -> None:
    root = project(MAPPINGS, tmp_path)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    sound, lacking = blocks(MAPPINGS, "sh")
    found = [
        subprocess.run(["bash", "-c", each], cwd=root, env=environment, capture_output=True, text=True, check=False)
        for each in (sound, lacking)
    ]
    [record] = json.loads(found[0].stdout)["records"]
    assert record["kind"] == "receipt"
    assert record["fields"]["status"] == "arrived"
    assert record["links"] == ["parcel:T1"]
    assert found[1].returncode == 1
    assert "the key is missing" in json.loads(found[1].stdout)["set_aside"]
