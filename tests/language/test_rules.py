"""Rules compile to what deciding needs, and mean the same however they are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.facts.schema import DURATION, TIMESTAMP
from engine.facts.values import Items, Rec
from engine.language.compiled import Expression, Rule, Template
from engine.language.pack import check, load
from engine.language.ruleset import RuleSet
from tests.language.small_world import ACTIONS, project


def compiled(tmp_path: Path, rules: str, *, file: str = "rules/base/more.yaml") -> RuleSet:
    return load(project(tmp_path, {file: rules}), "acme", ACTIONS)


def problems(tmp_path: Path, rules: str) -> str:
    return str(check(project(tmp_path, {"rules/base/more.yaml": rules}), ACTIONS))


def rule(rule_set: RuleSet, rule_id: str) -> Rule:
    found = rule_set.rule(rule_id)
    assert found is not None
    return found


def rma(status: Any = None, **fields: Any) -> Rec:
    values = dict.fromkeys(("id", "status", "requested_at", "scanned_at", "units", "parcels", "order", "rejected_units"))
    return Rec("rma", "1", {**values, "id": "1", "status": status, **fields})


def env(rule_set: RuleSet, **names: Any) -> dict[str, Any]:
    plurals = {kind.plural: Items() for kind in rule_set.vocabulary.kinds.values() if kind.plural}
    return {**plurals, "order": None, "seller": None, "params": rule_set.params, "answer": {}, **names}


FULL = """
rules:
  everything:
    title: All keys at once
    doc: What each is for
    owner: operations
    runbook: "Look at RMA {rma.id}"
    group: hold
    each: rma
    when:
      - exists(rma.status)
      - any:
          - rma.status == "done"
          - all: [rma.units, {if: exists(rma.scanned_at), label: scanned}]
          - none: [exists(rma.requested_at)]
    for: 90m
    after: rma.due_at - params.margin
    undecided_after: 2d
    mode: shadow
    was: something
    then:
      - marketplace.refund: {units: rma.units, reason: "status {rma.status}"}
      - returns.set_status: {rma: rma, status: done, quietly: true}
      - returns.set_status: {rma: rma, status: '"approved" if exists(rma.units) else "done"'}
      - forbid: [marketplace.refund, finance.post]
        because: "RMA {rma.id} waits"
      - forbid: {marketplace.refund: {units: rma.units, partial: true}}
        because: parts
      - raise: {severity: low, title: "t {rma.id}", about: rma.status, snooze: 1h, blocking: true}
  refund_later:
    group: refund
    each: rma
    when: exists(rma.id)
    then: [{marketplace.refund: {units: rma.units}}, {raise: {owner: x, severity: low, title: y}}]
  post:
    group: sync
    each: {refund: order.lines.refunds}
    when: exists(refund.amount) and exists(order.id) and exists(refund.line.order.id)
    then: [{finance.post: {refund: refund}}]
"""


def test_every_key_of_a_rule_reaches_the_rule_set(tmp_path: Path) -> None:
    full = rule(compiled(tmp_path, FULL), "everything")
    assert (full.group, full.rank, full.owner, full.mode, full.was) == ("hold", 2, "operations", "shadow", "something")
    assert full.undecided_after == timedelta(days=2)
    assert full.place.file == "rules/base/more.yaml"
    assert full.origins == (full.place,)
    assert full.hold_for is not None
    assert full.hold_for.type == DURATION
    assert full.hold_for.value({}) == timedelta(minutes=90)
    assert full.after is not None
    assert full.after.type == TIMESTAMP
    assert [use.action for use in full.actions] == ["marketplace.refund", "returns.set_status", "returns.set_status"]
    assert [(f.actions, f.units is not None, f.partial) for f in full.forbids] == [
        (("marketplace.refund", "finance.post"), False, False),
        (("marketplace.refund",), True, True),
    ]
    raising = full.raises[0]
    assert (raising.owner, raising.severity, raising.snooze, raising.blocking) == ("operations", "low", timedelta(hours=1), True)
    assert raising.runbook is not None
    assert raising.runbook.render({"rma": rma()}) == "Look at RMA 1"


def test_a_condition_knows_its_path_and_its_place(tmp_path: Path) -> None:
    when = rule(compiled(tmp_path, FULL), "everything").when
    assert (when.kind, when.path) == ("all", "when")
    choice = when.parts[1]
    assert [part.path for part in choice.parts] == ["when/1/any/0", "when/1/any/1", "when/1/any/2"]
    assert choice.parts[1].parts[1].label == "scanned"
    assert choice.parts[0].expression is not None
    assert (choice.parts[0].place.line, choice.parts[0].place.column) == (13, 13)


def test_conditions_hold_as_they_read(tmp_path: Path) -> None:
    rule_set = compiled(tmp_path, FULL)
    when = rule(rule_set, "everything").when
    unit = Rec("rma_unit", "1/u", {})
    cases = [
        (rma(), False),
        (rma("done"), True),
        (rma("approved", requested_at=datetime(2026, 1, 1, tzinfo=UTC), units=Items()), False),
        (rma("approved", requested_at=None, units=Items()), True),
        (rma("approved", requested_at=datetime(2026, 1, 1, tzinfo=UTC), units=Items([], [unit]), scanned_at=1), None),
    ]
    assert [when.truth(env(rule_set, rma=rec)) for rec, _ in cases] == [truth for _, truth in cases]


def test_text_parameters_are_templates_and_members_stand_for_themselves(tmp_path: Path) -> None:
    rule_set = compiled(tmp_path, FULL)
    refund, done, either = rule(rule_set, "everything").actions
    reason, status = refund.params["reason"], done.params["status"]
    assert isinstance(reason, Template)
    assert reason.render({"rma": rma("done")}) == "status done"
    assert isinstance(status, Expression)
    assert status.constant
    assert status.value({}) == "done"
    computed = either.params["status"]
    assert isinstance(computed, Expression)
    assert computed.value(env(rule_set, rma=rma())) == "done"


def test_each_can_go_down_a_list_of_lists(tmp_path: Path) -> None:
    rule_set = compiled(tmp_path, FULL)
    each = rule(rule_set, "post").each
    assert each is not None
    assert (each.name, each.kind, each.path, each.item_kind) == ("refund", "order", ("lines", "refunds"), "order_refund")
    assert {"order", "order.lines", "order_line", "order_line.refunds", "order_refund"} <= rule(rule_set, "post").reads


def test_reading_goes_through_derived_facts(tmp_path: Path) -> None:
    reading = compiled(tmp_path, FULL).reading
    readers = {read: {found.id for found in rules} for read, rules in reading.items()}
    assert "everything" in readers["parcel.first_scan_at"]  # after -> due_at -> scanned_at -> first_scan_at
    assert "refund_on_scan" in readers["rma.parcels"]
    assert "rejected" in readers["answer.rejected"]
    assert "rejected" in readers["rma_unit.verdict"]
    assert "post" not in readers["rma.units"]


def test_derived_facts_come_in_an_order_in_which_they_can_be_computed(tmp_path: Path) -> None:
    facts = [fact.name for fact in compiled(tmp_path, "facts: {rma.aaa: rma.late_from}").facts]
    assert facts.index("scanned_at") < facts.index("due_at") < facts.index("late_from") < facts.index("aaa")


def test_answers_are_read_by_rules_about_the_same_kind_of_item(tmp_path: Path) -> None:
    asks = "raise: {owner: x, severity: low, title: t, runbook: r, answers: {go: a, stop: b}}"
    shape = '  {id}: {{group: sync, each: {each}, when: \'default(answer.asker, "") == "{word}"\', then: [{{{asks}}}]}}\n'
    head = f"rules:\n  asker: {{group: sync, each: {{l: order.lines}}, when: exists(l.id), then: [{{{asks}}}]}}\n"
    fine = head + shape.format(
        id="reader", each="{other: order.lines}", word="go", asks="raise: {owner: x, severity: low, title: t, runbook: r}"
    )
    assert problems(tmp_path / "a", fine) == ""
    elsewhere = head + shape.format(
        id="reader", each="rma", word="go", asks="raise: {owner: x, severity: low, title: t, runbook: r}"
    )
    assert 'there is no rule with answers "asker"' in problems(tmp_path / "b", elsewhere)
    misspelt = head + shape.format(
        id="reader", each="{l: order.lines}", word="og", asks="raise: {owner: x, severity: low, title: t, runbook: r}"
    )
    assert "go" in problems(tmp_path / "c", misspelt)


def test_a_rule_without_each_reads_answers_given_once_per_case(tmp_path: Path) -> None:
    text = """
rules:
  whole_case:
    group: hold
    when: [exists(order.id), 'default(answer.whole_case, "") != "go"']
    then:
      - forbid: marketplace.refund
        because: a person decides
      - raise: {owner: x, severity: low, title: t, runbook: r, answers: {go: a}}
"""
    assert problems(tmp_path, text) == ""


def test_nested_parameters_are_read_with_dots(tmp_path: Path) -> None:
    rule_set = compiled(tmp_path, "facts: {rma.whole_only: not params.permissions.partial_refund}")
    assert rule_set.params["permissions"]["partial_refund"] is False
    fact = next(fact for fact in rule_set.facts if fact.name == "whole_only")
    assert fact.expression.value(env(rule_set, rma=rma())) is True
    assert load(project(tmp_path / "b"), "acme", ACTIONS).params["margin"] == timedelta(hours=4)


def test_what_is_owned_is_split_off_from_what_must_be(tmp_path: Path) -> None:
    rule_set = compiled(
        tmp_path,
        """
promises:
  either: {each: rma, by: rma.due_at, must: owned(marketplace.refund) or (exists(rma.status)) or owned(finance.post)}
  only_owned: {each: rma, by: rma.due_at, must: owned(finance.post)}
""",
    )
    either, in_time, only = rule_set.promises
    assert (either.id, either.must_owned) == ("either", ("marketplace.refund", "finance.post"))
    assert either.must is not None
    assert [either.must.truth(env(rule_set, rma=rec)) for rec in (rma("done"), rma())] == [True, False]
    assert in_time.must_owned == ("marketplace.refund",)
    assert only.must is None
    assert only.must_owned == ("finance.post",)


MEANING = """
rules:
  it:
    title: {title}
    group: hold
    each: rma
    when:
      - {one}
      - rma.units
    for: {long}
    then: [{{raise: {{owner: x, severity: low, title: t}}}}]
"""


@pytest.mark.parametrize(
    ("changed", "same_meaning", "same_hash"),
    [
        ({"one": "( rma.status   ==  'done')"}, True, True),
        ({"one": "{if: rma.status == 'done', label: it is done}"}, True, False),
        ({"one": "rma.status == 'approved'"}, False, False),
        ({"long": "PT60M"}, True, True),
        ({"long": "2h"}, False, False),
        ({"title": "another"}, True, False),
    ],
)
def test_only_what_a_clock_depends_on_changes_its_meaning(
    tmp_path: Path, changed: dict[str, str], same_meaning: bool, same_hash: bool
) -> None:
    plain = {"title": "one", "one": "rma.status == 'done'", "long": "1h"}
    before = compiled(tmp_path / "before", MEANING.format(**plain))
    after = compiled(tmp_path / "after", "# a comment\n" + MEANING.format(**{**plain, **changed}))
    assert (rule(before, "it").meaning == rule(after, "it").meaning) is same_meaning
    assert (before.hash == after.hash) is same_hash


def test_a_forbid_below_every_proposal_is_an_error_wherever_the_proposal_is(tmp_path: Path) -> None:
    forbid = """
rules:
  holds:
    group: {group}
    each: rma
    when: missing(rma.received_at)
    then: [{{forbid: marketplace.refund, because: x}}]
"""
    assert problems(tmp_path / "a", forbid.format(group="sla")) == ""
    assert "no rule of a group below refund proposes marketplace.refund" in problems(
        tmp_path / "b", forbid.format(group="refund")
    )
