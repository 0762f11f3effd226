"""`instep schema`: where an editor finds what it needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli.schemas import FOLDER, first_line, write_schemas
from engine.language.files import own_files
from engine.language.json_schema import kind_of

MAIN = Path(__file__).parents[2]


@pytest.mark.parametrize("name", own_files(MAIN).names)
def test_the_first_line_of_a_shipped_file_names_the_schema_that_is_written_for_it(name: str, tmp_path: Path) -> None:
    kind = kind_of(name)
    assert kind is not None
    first = (MAIN / name).read_text(encoding="utf-8").splitlines()[0]
    assert first == first_line(name, kind)
    named = (tmp_path / name).parent / first.removeprefix("# yaml-language-server: $schema=")
    assert named.resolve() == (tmp_path / FOLDER / f"{kind}.json").resolve()


def test_schemas_are_written_where_git_leaves_them_alone(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    written = write_schemas(tmp_path)
    assert {path.name for path in written} >= {"rules.json", "client.json", "mapping.json", "facts.json", "codes.json"}
    assert (tmp_path / ".instep/.gitignore").read_text() == "*\n"
    for path in written:
        assert json.loads(path.read_text())["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_the_verb_writes_them_where_it_is_told(tmp_path: Path) -> None:
    call = [str(Path(sys.executable).with_name("instep")), "schema", "--out", str(tmp_path / "out"), "--json"]
    done = subprocess.run(call, cwd=MAIN, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(json.loads(done.stdout)["written"]) == sorted(str(path) for path in (tmp_path / "out").iterdir())
