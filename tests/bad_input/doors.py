"""Bad input to what the outside sends: deliveries, answers, payloads, and the files and words that people hand over."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import httpx
from typer.testing import CliRunner

from connectors import http as wire
from connectors.signatures import (
    easypost_signature,
    from_easypost,
    from_shopify,
    from_standard_webhooks,
    shopify_signature,
    standard_webhooks_signature,
)
from engine.cli import app
from engine.decide.decision import decide
from engine.decide.document import BadDocument, decision_to_json, read_case
from engine.facts import codec
from engine.facts.codec import decode_fields, encode_fields
from engine.facts.merge import fields_of, merge
from engine.facts.outside import (
    Connector,
    Event,
    Hint,
    Ref,
    Refused,
    Rejected,
    TryLater,
    Unsure,
    WebhookRequest,
    installed_actions,
)
from engine.facts.secrecy import same
from engine.language.mapping import SetAside, observe
from engine.language.pack import load
from engine.problems import ProblemsFound
from engine.run.clock import VirtualClock
from engine.run.service import Service
from engine.run.web.webhooks import webhook_app
from engine.simulate.history import BadHistory, parsed, recorded, written
from engine.store.sqlite import SqliteStore
from engine.store.sqlite.journal import digest_of
from tests.bad_input.corpus import CONNECTORS, payloads, spoken
from tests.bad_input.language import Try
from tests.bad_input.mutate import BYTES, TEXTS, bent_bytes, bent_json, bent_text
from tests.connectors.kit import MAIN, TestClock

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
PUSHED = ("returngo", "shopify", "easypost", "shipbob")


def whole(rng: Random) -> str:
    """Text without half a surrogate pair: no reader of JSON lets one in."""
    return rng.choice(TEXTS).encode("utf-8", "replace").decode()


def codecs(_: Path) -> Iterator[Try]:
    """JSON, both readers and writers of it: a value comes back as it was, or is refused."""
    texts = [text for each in payloads().values() for text in each if len(text) < 6000]

    def one(rng: Random) -> object:
        data = bent_json(rng, rng.choice(texts)) if rng.random() < 0.7 else bent_bytes(rng, rng.choice(texts).encode())
        for loads, dumps in ((codec.loads, codec.dumps), (wire.loads, lambda v: wire.dumps(v).decode())):
            with suppress(ValueError):
                value = loads(data)
                try:
                    text = dumps(value)
                except ValueError:
                    continue  # a number too long for any amount, which the reader of payloads refuses in its place
                assert dumps(loads(text.encode())) == text, text[:200]
        return None

    yield one


def signatures(_: Path) -> Iterator[Try]:
    """Signatures, ids and times of every kind: never believed unless they are genuine."""

    def one(rng: Random) -> object:
        body = rng.choice((b"", b"{}", rng.randbytes(rng.randrange(60)), rng.choice(BYTES)))
        secret = rng.choice((*TEXTS[:40], "s" * 32))
        at = str(int(NOON.timestamp()) + rng.choice((0, -299, 299, -301, 301, 10**12, -(10**12))))
        stamp = rng.choice((at, bent_text(rng, at)))
        key = "whsec_" + base64.b64encode((secret.encode("utf-8", "replace") or b"k")[:60]).decode()
        right = {
            "easypost": easypost_signature(body, "k" * 20),
            "shopify": shopify_signature(body, "k" * 20),
            "standard": standard_webhooks_signature(body, "m1", stamp, key),
        }
        given = {name: rng.choice((told, bent_text(rng, told), rng.choice(TEXTS))) for name, told in right.items()}
        believed = {
            "easypost": from_easypost(body, given["easypost"], "k" * 20),
            "shopify": from_shopify(body, given["shopify"], "k" * 20),
            "standard": from_standard_webhooks(
                body, message_id="m1", timestamp=stamp, signatures=given["standard"], secret=key, now=NOON
            ),
        }
        for name, yes in believed.items():
            genuine = given[name].lower() == right[name] if name == "easypost" else right[name] in given[name].split()
            assert not yes or genuine or given[name] == right[name], (name, given[name])
        with suppress(ValueError):
            from_standard_webhooks(
                body, message_id=secret, timestamp=stamp, signatures=given["standard"], secret=rng.choice(TEXTS), now=NOON
            )
        return same(secret, rng.choice(TEXTS))

    yield one


def mappings(_: Path) -> Iterator[Try]:
    """Payloads bent out of shape: observations that can be kept and merged, or a reason to set them aside."""
    rule_set = load(MAIN, "demo", installed_actions())
    pool = [text for each in payloads().values() for text in each if len(text) < 20_000]
    kinds = [kind for kind in payloads() if kind in rule_set.mappings]

    def one(rng: Random) -> object:
        kind = rng.choice(kinds)
        data = bent_json(rng, rng.choice(payloads()[kind]), pool)
        about = rng.choice(("", "A-1", whole(rng))) if rng.random() < 0.3 else "A-1"
        event = Event(kind.partition(".")[0], kind, data, NOON, requested=rng.random() < 0.5, about=about)
        found, aside = observe(rule_set.mappings[kind], event)
        for one_ in found:
            told = encode_fields(rule_set.vocabulary, one_.kind, fields_of(merge(None, one_)))
            text = codec.dumps(told)
            text.encode()
            decode_fields(rule_set.vocabulary, one_.kind, codec.loads(text))
        assert found or aside or b"[" in data
        return [each.reason.encode("utf-8", "backslashreplace") for each in aside if isinstance(each, SetAside)]

    yield one


def intake(directory: Path) -> Iterator[Try]:
    """The same payloads through journal, cases and decisions of the whole pack: nothing is a fault of ours, nothing is lost."""
    rule_set = load(MAIN, "demo", installed_actions())
    pool = [text for each in payloads().values() for text in each if len(text) < 20_000]
    kinds = list(payloads())
    clock = VirtualClock(NOON)
    path = directory / "intake.sqlite"
    for old in directory.glob("intake.sqlite*"):
        old.unlink()
    store = SqliteStore.open(path, synchronous="NORMAL")
    service = Service(store, rule_set, {}, clock)
    loop = asyncio.new_event_loop()
    seen = 0

    def one(rng: Random) -> object:
        nonlocal seen
        kind = rng.choice(kinds)
        data = bent_json(rng, rng.choice(payloads()[kind]), pool)
        event = Event(kind.partition(".")[0], kind, data, clock(), requested=rng.random() < 0.7, delivery=str(seen))
        clock.move(clock() + timedelta(seconds=rng.choice((1, 60, 90_000))))
        before = _journalled(store)
        service.hear([event])
        assert _journalled(store) == before + 1, "an event that was taken is not in the journal"
        while service.intake.take_some():
            pass
        loop.run_until_complete(service._timers())
        seen += 1
        assert store.journal.behind() == 0
        _no_fault_of_ours(store)
        return None

    yield one
    loop.close()
    store.close()


def _no_fault_of_ours(store: SqliteStore) -> None:
    rows = store._connection.execute("select reason from set_aside where reason like 'fault:%' limit 1").fetchall()
    if rows:
        store._connection.execute("update set_aside set reason = 'seen ' || reason where reason like 'fault:%'")
        raise AssertionError(rows[0][0])


def webhooks(directory: Path) -> Iterator[Try]:
    """Deliveries over HTTP, rightly signed and not: 200 and kept, or a 4xx and nothing kept."""
    rule_set = load(MAIN, "demo", installed_actions())
    clock = VirtualClock(NOON)
    for old in directory.glob("webhooks.sqlite*"):
        old.unlink()
    store = SqliteStore.open(directory / "webhooks.sqlite", synchronous="NORMAL")
    connectors: dict[str, Any] = {}
    for name in PUSHED:
        said = spoken(name)
        connectors[said.made.role] = said.made(said.made.Settings.model_validate(said.settings), clock, said.codes)
    service = Service(store, rule_set, connectors, clock)
    by_name: Mapping[str, Connector] = {each.name: each for each in connectors.values()}
    application = webhook_app(service)
    loop = asyncio.new_event_loop()

    def one(rng: Random) -> object:
        name = rng.choice(PUSHED)
        request = _bent_delivery(rng, name, clock())
        clock.move(clock() + timedelta(seconds=1))
        try:
            heard = by_name[name].receive(replace(request, received_at=clock()))
        except Rejected:
            heard = None
        before = _journalled(store)
        status = loop.run_until_complete(_post(application, f"/webhooks/{name}", request, rng))
        if status == 200:
            assert heard is not None, "believed over HTTP, and not by the connector"
            for each in heard:
                assert _is_kept(store, each), f"acknowledged and not kept: {each!r}"
        else:
            assert 400 <= status < 500, f"answered with {status}"
            assert _journalled(store) == before, "refused and kept"
        return status

    yield one
    loop.close()
    store.close()


def _is_kept(store: SqliteStore, heard: Event | Hint) -> bool:
    if isinstance(heard, Hint):
        wanted: tuple[Any, ...] = (heard.connector, heard.ref.kind, heard.ref.key)
        sql = "select 1 from fetches where connector = ? and kind = ? and key = ?"
    else:
        wanted = (digest_of(heard.payload), heard.connector, heard.delivery)
        sql = "select 1 from journal where digest = ?1 or (delivery <> '' and connector = ?2 and delivery = ?3)"
    return store._connection.execute(sql, wanted).fetchone() is not None


def _journalled(store: SqliteStore) -> int:
    return int(store._connection.execute("select coalesce(max(seq), 0) from journal").fetchone()[0])


def _bent_delivery(rng: Random, name: str, now: datetime) -> WebhookRequest:
    """A delivery with a bent body, in most cases signed again as its sender would."""
    said = spoken(name)
    genuine = rng.choice(said.deliveries)
    body = rng.choice(
        (
            genuine.body,
            bent_json(rng, genuine.body.decode()),
            bent_json(rng, genuine.body.decode()),
            bent_bytes(rng, genuine.body),
        )
    )
    headers = dict(genuine.headers)
    query = dict(genuine.query)
    secret = str(said.settings.get("webhook_secret") or said.settings.get("webhook_token"))
    if rng.random() < 0.85:
        match name:
            case "shopify":
                headers["x-shopify-hmac-sha256"] = shopify_signature(body, secret)
            case "easypost":
                headers["x-hmac-signature"] = easypost_signature(body, secret)
            case "shipbob":
                headers["webhook-timestamp"] = str(int(now.timestamp()))
                headers["webhook-signature"] = standard_webhooks_signature(
                    body, headers["webhook-id"], headers["webhook-timestamp"], secret
                )
    if rng.random() < 0.25:
        which = rng.choice(list(headers))
        headers[which] = rng.choice((*TEXTS, bent_text(rng, headers[which]))).replace("\r", "").replace("\n", "")
        if rng.random() < 0.5:
            del headers[which]
    if rng.random() < 0.05 and query:
        query["token"] = rng.choice(TEXTS)
    headers = {k: v.encode("utf-8", "backslashreplace").decode("latin-1") for k, v in headers.items()}
    return WebhookRequest(body, headers, query, now)


async def _post(application: Any, path: str, request: WebhookRequest, rng: Random) -> int:
    """Over ASGI, as uvicorn hands it on: the body in pieces, now and then with the sender gone."""
    token = request.query.get("token", "")
    where = f"{path}/{token}" if token and "/" not in token and rng.random() < 0.3 else path
    query = b"" if where != path else "&".join(f"{k}={quote(v, errors='replace')}" for k, v in request.query.items()).encode()
    pieces = [request.body[:7], request.body[7:]]
    gone = rng.random() < 0.01
    status = 0

    async def receive() -> dict[str, Any]:
        if gone and len(pieces) == 1:
            return {"type": "http.disconnect"}
        if not pieces:
            return {"type": "http.disconnect"}
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": where,
        "raw_path": where.encode("utf-8", "surrogatepass"),
        "query_string": query,
        "root_path": "",
        "server": ("127.0.0.1", 8080),
        "client": ("127.0.0.1", 1),
        "headers": [(k.encode("latin-1"), v.encode("latin-1")) for k, v in request.headers.items()],
    }
    await application(scope, receive, send)
    return status


def documents(_: Path) -> Iterator[Try]:
    """Cases as JSON: a decision, or word of what was wanted."""
    rule_set = load(MAIN, "demo", installed_actions())
    texts = [json.dumps(document) for document in _documents(rule_set)]

    def one(rng: Random) -> object:
        try:
            given = codec.loads(bent_json(rng, rng.choice(texts), texts))
            case, memory, now = read_case(rule_set, given)
        except ValueError as no:
            return str(no)
        return codec.dumps(decision_to_json(rule_set, decide(rule_set, case, memory, now)))

    yield one


def _documents(rule_set: Any) -> Iterator[dict[str, Any]]:
    """A case of each client's records, and one with the memory that came out of deciding it."""
    records: dict[str, list[Any]] = {}
    for kind, texts in payloads().items():
        for text in texts[:6]:
            event = Event(kind.partition(".")[0], kind, text.encode(), NOON, requested=True, about="A-1")
            for found in observe(rule_set.mappings.get(kind, ()), event)[0]:
                fields = fields_of(merge(None, found))
                told = records.setdefault(found.kind, [])
                if all(each.get("id") != fields.get("id") for each in told):
                    told.append(json.loads(codec.dumps(encode_fields(rule_set.vocabulary, found.kind, fields))))
    for wanted in (("order",), ("order", "rma"), ("order", "rma", "sale", "parcel", "receipt"), tuple(records)):
        document = {"now": "2026-11-05T09:00:00Z", "records": {kind: records[kind][:2] for kind in wanted if kind in records}}
        with suppress(BadDocument):
            case, memory, now = read_case(rule_set, document)
            told = decision_to_json(rule_set, decide(rule_set, case, memory, now))
            yield {**document, "memory": json.loads(codec.dumps(told)).get("memory", {})}
        yield document


def histories(directory: Path) -> Iterator[Try]:
    """Lines of a history."""
    lines = _history(directory)

    def one(rng: Random) -> object:
        found = [rng.choice(lines) for _ in range(rng.choice((1, 2, 3)))]
        at = rng.randrange(len(found))
        bent = bent_json(rng, found[at]) if rng.random() < 0.7 else bent_bytes(rng, found[at].encode())
        found[at] = bent.decode("utf-8", "surrogateescape")
        try:
            entries = list(parsed(found, "history.jsonl"))
        except BadHistory as no:
            return str(no).encode("utf-8", "backslashreplace")
        for line in written(entries):
            codec.loads(line)
        return entries

    yield one


def _history(directory: Path) -> list[str]:
    """What a service lived through that was told everything the sandboxes say."""
    path = directory / "history.sqlite"
    for old in directory.glob("history.sqlite*"):
        old.unlink()
    store = SqliteStore.open(path, synchronous="NORMAL")
    service = Service(store, load(MAIN, "demo", installed_actions()), {}, VirtualClock(NOON))
    service.hear([event for name in CONNECTORS for event in spoken(name).events])
    while service.intake.take_some():
        pass
    lines = [line for line in written(recorded(store)) if len(line) < 20_000]
    store.close()
    return lines


def answers(_: Path) -> Iterator[Try]:
    """What the outside answers us: typed verdicts, whatever it is."""
    clock = TestClock()
    loop = asyncio.new_event_loop()
    names = [name for name in CONNECTORS if name != "ledger"]
    pool = [text for each in payloads().values() for text in each if len(text) < 20_000]
    recordings = {name: _recorded_answers(name, pool) for name in names}

    def one(rng: Random) -> object:
        name = rng.choice(names)
        said = spoken(name)

        def answer(_: httpx.Request) -> httpx.Response:
            status = rng.choice((200, 200, 200, 200, 200, 201, 204, 301, 400, 401, 404, 409, 422, 429, 500, 503))
            text = rng.choice(recordings[name])
            content = rng.choice((text.encode(), bent_json(rng, text, recordings[name]), bent_bytes(rng, text.encode())))
            headers = (
                {"retry-after": rng.choice(("1", "99999999999", "x", "Wed, 21 Oct 2026 07:28:00 GMT"))}
                if rng.random() < 0.2
                else {}
            )
            if rng.random() < 0.1:
                headers["link"] = rng.choice(('<https://evil.example/x>; rel="next"', '</api\x7f>; rel="next"', "<>;rel", "x"))
            if rng.random() < 0.02:
                raise rng.choice(
                    (httpx.ReadTimeout("x"), httpx.ConnectError("x"), httpx.RemoteProtocolError("x"), httpx.DecodingError("x"))
                )
            return httpx.Response(status, content=content, headers=headers)

        connector = said.made(said.made.Settings.model_validate(said.settings), clock, said.codes)
        _transport(connector, httpx.MockTransport(answer))
        return loop.run_until_complete(_asked(rng, connector, said))

    yield one
    loop.close()


def _recorded_answers(name: str, pool: list[str]) -> list[str]:
    """Answers of the right shape: events as they are, and in the lists and pages they come in."""
    own = [event.payload.decode() for event in spoken(name).events]
    wraps = {
        "mirakl": (
            '{"orders":[%s],"total_count":1}',
            '{"data":[%s],"next_page_token":null}',
            '{"refunds":[%s]}',
            '{"reasons":[%s]}',
        ),
        "returngo": ('{"rmas":[{"rmaId":"1","status":"Pending","event":%s}],"next_cursor":null}', '{"transactions":[%s]}'),
        "shopify": (
            '{"data":{"orders":{"nodes":[%s],"pageInfo":{"hasNextPage":false}}}}',
            '{"data":{"order":%s}}',
            '{"errors":[{"message":"x","extensions":%s}]}',
        ),
        "easypost": ('{"trackers":[%s]}',),
        "shipbob": ('{"items":[%s],"next":null}', '{"id":7,"x":%s}'),
    }
    return [*own, *(wrap % text for wrap in wraps[name] for text in own), *pool[:3]]


def _transport(connector: Any, transport: httpx.AsyncBaseTransport) -> None:
    for holder in (connector, getattr(connector, "_client", None)):
        found = getattr(holder, "_http", None)
        if isinstance(found, wire.Http):
            found._transport = transport
            found._retries = wire.Retries(attempts=1)


async def _asked(rng: Random, connector: Connector, said: Any) -> object:
    try:
        match rng.randrange(4):
            case 0 if connector.feeds:
                pages = 0
                async for _ in connector.observe(
                    rng.choice(list(connector.feeds)), rng.choice(("", "", "2026-11-01T00:00:00+00:00", *TEXTS))
                ):
                    pages += 1
                    if pages > 5:
                        break
                return pages
            case 1 if said.orders:
                return await connector.perform(rng.choice(list(said.orders.values())))
            case 2 if said.orders:
                return await connector.look_up(list(said.orders.values()))
        events = said.events
        event = rng.choice(events)
        return await connector.fetch(Ref(event.kind, rng.choice(("1", "A-1", whole(rng)))))
    except (TryLater, Refused, Unsure) as verdict:
        return verdict
    finally:
        await connector.close()


def command_line(directory: Path) -> Iterator[Try]:
    """Verbs with strange words: exit code 0, 1 or 2, and no traceback."""
    here = directory / "cli"
    here.mkdir(exist_ok=True)
    _history(directory)
    runner = CliRunner()
    base = str(directory / "history.sqlite")
    (here / "payload.json").write_text('{"rmaSummary": {"rmaId": "1001"}}', encoding="utf-8")
    words = (
        *TEXTS[:60],
        base,
        "--json",
        "--database",
        "--client",
        "demo",
        "--root",
        "/nowhere",
        "--by",
        "Ana",
        "--at",
        "2026-11-02T12:00:00Z",
        "M-1",
        "A-1",
        "payload.json",
        "returngo.rma",
        "-k",
        "--help",
        "3f9a",
        "--every",
        "--all",
        "--limit",
        "-1",
        "999999999999999999999",
    )
    verbs = (
        ("explain",),
        ("exceptions",),
        ("answer",),
        ("rules", "status"),
        ("rules", "history"),
        ("rules", "show"),
        ("shadow", "report"),
        ("events", "export"),
        ("map",),
        ("decide",),
        ("diff",),
        ("new", "client"),
        ("new", "rule"),
        ("check", "--explain"),
        ("run",),
    )

    def one(rng: Random) -> object:
        verb = rng.choice(verbs)
        told = [rng.choice(words) for _ in range(rng.choice((0, 1, 1, 2, 3, 4)))]
        if verb == ("run",):
            told = [f"nobody{rng.choice(TEXTS[:20])}", *told]
        if rng.random() < 0.5 and verb[0] in {"explain", "exceptions", "answer", "rules", "shadow", "events"}:
            told += ["--database", base]
        told = [each for each in told if "\x00" not in each and "\ud800" not in each and "\udfff" not in each]
        before = Path.cwd()
        os.chdir(here)
        try:
            result = runner.invoke(app, [*verb, *told], input="{}")
        finally:
            os.chdir(before)
        fault = result.exception
        if fault is not None and not isinstance(fault, SystemExit | ProblemsFound):
            raise fault
        assert isinstance(fault, ProblemsFound) or result.exit_code in (0, 1, 2), result.exit_code
        return result.exit_code

    yield one
