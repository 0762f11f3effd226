"""The scenarios of the base pack notice nearly every small change of its rules."""

import pytest

from tests.bench.mutants import tried


@pytest.mark.long
def test_at_least_nineteen_of_twenty_changed_rules_make_a_scenario_fail() -> None:
    report = tried()
    assert len(report.killed) > 500
    assert report.percent >= 95, "\n".join(f"{m.rule} ({m.kind}): {m.what}" for m in report.survived)
