"""The scenario the README shows is one that passes."""

from __future__ import annotations

import re
from pathlib import Path

from engine.facts.outside import installed_actions
from engine.simulate.suite import suites

ROOT = Path(__file__).parents[2]


def test_the_scenario_of_the_readme_is_as_promised(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```yaml\n(scenarios:\n.*?)```", text, re.DOTALL)
    (tmp_path / "rules").mkdir()
    (tmp_path / "mappings").symlink_to(ROOT / "mappings")
    (tmp_path / "rules/base").mkdir()
    for path in (ROOT / "rules/base").glob("*.yaml"):
        (tmp_path / "rules/base" / path.name).symlink_to(path)
    (tmp_path / "rules/base/readme.test.yaml").write_text(shown, encoding="utf-8")
    (base,) = suites(tmp_path, installed_actions(), "base", ["rules/base/readme.test.yaml"])
    (one,) = base.run()
    assert one.fine, one.found
