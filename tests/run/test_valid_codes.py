"""Our codes are held against the operator's own list of reasons, where the operator can be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from connectors.mirakl.connector import MiraklConnector
from connectors.mirakl.sandbox import MiraklSandbox
from connectors.serving import Served
from engine.cli.app import app
from engine.cli.verbs import authoring  # noqa: F401 - its verbs
from engine.facts.outside import Codes, ValidCode
from engine.run.clock import VirtualClock
from engine.run.limits.budget import Budget
from engine.run.sending.valid_codes import CodeWatch, ask, wrong_codes
from engine.store.sqlite import SqliteStore
from tests.run.small import NOON

REASON = "marketplace.refund.reason"
CLIENT = """client: shop
connectors:
  marketplace: {{use: mirakl, url: "{url}", api_key: {{secret: SHOP_KEY}}, shop_id: 2001}}
codes:
  marketplace.refund.reason:
    default: "17"
    wrong_size: "14"
    gift: "99"
"""
CLOCK = VirtualClock(NOON)


@pytest.fixture
def sandbox() -> MiraklSandbox:
    return MiraklSandbox(CLOCK)


@pytest.fixture
def url(sandbox: MiraklSandbox) -> Iterator[str]:
    with Served(sandbox.app) as found:
        yield found


def connector(sandbox: MiraklSandbox, url: str, codes: Codes) -> MiraklConnector:
    return MiraklConnector(MiraklConnector.Settings.model_validate(sandbox.settings(url)), CLOCK, codes)


def checked(root: Path, url: str, monkeypatch: pytest.MonkeyPatch, key: str) -> Any:
    folder = root / "rules/clients/shop"
    folder.mkdir(parents=True)
    (folder / "client.yaml").write_text(CLIENT.format(url=url))
    monkeypatch.setenv("SHOP_KEY", key)
    return CliRunner().invoke(app, ["check", str(root), "--live", "shop"])


def test_check_live_tells_each_code_the_operator_does_not_take_at_its_place(
    tmp_path: Path, sandbox: MiraklSandbox, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = checked(tmp_path, url, monkeypatch, sandbox.api_key)
    own = [line for line in done.stdout.splitlines() if line.startswith("rules/clients/shop/client.yaml")]
    lines = [line for line in own if "code-not-taken" in line]
    told = [line.removeprefix("rules/clients/shop/client.yaml:").split("; ours to use: 15 Out of stock, 16")[0] for line in lines]
    gone, not_ours = "which is not a code there", "which is not for us to use there"
    assert told == [
        f'7:17: warning code-not-taken: {REASON}: "wrong_size" is sent as "14" (No answer from the shop), {not_ours}',
        f'8:11: warning code-not-taken: {REASON}: "gift" is sent as "99", {gone}',
    ]
    assert "mappings/mirakl/codes.yaml:" in done.stdout, "what the connector's own file says is checked too"
    assert "Checked with the outside: marketplace.cancel.reason, marketplace.refund.reason" in done.stdout
    assert done.exit_code == 0


def test_an_operator_that_cannot_be_reached_is_said_and_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = checked(tmp_path, "http://127.0.0.1:9", monkeypatch, "key")
    assert "marketplace could not be asked for its codes: " in done.stdout
    assert "code-not-taken" not in done.stdout
    assert done.exit_code == 0


def test_the_service_raises_a_wrong_code_until_it_is_mended(tmp_path: Path, sandbox: MiraklSandbox, url: str) -> None:
    store = SqliteStore.open(tmp_path / "a.db")
    connectors = {"marketplace": connector(sandbox, url, {})}
    watch = CodeWatch(store, connectors, CLOCK, Budget(store, CLOCK, {}))

    def opened(codes: Codes) -> list[tuple[str, str, str]]:
        asyncio.run(watch.look(codes))
        return [(row.entry.rule, row.entry.about, row.entry.severity) for row in store.exceptions.of_client()]

    assert opened({REASON: {"default": "99", "gift": "14"}}) == [
        ("code_not_taken", REASON, "high"),
        ("code_not_taken", REASON, "medium"),
    ]
    assert opened({REASON: {"default": "17", "gift": "14"}}) == [("code_not_taken", REASON, "medium")]
    sandbox.api_key = "another"  # cannot be asked any more: what was told stays
    assert opened({REASON: {"default": "17"}}) == [("code_not_taken", REASON, "medium")]
    store.close()


def test_a_parameter_the_operator_has_no_reasons_for_is_not_checked(sandbox: MiraklSandbox, url: str) -> None:
    sandbox.world.reasons = [r for r in sandbox.world.reasons if r["type"] == "REFUND"]
    asked = asyncio.run(ask({"marketplace": connector(sandbox, url, {})}, {"marketplace.cancel.reason": {"default": "x"}}))
    assert (asked.wrong, asked.checked) == ((), (REASON,))


def test_a_code_of_another_type_is_no_code_here() -> None:
    valid = [ValidCode("17", "Item returned"), ValidCode("14", "", ours=False)]
    assert [each.word for each in wrong_codes(REASON, {"default": "17", "a": "34", "b": "14"}, valid)] == ["a", "b"]
