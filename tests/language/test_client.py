"""client.yaml says where it is wrong, and a secret is only ever named."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from engine.facts.budget import Limit
from engine.facts.outside import installed_connectors
from engine.language.client import ClientConfig, read_client
from engine.language.pack import plain_secrets
from engine.language.secrets import resolve_secrets
from engine.language.source import read_source
from engine.problems import Place, Problems, ProblemsFound
from tests.language.small_world import SMALL, project


def read(text: str) -> tuple[ClientConfig | None, Problems]:
    problems = Problems()
    node = read_source(text, "client.yaml", problems)
    assert node is not None
    return read_client(node, problems), problems


def test_a_client_names_its_connectors_and_keeps_their_settings_as_they_are() -> None:
    config, problems = read((SMALL / "rules/clients/acme/client.yaml").read_text())
    assert config is not None
    assert not problems
    assert config.connectors["marketplace"].use == "shop"
    assert config.connectors["marketplace"].settings == {"url": "https://shop.example", "api_key": {"secret": "SHOP_KEY"}}
    assert config.connectors["returns"].settings == {}
    assert config.cadence["finance.post"].batch == "daily 02:00"


def test_what_is_left_out_has_a_safe_default() -> None:
    config, problems = read("client: acme")
    assert config is not None
    assert not problems
    assert (config.extends, config.time_zone, config.mode, config.max_new_effects) == (["base"], "UTC", "live", 20)
    assert config.decided_since is None


def test_a_date_begins_at_midnight_of_the_client() -> None:
    config, _ = read("client: acme\ntime_zone: America/New_York\nsince: 2026-11-01\n")
    assert config is not None
    assert config.decided_since is not None
    assert config.decided_since.astimezone(UTC) == datetime(2026, 11, 1, 4, tzinfo=UTC)


def test_an_instant_is_taken_as_it_is() -> None:
    config, _ = read("client: acme\ntime_zone: America/New_York\nsince: 2026-11-01T08:00:00+01:00\n")
    assert config is not None
    assert config.decided_since == datetime(2026, 11, 1, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("client: 7", "1:9: error wrong-shape: client must be text, not the number 7: write it in quotes"),
        ("client: North Wind", "lower-case letters, digits, - and _, first a letter"),
        ("client: a\nextnds: [base]", '2:1: error unknown-key: client.yaml has no key "extnds" here (did you mean "extends"?)'),
        (
            "client: a\nconnectors:\n  marketplace: {use: mirakl, budget: {OR1l: 1 per 5m}}",
            '3:39: error unknown-word: mirakl has no operation "OR1l" to set a budget for (did you mean "OR11"?)',
        ),
        (
            "client: a\nconnectors:\n  marketplace: {use: mirakl, budget: {OR11: 5m}}",
            "3:45: error bad-limit: connectors.marketplace.budget.OR11: a limit is written like 60 per 1h, not the text '5m'",
        ),
        (
            "client: a\nconnectors:\n  marketplace: {use: mirakl, budget: {OR11: [1 per 5m, 3 per 2 months]}}",
            'budget.OR11: "2 months": months and years have no fixed length',
        ),
        (
            "client: a\nconnectors:\n  marketplace: {use: mirakl, budget: {OR11: 60}}",
            "budget.OR11: write it like 60 per 1h, several as [60 per 1h, 1 per 1m], or as {bucket: 2000, refill: 100 per 1s}",
        ),
        (
            "client: a\nconnectors:\n  marketplace: {use: mirakl, budget: {per_day: 2000 per 1d}}",
            "budget.per_day: the requests of a day are a whole number of at least 1, not the text '2000 per 1d'",
        ),
        ("client: a\nconnectors:\n  store: {use: shopify, budget: 2000}", "connectors.store.budget must be a mapping"),
        ("client: a\nextends: base", '2:10: error wrong-shape: extends must be a list, not "base"'),
        ("client: a\ntime_zone: Europe/Lundon", '2:12: error bad-value: time_zone: "Europe/Lundon" is not a time zone'),
        (
            "client: a\nconnectors:\n  marketplce: {use: mirakl}",
            '3:3: error unknown-word: "marketplce" is not a role (did you mean "marketplace"?)',
        ),
        ("client: a\nconnectors:\n  store: {url: x}", '3:10: error missing-key: connectors.store needs the key "use"'),
        ("client: a\nconnectors:\n  store: 3", "3:10: error wrong-shape: connectors.store must be a mapping, not the number 3"),
        (
            "client: a\ncadence:\n  finance.post: {batch: 2am}",
            '3:25: error bad-value: cadence.finance.post.batch: "2am" does not name days',
        ),
        (
            "client: a\ncadence:\n  finance.post: {batch: daily 02:00, btch: 1}",
            '3:38: error unknown-key: client.yaml has no key "btch" here (did you mean "batch"?)',
        ),
        ("client: a\nsince: soon", "2:8: error bad-value: since: 'soon' is not a timestamp"),
        ("client: a\nmode: alive", "2:7: error unknown-word: mode is 'live' or 'shadow', not the text 'alive'"),
        (
            "client: a\ncodes: {marketplace.refund.reason: {x: 17}}",
            "2:40: error wrong-shape: codes.marketplace.refund.reason.x must be text, not the number 17: write it in quotes",
        ),
        ("time_zone: UTC", '1:1: error missing-key: client.yaml needs the key "client"'),
        ("- client", "1:1: error wrong-shape: client.yaml must be a mapping, not a list"),
    ],
)
def test_each_mistake_has_its_place_and_its_remedy(text: str, message: str) -> None:
    config, problems = read(text)
    assert config is None
    assert message in str(problems)


def test_a_secret_is_looked_up_in_the_environment_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("KEY=from the file\n")
    assert resolve_secrets({"key": {"secret": "KEY"}}, tmp_path, environment={"KEY": "from outside"}) == {
        "key": SecretStr("from outside")
    }
    assert resolve_secrets({"key": {"secret": "KEY"}}, tmp_path, environment={}) == {"key": SecretStr("from the file")}


def test_a_secret_may_stand_beside_the_client(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('KEY="beside"\n')
    settings = {"url": "x", "nested": [{"secret": "KEY"}]}
    assert resolve_secrets(settings, tmp_path, environment={}) == {"url": "x", "nested": [SecretStr("beside")]}


def test_a_secret_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("in a file\n")
    settings = {"key": {"secret": "KEY"}}
    assert resolve_secrets(settings, tmp_path, environment={"KEY_FILE": str(tmp_path / "key")}) == {"key": SecretStr("in a file")}


def test_a_secret_does_not_show_itself(tmp_path: Path) -> None:
    settings = resolve_secrets({"key": {"secret": "KEY"}}, tmp_path, environment={"KEY": "precious-and-hidden"})
    assert "precious" not in f"{settings} {settings!r} {settings['key']}"
    with pytest.raises(TypeError):
        json.dumps(settings)


def test_a_file_of_secrets_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"KEY=precious\xc3\x28")
    with pytest.raises(ProblemsFound) as raised:
        resolve_secrets({"key": {"secret": "KEY"}}, tmp_path, environment={})
    assert f"{tmp_path / '.env'}" in str(raised.value)
    assert "precious" not in str(raised.value)


def test_a_secret_written_into_a_file_is_refused_where_it_stands_and_not_repeated(tmp_path: Path) -> None:
    text = """\
client: acme
connectors:
  marketplace:
    use: mirakl
    url: https://example.mirakl.net
    api_key: precious-and-written-out
  returns: {use: returngo, shop: a.example, api_key: {secret: KEY}}
"""
    root = project(tmp_path, {"rules/clients/acme/client.yaml": text})
    [problem] = plain_secrets(root, "acme", installed_connectors())
    assert problem.code == "secret-in-file"
    assert str(problem.place) == "rules/clients/acme/client.yaml:6:14"
    assert "precious" not in str(problem)


def test_every_missing_secret_is_named_at_once(tmp_path: Path) -> None:
    settings = {"a": {"secret": "A_KEY"}, "b": {"secret": "B_KEY"}, "c": {"secret": "C_KEY"}}
    place = Place("rules/clients/acme/client.yaml", 4, 3)
    environment = {"C_KEY_FILE": str(tmp_path / "nowhere")}
    with pytest.raises(ProblemsFound) as raised:
        resolve_secrets(settings, tmp_path, environment=environment, place=place)
    lines = str(raised.value).splitlines()
    assert [line.split(": ")[2].split(" ")[:2] for line in lines] == [
        ["C_KEY_FILE", "names"],
        ["secret", "A_KEY"],
        ["secret", "B_KEY"],
    ]
    assert all(line.startswith("rules/clients/acme/client.yaml:4:3: error secret-") for line in lines)


def test_the_bytes_of_a_secret_reach_no_message(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfeprecious")
    with pytest.raises(ProblemsFound) as raised:
        resolve_secrets({"a": {"secret": "A"}}, tmp_path, environment={"A_FILE": str(tmp_path / "key")})
    assert "precious" not in str(raised.value)
    assert "xff" not in str(raised.value)


def test_a_budget_sets_limits_in_the_place_of_those_its_connector_knows() -> None:
    config, problems = read(
        "client: a\nconnectors:\n  marketplace: {use: mirakl, budget: {per_day: 500, OR11: [60 per 1h, 1 per 1m]}}\n"
        "  store: {use: shopify, budget: {all: {bucket: 4000, refill: 200 per 1s}}}"
    )
    assert not problems
    assert config is not None
    assert config.connectors["marketplace"].limits == (
        Limit(500, timedelta(days=1)),
        Limit(60, timedelta(hours=1), "OR11"),
        Limit(1, timedelta(minutes=1), "OR11"),
    )
    assert config.connectors["store"].limits == (Limit(4000, timedelta(seconds=20), refills=True, unit="points"),)
