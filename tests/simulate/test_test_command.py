"""`instep test` as a consultant and a build server use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.simulate.small_scenarios import ROOT, project

PASSING = "scenarios:\n  Money goes out: {given: return, then: marketplace.refund}\n"
FAILING = """scenarios:
  Money stays <here> & now: {given: return, then: nothing}
  Money goes out: {given: return, then: marketplace.refund}
"""


def instep(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from engine.cli import main; main()", "test", *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_all_as_promised_is_one_line_and_exit_code_0(tmp_path: Path) -> None:
    done = instep(cwd=project(tmp_path, PASSING))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 scenario, as promised")


def test_a_failing_scenario_is_told_as_a_timeline_with_the_reason_and_exit_code_1(tmp_path: Path) -> None:
    done = instep(cwd=project(tmp_path, FAILING))
    assert done.returncode == 1
    for told in (
        "FAILED Money stays <here> & now  rules/base/small.test.yaml:2:3",
        "observed  rma 1001",
        "decided   planned: marketplace.refund L1#1 50.00 EUR by pay",
        "expected  nothing  rules/base/small.test.yaml:2:51",
        "actual    planned: marketplace.refund L1#1 50.00 EUR by pay",
        'rma.status == "approved" is true: rma:1001.status = approved  rules/base/base.yaml:13:42',
        "1 of 2 scenarios failed",
    ):
        assert told in done.stdout


def test_mistakes_in_a_scenario_are_told_like_those_of_rules(tmp_path: Path) -> None:
    done = instep(cwd=project(tmp_path, "scenarios:\n  it: {given: retrun, then: nothing}\n"))
    assert done.returncode == 1
    assert done.stdout.startswith("rules/base/small.test.yaml:2:15: error unknown-sample: there is no sample")
    assert "Traceback" not in done.stderr


def test_a_build_server_reads_what_passed_and_what_did_not(tmp_path: Path) -> None:
    done = instep("--junit", "report.xml", cwd=project(tmp_path, FAILING))
    assert done.returncode == 1
    report = ET.parse(tmp_path / "report.xml").getroot()
    assert (report.tag, report.get("tests"), report.get("failures"), report.get("errors")) == ("testsuites", "2", "1", "0")
    (file,) = report
    assert (file.get("name"), file.get("tests"), file.get("failures")) == ("rules/base/small.test.yaml", "2", "1")
    failed, passed = file
    assert (failed.get("name"), failed.get("classname")) == ("Money stays <here> & now", "rules/base/small.test.yaml")
    (failure,) = failed
    assert failure.get("message") == "expected nothing: planned: marketplace.refund L1#1 50.00 EUR by pay"
    assert "by pay" in (failure.text or "")
    assert list(passed) == []


def test_programs_read_the_same_as_json(tmp_path: Path) -> None:
    done = instep("--json", "--coverage", cwd=project(tmp_path, FAILING))
    found = json.loads(done.stdout)
    first, second = found["scenarios"]
    assert (found["failed"], first["passed"], second["passed"]) == (1, False, True)
    assert first["failures"][0]["trace"][0]["rule"] == "pay"
    (base,) = found["coverage"]["suites"]
    assert base["never_held"] == ["ask", "slow"]
    assert any((p["rule"], p["path"], p["seen"]) == ("ask", "when/1", []) for p in base["points"])


@pytest.mark.parametrize(("wanted", "code"), [("10", 0), ("100", 1)])
def test_too_little_covered_is_a_failure(wanted: str, code: int, tmp_path: Path) -> None:
    done = instep("--threshold", wanted, cwd=project(tmp_path, PASSING))
    assert done.returncode == code
    assert "rules/base/base.yaml:23:3: slow never held  Tell when a return waits" in done.stdout
    assert ("100 % is wanted" in done.stderr) is bool(code)


def test_it_can_be_told_which_ones(tmp_path: Path) -> None:
    mine = {"rules/clients/acme/acme.test.yaml": "scenarios:\n  Money waits: {given: return, then: nothing}\n"}
    root = project(tmp_path, FAILING, **mine)
    for words, count in (
        (["--client", "acme"], 1),
        (["-k", "goes OUT"], 1),
        (["rules/clients/acme"], 1),
        (["rules/clients/acme/acme.test.yaml"], 1),
        (["--client", "base", "-k", "goes"], 1),
        (["-k", "money", "--client", "acme"], 1),
    ):
        done = instep(*words, cwd=root)
        assert (done.returncode, done.stdout.split()[0]) == (0, str(count)), words


@pytest.mark.parametrize("words", [["nowhere"], ["-k", "no such title"], ["README.md"]])
def test_nothing_to_try_is_a_misuse(words: list[str], tmp_path: Path) -> None:
    root = project(tmp_path, PASSING)
    (root / "README.md").write_text("read me")
    done = instep(*words, cwd=root)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_a_client_or_pack_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    done = instep("--client", "acmee", cwd=project(tmp_path, PASSING))
    assert done.returncode == 1
    assert 'there is no client or pack "acmee" (did you mean "acme"?)' in done.stdout
