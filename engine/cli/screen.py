"""What `instep run` shows: a line for everything that happens to the rules, and on a terminal the state of the service below."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.rule import Rule
from rich.text import Text

from engine.language.durations import show_duration
from engine.run.rules.comparison import many

EVERY = 1.0  # seconds between looks
FEW = 8  # problems or cases that are named; the rest is counted
LOW = 0.2  # of a budget: polls stop there
LITTLE_OF = 20  # a smaller one is often used up, and soon back

Status = Mapping[str, Any]


async def show(console: Console, status: Callable[[], Status], stop: asyncio.Event) -> None:
    """Until `stop`. Plain lines where nobody looks at a terminal."""
    if not console.is_terminal:

        def tell(lines: list[Text], _: Status) -> None:
            for line in lines:
                console.print(line)

        await _follow(status, stop, tell)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def draw(lines: list[Text], now: Status) -> None:
            for line in lines:
                live.console.print(line)
            live.update(Group(Rule(style="dim"), *panel(now)), refresh=True)

        await _follow(status, stop, draw)


async def _follow(status: Callable[[], Status], stop: asyncio.Event, draw: Callable[[list[Text], Status], None]) -> None:
    before: Status = {}
    while not stop.is_set():
        now = status()
        draw(news(before.get("rules") or {}, now["rules"]), now)
        before = now
        try:
            async with asyncio.timeout(EVERY):
                await stop.wait()
        except TimeoutError:
            continue


def news(before: Status, now: Status) -> list[Text]:
    """What happened to the rules between two looks, a line each."""
    found: list[Text] = []
    if not now:
        return found
    if before and now["active"] != before["active"]:
        by = "" if now["activated_by"] == "instep" else f" by {now['activated_by']}"
        found.append(_line(now["activated_at"], "green", f"rule set {now['active']} is active{by}: {now['why']}"))
    read = now["last_read"]
    if read != before.get("last_read"):
        found += _reading(read, now["active"])
    if now["waiting"] and (before.get("waiting") or {}).get("hash") != now["waiting"]["hash"]:
        found += waiting_lines(now["waiting"])
    if now["passed_over"] and not before.get("passed_over"):
        found.append(Text("  the files differ from it and are left alone until they change", style="yellow"))
    if now["needs_restart"] and now["needs_restart"] != before.get("needs_restart"):
        found.append(Text(f"  changed, but only used after a restart: {', '.join(now['needs_restart'])}", style="yellow"))
    return found


def _reading(read: Status, active: str) -> list[Text]:
    if read["fault"]:
        return [_line(read["at"], "red", f"the files could not be read, a fault of instep: {read['fault']}")]
    if read["ok"]:
        return []
    problems = read["problems"]
    return [
        _line(read["at"], "red", f"{many(len(problems), 'problem')} in the files; {active} stays active"),
        *problem_lines(problems),
    ]


def problem_lines(problems: list[Status]) -> list[Text]:
    shown = [
        Text.assemble("  ", (f"{p['file']}:{p['line']}:{p['column']}: ", "bold"), (p["code"], "red"), f": {p['message']}")
        for p in problems[:FEW]
    ]
    return shown + ([Text(f"  and {len(problems) - FEW} more: instep check", style="dim")] if len(problems) > FEW else [])


def waiting_lines(waiting: Status) -> list[Text]:
    """Why a rule set waits, the cases it is about, and what to type."""
    lines = [_line(waiting["since"], "yellow", f"rule set {waiting['hash']} waits for somebody to look:")]
    lines += [Text(f"  {reason}", style="yellow") for reason in waiting["reasons"]]
    for veto in waiting["vetoes"][:FEW]:
        lines.append(Text(f"    {veto['case']}: {veto['rule']} no longer forbids {veto['action']} ({veto['because']})"))
    for effect in waiting["effects"][:FEW]:
        amount = f", {effect['amount']}," if effect.get("amount") else ""
        lines.append(Text(f"    {effect['case']}: {effect['key']}{amount} by {effect['rule']}"))
    more = waiting["new_effects"] - FEW
    if more > 0:
        lines.append(Text(f"    and {more} more effects", style="dim"))
    if waiting.get("money"):
        lines.append(Text(f"    {' and '.join(waiting['money'])} in all"))
    what = "stop the service, type this and start it again" if waiting["restart"] else "to activate it"
    lines.append(Text(f"  {what}: instep rules activate --by NAME", style="bold"))
    return lines


def panel(now: Status) -> list[Text]:
    """The state in a few lines."""
    rules = now["rules"]
    effects, exceptions = now["effects"], now["exceptions"]
    under_way = sum(effects.get(status, 0) for status in ("planned", "performing", "unsure"))
    open_ones = ", ".join(f"{count} {severity}" for severity, count in exceptions.items()) or "none"
    failing: dict[str, list[str]] = {}
    for feed in now["failing"]:
        failing.setdefault(feed["connector"], []).append(feed["feed"])
    lines = [
        Text.assemble((now["client"], "bold"), f"  {now['mode']}  rule set {now['rule_set']}  ", rules_words(rules)),
        Text(
            f"events {now['counts']['journal']} ({now['behind']} waiting)  cases {now['counts']['cases']}"
            f"  effects {sum(effects.values())} ({under_way} under way)  exceptions {open_ones}"
        ),
    ]
    candidate = now.get("candidate")
    if candidate is not None:
        lines.append(candidate_words(candidate))
    lines += clock_lines(now["clock"])
    lines += outside_lines(now)
    lines += [Text(f"{connector} does not answer: {', '.join(feeds)}", style="red") for connector, feeds in failing.items()]
    lines += budget_lines(now["budgets"])
    return lines


def clock_lines(clock: Status) -> list[Text]:
    """Where the machine's clock was set back, and why nothing is sent."""
    lines = []
    if clock["ahead_seconds"]:
        ahead = show_duration(timedelta(seconds=clock["ahead_seconds"]))
        lines.append(Text(f"the machine's clock went back: the service is {ahead} ahead of it, at half speed", style="yellow"))
    if clock["nothing_sent_for_seconds"]:
        left = show_duration(timedelta(seconds=clock["nothing_sent_for_seconds"]))
        lines.append(Text(f"the store was restored: nothing is sent for another {left}", style="yellow"))
    return lines


def budget_lines(budgets: list[Status]) -> list[Text]:
    """The budgets that little is left of; those of one request in a while are always either left or not."""
    low = [each for each in budgets if each["most"] >= LITTLE_OF and each["left"] < each["most"] * LOW]
    resting = [each for each in budgets if each["resting_until"]]
    lines = [
        Text(f"budget low: {each['connector']} {each['operation']}: {each['left']} of {each['limit']} left", style="yellow")
        for each in low
    ]
    for each in resting:
        until = f"{datetime.fromisoformat(each['resting_until']).astimezone():%H:%M:%S}"
        lines.append(Text(f"left alone until {until}: {each['connector']} {each['operation']}", style="yellow"))
    return lines


def candidate_words(candidate: Status) -> Text:
    """How it stands with the candidate in shadow."""
    differing = many(candidate["differing"], "differing case")
    told = f"in shadow {candidate['hash']}: {candidate['looks']} decisions followed, {differing}"
    behind = f" ({candidate['waiting']} waiting)" if candidate["waiting"] else ""
    wrong = candidate["problem"] or candidate["fault"]
    return Text.assemble(f"{told}{behind}", (f"  {wrong}" if wrong else "", "red"))


def outside_lines(now: Status) -> list[Text]:
    """Connectors that are left alone, and deadlines ahead that cannot be met; nothing where all is well."""
    lines = []
    for one in now["connectors"]:
        for way, said in (("look_up", "does not answer"), ("perform", "takes nothing")):
            how = one[way]
            if how["state"] == "open":
                when = f"since {_at(how['since'])}, next try {_at(how['next_try'])}"
                lines.append(Text(f"{one['connector']} {said} {when}: {how['fault']}", style="red"))
    for unmet in now["deadlines"]["unmet"]:
        what = f"{many(unmet['count'], 'effect')} for {unmet['connector']}"
        lines.append(Text(f"too late from {_at(unmet['first'])} on: {what}, {unmet['said']}", style="bold red"))
    return lines


def _at(instant: str) -> str:
    return f"{datetime.fromisoformat(instant).astimezone():%H:%M}"


def rules_words(rules: Status) -> Text:
    """How it stands with the rules, in a few words."""
    if not rules:
        return Text()
    if rules["waiting"]:
        return Text(f"{rules['waiting']['hash']} waits", style="yellow")
    if not rules["last_read"]["ok"]:
        return Text(f"{many(len(rules['last_read']['problems']) or 1, 'problem')} in the files", style="red")
    if rules["passed_over"]:
        return Text("chosen by hand, the files differ", style="yellow")
    if rules["catching_up"]:
        return Text(f"{rules['catching_up']} cases to look at anew", style="dim")
    return Text("as in the files", style="green")


def _line(at: str, style: str, text: str) -> Text:
    return Text.assemble((f"{datetime.fromisoformat(at).astimezone():%H:%M:%S} ", "dim"), (text, style))
