"""The command line as a consultant uses it: in a process of its own, with files, standard input and exit codes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from socket import socket
from typing import Any

import pytest

from engine.facts.outside import Event
from engine.store.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
RMA = {
    "rmaSummary": {"rmaId": "1001", "status": "Approved", "order_name": "T1", "events": []},
    "orderDetails": {"orderId": "7", "order_name": "T1"},
    "shipments": [],
    "items": [],
    "comments": [],
    "exchangeOrders": [],
    "exchangeItems": [],
    "transactions": [],
    "createdAt": "2026-01-01T00:00:00+00:00",
    "lastUpdated": "2026-01-01T00:00:00+00:00",
    "isOutOfPolicy": 0,
}
EUR = {"amount": "50.00", "currency": "EUR"}
CASE: dict[str, Any] = {
    "now": "2026-03-02T09:00:00Z",
    "records": {
        "order": [
            {
                "id": "A",
                "state": "received",
                "currency": "EUR",
                "tax_mode": "included",
                "debited_at": "2026-02-20T09:00:00Z",
                "lines": [{"id": "A-1", "index": 1, "state": "received", "sku": "SHOE", "quantity": 1, "price": EUR}],
            }
        ],
        "rma": [
            {
                "id": "1001",
                "status": "approved",
                "requested_at": "2026-03-01T09:00:00Z",
                "units": [{"key": "1", "sku": "SHOE", "resolution": "refund", "method": "no_shipment"}],
            }
        ],
    },
}


def instep(*words: str, stdin: str = "", cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from engine.cli import main; main()", *words],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the shipped files to break."""
    for folder in ("rules", "mappings"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def test_the_shipped_files_have_no_problems() -> None:
    done = instep("check")
    assert (done.returncode, done.stdout) == (0, "No problems found\n")


@pytest.mark.parametrize(
    ("file", "was", "now", "said"),
    [
        ("rules/base/refund.yaml", "- rma.approved", "- rma.aproved", '(did you mean "approved"?)'),
        ("rules/base/refund.yaml", '"first_scan"', '"first_skan"', '(did you mean "first_scan"?)'),
        ("rules/base/refund.yaml", "group: refund", "group: refunds", '(did you mean "refund"?)'),
        ("rules/base/refund.yaml", "marketplace.refund:", "marketplace.refnd:", '(did you mean "marketplace.refund"?)'),
        ("rules/base/refund.yaml", "    each: rma", "\teach: rma", "tab"),
        ("mappings/returngo/rma.yaml", "Approved: approved", "Approved: aproved", '(did you mean "approved"?)'),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_nearest_valid_name(
    project: Path, file: str, was: str, now: str, said: str
) -> None:
    path = project / file
    text = path.read_text(encoding="utf-8")
    assert was in text
    path.write_text(text.replace(was, now, 1), encoding="utf-8")
    done = instep("check", cwd=project)
    line = text[: text.index(was)].count("\n") + 1
    assert done.returncode == 1
    assert any(row.startswith(f"{file}:{line}:") and said in row for row in done.stdout.splitlines()), done.stdout


def test_problems_of_several_files_come_at_once_and_as_json_too(project: Path) -> None:
    for file, was, now in (("refund", "rma.approved", "rma.aproved"), ("sla", "rma.due_units", "rma.du_units")):
        path = project / f"rules/base/{file}.yaml"
        path.write_text(path.read_text(encoding="utf-8").replace(was, now, 1), encoding="utf-8")
    problems = json.loads(instep("check", "--json", cwd=project).stdout)["problems"]
    assert {p["file"] for p in problems} == {"rules/base/refund.yaml", "rules/base/sla.yaml"}
    assert all(p["line"] > 1 and p["column"] > 1 and p["severity"] == "error" for p in problems)


def test_map_prints_the_record_or_why_it_is_set_aside() -> None:
    done = instep("map", "returngo.rma", "-", stdin=json.dumps(RMA))
    assert done.returncode == 0
    assert json.loads(done.stdout)["records"][0]["fields"]["status"] == "approved"
    aside = instep("map", "returngo.rma", "-", stdin='{"rmaSummary": {}}')
    assert aside.returncode == 1
    assert "rmaSummary.rmaId" in json.loads(aside.stdout)["set_aside"]
    unknown = instep("map", "returngo.rmx", "-", stdin="{}")
    assert (unknown.returncode, "returngo.rma" in unknown.stderr) == (2, True)


def test_decide_says_what_to_send_and_takes_its_memory_back() -> None:
    first = json.loads(instep("decide", "demo", stdin=json.dumps(CASE)).stdout)
    (refund,) = first["effects"]
    assert (refund["action"], refund["units"], refund["params"]["amount"]) == ("marketplace.refund", ["A-1#1"], EUR)
    assert any(entry["rule"] == refund["rule"] and entry["outcome"] == "held" for entry in first["trace"])
    again = json.loads(instep("decide", "demo", stdin=json.dumps({**CASE, "memory": first["memory"]})).stdout)
    assert again["effects"] == first["effects"]
    settled = {**first["memory"]["effects"][0], "status": "settled", "ever_sent": True, "receipt": {"refund_id": "9"}}
    memory = {**first["memory"], "effects": [settled]}
    done = json.loads(instep("decide", "demo", stdin=json.dumps({**CASE, "memory": memory})).stdout)
    assert [e for e in done["effects"] if e["action"] == "marketplace.refund"] == []


def test_what_decide_prints_has_the_promised_shape() -> None:
    rejected = {**CASE["records"]["rma"][0]["units"][0], "verdict": "rejected"}
    rma = {**CASE["records"]["rma"][0], "units": [rejected, *CASE["records"]["rma"][0]["units"][1:]]}
    sent, held = (
        json.loads(instep("decide", "demo", stdin=json.dumps({**CASE, "records": {**CASE["records"], "rma": [each]}})).stdout)
        for each in (CASE["records"]["rma"][0], rma)
    )
    assert sent.keys() == held.keys() >= {"effects", "blocked", "vetoes", "exceptions", "wake_at", "memory", "trace"}
    assert sent["effects"]
    assert all(e.keys() >= {"action", "subject", "key", "params", "rule", "mode"} for e in sent["effects"])
    assert held["blocked"]
    assert all(b["by"] == "rejected_at_inspection" for b in held["blocked"] if b["why"] == "veto")
    assert "rejected_at_inspection" in {v["rule"] for v in held["vetoes"]}
    assert held["exceptions"]
    assert all(e.keys() >= {"rule", "item", "owner", "severity", "title"} for e in held["exceptions"])


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", '{"now": "soon"}', '{"now": "2026-01-01T00:00:00Z", "records": {"rmx": []}}']
)
def test_decide_says_what_is_wrong_with_its_input(text: str) -> None:
    done = instep("decide", "demo", stdin=text)
    assert done.returncode == 2
    assert done.stderr.startswith("instep decide: ")
    assert "Traceback" not in done.stderr


def test_what_is_not_there_is_said_in_one_line() -> None:
    for words in (["explain", "A", "--database", "nowhere.sqlite"], ["exceptions", "--client", "nobody"], ["explain", "A"]):
        done = instep(*words)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert instep("decide", "nobody", stdin=json.dumps(CASE)).returncode == 1


@pytest.fixture
def northwind(project: Path) -> Path:
    """A client with nothing but a ledger, so that nothing outside this machine is asked."""
    folder = project / "rules/clients/northwind"
    folder.mkdir()
    (folder / "client.yaml").write_text(
        "client: northwind\nconnectors:\n  finance: {use: ledger, path: postings}\n", encoding="utf-8"
    )
    return project


def test_run_serves_its_status_and_stops_when_it_is_told(northwind: Path) -> None:
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from engine.cli import main; main()", "run", "northwind", "--port", str(port)]
    process = subprocess.Popen(command, cwd=northwind, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE)
    try:
        status = _status(f"http://127.0.0.1:{port}/healthz")
        assert (status["client"], status["mode"]) == ("northwind", "live")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/console/", timeout=20) as page:
            assert "instep accounts add NAME --role consultant --by YOU --database northwind.sqlite" in page.read().decode()
        second = instep("run", "northwind", "--port", "0", cwd=northwind)
        assert (second.returncode, "northwind.sqlite" in second.stderr) == (2, True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.long
def test_what_was_set_aside_is_seen_mended_and_discarded_from_another_process(northwind: Path) -> None:
    store = SqliteStore.open(northwind / "northwind.sqlite")
    lines = [b'{"number": 1, "posted_at": "2026-11-01T12:00:00Z"}', b'{"number": 2, "posted_at": "2026-11-01T12:00:00Z"}']
    store.journal.append([Event("ledger", "ledger.line", line, NOON, requested=True) for line in lines], NOON)
    store.close()
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from engine.cli import main; main()", "run", "northwind", "--port", str(port)]
    process = subprocess.Popen(command, cwd=northwind, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE)
    of = ("--client", "northwind")
    try:
        assert _status(f"http://127.0.0.1:{port}/healthz")["client"] == "northwind"
        rows = json.loads(instep("events", "list", "--json", *of, cwd=northwind).stdout)["events"]
        assert [row["status"] for row in rows] == ["waiting", "waiting"]
        shown = instep("events", "show", "1", *of, cwd=northwind)
        assert (shown.returncode, "the key is missing" in shown.stdout) == (0, True), shown.stdout
        again = instep("events", "retry", "1", "--by", "Ana", *of, cwd=northwind)
        assert (again.returncode, "It still cannot be read" in again.stdout) == (1, True), again.stdout
        mapping = northwind / "mappings/ledger/line.yaml"
        text = mapping.read_text(encoding="utf-8")
        changed = northwind / "line.yaml"
        changed.write_text(text.replace("key: line\n", "key: number\n"), encoding="utf-8")
        tried = instep("events", "mend", "1", "--mapping", "line.yaml", *of, cwd=northwind)
        assert "ledger_line 1" in tried.stdout, tried.stdout + tried.stderr
        gone = instep("events", "discard", "2", "--reason", "a test", "--by", "Ben", *of, cwd=northwind)
        assert (gone.returncode, "Discarded" in gone.stdout) == (0, True), gone.stdout + gone.stderr
        mapping.write_text(changed.read_text(encoding="utf-8"), encoding="utf-8")
        for _ in range(300):
            rows = json.loads(instep("events", "list", "--status", "all", "--json", *of, cwd=northwind).stdout)["events"]
            if rows[0]["status"] != "waiting":
                break
            time.sleep(0.1)  # the service reads its files half a second after the last write
        assert [row["status"] for row in rows] == ["read", "discarded"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
    rows = json.loads(instep("audit", "--json", *of, cwd=northwind).stdout)["audit"]
    did = [(row["by"], row["did"]) for row in rows]
    assert did == [
        ("instep", "activated"), ("instep", "started"), ("Ana", "retried"), ("Ben", "discarded"), ("instep", "activated"),
        ("instep", "stopped"),
    ]  # fmt: skip
    assert instep("audit", "verify", *of, cwd=northwind).returncode == 0


def _status(url: str) -> Any:
    for _ in range(150):
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return json.load(answer)
        except OSError:
            time.sleep(0.1)  # the process is starting
    raise AssertionError("the service did not answer")


OWN_RULE = """\
rules:
  mine:
    group: sync
    each: rma
    when: ['rma.status == "done"']
    then: [{raise: {owner: operations, severity: low, title: "{rma.id}", runbook: look}}]
"""


def test_a_rule_is_changed_under_a_running_service_and_taken_back_by_hand(northwind: Path) -> None:
    """What a consultant types and sees, with the service in another process."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from engine.cli import main; main()", "run", "northwind", "--port", str(port)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=northwind, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    health = f"http://127.0.0.1:{port}/healthz"
    try:
        first = _status(health)["rule_set"]
        own = northwind / "rules/clients/northwind/own.yaml"
        own.write_text(OWN_RULE.replace("rma.status", "rma.statuss"), encoding="utf-8")
        rules = _until(health, lambda rules: not rules["last_read"]["ok"])
        assert (rules["active"], [p["line"] for p in rules["last_read"]["problems"]]) == (first, [5])
        shown = instep("rules", "status", "--client", "northwind", cwd=northwind)
        assert (shown.returncode, 'did you mean "status"' in shown.stdout) == (1, True)
        own.write_text(OWN_RULE, encoding="utf-8")
        second = _until(health, lambda rules: rules["active"] != first)["active"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            metrics = answer.read().decode()
        assert "instep_rules_last_reload_successful 1.0" in metrics
        assert f'hash="{second}"' in metrics
        back = instep("rules", "activate", first[:8], "--by", "Ana", "--client", "northwind", cwd=northwind)
        assert (back.returncode, back.stdout) == (0, f"{first} is active; the files are left alone until they change.\n")
        assert _status(health)["rules"]["passed_over"]
        history = json.loads(instep("rules", "history", "--client", "northwind", "--json", cwd=northwind).stdout)
        assert [(a["hash"], a["by"]) for a in history["activations"]] == [(first, "Ana"), (second, "instep"), (first, "instep")]
        as_it_was = ["--client", "northwind", "--file", "rules/clients/northwind/own.yaml"]
        assert instep("rules", "show", second[:6], *as_it_was, cwd=northwind).stdout == OWN_RULE
        process.send_signal(signal.SIGTERM)
        printed, logged = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert f"rule set {second} is active: files changed" in printed
    assert f"rule set {first} is active by Ana: chosen by hand" in printed
    assert "rules_not_taken" in logged
    later = instep("rules", "activate", "--by", "Ben", "--client", "northwind", cwd=northwind)
    assert (later.returncode, "at the next start" in later.stdout) == (0, True)
    assert instep("rules", "activate", "no-such", "--by", "Ben", "--client", "northwind", cwd=northwind).returncode == 2


def _until(url: str, what: Callable[[Any], bool]) -> Any:
    for _ in range(300):
        rules = _status(url)["rules"]
        if what(rules):
            return rules
        time.sleep(0.1)  # the files are being read
    raise AssertionError("it did not come to that")
