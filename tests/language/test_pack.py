"""A project's folders become one rule set for each client, or all their problems."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from engine.facts.outside import installed_actions
from engine.language.batches import Cadence, parse_batch
from engine.language.files import Files, read_files
from engine.language.pack import check, client_directory, clients, files_of, load, load_client, project_root
from engine.problems import ProblemsFound
from tests.language.small_world import ACTIONS, SMALL, project

ACME = "rules/clients/acme/client.yaml"


def test_a_rule_set_carries_all_that_deciding_needs() -> None:
    rule_set = load(SMALL, "acme", ACTIONS)
    assert (rule_set.client, rule_set.mode, rule_set.time_zone, rule_set.since) == ("acme", "live", "Europe/London", None)
    assert rule_set.precedence == ("verdict", "sla", "hold", "refund", "sync")
    assert [rule.id for rule in rule_set.rules] == ["refund_on_scan", "rejected"]
    assert rule_set.params["refund_on"] == "receipt"
    assert rule_set.params["margin"] == timedelta(hours=4)
    assert rule_set.cadence == {"finance.post": Cadence(parse_batch("daily 02:00"))}
    assert sorted(rule_set.mappings) == ["portal.rma", "shop.order"]
    assert rule_set.vocabulary["rma"].fields["scanned_at"].computed
    assert not [kind for kind in rule_set.vocabulary.kinds if kind.startswith("params")]


def test_a_client_sets_codes_word_by_word() -> None:
    assert load(SMALL, "acme", ACTIONS).codes == {"marketplace.refund.reason": {"default": "17", "wrong_size": "18"}}


def test_only_mappings_of_the_clients_connectors_count(tmp_path: Path) -> None:
    config = "client: acme\nconnectors: {marketplace: {use: shop}}\n"
    assert list(load(project(tmp_path, {ACME: config}), "acme", ACTIONS).mappings) == ["shop.order"]


def test_the_same_files_have_the_same_hash_anywhere(tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    assert load(project(moved), "acme", ACTIONS).hash == load(SMALL, "acme", ACTIONS).hash
    split = project(tmp_path / "split")
    base = (split / "rules/base/base.yaml").read_text()
    head, promises = base.split("promises:")
    (split / "rules/base/base.yaml").write_text(head)
    (split / "rules/base/zz.yaml").write_text("# moved into a file of its own\npromises:" + promises)
    assert load(split, "acme", ACTIONS).hash == load(SMALL, "acme", ACTIONS).hash


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (ACME, "refund_on: receipt", "refund_on: first_scan"),
        (ACME, 'wrong_size: "18"', 'wrong_size: "19"'),
        (ACME, "daily 02:00", "daily 03:00"),
        ("rules/base/base.yaml", "hours(48)", "hours(47)"),
        ("rules/base/base.yaml", "refund anyway", "pay anyway"),
        ("mappings/portal/rma.yaml", "Pending: requested", "Waiting: requested"),
        ("mappings/facts.yaml", "[moving, delivered]", "[moving, delivered, lost]"),
    ],
)
def test_every_change_of_meaning_changes_the_hash(tmp_path: Path, file: str, old: str, new: str) -> None:
    text = (SMALL / file).read_text()
    assert old in text
    changed = project(tmp_path, {file: text.replace(old, new)})
    assert load(changed, "acme", ACTIONS).hash != load(SMALL, "acme", ACTIONS).hash


def test_loading_a_broken_set_raises_every_problem_at_once(tmp_path: Path) -> None:
    broken = {
        "rules/base/one.yaml": "rules: {a: {group: x, when: y, then: []}}",
        "rules/clients/acme/two.yaml": "facts: {rma.status: rma.statu}",
        "mappings/portal/three.yaml": "from: portal.x",
    }
    with pytest.raises(ProblemsFound) as raised:
        load(project(tmp_path, broken), "acme", ACTIONS)
    assert {problem.place.file for problem in raised.value.problems} == broken.keys()


def test_scenarios_are_no_rule_files(tmp_path: Path) -> None:
    files = {"rules/base/base.test.yaml": "scenarios: {}", "rules/clients/acme/own.test.yaml": "- anything"}
    assert {p.code for p in check(project(tmp_path, files), ACTIONS)} == {"untried-rule"}


def test_no_file_is_passed_over_in_silence(tmp_path: Path) -> None:
    files = {
        "rules/base/more.yml": "rules: {}",
        "rules/base/deeper/more.yaml": "rules: {}",
        "mappings/shop/deeper/more.yaml": "from: x",
        "rules/clients/new/own.yaml": "rules: {}",
    }
    assert str(check(project(tmp_path, files), ACTIONS)).splitlines() == [
        "mappings/shop/deeper/more.yaml:1:1: error not-read: this file is not read: it must stand in mappings/shop itself",
        "rules/base/deeper/more.yaml:1:1: error not-read: this file is not read: it must stand in rules/base itself",
        "rules/base/more.yml:1:1: error not-read: this file is not read: its name must end in .yaml",
        "rules/clients/new:1:1: error missing-client: this folder needs a client.yaml, which says what the client extends",
    ]


def test_every_client_is_checked_against_the_packs_it_extends(tmp_path: Path) -> None:
    files = {
        "rules/clients/other/client.yaml": "client: other\n",
        "rules/clients/other/own.yaml": "rules: {rejected: {group: hold, when: exists(order), then: []}}",
    }
    root = project(tmp_path, files)
    assert clients(root) == ("acme", "other")
    assert 'rules/clients/other/own.yaml:1:9: error already-defined: the rule "rejected" is already defined at' in str(
        check(root, ACTIONS)
    )
    assert str(check(root, ACTIONS, client="acme")) == ""


def test_an_unknown_client_is_named_with_the_nearest() -> None:
    with pytest.raises(ProblemsFound, match=r'there is no client "acmee" \(did you mean "acme"\?\)'):
        load(SMALL, "acmee", ACTIONS)
    with pytest.raises(ProblemsFound):
        load_client(SMALL, "acmee")


def test_a_client_can_be_read_without_its_rules() -> None:
    config = load_client(SMALL, "acme")
    assert config.connectors["marketplace"].settings["api_key"] == {"secret": "SHOP_KEY"}
    assert client_directory(SMALL, "acme") == SMALL / "rules/clients/acme"


def test_a_client_may_extend_packs_of_its_own_choice(tmp_path: Path) -> None:
    files = {
        "rules/more/more.yaml": "facts: {rma.more: exists(rma.status)}",
        ACME: "client: acme\nextends: [base, more]\n",
    }
    root = project(tmp_path, files)
    assert load(root, "acme", ACTIONS).vocabulary["rma"].fields["more"]
    (root / ACME).write_text("client: acme\n")
    assert "more" not in load(root, "acme", ACTIONS).vocabulary["rma"].fields


def test_a_parameter_without_default_must_be_set(tmp_path: Path) -> None:
    files = {"rules/base/more.yaml": "params: {limit: {type: money}, until: {type: timestamp}}"}
    root = project(tmp_path, files)
    assert '"limit" has no default (rules/base/more.yaml:1:10): set it under params' in str(check(root, ACTIONS))
    (root / ACME).write_text('client: acme\nparams: {limit: "12.50 EUR", until: 2026-11-01T00:00:00Z}\n')
    assert str(load(root, "acme", ACTIONS).params["limit"]) == "12.50 EUR"
    (root / ACME).write_text("client: acme\n")
    assert '"until" has no default' in str(check(root, ACTIONS))


def test_a_directory_with_rules_or_mappings_is_the_project(tmp_path: Path) -> None:
    assert project_root(SMALL) == SMALL.resolve()
    shipped = project_root(tmp_path)
    assert (shipped / "mappings/facts.yaml").is_file()
    assert shipped != tmp_path
    (tmp_path / "rules").mkdir()
    assert project_root(tmp_path) == tmp_path


def test_files_without_facts_say_so() -> None:
    problems = check(Files.of({"rules/base/base.yaml": "precedence: [refund]"}), ACTIONS)
    assert "mappings/facts.yaml:1:1: error unreadable-file: the file cannot be read: there is no such file" in str(problems)


def test_a_folder_of_ones_own_lies_over_what_is_shipped(tmp_path: Path) -> None:
    own = tmp_path / "rules/clients/acme/client.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("client: acme\nextends: [base]\nconnectors: {marketplace: {use: mirakl}}\n")
    files = read_files(tmp_path)
    assert {"rules/base/refund.yaml", "mappings/facts.yaml", "rules/clients/acme/client.yaml"} <= set(files.names)
    assert load(tmp_path, "acme", installed_actions()).rule("refund_on_first_scan")


def test_a_pack_or_a_connectors_mappings_of_ones_own_replace_the_shipped_ones_whole(tmp_path: Path) -> None:
    for name in ("rules/base/mine.yaml", "mappings/mirakl/mine.yaml"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("")
    files = read_files(tmp_path)
    assert [*files.below("rules/base"), *files.below("mappings/mirakl")] == ["rules/base/mine.yaml", "mappings/mirakl/mine.yaml"]
    assert list(files.below("mappings/returngo"))


def test_a_project_with_its_own_vocabulary_stands_alone(tmp_path: Path) -> None:
    assert {name.split("/")[1] for name in read_files(project(tmp_path)).names} == {
        "base",
        "clients",
        "facts.yaml",
        "portal",
        "shop",
    }


def test_the_files_of_a_rule_set_make_it_again(tmp_path: Path) -> None:
    root = project(tmp_path, {"rules/unused/u.yaml": "", "mappings/portal/other.txt": "x"})
    kept = files_of(root, "acme")
    assert "rules/unused/u.yaml" not in kept
    assert load(Files.of(kept), "acme", ACTIONS).hash == load(root, "acme", ACTIONS).hash


def test_the_lock_an_editor_leaves_is_no_file_of_the_project(tmp_path: Path) -> None:
    root = project(tmp_path)
    (root / "rules/base/.#base.yaml").symlink_to("nobody@nowhere:1")
    assert str(check(root, ACTIONS)) == ""


def test_folders_may_be_links_even_in_a_circle(tmp_path: Path) -> None:
    root = project(tmp_path / "here")
    (root / "rules/base").rename(tmp_path / "elsewhere")
    (root / "rules/base").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/again").symlink_to(tmp_path / "elsewhere")
    assert str(check(root, ACTIONS)) == ""


def test_two_connectors_of_one_role_may_write_the_same_record_but_not_for_one_client(tmp_path: Path) -> None:
    again = (SMALL / "mappings/shop/order.yaml").read_text().replace("from: shop.", "from: market.")
    root = project(tmp_path, {"mappings/market/order.yaml": again})
    assert str(check(root, ACTIONS)) == ""
    text = (root / ACME).read_text()
    assert "use: portal" in text
    (root / ACME).write_text(text.replace("use: portal", "use: market"))
    assert "belongs to the mapping of shop." in str(check(root, ACTIONS)) or "field-owner" in str(check(root, ACTIONS))
