"""The console of a store that a day left behind: who is let in, what they may do, and that nothing else gets in or out."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from connectors.serving import Served
from engine.console import keeping
from engine.console.accounts import NotAllowed
from engine.console.app import console_app
from engine.console.deeds import DOABLE
from engine.console.entrance import TRIES
from engine.console.views import VIEWS
from engine.demo import DemoLine, Summary
from engine.desk import exceptions
from engine.store.audit import every_entry
from engine.store.rows import ExceptionEntry
from engine.store.sqlite import SqliteStore

PASSWORD = "a long enough password"
ROLES = {"Vera": "viewer", "Otto": "operator", "Cora": "consultant"}
STATUS = {
    "client": "demo", "rule_set": "0123456789abcdef", "mode": "live", "now": "2026-11-03T20:00:00+00:00", "behind": 0,
    "counts": {"set_aside": 0}, "effects": {"refused": 1}, "failing": [],
}  # fmt: skip
READS = {
    "exceptions": "exceptions", "exceptions/{number}": "exceptions/1",
    "cases": "cases", "cases/{case:path}": "cases/order:M-1104",
    "effects": "effects?status=all", "effects/{effect:path}": "effects/1", "events": "events?status=all",
    "events/{number}": "events/1", "rules": "rules", "rules/{hash}": "rules/HASH", "audit": "audit?verify=1",
}  # fmt: skip


@dataclass
class Site:
    database: Path
    url: str

    def browser(self, name: str = "") -> httpx.Client:
        client = httpx.Client(base_url=self.url, timeout=60)
        if name:
            answer = client.post("/console/login", data={"name": name, "password": PASSWORD})
            assert answer.status_code == 303, answer.text
        return client

    def program(self, name: str) -> httpx.Client:
        held = keeping.token(self.database, None, name, "a test", 1, "Kim")
        return httpx.Client(base_url=self.url, timeout=60, headers={"authorization": f"Bearer {held}"})

    def trail(self) -> list[tuple[str, str]]:
        store = SqliteStore.open(self.database, as_="visitor")
        try:
            return [(entry.by, entry.did) for entry in every_entry(store.audit)]
        finally:
            store.close()

    def an_open_exception(self, *, answers: bool) -> dict[str, object]:
        rows = exceptions.listed(self.database, None, only_open=True)
        return next(row for row in rows if bool(row["answers"]) is answers and row["case"])


async def said() -> dict[str, object]:
    return STATUS


@pytest.fixture(scope="module")
def store_with_accounts(demo_day: tuple[Summary, list[DemoLine], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    database = tmp_path_factory.mktemp("console") / "demo.sqlite"
    shutil.copyfile(demo_day[2], database)
    for name, role in ROLES.items():
        keeping.added(database, None, name, role, "Kim", PASSWORD)
    SqliteStore.open(database).close()  # everything is in the one file
    return database


@pytest.fixture
def site(store_with_accounts: Path, tmp_path: Path) -> Iterator[Site]:
    database = tmp_path / "demo.sqlite"
    shutil.copyfile(store_with_accounts, database)
    with Served(console_app(database, "demo", said)) as url:
        yield Site(database, url)


def form_of(page: str) -> str:
    found = re.search(r'name="form" value="([^"]+)"', page)
    assert found is not None
    return found.group(1)


def address(name: str, site: Site) -> str:
    store = SqliteStore.open(site.database, as_="visitor")
    active = store.rule_sets.current()
    store.close()
    assert active is not None
    return READS[name].replace("HASH", active.hash)


def test_every_page_and_every_view_of_the_api_is_there_for_a_viewer_and_for_nobody_else(site: Site) -> None:
    assert READS.keys() == VIEWS.keys()
    vera, program, nobody = site.browser("Vera"), site.program("Vera"), site.browser()
    for name in (*READS, ""):
        path = address(name, site) if name else ""
        page = vera.get(f"/console/{path}")
        assert page.status_code == 200, (path, page.text[-300:])
        assert not re.search(r'<script|(src|href|action)="https?:|<[^>]+ (on\w+|style)=', page.text), path
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"
        assert nobody.get(f"/console/{path}").headers["location"].startswith("/console/login")
        if name:
            assert program.get(f"/api/{path}").status_code == 200, path
            assert httpx.get(f"{site.url}/api/{path}").status_code == 401
    assert program.get("/api/status").json() == STATUS


@pytest.mark.parametrize("deed", sorted(DOABLE))
def test_what_a_role_may_not_do_is_not_done_and_said(site: Site, deed: str) -> None:
    before = site.trail()
    vera = site.browser("Vera")
    form = form_of(vera.get("/console/").text)
    given = {"number": "1", "effect": "1", "answer": "accepted", "reason": "because", "form": form}
    answer = vera.post(f"/console/{deed}", data=given)
    assert (answer.status_code, "the role of Vera is viewer" in answer.text) == (403, True)
    refused = site.program("Vera").post(f"/api/{deed}", json=given)
    assert (refused.status_code, f"this is for a {DOABLE[deed].role}" in refused.text) == (403, True)
    assert [one for one in site.trail()[len(before) :] if one[1] not in ("logged in", "made a token")] == []
    if DOABLE[deed].role == "consultant":
        otto = site.program("Otto").post(f"/api/{deed}", json=given)
        assert otto.status_code == 403


def test_an_answer_given_on_a_page_is_journalled_and_stands_in_the_audit_trail_with_its_name(site: Site) -> None:
    asked = site.an_open_exception(answers=True)
    otto = site.browser("Otto")
    page = otto.get(f"/console/exceptions/{asked['number']}").text
    answer = next(iter(asked["answers"]))  # type: ignore[call-overload]
    given = {"number": asked["number"], "answer": answer, "form": form_of(page), "back": f"/console/exceptions/{asked['number']}"}
    done = otto.post("/console/exceptions/answer", data=given)
    assert (done.status_code, done.headers["location"]) == (303, f"/console/exceptions/{asked['number']}")
    assert "Otto decided" in otto.get(done.headers["location"]).text
    assert "Otto decided" not in otto.get(done.headers["location"]).text  # said once
    assert site.trail()[-1] == ("Otto", "answered")
    twice = otto.post("/console/exceptions/answer", data=given)
    assert (twice.status_code, "has wanted something of it already" in twice.text) == (404, True)


def test_a_program_does_the_same_over_the_api(site: Site) -> None:
    asked = site.an_open_exception(answers=False)
    program = site.program("Otto")
    nothing = program.post("/api/exceptions/resolve", json={"number": asked["number"], "reason": " "})
    assert (nothing.status_code, nothing.json()) == (422, {"reason": "say reason: nothing was done"})
    done = program.post("/api/exceptions/resolve", json={"number": asked["number"], "reason": "the parcel was sent back"})
    assert done.status_code == 200, done.text
    assert site.trail()[-1] == ("Otto", "resolved")
    assigned = program.post("/api/exceptions/assign", json={"number": asked["number"], "to": "Ana"})
    assert "assigned to Ana" in assigned.json()["outcome"]


def test_a_form_of_the_page_itself_is_never_taken_for_one_from_elsewhere(site: Site) -> None:
    """Browsers hide the origin of a form where the page says no referrer; the console must not."""
    page = site.browser("Otto").get("/console/")
    assert page.headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("headers", "form"),
    [
        ({}, "wrong"),
        ({}, ""),
        ({"sec-fetch-site": "cross-site"}, "right"),
        ({"origin": "https://elsewhere.example"}, "right"),
        ({"origin": "null"}, "right"),
    ],
)
def test_a_form_from_elsewhere_does_nothing(site: Site, headers: dict[str, str], form: str) -> None:
    asked = site.an_open_exception(answers=False)
    otto = site.browser("Otto")
    right = form_of(otto.get("/console/").text)
    before = site.trail()
    given = {"number": asked["number"], "reason": "because", "form": right if form == "right" else form}
    assert otto.post("/console/exceptions/resolve", data=given, headers=headers).status_code == 403
    assert site.trail() == before
    assert httpx.post(f"{site.url}/api/exceptions/resolve", json=given, cookies=dict(otto.cookies)).status_code == 401


def test_the_session_s_cookie_is_for_the_browser_and_the_console_alone(site: Site) -> None:
    answer = site.browser().post("/console/login?then=//elsewhere.example/", data={"name": "Vera", "password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()
    assert answer.headers["location"] == "/console/"
    assert all(word in cookie for word in ("instep_session_demo", "httponly", "samesite=strict", "path=/console"))
    held = answer.cookies["instep_session_demo"].encode()
    assert all(held not in path.read_bytes() for path in site.database.parent.glob("demo.sqlite*"))


def test_wrong_passwords_are_answered_alike_and_ever_more_slowly(site: Site) -> None:
    client = site.browser()
    wrong = [client.post("/console/login", data={"name": name, "password": "x"}) for name in ("Vera", "Nobody")]
    assert [a.status_code for a in wrong] == [401, 401]
    assert len({re.sub(r'value="[^"]*"', "", a.text) for a in wrong}) == 1
    for _ in range(4):
        client.post("/console/login", data={"name": "Vera", "password": "x"})
    late = client.post("/console/login", data={"name": "Vera", "password": PASSWORD})
    assert (late.status_code, int(late.headers["retry-after"]) >= 1) == (429, True)
    assert "too many wrong passwords" in late.text


def test_nobody_asks_without_end(site: Site) -> None:
    found = [httpx.get(f"{site.url}/api/status").status_code for _ in range(2 * TRIES)]
    assert found[0] == 401
    assert 429 in found


def test_a_password_is_not_taken_where_others_could_read_along(site: Site) -> None:
    answer = httpx.post(
        f"{site.url}/console/login", data={"name": "Vera", "password": PASSWORD}, headers={"host": "instep.example"}
    )
    assert (answer.status_code, "only taken over https" in answer.text) == (403, True)


def test_behind_a_proxy_with_tls_it_is_and_the_cookie_never_leaves_without(site: Site) -> None:
    answer = httpx.post(
        f"{site.url}/console/login",
        data={"name": "Vera", "password": PASSWORD},
        headers={"host": "instep.example", "x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.7"},
    )
    assert (answer.status_code, "secure" in answer.headers["set-cookie"].lower()) == (303, True)


def test_a_closed_account_and_a_changed_password_end_what_was_let_in(site: Site) -> None:
    otto, program = site.browser("Otto"), site.program("Otto")
    assert otto.get("/console/").status_code == program.get("/api/status").status_code == 200
    keeping.changed(site.database, None, "Otto", "Kim", password="quite another password")
    assert (otto.get("/console/").status_code, program.get("/api/status").status_code) == (303, 401)
    cora = site.browser("Cora")
    keeping.closed(site.database, None, "Cora", "Kim")
    assert cora.get("/console/").status_code == 303
    assert site.browser().post("/console/login", data={"name": "Cora", "password": PASSWORD}).status_code == 401


def test_a_session_ends_by_itself(site: Site) -> None:
    vera = site.browser("Vera")
    store = SqliteStore.open(site.database)
    (held,) = store.accounts.passes("Vera")
    with store.transaction():
        store.accounts.seen(held.digest, datetime.now(UTC) - timedelta(hours=3))
    store.close()
    assert vera.get("/console/").status_code == 303


def test_people_change_their_own_password(site: Site) -> None:
    vera, elsewhere = site.browser("Vera"), site.browser("Vera")
    form = form_of(vera.get("/console/account").text)
    new = {"new": "quite another password", "again": "quite another password", "form": form}
    assert vera.post("/console/account", data={"old": "x", **new}).status_code == 403
    assert vera.post("/console/account", data={"old": PASSWORD, **new, "again": "y"}).status_code == 422
    assert vera.post("/console/account", data={"old": PASSWORD, **new, "new": "short", "again": "short"}).status_code == 422
    assert vera.post("/console/account", data={"old": PASSWORD, **new}).status_code == 303
    assert (vera.get("/console/").status_code, elsewhere.get("/console/").status_code) == (200, 303)
    assert site.trail()[-1] == ("Vera", "changed the password")


def test_bad_requests_of_any_kind_get_a_sentence(site: Site) -> None:
    program = site.program("Cora")
    for path, body, status in [
        ("exceptions/answer", b"{", 400), ("exceptions/answer", b"[]", 422), ("exceptions/answer", b'{"number": {}}', 422),
        ("exceptions/answer", b'{"number": "x", "answer": "y"}', 422),
        ("exceptions/answer", b'{"number": 999999, "answer": "y"}', 404),
        ("exceptions/answer", b"[" * 15_000, 400), ("exceptions/answer", b" " * 20_000, 413),
        ("effects/retry", b'{"effect": "nothing like it"}', 404), ("events/retry", b'{"number": 1}', 404),
        ("rules/activate", b'{"hash": "ffffffff"}', 404),
    ]:  # fmt: skip
        answer = program.post(f"/api/{path}", content=body)
        assert (answer.status_code, bool(answer.json()["reason"])) == (status, True), (path, body[:40], answer.text)
    for path in (
        "cases/nothing",
        "cases/order:M-1104?at=yesterday",
        "effects?status=nothing",
        "exceptions/x",
        "rules/zz",
        "nowhere",
    ):
        assert program.get(f"/api/{path}").status_code in (404, 422), path
    marked = site.browser("Vera").get("/console/cases", params={"q": "<script>alert(1)</script>"})
    assert (marked.status_code, "<script" in marked.text, "&lt;script" in marked.text) == (200, False, True)


def test_two_thousand_exceptions_are_searched_and_paged_through(site: Site) -> None:
    rows = exceptions.listed(site.database, None, only_open=False)
    store = SqliteStore.open(site.database)
    now = datetime.now(UTC)
    with store.transaction():
        for number in range(2000):
            owner = "finance" if number % 4 == 0 else "operations"
            store.exceptions.raise_one(None, an_entry(f"many:{number}", f"payout {number:04} differs by 12.50 EUR", owner, now))
    store.close()
    vera, program = site.browser("Vera"), site.program("Vera")
    told = program.get("/api/exceptions?q=payout+differs&owner=finance").json()
    assert (told["count"], told["pages"], len(told["exceptions"])) == (500, 10, 50)
    seen: set[int] = set()
    path = "/console/exceptions?q=payout+differs&owner=finance"
    while path:
        text = vera.get(path).text
        seen |= {int(number) for number in re.findall(r'href="/console/exceptions/(\d+)"', text)}
        following = re.search(r'href="(\?[^"]+)" rel="next"', text)
        path = f"/console/exceptions{html.unescape(following.group(1))}" if following else ""
    assert len(seen) == 500
    assert seen.isdisjoint(row["number"] for row in rows)
    assert [row["title"][:11] for row in program.get("/api/exceptions?q=payout+0007").json()["exceptions"]] == ["payout 0007"]
    assert program.get("/api/exceptions?page=99999").json()["page"] == told["pages"] * 4 + 1
    for wrong in ("0x1", "-1", "one"):
        assert program.get(f"/api/exceptions?page={wrong}").status_code == 422


def an_entry(key: str, title: str, owner: str, at: datetime) -> ExceptionEntry:
    return ExceptionEntry(
        key=key, rule="payout_differs", item="", about=key, owner=owner, severity="low", title=title, runbook="Look.",
        answers="{}", state="open", opened_at=at,
    )  # fmt: skip


def test_a_weak_password_a_second_account_and_a_role_that_is_none_are_refused(site: Site) -> None:
    for name, role, password, said in [
        ("New", "viewer", "short", "at least 12"), ("New", "viewer", "aaaaaaaaaaaaaaaa", "same few"),
        ("Vera", "viewer", "", "already"), ("New", "admin", "", "one of viewer, operator, consultant"),
    ]:  # fmt: skip
        with pytest.raises(NotAllowed, match=said):
            keeping.added(site.database, None, name, role, "Kim", password)
