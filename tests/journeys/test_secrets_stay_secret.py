"""Secrets planted for a client are found nowhere it writes, prints or answers, though the other side repeats every header."""

from __future__ import annotations

import base64
import html
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import socket
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.serving import Served
from tests.journeys.test_cli import ROOT, instep

PLANTED = {
    "ACME_MIRAKL": 'planted/mirakl+key="one"&1',
    "ACME_RETURNGO": "planted-returngo-key-two-2",
    "ACME_HOOK": "planted-hook-token-three-3",
    "ACME_SHOPIFY": "planted-shopify-token-four-4",
    "ACME_SHOPIFY_SIGNS": "planted-shopify-signing-five-5",
    "ACME_EASYPOST": "planted-easypost-key-six-6",
    "ACME_EASYPOST_SIGNS": "planted-easypost-signing-seven-7",
    "ACME_SHIPBOB": "planted-shipbob-token-eight-8",
    "ACME_SHIPBOB_SIGNS": "whsec_" + base64.b64encode(b"planted-shipbob-signing-nine-9").decode(),
    "ACME_STATUS": "planted-status-token-ten-10",
}
CLIENT = """\
client: acme
status_token: {{secret: ACME_STATUS}}
connectors:
  marketplace: {{use: mirakl, url: "{url}/mirakl", api_key: {{secret: ACME_MIRAKL}}, shop_id: 1}}
  returns: {{use: returngo, url: "{url}/returngo", shop: acme.myshopify.com, api_key: {{secret: ACME_RETURNGO}},
            webhook_token: {{secret: ACME_HOOK}}}}
  store: {{use: shopify, url: "{url}/shopify", shop: acme.myshopify.com, access_token: {{secret: ACME_SHOPIFY}},
          webhook_secret: {{secret: ACME_SHOPIFY_SIGNS}}}}
  carrier: {{use: easypost, url: "{url}/easypost", api_key: {{secret: ACME_EASYPOST}},
            webhook_secret: {{secret: ACME_EASYPOST_SIGNS}}}}
  warehouse: {{use: shipbob, url: "{url}/shipbob", token: {{secret: ACME_SHIPBOB}},
              webhook_secret: {{secret: ACME_SHIPBOB_SIGNS}}, channel_id: 1, fulfillment_center: 2}}
"""
LOUD = "import logging; logging.basicConfig(level=logging.DEBUG); from engine.cli import main; main()"


class Parrot:
    """Answers everything, and repeats what it was told: in records, in refusals, in faults."""

    def __init__(self) -> None:
        self.heard: set[str] = set()
        methods = ["GET", "POST", "PUT"]
        self.app = Starlette(routes=[Route("/{system}/{path:path}", self.answer, methods=methods)])

    async def answer(self, request: Request) -> Response:
        told = dict(request.headers)
        system = request.path_params["system"]
        self.heard.add(system)
        if system == "mirakl" and request.url.path.endswith("/orders"):
            order = {
                "order_id": "A-1",
                "created_date": "2026-11-01T09:00:00Z",
                "last_updated_date": "2026-11-01T09:00:00Z",
                "note": told,
            }
            return JSONResponse({"orders": [order], "total_count": 1, "told": told})
        if system == "shipbob":
            returned = {"id": 7, "reference_id": "RG-1-1", "status": "AwaitingArrival", "note": told}
            return JSONResponse({"items": [returned], "next": None})
        status = {"returngo": 401, "shopify": 400}.get(system, 403)
        return JSONResponse({"message": f"you said {told}", "told": told}, status_code=status)


def forms(secret: str) -> set[str]:
    """The ways a secret may be written."""
    bare = base64.b64decode(secret.removeprefix("whsec_")).decode() if secret.startswith("whsec_") else secret
    coded = {base64.b64encode(f"{each}:".encode()).decode() for each in (secret, bare)}
    spelled = {
        form for each in (secret, bare) for form in (each, quote(each, safe=""), json.dumps(each)[1:-1], html.escape(each))
    }
    return coded | spelled | {repr(secret)[1:-1]}


def planted_in(text: bytes) -> list[str]:
    return [name for name, secret in PLANTED.items() for form in forms(secret) if form.encode() in text]


def asked(url: str, body: bytes | None = None, **headers: str) -> bytes:
    """The whole answer: status, headers and body."""
    request = urllib.request.Request(url, body, {name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return f"{answer.status} {answer.headers}".encode() + answer.read()
    except urllib.error.HTTPError as no:
        return f"{no.code} {no.headers}".encode() + no.read()


def until(what: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.1)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[tuple[Path, Parrot]]:
    parrot = Parrot()
    with Served(parrot.app) as url:
        folder = tmp_path / "rules" / "clients" / "acme"
        folder.mkdir(parents=True)
        (folder / "client.yaml").write_text(CLIENT.format(url=url))
        yield tmp_path, parrot


@pytest.mark.long
def test_planted_secrets_are_found_nowhere(home: tuple[Path, Parrot], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, parrot = home
    for name, secret in PLANTED.items():
        monkeypatch.setenv(name, secret)
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told: dict[str, bytes] = {}
    log = folder / "output.log"
    with log.open("wb") as out:
        command = [sys.executable, "-c", LOUD, "run", "acme", "--port", str(port)]
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=out, stderr=out)
        try:
            until(lambda: parrot.heard >= {"mirakl", "returngo", "shopify", "shipbob"})
            here, token = f"http://127.0.0.1:{port}", PLANTED["ACME_HOOK"]
            rma = json.dumps({"rmaId": 1001, "said": [PLANTED["ACME_HOOK"][:-1]]}).encode()
            for number, (url, headers) in enumerate(
                {
                    f"{here}/webhooks/returngo/{token}": {},
                    f"{here}/webhooks/returngo?token={token}": {},
                    f"{here}/webhooks/returngo/{token}x?token={token}y": {},
                    f"{here}/webhooks/{token}": {},
                    f"{here}/webhooks/shopify": {"x_shopify_hmac_sha256": PLANTED["ACME_SHOPIFY_SIGNS"]},
                    f"{here}/webhooks/easypost": {"x_hmac_signature": PLANTED["ACME_EASYPOST_SIGNS"]},
                    f"{here}/webhooks/shipbob": {"webhook_signature": "v1," + PLANTED["ACME_SHIPBOB_SIGNS"], "webhook_id": "1"},
                }.items()
            ):
                told[f"delivery {number}"] = asked(url, rma, **headers)
            bearer = f"Bearer {PLANTED['ACME_STATUS']}"
            for path in ("/healthz", "/metrics"):
                told[f"{path} of a stranger"] = asked(here + path)
                told[path] = asked(here + path, authorization=bearer)
                told[f"{path} with another token"] = asked(here + path, authorization=bearer + "x")
            assert b'"client":"acme"' in told["/healthz"].replace(b": ", b":")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
    of = ("--database", "acme.sqlite")
    for words in (
        ("exceptions", "--json", "--all", *of),
        ("explain", "A-1", *of),
        ("explain", "A-1", "--json", "--every", *of),
        ("events", "list", "--json", *of),
        ("events", "export", *of),
        ("effects", "list", "--json", *of),
        ("rules", "status", "--json", *of),
        ("rules", "history", "--json", *of),
        ("check", "--json"),
        ("check", "--live", "acme"),
        ("diff", "live", "--json", *of),
        ("simulate", "acme", *of, "--html", "report.html"),
        ("simulate", "acme", *of, "--json"),
        ("schema",),
    ):
        done = instep(*words, cwd=folder)
        told[" ".join(words)] = (done.stdout + done.stderr).encode()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        told[path.relative_to(folder).as_posix()] = path.read_bytes()
    assert {"acme.sqlite", "report.html", "output.log"} <= told.keys()
    assert b"A-1" in told["events export --database acme.sqlite"]
    assert b"***" in told["events export --database acme.sqlite"], "the parrot was heard"
    assert {where: found for where, text in told.items() if (found := planted_in(text))} == {}
