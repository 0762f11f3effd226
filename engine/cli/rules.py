"""What `instep rules` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from engine.cli.screen import problem_lines, waiting_lines
from engine.desk.stored import second

Json = dict[str, Any]


def status_lines(status: Mapping[str, Any]) -> list[Text]:
    """For people. What is fine takes one line."""
    active, read, waiting = status["active"], status["last_read"], status["waiting"]
    if active is None:
        return [Text("No rule set was ever active in this store.")]
    running = "decides" if status["running"] else "decided last; no service is running"
    lines = [Text.assemble((f"{status['client']}: rule set {active['hash']} ", "bold"), running)]
    lines.append(Text(f"  active since {second(active['activated_at'])}, by {active['by']}: {active['why']}", style="dim"))
    if status["passed_over"]:
        lines.append(Text("  The files differ: a set was chosen by hand. They are left alone until they change.", style="yellow"))
    if read and not read["ok"]:
        lines.append(Text(f"  The files make no rule set (read {second(read['at'])}):", style="red"))
        lines += [Text(f"  {read['fault']}", style="red")] if read["fault"] else problem_lines(read["problems"])
    if waiting:
        lines += waiting_lines(waiting)
    lines += [Text(f"  Changed, but only used after a restart: {name}", style="yellow") for name in status["needs_restart"]]
    for one in status["asked_for"]:
        lines.append(
            Text(f"  {one['by']} has asked for {one['hash'] or 'what the files say'}: done at the next start", style="yellow")
        )
    return lines


def history_table(rows: list[Json]) -> Table | Text:
    if not rows:
        return Text("No rule set was ever active in this store.")
    table = Table("rule set", "activated", "by", "why", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(row["hash"], second(row["activated_at"]), row["by"], row["why"])
    return table


def shown_lines(shown: Json) -> list[Text]:
    lines = [Text(f"rule set {shown['hash']} of {shown['client']}", style="bold")]
    lines += [Text(f"  active from {second(a['activated_at'])}, by {a['by']}: {a['why']}") for a in shown["activations"]]
    lines += [Text(f"  {name}  {len(text.splitlines())} lines", style="dim") for name, text in shown["files"].items()]
    return [*lines, Text("  One file: --file NAME. All of them into a folder: --to FOLDER.", style="dim")]
