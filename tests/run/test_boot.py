"""A client opens from its files, or says everything that is wrong with them."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.problems import ProblemsFound
from engine.run.boot import open_client
from engine.run.clock import VirtualClock
from engine.store.rows import StoreInUse

MAIN = Path(__file__).parents[2]
SECRETS = {
    "DEMO_MIRAKL_KEY": "k" * 30,
    "DEMO_RETURNGO_KEY": "k" * 30,
    "DEMO_RETURNGO_TOKEN": "token-of-the-tests-1234",
    "DEMO_SHOPIFY_TOKEN": "k" * 30,
    "DEMO_SHOPIFY_SECRET": "secret-of-the-tests",
    "DEMO_EASYPOST_KEY": "k" * 30,
    "DEMO_EASYPOST_SECRET": "secret-of-the-tests",
    "DEMO_SHIPBOB_TOKEN": "k" * 30,
    "DEMO_SHIPBOB_SECRET": "whsec_" + "eHh4eHh4eHh4eHh4eHh4eHh4",
}
CLOCK = VirtualClock(datetime(2026, 11, 1, 12, tzinfo=UTC))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped rules and mappings, with the demo client's secrets set."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    for folder in ("rules", "mappings"):
        shutil.copytree(MAIN / folder, tmp_path / folder)
    return tmp_path


def changed(root: Path, old: str, new: str) -> None:
    path = root / "rules/clients/demo/client.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_demo_client_opens(root: Path) -> None:
    service = open_client(root, "demo", root / "a.db", CLOCK).service
    assert sorted(service.connectors) == ["carrier", "finance", "marketplace", "returns", "store", "warehouse"]
    assert service.store.rule_sets.active() == ("demo", service.rule_set.hash)
    with pytest.raises(StoreInUse):
        open_client(root, "demo", root / "a.db", CLOCK)
    asyncio.run(service.close())
    again = open_client(root, "demo", root / "a.db", CLOCK).service
    assert again.rule_set.hash == service.rule_set.hash
    asyncio.run(again.close())


def test_a_budget_of_the_client_goes_before_what_its_connector_knows(root: Path) -> None:
    changed(root, "carrier: {use: easypost,", "carrier: {use: easypost, budget: {per_day: 5},")
    changed(root, "marketplace: {use: mirakl,", "marketplace: {use: mirakl, budget: {OR11: [60 per 1h, 1 per 1m]},")
    service = open_client(root, "demo", root / "a.db", CLOCK).service
    told = {(each["connector"], each["operation"], each["limit"]) for each in service.status()["budgets"]}
    assert told >= {
        ("easypost", "GET trackers", "5 requests per 1s"),
        ("easypost", "all", "5 requests per 1d"),
        ("mirakl", "OR11", "60 requests per 1h"),
        ("mirakl", "OR11", "1 request per 1m"),
        ("mirakl", "RT11", "1 request per 5m"),
        ("returngo", "all", "2000 requests per 1d"),
        ("shopify", "all", "2000 points refilled in 20s"),
    }
    assert ("mirakl", "OR11", "1 request per 5m") not in told
    asyncio.run(service.close())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("use: mirakl", "use: mirackl", 'did you mean "mirakl"'),
        ("marketplace: {use: mirakl,", "marketplace: {use: shopify,", "shopify is a connector for store, not for marketplace"),
        ("shop_id: 2001", "shop_id: [2001]", "connectors.marketplace.shop_id"),
        ("marketplace: {use: mirakl,", "marketplace: {use: mirakl, budget: {OR11: often},", "a limit is written like 60 per 1h"),
        ("{secret: DEMO_MIRAKL_KEY}", "{secret: NOWHERE}", "secret NOWHERE is not set"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(root: Path, old: str, new: str, message: str) -> None:
    changed(root, old, new)
    with pytest.raises(ProblemsFound, match=r"client\.yaml") as found:
        open_client(root, "demo", root / "a.db", CLOCK)
    assert message in str(found.value)
    assert not (root / "a.db").exists()


def test_a_secret_is_never_in_a_message(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_SHIPBOB_SECRET", "not-a-webhook-secret-but-secret")
    with pytest.raises(ProblemsFound) as found:
        open_client(root, "demo", root / "a.db", CLOCK)
    assert "webhook_secret" in str(found.value)
    assert "not-a-webhook-secret-but-secret" not in str(found.value)
