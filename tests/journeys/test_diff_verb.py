"""`instep diff` as a consultant uses it before a change goes out: against a commit, in a folder of one's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from engine.language.files import shipped_root

INSTEP = str(Path(sys.executable).with_name("instep"))


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([INSTEP, *words], cwd=folder, capture_output=True, text=True, check=False)


def git(folder: Path, *words: str) -> None:
    asked = ["git", "-c", "user.name=Kim", "-c", "user.email=kim@example.com", *words]
    subprocess.run(asked, cwd=folder, capture_output=True, check=True)


def test_what_the_working_files_change_of_a_commit_is_told(tmp_path: Path) -> None:
    client = tmp_path / "rules/clients/acme/client.yaml"
    client.parent.mkdir(parents=True)
    client.write_text("client: acme\nextends: [base]\nparams: {sla_margin: 4h}\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "First")
    same = run(tmp_path, "diff", "HEAD")
    assert (same.returncode, same.stdout.strip()) == (0, "Nothing changed in meaning")
    client.write_text("# Another way to write it.\nclient: acme\nparams:\n  sla_margin: 6h\n")
    changed = run(tmp_path, "diff", "HEAD", "--json")
    assert changed.returncode == 1, changed.stderr
    assert json.loads(changed.stdout)["acme"] == [
        {
            "what": "parameter",
            "name": "sla_margin",
            "how": "changed",
            "place": None,
            "parts": [{"part": "value", "before": "4h", "after": "6h"}],
        }
    ]
    people = run(tmp_path, "diff", "HEAD", "--client", "acme")
    assert "changed parameter sla_margin" in people.stdout


def test_what_names_nothing_is_a_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    done = run(tmp_path, "diff", "nonsense")
    assert done.returncode == 2
    assert '"nonsense" names no rule set' in done.stderr


def test_two_folders_are_compared(tmp_path: Path) -> None:
    done = run(tmp_path, "diff", str(shipped_root()), str(shipped_root()))
    assert (done.returncode, done.stdout.strip()) == (0, "Nothing changed in meaning")
