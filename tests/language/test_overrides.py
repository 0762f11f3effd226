"""A client changes what a pack says by its id, key by key; every place is remembered."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from engine.language.pack import check, load
from engine.language.ruleset import RuleSet
from tests.language.small_world import ACTIONS, SMALL, project

ACME = "rules/clients/acme/client.yaml"
OWN = "rules/clients/acme/own.yaml"
CLIENT = (SMALL / ACME).read_text()


def acme(folder: Path, own: str, **more: str) -> RuleSet:
    files = {OWN: own, **more}
    return load(project(folder, files), "acme", ACTIONS)


def test_named_keys_are_replaced_and_all_others_kept(tmp_path: Path) -> None:
    was = load(SMALL, "acme", ACTIONS).rule("rejected")
    rule = acme(tmp_path, "rules:\n  rejected: {override: true, mode: shadow, title: Ours}\n").rule("rejected")
    assert rule is not None
    assert was is not None
    assert (rule.mode, rule.title, rule.group) == ("shadow", "Ours", "verdict")
    assert (rule.meaning, rule.raises[0].answers) == (was.meaning, was.raises[0].answers)


def test_a_rule_remembers_each_file_and_line_it_came_from(tmp_path: Path) -> None:
    more = {
        "rules/more/more.yaml": "rules: {rejected: {override: true, title: Pack}}",
        ACME: CLIENT.replace("[base]", "[base, more]"),
    }
    rule = acme(tmp_path, "rules:\n  rejected: {override: true, mode: off}\n", **more).rule("rejected")
    assert rule is not None
    assert rule.places == ("rules/base/base.yaml:26:3", "rules/more/more.yaml:1:9", "rules/clients/acme/own.yaml:2:3")
    assert str(rule.place) == "rules/base/base.yaml:26:3"
    assert (rule.title, rule.mode) == ("Pack", "off")


def test_facts_params_and_promises_are_changed_the_same_way(tmp_path: Path) -> None:
    config = "client: acme\nextends: [base]\n"
    own = """
params: {margin: {override: true, default: 6h}}
facts:
  rma.due_at: {override: true, value: rma.scanned_at + hours(24)}
  rma.scanned_at: {override: true, value: rma.received_at}
promises: {in_time: {override: true, doc: Ours}}
"""
    rule_set = acme(tmp_path, own, **{ACME: config})
    assert rule_set.params["margin"] == timedelta(hours=6)
    assert rule_set.derived["rma.due_at"].expression.text == "rma.scanned_at + hours(24)"
    assert rule_set.derived["rma.scanned_at"].doc == "First scan of any of its parcels"
    assert [str(place) for place in rule_set.derived["rma.due_at"].origins] == ["rules/base/base.yaml:10:3", f"{OWN}:4:3"]
    (promise,) = rule_set.promises
    assert (promise.doc, promise.each is not None, len(promise.origins)) == ("Ours", True, 2)


def test_a_key_given_as_null_is_taken_away_and_one_left_empty_is_a_slip(tmp_path: Path) -> None:
    slow = {"rules/base/slow.yaml": "rules: {slow: {group: sync, each: rma, when: exists(rma.units), for: 2h, then: "
            "[{raise: {owner: ops, severity: low, title: slow}}]}}"}  # fmt: skip
    rule = acme(tmp_path / "null", "rules: {slow: {override: true, for: null}}", **slow).rule("slow")
    assert rule is not None
    assert rule.hold_for is None
    root = project(tmp_path / "empty", {OWN: "rules:\n  slow:\n    override: true\n    for:\n", **slow})
    assert f"{OWN}:4:9: error" in str(check(root, ACTIONS))


def test_the_order_of_files_in_a_folder_makes_no_difference(tmp_path: Path) -> None:
    """An override stands above the pack, in whichever file of the client."""
    over = "rules: {rejected: {override: true, mode: off}}"
    first = load(project(tmp_path / "a", {"rules/clients/acme/aa.yaml": over}), "acme", ACTIONS)
    last = load(project(tmp_path / "b", {"rules/clients/acme/zz.yaml": over}), "acme", ACTIONS)
    assert first.hash == last.hash


def test_a_fault_within_an_override_is_told_where_it_stands(tmp_path: Path) -> None:
    own = "rules:\n  rejected:\n    override: true\n    when:\n      - rma.rejectd_units\n"
    found = str(check(project(tmp_path, {OWN: own}), ACTIONS))
    assert f'{OWN}:5:13: error unknown-field: rma has no field "rejectd_units" (did you mean "rejected_units"?)' in found
    assert "rules/base" not in found


def test_a_fault_the_pack_makes_for_an_overridden_rule_is_told_in_the_pack(tmp_path: Path) -> None:
    own = {OWN: "rules:\n  rejected: {override: true, each: null}\n"}
    found = check(project(tmp_path, own), ACTIONS)
    assert {problem.place.file for problem in found} == {"rules/base/base.yaml"}
    assert all(problem.message.endswith("(for the client acme)") for problem in found)


def test_what_an_override_leaves_incomplete_is_told_at_the_override(tmp_path: Path) -> None:
    found = str(check(project(tmp_path, {OWN: "rules:\n  rejected: {override: true, when: null}\n"}), ACTIONS))
    assert found.startswith(f"{OWN}:2:13: error missing-key")


def test_a_change_of_a_pack_that_breaks_one_client_names_it(tmp_path: Path) -> None:
    files = {
        "rules/clients/other/client.yaml": "client: other\n",
        OWN: "rules: {mine: {group: sync, each: rma, when: exists(rma.late_from), then: [{raise: "
        "{owner: ops, severity: low, title: x, runbook: y}}]}}",
    }
    root = project(tmp_path, files)
    assert str(check(root, ACTIONS)) == ""
    base = root / "rules/base/base.yaml"
    base.write_text(base.read_text().replace("  margin: {type: duration, default: 4h}\n", "  margin: {type: duration}\n"))
    (root / ACME).write_text((root / ACME).read_text().replace("params:\n", "params:\n  margin: 4h\n"))
    (problem,) = check(root, ACTIONS)
    assert str(problem).startswith("rules/clients/other/client.yaml:1:1: error missing-param")
    (root / "rules/clients/other/client.yaml").write_text("client: other\nparams: {margin: 1h}\n")
    base.write_text(re.sub(r"  rma.late_from: .*\n", "", base.read_text()))
    (problem,) = check(root, ACTIONS)
    assert problem.place.file == OWN


def test_turning_off_the_only_rule_a_forbid_is_meant_for_is_no_fault(tmp_path: Path) -> None:
    assert str(check(project(tmp_path, {OWN: "rules: {refund_on_scan: {override: true, mode: off}}"}), ACTIONS)) == ""


def test_a_table_is_changed_the_same_way(tmp_path: Path) -> None:
    pack = """
tables:
  policy:
    hit: first
    given: {status: rma.status}
    rows:
      - {status: approved, then: {pay_within: 2d}}
    otherwise: {pay_within: 4d}
"""
    own = """
tables:
  policy:
    override: true
    rows:
      - {status: approved, then: {pay_within: 1d}}
      - {status: done, then: {pay_within: 3d}}
"""
    rule_set = acme(tmp_path, own, **{"rules/base/policy.yaml": pack})
    found = [rule_set.tables["policy"].evaluate({"status": status}) for status in ("approved", "done", "requested")]
    assert [each["pay_within"].days for each in found] == [1, 3, 4]
