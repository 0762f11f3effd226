"""`instep run`: one client's service with its webhooks, until it is told to stop.

When the store is in trouble the service stops where it is and nothing more is sent. Where that may pass, no room on the disk or
a lock, the process waits and opens the store anew, as after a crash: there is one way to recover. Everything else ends it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
from rich.text import Text

from engine.cli.candidates import found_from_anywhere
from engine.cli.output import console, log_to_stderr, misused
from engine.cli.screen import show
from engine.console.app import beside, console_app
from engine.language.pack import project_root
from engine.run.boot import Served, open_client
from engine.run.clock import SystemClock
from engine.run.rules.start import CannotStart
from engine.run.service import Service
from engine.run.web.front import Front
from engine.run.web.listening import CannotListen, Listening
from engine.simulate.candidates.beside import Beside, Refused
from engine.store.rows import NewerStore, StoreInUse
from engine.store.trouble import StoreTrouble

SHOWN = (
    "activated",
    "rules_not_taken",
    "rules_wait",
    "candidate_runs",
    "candidate_ended",
    "candidate_not_taken",
)  # in the log; on a terminal the screen says it better
Reopen = Callable[[], Served]
TRY_AGAIN = 15.0  # seconds between looks whether the trouble has passed


async def serve(root: Path | None, client: str, database: Path, host: str, port: int, candidate: str = "") -> None:
    """Runs until SIGINT or SIGTERM; what has begun is finished. With a `candidate` beside it. Raises `StoreTrouble` that does not
    pass by itself.
    """
    if console.is_terminal and sys.stderr.isatty():
        log_to_stderr(shown=SHOWN)
    clock = SystemClock()

    def opened() -> Served:
        try:
            return open_client(project_root(root), client, database, clock)
        except (FileNotFoundError, StoreInUse, NewerStore, CannotStart, ValueError) as fault:
            misused(f"instep run: {fault}")

    def candidate_of(service: Service) -> Beside:
        return Beside(service, project_root(root), database)

    first = opened()
    said = await _with_candidate(candidate_of(first.service), first.service, candidate) if candidate else ""
    try:
        listening = Listening(host, port, lambda rest, status: beside(rest, console_app(database, client, status)))
    except CannotListen as no:
        await first.service.close()
        misused(f"instep run: {no}")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    rules = first.service.rule_set
    console.print(Text(f"{client} runs on {database} with rule set {rules.hash[:12]}, mode {rules.mode}."))
    here = f"http://{host}:{listening.port}"
    console.print(Text(f"Webhooks: {here}/webhooks/CONNECTOR  console: {here}/console/", style="dim"))
    if said:
        console.print(Text(f"In shadow {said}: instep shadow report {client}", style="dim"))
    serving = listening.start()
    served: Served | None = first
    try:
        while served is not None:
            try:
                await _live(served, candidate_of(served.service), listening, serving, stop)
                served = None
            except StoreTrouble as trouble:
                served = await _passed(trouble, listening.front, stop, opened)
    finally:
        stop.set()
        await listening.stop()


async def _with_candidate(beside: Beside, service: Service, ref: str) -> str:
    """It is kept that it runs, and `_live` goes on with it."""
    try:
        await beside.resume()
        return await beside.start(found_from_anywhere(ref), "instep run")
    except Refused as no:
        await service.close()
        misused(f"instep run: --candidate: {no}")
    finally:
        beside.close()


async def _live(served: Served, beside: Beside, listening: Listening, serving: asyncio.Future[None], stop: asyncio.Event) -> None:
    """One service, from its opening until it is told to stop or anything of it ends. Raises what ended it."""
    service = served.service
    mine = asyncio.Event()
    own: set[asyncio.Future[None]] = {
        asyncio.create_task(service.run(mine)),
        asyncio.create_task(served.reload.run(mine)),
        asyncio.create_task(beside.run(mine)),
        asyncio.create_task(show(console, service.status, mine)),
    }
    stopping: asyncio.Future[Any] = asyncio.create_task(stop.wait())
    try:
        listening.open_to(service)
        done, _ = await asyncio.wait({serving, stopping, *own}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        mine.set()
        stopping.cancel()
        ends = await asyncio.gather(*own, return_exceptions=True)
        await listening.close_to(service)
        with suppress(StoreTrouble):
            await service.close()
    faults = [fault for fault in ends if isinstance(fault, BaseException)]
    if trouble := next((found for found in map(trouble_in, faults) if found is not None), None):
        listening.front.trouble = trouble
        raise trouble
    for fault in faults:
        raise fault
    if serving in done:
        serving.result()


async def _passed(trouble: StoreTrouble, front: Front, stop: asyncio.Event, reopen: Reopen) -> Served | None:
    """The service anew, once the trouble has passed; None if it is told to stop before. Raises what does not pass."""
    log = structlog.get_logger("instep.store")
    while True:
        if not trouble.passes:
            raise trouble
        log.error("store_trouble", what=trouble.what, to_do=trouble.remedy, tried_again_in_seconds=TRY_AGAIN)
        front.trouble = trouble
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), TRY_AGAIN)
        if stop.is_set():
            return None
        try:
            served = reopen()
        except StoreTrouble as still:
            trouble = still
        else:
            log.info("store_works_again")
            return served


def trouble_in(fault: BaseException) -> StoreTrouble | None:
    """The trouble with the store that a fault is, or holds."""
    if isinstance(fault, BaseExceptionGroup):
        return next((found for each in fault.exceptions if (found := trouble_in(each)) is not None), None)
    return fault if isinstance(fault, StoreTrouble) else None
