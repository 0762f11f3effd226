"""A scenario that could not mean anything is not tried: every mistake is told at its place, with what was probably meant."""

# ruff: noqa: E501 - a table of mistakes beside what is said of them

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulate.small_scenarios import ROOT, problems

MISTAKES = {
    "given: retrun\nthen: nothing": '3:12 unknown-sample: there is no sample "retrun" (did you mean "return"?)',
    "given: {ordr A: {}}\nthen: nothing": '3:13 unknown-key: "ordr A" is no record and nothing that happens (did you mean "order"?)',
    "given: {order: {}}\nthen: nothing": "3:13 missing-key: say which order: its id, as in order 1001",
    "given: {rma 1: {statsu: done}}\nthen: nothing": '3:21 unknown-field: rma has no field statsu (did you mean "status"?)',
    "given: {rma 1: {status: aproved}}\nthen: nothing": '3:29 unknown-word: rma.status cannot be "aproved" (did you mean "approved"?)',
    "given: {rma 1: {units_to_refund: []}}\nthen: nothing": "3:21 computed-field: rma.units_to_refund is worked out from other facts",
    "given: {rma 1: {requested_at: 2h}}\nthen: nothing": "3:35 bad-value: rma.requested_at: '2h' is not a timestamp",
    "given: {rma 1: {units: {P1: {paid: 50}}}}\nthen: nothing": "3:40 wrong-shape: rma_unit.paid must be a money",
    "given: {rma 1: {id: '2'}}\nthen: nothing": '3:25 bad-value: rma.id is "1" by its heading; leave it out',
    "given: {settled: everything}\nthen: nothing": '3:13 unknown-key: "settled" is something that happens: it belongs under when',
    "given: return\nwhen: {setled: everything}\nthen: nothing": (
        '4:12 unknown-key: "setled" is no record and nothing that happens (did you mean "settled"?)'
    ),
    "given: return\nwhen: {settled: marketplace.refnd}\nthen: nothing": (
        '4:21 unknown-action: there is no action "marketplace.refnd" (did you mean "marketplace.refund"?)'
    ),
    "given: return\nwhen: {refused: marketplace.refund}\nthen: nothing": "4:21 wrong-shape: say why, as in refused:",
    "given: return\nwhen: {correct: {rma 1001: {status: done}}}\nthen: nothing": (
        "4:22 unknown-field: rma.status is no milestone, and only those are corrected by hand"
    ),
    "given: return\nwhen: {answer: {ask: payy}}\nthen: nothing": '4:26 unknown-word: the answer to ask cannot be "payy"',
    "given: return\nwhen: {answer: {pay: keep}}\nthen: nothing": '4:21 unknown-answer: "pay" asks nothing: resolve it instead',
    "given: return\nwhen: {-1h: {settled: everything}}\nthen: nothing": '4:12 bad-value: "-1h" is before the start: what was before is given',
    "given: return\nthen: {marketplace.refund: {unit: L1#1}}": (
        '4:33 unknown-parameter: marketplace.refund has no parameter unit (did you mean "units"?)'
    ),
    "given: return\nthen: {raise: akk}": '4:19 unknown-rule: no rule "akk" raises anything (did you mean "ask"?)',
    "given: return\nthen: {raise: pay}": '4:19 unknown-rule: the rule "pay" raises nothing',
    "given: return\nthen: {raise: {ask: {ownr: x}}}": '4:26 unknown-key: the exception of ask has no key "ownr" (did you mean "owner"?)',
    "given: return\nthen: {raise: {ask: {severity: hi}}}": '4:36 unknown-word: a severity cannot be "hi"',
    "given: return\nthen: {forbid: {marketplace.refund: {by: askk}}}": '4:46 unknown-rule: there is no rule "askk" (did you mean "ask"?)',
    "given: return\nthen: {effect: {marketplace.refund: setled}}": '4:41 unknown-word: the status of an effect cannot be "setled"',
    "given: return\nthen: {fact: {rma 1001: {refnd: 1}}}": "4:30 unknown-field: rma has no field refnd",
    "given: return\nthen: {exactly: true}": '4:12 unknown-action: there is no action "exactly" (did you mean "exact"?)',
    "given: return\nthn: nothing": '4:5 unknown-key: the scenario "it" has no key "thn" (did you mean "then"?)',
    "given: return": "2:3 nothing-expected: nothing is expected: say what must come of it under then",
    "then: nothing": "2:3 nothing-observed: nothing is known and nothing happens",
    "given: return\nnever: marketplace.refund": "4:5 nothing-observed: never looks at the whole run, and this one ends where it starts",
    "given: return\nthen: {}": "4:11 nothing-expected: nothing is expected here",
    "given: return\nparams: {refund_onn: scan}\nthen: nothing": '4:14 unknown-param: there is no parameter "refund_onn"',
    "given: return\nparams: {refund_on: skan}\nthen: nothing": '4:25 unknown-word: the parameter refund_on cannot be "skan"',
    "given: return\nclient: {mod: live}\nthen: nothing": '4:14 unknown-key: "client" has no key "mod" (did you mean "mode"?)',
    "given: {file: no.json}\nthen: nothing": "3:19 unreadable-file: there is no file rules/base/no.json",
    "given: {file: ../../../x.json}\nthen: nothing": "3:19 unreadable-file: ../../../x.json is outside the project",
    "when: {payload: {returngo.rmas: {}}}\nthen: nothing": '3:22 unknown-payload: no mapping reads "returngo.rmas"',
}


@pytest.mark.parametrize(("body", "said"), MISTAKES.items())
def test_a_mistake_is_told(body: str, said: str, tmp_path: Path) -> None:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    found = problems(tmp_path, f"scenarios:\n  it:\n{lines}\n")
    assert any(one.startswith(said) for one in found), found


def test_all_mistakes_of_all_scenarios_are_told_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "scenarios:\n  one: {given: retrun, then: nothing}\n  two: {given: return, then: {raise: akk}}\n")
    assert [one.split(":")[0] for one in found] == ["2", "3"]


def test_a_file_that_tries_nothing_and_a_sample_that_is_there_twice_are_mistakes(tmp_path: Path) -> None:
    assert "nothing-expected" in problems(tmp_path, "# nothing\n")[0]
    assert "already-defined" in problems(tmp_path, "samples:\n  return: {rma 1: {}}\n")[0]
    assert "circular-sample" in problems(tmp_path, "samples:\n  one: [two]\n  two: [one]\n")[0]


def test_a_scenario_that_would_not_be_tried_is_a_mistake(tmp_path: Path) -> None:
    fine = "scenarios:\n  it: {given: return, then: marketplace.refund}\n"
    misnamed = {"rules/base/more.test.yml": fine, "mappings/returngo/more.test.yaml": fine}
    found = problems(tmp_path / "own", fine, **misnamed, **{"mappings/facts.yaml": (ROOT / "mappings/facts.yaml").read_text()})
    assert [one.split(": ")[1] for one in found] == ["this file is not read"] * 2


def test_rules_that_do_not_compile_are_told_and_nothing_is_tried(tmp_path: Path) -> None:
    broken = {"rules/base/more.yaml": "rules:\n  more: {group: refund, each: rma, when: [rma.statsu], then: []}\n"}
    found = problems(tmp_path, "scenarios:\n  it: {given: return, then: marketplace.refund}\n", **broken)
    assert any("statsu" in one for one in found)
