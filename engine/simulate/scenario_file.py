"""Reads scenario files: `<name>.test.yaml`, beside the rules they try."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from os.path import normpath
from pathlib import Path, PurePosixPath

from engine.language.files import Files
from engine.language.node import Entry, Node
from engine.language.ruleset import RuleSet
from engine.language.scenario_forms import ASSUMED, SCENARIO, SCENARIO_FILE
from engine.language.sections import read_file
from engine.language.source import read_source
from engine.problems import Place, Problems
from engine.simulate.given import Instants, Reader
from engine.simulate.happenings import HappeningReader, ReadBeside
from engine.simulate.matches import MatchReader
from engine.simulate.scenario import Expected, Happening, Scenario, Step

START = datetime(2026, 3, 2, 9, tzinfo=UTC)  # a Monday morning, where a scenario names no start of its own


@dataclass(slots=True)
class ScenarioFiles:
    """The scenario files of one pack or client, read but not yet understood, with the samples they may use."""

    files: Files
    roots: tuple[Path, ...]  # where else files named in a scenario may stand: recordings are no YAML
    trees: dict[str, Node] = field(default_factory=dict)  # by name relative to the root
    samples: dict[str, Entry] = field(default_factory=dict)

    def add(self, name: str, problems: Problems, *, only_samples: bool = False) -> None:
        """One file more."""
        tree = read_file(self.files, name, problems)
        if tree is None:
            return
        if tree.is_null:
            problems.add(tree.place, "nothing-expected", "this file tries nothing: write scenarios: or samples:")
            return
        if not tree.expect_form(problems, "a scenario file", SCENARIO_FILE):
            return
        samples = tree.get("samples")
        if samples is not None and samples.expect_map(problems, '"samples"'):
            for entry in samples.entries:
                first = self.samples.setdefault(entry.key, entry)
                if first is not entry:
                    where = f"{first.place.file}:{first.place.line}"
                    problems.add(entry.place, "already-defined", f'the sample "{entry.key}" is already defined at {where}')
        if samples is None and tree.get("scenarios") is None:
            problems.add(tree.place, "nothing-expected", "this file tries nothing: write scenarios: or samples:")
        if not only_samples:
            self.trees[name] = tree

    def scenarios(self, rule_set: RuleSet, problems: Problems) -> Iterator[Scenario]:
        """Every scenario of every file, understood under this rule set; what is wrong goes to `problems`."""
        samples = {name: entry.node for name, entry in self.samples.items()}
        self._check_samples(rule_set, samples, problems)
        titles: dict[str, Place] = {}
        for name, tree in sorted(self.trees.items()):
            listed = tree.get("scenarios")
            if listed is None or not listed.expect_map(problems, '"scenarios"'):
                continue
            if not listed.entries:
                problems.add(listed.place, "nothing-expected", "there is no scenario here")
            for entry in listed.entries:
                first = titles.setdefault(entry.key, entry.place)
                if first is not entry.place:
                    said = f'"{entry.key}" is already promised at {first.file}:{first.line}'
                    problems.add(entry.place, "already-defined", said)
                scenario = _Reading(self, name, tree, entry, rule_set, samples, problems).scenario()
                if scenario is not None:
                    yield scenario

    def _check_samples(self, rule_set: RuleSet, samples: Mapping[str, Node], problems: Problems) -> None:
        for name, entry in self.samples.items():
            reader = Reader(rule_set.vocabulary, Instants(START, START), problems)
            happenings = HappeningReader(MatchReader(rule_set, reader), samples, self.beside(entry.place.file))
            for _ in happenings.given(entry.node, (name,)):
                pass

    def beside(self, file: str) -> ReadBeside:
        """Reads files named in this one, relative to it."""

        def read(name: str, place: Place, problems: Problems) -> tuple[bytes, Node | None]:
            wanted = normpath(PurePosixPath(file).parent / name)
            if wanted.startswith(".."):
                problems.add(place, "unreadable-file", f"{name} is outside the project")
                return b"", None
            path = next((root / wanted for root in self.roots if (root / wanted).is_file()), None)
            if path is None:
                problems.add(place, "unreadable-file", f"there is no file {wanted}: it is named relative to this one")
                return b"", None
            try:
                content = path.read_bytes()
            except OSError as fault:
                problems.add(place, "unreadable-file", f"{wanted} cannot be read: {fault.strerror}")
                return b"", None
            return content, read_source(content, wanted, problems)

        return read


class _Reading:
    """One scenario being read."""

    def __init__(
        self,
        files: ScenarioFiles,
        name: str,
        tree: Node,
        entry: Entry,
        rule_set: RuleSet,
        samples: Mapping[str, Node],
        problems: Problems,
    ) -> None:
        self.tree, self.entry, self.node, self.name = tree, entry, entry.node, name
        self.rule_set, self.samples, self.problems = rule_set, samples, problems
        self.beside = files.beside(name)
        self.start = START

    def scenario(self) -> Scenario | None:
        node, problems = self.node, self.problems
        before = len(problems)
        node.expect_form(problems, f'the scenario "{self.entry.key}"', SCENARIO)
        if node.kind != "map":
            return None
        self.start = self._start()
        given_node, never_node, exact = node.get("given"), node.get("never"), node.get("exact")
        given = () if given_node is None else tuple(self._happenings(self.start).given(given_node))
        strict = exact is not None and bool(exact.expect_boolean(problems, '"exact"'))
        never = () if never_node is None else self._matches(self.start).matches(never_node)
        happens = self._timed("when", first=True)
        until_node = node.get("until")
        until = self.start if until_node is None else self._reader(self.start).instant(until_node, '"until"') or self.start
        last = max((until, *(at for at, _ in happens)))
        expects = self._timed("then", otherwise=last)
        steps = self._steps(happens, expects, exact=strict)
        until = max((last, *(step.at for step in steps)))
        if len(problems) == before:
            self._refuse_empty(given, steps, never, until)
        assuming = self._assuming()
        if len(problems) > before:
            return None
        return Scenario(self.entry.key, self.name, self.entry.place, self.start, given, steps, never, until, assuming)

    def _reader(self, now: datetime) -> Reader:
        return Reader(self.rule_set.vocabulary, Instants(self.start, now), self.problems)

    def _matches(self, now: datetime) -> MatchReader:
        return MatchReader(self.rule_set, self._reader(now))

    def _happenings(self, now: datetime) -> HappeningReader:
        return HappeningReader(self._matches(now), self.samples, self.beside)

    def _start(self) -> datetime:
        for holder in (self.node, self.tree):
            named = holder.get("start")
            if named is not None:
                return Reader(self.rule_set.vocabulary, Instants(START, START), self.problems).instant(named, '"start"') or START
        return START

    def _timed(self, key: str, *, first: bool = False, otherwise: datetime | None = None) -> list[tuple[datetime, Node]]:
        """Blocks by their instant; a block without instants is for the start (`when`) or the end (`then`)."""
        node = self.node.get(key)
        if node is None:
            return []
        if node.kind != "map" or not any(_is_time(name) for name, _, _ in node.items()):
            return [(self.start if first or otherwise is None else otherwise, node)]
        found: list[tuple[datetime, Node]] = []
        for name, place, below in node.items():
            at = self._reader(self.start).instant(Node("scalar", place, name, name), f'"{key}"')
            if at is not None and at < self.start:
                self.problems.add(place, "bad-value", f'"{name}" is before the start: what was before is given')
            elif at is not None:
                found.append((at, below))
        return found

    def _steps(
        self, happens: list[tuple[datetime, Node]], expects: list[tuple[datetime, Node]], *, exact: bool
    ) -> tuple[Step, ...]:
        by_time: dict[datetime, tuple[list[Happening], list[Expected]]] = {}
        for at, node in happens:
            by_time.setdefault(at, ([], []))[0].extend(self._happenings(at).happenings(node))
        for at, node in expects:
            expected = self._matches(at).expected(node)
            if exact and not expected.exact:
                expected = Expected(expected.place, expected.wanted, expected.unwanted, exact=True, nothing=expected.nothing)
            by_time.setdefault(at, ([], []))[1].append(expected)
        return tuple(Step(at, tuple(done), tuple(wanted)) for at, (done, wanted) in sorted(by_time.items()))

    def _refuse_empty(self, given: object, steps: tuple[Step, ...], never: object, until: datetime) -> None:
        if not given and not any(step.happenings for step in steps):
            said = "nothing is known and nothing happens: give records under given, or say what is seen under when"
            self.problems.add(self.entry.place, "nothing-observed", said)
        if not never and not any(step.expected for step in steps):
            said = "nothing is expected: say what must come of it under then, or what must not under never"
            self.problems.add(self.entry.place, "nothing-expected", said)
        if never and until == self.start and not any(step.happenings for step in steps):
            said = 'never looks at the whole run, and this one ends where it starts: say until, as in until: "+3d"'
            self.problems.add(self.node.key_place("never"), "nothing-observed", said)

    def _assuming(self) -> Node | None:
        """The keys of `client.yaml` assumed by the file and by the scenario, the scenario's over the file's."""
        found: Node | None = None
        for holder in (self.tree, self.node):
            params, client = holder.get("params"), holder.get("client")
            if client is not None:
                client.expect_form(self.problems, '"client"', ASSUMED)
                found = client if found is None else found.overlaid(client)
            if params is not None:
                wrapped = Node("map", params.place, entries=(Entry("params", params.place, params),))
                found = wrapped if found is None else found.overlaid(wrapped)
        return found


def _is_time(name: str) -> bool:
    return name == "start" or name[:1] in {"+", "-"} or name[:1].isdigit()
