"""Rule sets by what people call them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from engine.facts.outside import installed_actions
from engine.language.files import read_files
from engine.language.pack import files_of, load
from engine.run.rules.past import NoSuchRuleSet
from engine.run.rules.refs import files_at, rule_set_at
from engine.store.sqlite.store import SqliteStore
from tests.decide.small import NOON

RULE = """
rules:
  mine:
    title: One of my own
    group: sync
    when: ['order.state == "{state}"']
    then: [{{raise: {{owner: operations, severity: low, title: t, runbook: r}}}}]
"""


def project(root: Path, state: str) -> Path:
    own = root / "rules/clients/shop"
    own.mkdir(parents=True, exist_ok=True)
    (own / "client.yaml").write_text("client: shop\n", encoding="utf-8")
    (own / "mine.yaml").write_text(RULE.format(state=state), encoding="utf-8")
    return root


def git(root: Path, *words: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    return subprocess.run(["git", "-C", str(root), *who, *words], check=True, capture_output=True, text=True).stdout.strip()


def condition(rule_set: object) -> str:
    rule = rule_set.rule("mine")  # type: ignore[attr-defined]
    return str(rule.when.parts[0].expression.text)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_folder_a_commit_a_hash_and_live_name_what_was_there(tmp_path: Path) -> None:
    actions = installed_actions()
    root = project(tmp_path / "work", "closed")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "first")
    git(root, "tag", "before")
    project(root, "received")
    with_store = SqliteStore.open(tmp_path / "shop.sqlite")
    live = load(read_files(root), "shop", actions)
    with_store.rule_sets.activate(live, files_of(root, "shop"), NOON)
    project(root, "shipped")

    named = {
        ref: condition(rule_set_at(ref, "shop", root, with_store, actions)) for ref in ("before", "HEAD", "live", live.hash[:8])
    }
    assert named == {
        "before": 'order.state == "closed"',
        "HEAD": 'order.state == "closed"',
        "live": 'order.state == "received"',
        live.hash[:8]: 'order.state == "received"',
    }
    assert condition(rule_set_at(str(root), "shop", root, None, actions)) == 'order.state == "shipped"'


@pytest.mark.parametrize("ref", ["nowhere", "live", "--output=x", "", "HEAD~99"])
def test_what_names_nothing_is_said_to(tmp_path: Path, ref: str) -> None:
    with pytest.raises(NoSuchRuleSet, match=r"names no rule set|--database"):
        files_at(ref, project(tmp_path, "closed"), None)
