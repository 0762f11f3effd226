"""`instep backup`, `verify` and `restore` as people type them."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli import app
from tests.run.small import Client, a_sale, an_order, an_rma, client
from tests.store.faults import flip


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.chdir(tmp_path)
    made = client(tmp_path / "a.sqlite")
    made.service.hear([an_order(), a_sale(), an_rma()])
    asyncio.run(made.service.step())
    return made


def typed(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code, done.output
    return done.output


def test_a_store_in_use_is_verified_and_backed_up(world: Client) -> None:
    assert "All is as it must be: 5 events, 3 records, 1 case, 2 decisions, 1 effect, 0 exceptions, 0 set aside." in typed(
        "verify", "a.sqlite"
    )
    told = json.loads(typed("backup", "a.sqlite", "--to", "b.sqlite", "--json"))
    assert (told["file"], told["events"]) == ("b.sqlite", 5)
    assert json.loads(typed("verify", "b.sqlite", "--json"))["findings"] == []
    assert "in use by process" in typed("restore", "a.sqlite", "--from", "b.sqlite", "--by", "Ana", code=2)


def test_a_store_is_put_back_and_what_to_do_then_is_said(world: Client) -> None:
    typed("backup", "a.sqlite", "--to", "b.sqlite")
    asyncio.run(world.service.close())
    told = typed("restore", "a.sqlite", "--from", "b.sqlite", "--by", "Ana")
    assert "a.sqlite is what b.sqlite was: 5 events." in told
    assert "kept as a.sqlite.before-" in told
    assert "looks up everything it would send" in told


def test_what_was_changed_is_told_with_what_to_do(world: Client) -> None:
    asyncio.run(world.service.close())
    raw = sqlite3.connect("a.sqlite")
    raw.execute("update effects set status = 'planned'")
    raw.commit()
    told = typed("verify", "a.sqlite", code=1)
    assert "effect refund:A-1#1 of order:A is planned, but there is a receipt of it: it took place" in told
    assert "What to do: Compare it with the other system by hand" in told
    assert "b.sqlite was not written: " in typed("backup", "a.sqlite", "--to", "b.sqlite", code=1)
    assert not Path("b.sqlite").exists()


def test_a_file_that_cannot_be_read_is_found_bad(world: Client) -> None:
    asyncio.run(world.service.close())
    flip(Path("a.sqlite"), 1, offset=0)
    assert json.loads(typed("verify", "a.sqlite", "--json", code=1))["findings"][0]["check"] == "integrity"


def test_what_is_asked_wrongly_is_said(world: Client) -> None:
    assert "there is no store none.sqlite" in typed("verify", "none.sqlite", code=2)
    assert "there is no store none.sqlite" in typed("backup", "none.sqlite", "--to", "b.sqlite", code=2)
    assert "is the store itself" in typed("backup", "a.sqlite", "--to", "a.sqlite", code=2)
    assert "there is no file b.sqlite" in typed("restore", "a.sqlite", "--from", "b.sqlite", "--by", "Ana", code=2)
