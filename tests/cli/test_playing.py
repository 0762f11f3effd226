"""`instep demo --console`: whoever looks at the evening of the demo decides, and it is done."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

import httpx
import pytest

from engine.cli import playing
from engine.desk import exceptions
from tests.run.files_world import World, an_order, an_rma, opened, project


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = opened(project(tmp_path))
    world.shop.books.orders["A"] = {}
    asyncio.run(world.hear(an_order("A"), an_rma("1", "A", "Approved")))
    world.passed(days=3)
    asyncio.run(world.service.step())
    return world


def test_the_console_of_the_evening_lets_in_whom_it_names_and_does_what_is_decided(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    database = world.root / "acme.sqlite"

    def visit() -> str:
        said = ""
        while "password:" not in said:
            said += capsys.readouterr().out
        url, name, password = re.findall(r"Console: (\S+) +name: (\S+) +password: (\S+)", said)[0]
        with httpx.Client(follow_redirects=True, timeout=30) as browser:
            page = browser.post(f"{url}login", data={"name": name, "password": password})
            assert "1 is slow" in page.text
        (row,) = exceptions.listed(database, None, only_open=True)
        return exceptions.decided(database, None, row["number"], "resolve", name, "looked at it")

    async def evening() -> str:
        looking = asyncio.create_task(playing._look_on(world.service, playing._console_at(database, 0), database))
        said = await asyncio.to_thread(visit)
        signal.raise_signal(signal.SIGINT)
        await asyncio.wait_for(looking, 30)
        return said

    assert asyncio.run(evening()).endswith("Taken in.")
    asyncio.run(world.service.close())
