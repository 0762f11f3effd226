"""A doubt that was looked at is silenced where it is, with the reason."""

from __future__ import annotations

from pathlib import Path

from engine.language.pack import check
from tests.language.small_world import ACTIONS, project

RULE = """
rules:
  stuck:
    group: sync
    each: rma
    when: [rma.status == "approved"]
    then: [{{raise: {{owner: operations, severity: low, title: Stuck}}}}]
    silence: {silence}
"""


def told(directory: Path, silence: str, more: str = "") -> list[str]:
    root = project(directory, {"rules/base/more.yaml": RULE.format(silence=silence) + more})
    return [f"{p.place.line}:{p.place.column} {p.severity} {p.code}" for p in check(root, ACTIONS)]


def test_a_reason_silences_the_code_for_its_rule_alone(tmp_path: Path) -> None:
    other = "  other: {group: sync, each: rma, when: [rma.escalated], then: [{raise: {owner: x, severity: low, title: t}}]}"
    assert told(tmp_path / "a", "{no-runbook: because it is plain}") == []
    assert told(tmp_path / "b", "{no-runbook: because it is plain}", other) == ["9:73 warning no-runbook"]


def test_an_error_cannot_be_silenced(tmp_path: Path) -> None:
    assert told(tmp_path, "{unknown-field: because}") == ["7:20 warning no-runbook", "8:15 error silenced-error"]


def test_a_silence_says_why(tmp_path: Path) -> None:
    for number, empty in enumerate(('{no-runbook: ""}', '{no-runbook: "  "}')):
        assert told(tmp_path / str(number), empty) == ["7:20 warning no-runbook", "8:27 error empty-reason"]
    assert told(tmp_path / "nothing", "{no-runbook: }") == ["7:20 warning no-runbook", "8:27 error wrong-shape"]


def test_a_silence_for_nothing_is_told(tmp_path: Path) -> None:
    assert told(tmp_path, "{no-runbook: plain, long-for: plain}") == ["8:34 warning unused-silence"]


def test_a_silence_names_a_code(tmp_path: Path) -> None:
    root = project(tmp_path, {"rules/base/more.yaml": RULE.format(silence="{no-runbok: plain}")})
    assert 'there is none "no-runbok" (did you mean "no-runbook"?)' in str(check(root, ACTIONS))


def test_what_one_client_uses_is_not_unused(tmp_path: Path) -> None:
    params = "params:\n  grace: {type: duration, default: 1h}\n"
    then = "[{returns.comment: {rma: rma, text: Late}}]"
    own = f"rules: {{late: {{group: sync, each: rma, when: [rma.escalated], for: params.grace, then: {then}}}}}"
    files = {"rules/base/more.yaml": params, "rules/clients/acme/own.yaml": own}
    assert str(check(project(tmp_path / "used", files), ACTIONS)) == ""
    assert "unused-param" in str(check(project(tmp_path / "not", {"rules/base/more.yaml": params}), ACTIONS))
