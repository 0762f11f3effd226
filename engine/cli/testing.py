"""`instep test`: scenarios tried, failing ones told as a timeline with the trace of the rules in question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from os.path import normpath
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.text import Text

from engine.cli.explaining import entry_lines
from engine.decide.document import entry_to_json
from engine.facts.outside import installed_actions
from engine.language.durations import show_duration
from engine.language.pack import project_root
from engine.language.show import show
from engine.simulate.coverage import Coverage, Point
from engine.simulate.suite import Suite, suites
from engine.simulate.trying import Found, Moment, Tried

TOLD_ENTRIES = 6  # of the rules that could have asked for it; `instep explain` tells of every one


class NothingToTest(ValueError):  # noqa: N818
    """There is no such path, or no scenario there; the message says what there is."""


@dataclass(slots=True)
class Report:
    """All that was tried, suite by suite, in the order it was."""

    tried: list[tuple[Suite, Tried, float]] = field(default_factory=list)  # with the seconds it took
    coverage: list[tuple[Suite, Coverage]] = field(default_factory=list)

    @property
    def failed(self) -> list[Tried]:
        return [one for _, one, _ in self.tried if not one.fine]

    @property
    def percent(self) -> float:
        """Outcomes reached of those wanted, over every suite."""
        wanted = sum(c.wanted for _, c in self.coverage)
        return 100.0 * sum(c.reached for _, c in self.coverage) / wanted if wanted else 100.0


def tried(path: Path | None, client: str | None, *, named: str = "", coverage: bool = False) -> Report:
    """Try scenarios: all, or those of a client or pack, under a path, or with `named` in their title or file.

    Raises `ProblemsFound` where rules or scenarios are not understood, `NothingToTest` where there is none to try.
    """
    root, below = located(path)
    report = Report()
    for suite in suites(root, installed_actions(), client, below):
        covered = suite.coverage() if coverage else None
        suite.scenarios = tuple(s for s in suite.scenarios if named.lower() in f"{s.file} {s.title}".lower())
        began = perf_counter()
        for one in suite.run(covered):
            report.tried.append((suite, one, perf_counter() - began))
            began = perf_counter()
        if covered is not None and covered.rules:
            report.coverage.append((suite, covered))
    if not report.tried:
        where = path or "rules/"
        about = f' with "{named}" in its title' if named else ""
        raise NothingToTest(f"there is no scenario{about} in {where}: they stand in <name>.test.yaml beside the rules")
    return report


def located(path: Path | None) -> tuple[Path, tuple[str, ...]]:
    """The project's root, and the file or folder in it that is meant; none where it is the whole project."""
    if path is None:
        return project_root(None), ()
    wanted = Path(normpath(path.absolute()))
    if not wanted.exists():
        raise NothingToTest(f"there is no {path}")
    if project_root(wanted) == wanted:
        return wanted, ()
    for above in wanted.parents:
        if above.name != "rules" and project_root(above) == above.resolve():
            return above, (wanted.relative_to(above).as_posix(),)
    raise NothingToTest(f"{path} is not in a project with the folder rules/")


def report_lines(report: Report) -> Iterator[Text]:
    """Failing scenarios as timelines, coverage where it was asked for, and the sum of it."""
    for one in report.failed:
        yield from timeline(one)
        yield Text()
    for suite, covered in report.coverage:
        yield from _coverage_lines(suite, covered)
        yield Text()
    failed, count = len(report.failed), len(report.tried)
    seconds = sum(s for _, _, s in report.tried)
    fine = "1 scenario, as promised" if count == 1 else f"{count} scenarios, all as promised"
    said = f"{failed} of {count} scenario{'s' if count > 1 else ''} failed" if failed else fine
    yield Text(f"{said} ({seconds:.1f} s)", style="red" if failed else "green")


def timeline(one: Tried) -> Iterator[Text]:
    """What happened, what was decided and what was not as expected, in order of time."""
    scenario = one.scenario
    yield Text.assemble(("FAILED ", "bold red"), (scenario.title, "bold"), (f"  {scenario.place}", "dim"))
    for moment in one.moments:
        if moment.observed or moment.decided or moment.met or moment.found:
            yield from _moment(moment, scenario.start)


def _moment(moment: Moment, start: datetime) -> Iterator[Text]:
    yield Text.assemble("  ", (after(moment.at, start), "bold cyan"), (f"  {show(moment.at)}", "dim"))
    for text in moment.observed:
        yield Text.assemble("    observed  ", text)
    for text in moment.decided:
        yield Text.assemble("    decided   ", text)
    for text in moment.met:
        yield Text.assemble("    expected  ", (text, "green"))
    for found in moment.found:
        yield from _found(found)


def _found(found: Found) -> Iterator[Text]:
    failure = found.failure
    yield Text.assemble(("    expected  ", "red"), (failure.wanted, "bold red"), (f"  {failure.place}", "dim"))
    yield Text.assemble(("    actual    ", "red"), (failure.actual, "red"))
    for entry in found.entries[:TOLD_ENTRIES]:
        lead = Text("    why       ", style="yellow")
        lines = list(entry_lines(entry))
        if entry.outcome == "waiting":  # all its conditions hold; only the time has not come
            lines = [Text("waits: ").append_text(lines[0])]
        for line in lines:
            yield lead.append_text(line)
            lead = Text(" " * 14)
    if len(found.entries) > TOLD_ENTRIES:
        others = dict.fromkeys(e.rule for e in found.entries[TOLD_ENTRIES:])
        yield Text(f"              and {', '.join(others)}", style="dim")


def after(at: datetime, start: datetime) -> str:
    """`start`, `+2h`: as a scenario names the instant."""
    return "start" if at == start else f"+{show_duration(at - start)}"


def _coverage_lines(suite: Suite, covered: Coverage) -> Iterator[Text]:
    points = list(covered.missing())
    style = "green" if not points else "yellow"
    held = len(covered.rules) - len(covered.rules_never_held())
    said = f"{suite.name}: {covered.percent:.1f} % covered, {held} of {len(covered.rules)} rules held at least once"
    yield Text(said, style=style)
    for point in points:
        what = f"{point.rule} {point.path}".strip()
        yield Text.assemble(f"  {point.place}: ", (what, "bold"), f" {point.told}", (f"  {_one_line(point)}", "dim"))


def _one_line(point: Point) -> str:
    return " ".join(point.text.split())


def report_json(report: Report) -> dict[str, Any]:
    """The same for programs."""
    found: dict[str, Any] = {
        "scenarios": [
            {
                "suite": suite.name,
                "title": one.scenario.title,
                "file": one.scenario.place.file,
                "line": one.scenario.place.line,
                "passed": one.fine,
                "passes": one.passes,
                "failures": [_found_json(f, one) for f in one.found],
            }
            for suite, one, _ in report.tried
        ],
        "failed": len(report.failed),
    }
    if report.coverage:
        found["coverage"] = {"percent": f"{report.percent:.1f}", "suites": [_coverage_json(s, c) for s, c in report.coverage]}
    return found


def _found_json(found: Found, one: Tried) -> dict[str, Any]:
    failure = found.failure
    return {
        "at": found.at,
        "after": after(found.at, one.scenario.start),
        "place": str(failure.place),
        "wanted": failure.wanted,
        "actual": failure.actual,
        "trace": [entry_to_json(e) for e in found.entries],
    }


def _coverage_json(suite: Suite, covered: Coverage) -> dict[str, Any]:
    return {
        "suite": suite.name,
        "percent": f"{covered.percent:.1f}",
        "rules": len(covered.rules),
        "never_held": list(covered.rules_never_held()),
        "points": [
            {"rule": p.rule, "path": p.path, "place": str(p.place), "text": p.text, "seen": sorted(p.seen)}
            for p in sorted(covered.points.values(), key=lambda p: (p.place, p.path))
        ],
    }


def junit(report: Report) -> str:
    """JUnit XML: a test suite for each file, a test case for each scenario."""
    from xml.etree import ElementTree as ET  # noqa: PLC0415 - only where it is asked for

    by_file: dict[str, list[tuple[Tried, float]]] = {}
    for _, one, seconds in report.tried:
        by_file.setdefault(one.scenario.file, []).append((one, seconds))
    root = ET.Element("testsuites", _counts([(one, s) for _, one, s in report.tried]) | {"name": "instep test"})
    for file, scenarios in by_file.items():
        suite = ET.SubElement(root, "testsuite", _counts(scenarios) | {"name": file})
        for one, seconds in scenarios:
            place = one.scenario.place
            named = {"classname": file, "name": one.scenario.title, "file": place.file, "line": str(place.line)}
            case = ET.SubElement(suite, "testcase", named | {"time": f"{seconds:.3f}"})
            if not one.fine:
                first = one.found[0].failure
                fault = ET.SubElement(case, "failure", {"message": f"expected {first.wanted}: {first.actual}", "type": "failed"})
                fault.text = _plain(timeline(one))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _counts(tried_ones: Sequence[tuple[Tried, float]]) -> dict[str, str]:
    failures = sum(not one.fine for one, _ in tried_ones)
    seconds = sum(s for _, s in tried_ones)
    return {"tests": str(len(tried_ones)), "failures": str(failures), "errors": "0", "time": f"{seconds:.3f}"}


def _plain(lines: Iterator[Text]) -> str:
    """Without what XML cannot hold."""
    text = "\n".join(line.plain for line in lines)
    return "".join(c for c in text if c in "\t\n" or c >= " ")
