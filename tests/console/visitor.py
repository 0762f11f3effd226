"""A person at a real browser: where they go, what they click and type, and everything that was wrong on the way."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Response, sync_playwright

from tests.console.shop import PASSWORD

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
IN_CI = os.environ.get("CI") == "true"
PATIENCE = 60_000  # ms; on a busy machine the service takes the time it takes
SWITCHES = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
REACHABLE = "a[href], button, input:not([type=hidden]), select, summary, textarea"

# What a page is too wide by: elements that stand over the edge, or that scroll sideways within themselves.
_TOO_WIDE = """() => [...document.querySelectorAll("body, body *")]
    .filter(e => e.getBoundingClientRect().width > 0 && !e.closest(".skip") && (e.getBoundingClientRect().right > innerWidth + 1
        || (e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== "visible" && !e.matches("input, select"))))
    .map(e => e.tagName + "." + e.className + ": " + e.textContent.trim().slice(0, 60))"""
_FOCUSED = f"""() => {{
    const e = document.activeElement;
    if (e === document.body) return null;
    const style = getComputedStyle(e), all = [...document.querySelectorAll("{REACHABLE}")].filter(o => o.checkVisibility());
    return {{at: all.indexOf(e), of: all.length, says: (e.textContent || e.name || e.value || "").trim(),
             ringed: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0}};
}}"""


@dataclass
class Person:
    """One browser window. `wrong` has every error of a page, and every request to anywhere but the console."""

    context: BrowserContext
    page: Page
    console: str
    wrong: list[str] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)

    def goes(self, path: str) -> Response:
        answer = self.page.goto(f"{self.console}/{path}")
        assert answer is not None
        return answer

    def reads(self) -> str:
        """What the page says, in one line."""
        return " ".join(self.page.inner_text("body").split())

    def logs_in(self, name: str, password: str = PASSWORD) -> None:
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.clicks("Log in")

    def clicks(self, button: str) -> None:
        """Presses it, and waits for the page that comes of it."""
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=button, exact=True).first.click()

    def tabs(self) -> Iterator[dict[str, Any]]:
        """What the tab key reaches, one after the other, until it leaves the page."""
        first: int | None = None
        for _ in range(200):
            self.page.keyboard.press("Tab")
            at = self.page.evaluate(_FOCUSED)
            if at is None or at["at"] == first:
                return  # to the browser's own bar, or to the beginning again
            first = at["at"] if first is None else first
            yield at

    def too_wide(self) -> list[str]:
        return list(self.page.evaluate(_TOO_WIDE))

    def hard_to_use(self) -> list[str]:
        """What axe finds: inputs without a label, contrast below 4.5 to 1, headings out of order and the like."""
        found = Axe().run(self.page).response["violations"]
        return [f"{one['id']}: {one['help']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


@dataclass
class People:
    """One browser for all of them. Who was let in once is not asked again: nobody may try the door without end."""

    browser: Browser
    console: str
    _let_in: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def person(self, name: str = "", *, script: bool = False, width: int = 1280, dark: bool = False) -> Iterator[Person]:
        """Someone with a window of this width; without `script` the browser runs none. Logged in where they have a `name`."""
        context = self.browser.new_context(
            viewport={"width": width, "height": 900}, java_script_enabled=script, color_scheme="dark" if dark else "light",
            storage_state=self._let_in.get(name),
        )  # fmt: skip
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        someone = Person(context, page, self.console)
        site, wrong = self.console.removesuffix("/console"), someone.wrong
        page.on("request", lambda request: None if request.url.startswith(site) else wrong.append(f"asks for {request.url}"))
        page.on("response", lambda answer: someone.refusals.append(answer.status) if answer.status >= 400 else None)
        page.on("pageerror", lambda fault: wrong.append(str(fault)))
        page.on("console", lambda said: None if said.text.startswith("Failed to load") else wrong.append(said.text))
        try:
            if name and name not in self._let_in:
                someone.goes("login")
                someone.logs_in(name)
                self._let_in[name] = context.storage_state()
            yield someone
        finally:
            context.close()
        assert wrong == []

    def forget(self, name: str) -> None:
        """Has to log in again."""
        self._let_in.pop(name, None)


@contextmanager
def people(console: str) -> Iterator[People]:
    assert CHROMIUM is not None, "CI installs Chromium for this"
    with sync_playwright() as driver:
        kept = ["--disable-back-forward-cache"]  # people's browsers have it, and it is what shows a page again after log out
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=list(SWITCHES), ignore_default_args=kept)
        yield People(opened, console)
        opened.close()
