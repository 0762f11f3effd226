"""`instep run`: one client's service with its webhooks, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from rich.text import Text

from engine.cli.output import console, misused
from engine.language.pack import project_root
from engine.run.boot import open_client
from engine.run.clock import SystemClock
from engine.run.webhooks import webhook_app
from engine.store.base import NewerStore, StoreInUse


class _Server(uvicorn.Server):
    """Leaves signals to the service, which ends the step it is in before it stops."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(root: Path | None, client: str, database: Path, host: str, port: int) -> None:
    """Runs until SIGINT or SIGTERM; a step that has begun is finished."""
    try:
        service = open_client(project_root(root), client, database, SystemClock())
    except FileNotFoundError as fault:
        misused(f"instep run: {fault}")
    except (StoreInUse, NewerStore) as fault:
        misused(f"instep run: {fault}")
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
    try:
        done, _ = await asyncio.wait({serving, running}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        stop.set()
        server.should_exit = True
        await asyncio.gather(serving, running, return_exceptions=True)
        await service.close()
