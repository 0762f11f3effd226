"""`instep run`: one client's service with its webhooks, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from rich.text import Text

from engine.cli.output import console, log_to_stderr, misused
from engine.cli.screen import show
from engine.language.pack import project_root
from engine.run.boot import open_client
from engine.run.clock import SystemClock
from engine.run.start import CannotStart
from engine.run.webhooks import webhook_app
from engine.store.base import NewerStore, StoreInUse

SHOWN = ("activated", "rules_not_taken", "rules_wait")  # in the log; on a terminal the screen says it better


class _Server(uvicorn.Server):
    """Leaves signals to the service, which ends the step it is in before it stops."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(root: Path | None, client: str, database: Path, host: str, port: int) -> None:
    """Runs until SIGINT or SIGTERM; a step that has begun is finished."""
    if console.is_terminal and sys.stderr.isatty():
        log_to_stderr(shown=SHOWN)
    try:
        served = open_client(project_root(root), client, database, SystemClock())
    except (FileNotFoundError, StoreInUse, NewerStore, CannotStart, ValueError) as fault:
        misused(f"instep run: {fault}")
    service = served.service
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    config = uvicorn.Config(
        webhook_app(service), host=host, port=port, lifespan="off", log_config=None, access_log=False, ws="none"
    )
    server = _Server(config)
    console.print(Text(f"{client} runs on {database} with rule set {service.rule_set.hash[:12]}, mode {service.rule_set.mode}."))
    console.print(Text(f"Webhooks: http://{host}:{port}/webhooks/CONNECTOR  status: http://{host}:{port}/healthz", style="dim"))
    serving = asyncio.create_task(server.serve())
    running = asyncio.create_task(service.run(stop))
    reloading = asyncio.create_task(served.reload.run(stop))
    showing = asyncio.create_task(show(console, service.status, stop))
    every = {serving, running, reloading, showing}
    try:
        done, _ = await asyncio.wait(every, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        stop.set()
        server.should_exit = True
        await asyncio.gather(*every, return_exceptions=True)
        await service.close()
