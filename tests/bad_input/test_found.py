"""What bad input broke once, each by itself."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import structlog
from rich.table import Table
from rich.text import Text

from connectors import http as wire
from connectors.cursors import moment_of
from connectors.depth import deeper_than
from connectors.http import Http
from connectors.ledger.books import Books
from connectors.ledger.postings import PostingLine
from engine.cli.visible import Plain, visible, visible_fields
from engine.decide.document import BadDocument, read_case
from engine.facts import codec
from engine.facts.outside import TryLater, installed_actions
from engine.facts.values import Money, moved
from engine.language.files import Files, read_files
from engine.language.pack import load
from engine.language.source import read_source
from engine.problems import Problems
from engine.run.logs import where
from engine.run.rules.refs import NoSuchRuleSet, files_at
from engine.simulate.history import BadHistory, parsed
from tests.connectors.kit import MAIN, run
from tests.language.small_world import ACTIONS, SMALL

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def test_half_a_character_is_no_json_in_whatever_bytes_it_comes() -> None:
    for data in (b'"\xed\xa0\x80"', b'"\\ud800"', '"a"'.encode("utf-16")):
        with pytest.raises(ValueError, match=r".+"):
            codec.loads(data)


def test_an_exponent_past_all_numbers_is_no_number() -> None:
    for data in (b"1e9999999999999999999", b"-1E-9999999999999999999"):
        for loads in (codec.loads, wire.loads):
            with pytest.raises(ValueError, match=r".+"):
                loads(data)


def test_a_history_whose_files_are_a_text_is_refused_at_its_line() -> None:
    for files in (["a"], "a", 3, [10**30]):
        line = json.dumps({"activated": "h", "client": "a", "at": "2026-11-01T12:00:00Z", "files": files})
        with pytest.raises(BadHistory, match=r"history\.jsonl:1"):
            list(parsed([line], "history.jsonl"))


def test_json_that_can_be_read_can_be_written() -> None:
    assert wire.loads(wire.dumps(wire.loads(b"[" * 200 + b"]" * 200)))
    with pytest.raises(ValueError, match="nested"):
        wire.loads(b"[" * 400 + b"]" * 400)


def test_an_instant_past_the_end_of_time_is_the_end_of_time() -> None:
    end = datetime.max.replace(tzinfo=UTC)
    assert moved(NOON, timedelta(days=999_999_999)) == end
    assert moved(NOON, -timedelta(days=999_999_999)) == datetime.min.replace(tzinfo=UTC)
    assert moved(NOON, timedelta(hours=1)) == NOON + timedelta(hours=1)


def test_a_cursor_of_no_year_anything_happens_in_begins_anew() -> None:
    assert moment_of("9999-12-31T23:59:59-14:00") is None
    assert moment_of("0001-01-01T00:00:00+14:00") is None


def test_a_number_of_a_hundred_digits_has_a_meaning_and_breaks_no_rule_set() -> None:
    small = read_files(SMALL)
    name = "mappings/portal/rma.yaml"
    text = small.contents[name].decode().replace('{from: flags.escalated, values: {"yes": true, "no": false}}', "1e100")
    assert load(Files({**small.contents, name: text.encode()}), "acme", ACTIONS).mapping_hash


def test_an_id_too_long_for_a_url_is_asked_for_later_and_nothing_is_sent() -> None:
    for key in ("x" * 70_000, "\ud800"):
        with pytest.raises(TryLater, match="cannot stand in a URL"):
            run(Http("http://127.0.0.1:9").get("/", {"key": key}))


def test_a_name_too_long_for_a_file_names_no_rule_set() -> None:
    with pytest.raises(NoSuchRuleSet):
        files_at("a" * 5000, SMALL, None)


def test_memory_that_is_none_is_refused_in_words() -> None:
    rule_set = load(MAIN, "demo", installed_actions())
    clock = {"ran": 0, "since": "2026-01-01T00:00:00", "meaning": "x"}
    effect = dict.fromkeys(("key", "action", "subject", "rule", "item", "group"), "x")
    effect |= {"units": [["x"]], "claims": [], "params": {}, "status": ["planned"], "planned_at": "2026-01-01T00:00:00Z"}  # type: ignore[dict-item]
    for memory in (
        {"clocks": {"a|b": clock}},
        {"effects": [effect]},
        {"clocks": {"a|b": {**clock, "ran": 10**30}}},
        {"effects": 3},
    ):
        with pytest.raises(BadDocument, match="memory"):
            read_case(rule_set, {"now": "2026-03-01T09:00:00Z", "records": {}, "memory": memory})


def test_a_body_that_opens_a_text_a_million_times_is_passed_over_in_one_go() -> None:
    """Where each quote is looked at to the end of the body, this takes hours."""
    assert not deeper_than(b"[]" * 65 + b'"' + b'\\"' * 1_000_000, 64)
    assert deeper_than(b'{"a":"\\"[[","b":[[1]]}', 2)


COMMANDS = "\x1b[2J\x9b31m\x07\x00\u202egnp\u2066\x7f"


def test_text_from_outside_commands_no_terminal() -> None:
    console = Plain()
    console.file = out = io.StringIO()
    table = Table("what")
    table.add_row(COMMANDS)
    table.add_row("[bold]x[/bold] [/nothing] :smiley:")
    console.print(Text(COMMANDS))
    console.print(table)
    console.print(f"{COMMANDS} [link=x]")
    told = out.getvalue()
    assert not set(COMMANDS) & set(told) - set("[2J31mgnp")
    assert "[bold]x[/bold] [/nothing] :smiley:" in told
    assert "\\u001b[2J" in told


def test_a_log_line_stays_one_line() -> None:
    told = visible_fields(None, "", {"event": "x", "reason": f"a\nevent=forged {COMMANDS}", "n": 3})
    assert "\n" not in str(told["reason"])
    assert "\x1b" not in structlog.dev.ConsoleRenderer(colors=False)(None, "", {**told})


def test_a_log_of_a_fault_quotes_nothing() -> None:
    fault = ValueError("invalid literal for int() with base 10: 'Jane Doe, 12 Elm St'")
    assert "Jane" not in str(where(fault))
    assert "invalid literal" in str(where(fault))


def test_no_id_is_worked_out_by_a_spreadsheet(tmp_path: Path) -> None:
    ids = ("=1+1", "+1", "-1", "@sum", "'=1", "\t=1", "'plain", "A-1")
    lines = [
        PostingLine("finance.post:x", "refund", NOON, each, each, each, "amount", each, Money(Decimal("-1.50"), "EUR"), "")
        for each in ids
    ]
    books = Books(tmp_path)
    file = books.write(["x"], lines)
    cells = [cell for row in file.read_text().splitlines()[1:] for cell in row.split(",")]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t")) or (cell.startswith("-") and cell != "-1.50")]
    assert {line.order_id for line in books.lines()} == set(ids)


def test_text_that_is_shown_in_another_order_than_it_stands_in_is_no_yaml() -> None:
    problems = Problems()
    assert read_source("a: x\u202ey", "a.yaml", problems) is None
    assert "U+202E" in str(problems)
    assert visible("é – ü 漢字 \t\n") == "é – ü 漢字 \t\n"
