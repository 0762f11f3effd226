"""Bad input to what authors write: YAML, expressions, whole projects, settings, secrets and scenarios."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

from pydantic import ValidationError

from engine.facts.outside import installed_actions, installed_connectors
from engine.facts.schema import NUMBER, TEXT, list_of
from engine.facts.values import UNKNOWN, Items, Money, Rec, Unreadable
from engine.language.client import read_client
from engine.language.compile import compile_expression
from engine.language.files import Files, read_files
from engine.language.pack import check, load
from engine.language.scope import Scope, case_names
from engine.language.secrets import resolve_secrets
from engine.language.source import read_source
from engine.language.template import compile_template
from engine.language.worlds.world import read_world
from engine.problems import Place, Problems, ProblemsFound
from engine.simulate.scenario_file import ScenarioFiles
from tests.bad_input.corpus import expressions, yaml_files
from tests.bad_input.mutate import TEXTS, bent_bytes, bent_lines, bent_text
from tests.connectors.kit import MAIN
from tests.language.small_world import ACTIONS, SMALL

_TOKEN = re.compile(r"[A-Za-z_][A-Za-z_0-9.]*|\"[^\"]*\"|[0-9.]+|[<>=!]=|[^\s\w]")
Try = Callable[[Random], object]
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def _chunks(*tops: str) -> list[str]:
    """The shipped files, and pieces of a few lines of them, as one edits them."""
    texts = list(yaml_files(*tops).values())
    for text in list(texts):
        lines = text.split("\n")
        texts += ["\n".join(lines[at : at + 12]) for at in range(0, len(lines), 9)]
    return [text for text in texts if len(text) < 3000]


def yaml(_: Path) -> Iterator[Try]:
    """YAML to nodes."""
    texts = _chunks("rules", "mappings")

    def one(rng: Random) -> object:
        text = rng.choice(texts)
        data = bent_bytes(rng, text.encode()) if rng.random() < 0.6 else bent_lines(rng, text).encode("utf-8", "surrogatepass")
        problems = Problems()
        node = read_source(data, "any.yaml", problems)
        if node is not None:
            node.plain()
        assert node is not None or problems
        return str(problems)

    yield one


def expression(_: Path) -> Iterator[Try]:
    """Expressions and templates: checked, compiled, and evaluated over facts of every strange kind."""
    rule_set = load(MAIN, "demo", installed_actions())
    scope = Scope(rule_set.vocabulary, {**case_names(rule_set.vocabulary), "xs": _LIST, "s": _TEXT}, payload=False)
    payload = Scope(rule_set.vocabulary, payload=True)
    texts = expressions()
    words = (*TEXTS, *_WORDS)
    kinds = rule_set.vocabulary.kinds.values()
    here = Place("any.yaml", 3, 9)
    sound = [text for text in texts if any(compile_expression(text, here, each, Problems()) for each in (scope, payload))]
    tokens = sorted({token for text in sound for token in _TOKEN.findall(text)})

    def one(rng: Random) -> object:
        text = rng.choice(texts if rng.random() < 0.3 else sound)
        match rng.randrange(4):
            case 0:
                text = bent_text(rng, text, words)
            case 1 | 2:
                text = _with_other_word(rng, text, tokens)
        if rng.random() < 0.3:
            text = f"{text} {rng.choice(_JOINTS)} {rng.choice(sound)}"
        problems = Problems()
        made = compile_template if rng.random() < 0.1 else compile_expression
        asked = rng.choice((scope, payload))
        found = made(text, here, asked, problems)
        assert found is not None or problems, text
        if found is None or made is compile_template:
            return str(problems)
        env = _environment(rng) if asked is scope else {name: rng.choice(_VALUES) for name in ("rma", "items", "s", "payload")}
        found.value(env)
        assert not (found.true(env) and found.false(env)), text
        return found.explain(env)

    def _environment(rng: Random) -> dict[str, object]:
        blank = {kind.name: Rec(kind.name, "1", dict.fromkeys((*kind.fields, *kind.relations))) for kind in kinds}
        env: dict[str, object] = {name: rng.choice((None, blank.get(name))) for name in scope.names}
        lists = {kind.plural: rng.choice((Items(), Items([blank[kind.name]]))) for kind in kinds if kind.plural}
        given = {
            "xs": rng.choice((Items([1, 2, 2]), Items([1], [2]), Items([None, UNKNOWN]))),
            "s": rng.choice(("", "text", "\ud800", None)),
        }
        return {**env, **lists, **given, "params": {}, "answer": {}}

    yield one


def _with_other_word(rng: Random, text: str, tokens: Sequence[str]) -> str:
    """One word or sign of an expression exchanged for one of another."""
    there = list(_TOKEN.finditer(text))
    if not there:
        return rng.choice(tokens)
    gone = rng.choice(there)
    return text[: gone.start()] + rng.choice(tokens) + text[gone.end() :]


def project(_: Path) -> Iterator[Try]:
    """A whole small project with one file gone wrong: problems at places, or a rule set."""
    small = read_files(SMALL)
    names = [name for name in small.contents if not name.endswith("facts.yaml")] * 3 + ["mappings/facts.yaml"]
    every = [text for text in _chunks("rules/base", "rules/clients") if len(text) < 1200]

    def one(rng: Random) -> object:
        name = rng.choice(names)
        text = small.contents[name].decode()
        if rng.random() < 0.2:
            lines = text.split("\n")
            at = rng.randrange(len(lines) + 1)
            text = "\n".join([*lines[:at], *rng.choice(every).split("\n"), *lines[at:]])
        bent = (
            bent_bytes(rng, text.encode())
            if rng.random() < 0.3
            else bent_lines(rng, text, words).encode("utf-8", "surrogatepass")
        )
        files = Files({**small.contents, name: bent})
        if rng.random() < 0.05:
            return str(check(files, ACTIONS))
        try:
            return load(files, "acme", ACTIONS)
        except ProblemsFound as found:
            return str(found.problems)

    words = (*TEXTS, *_WORDS, "[]", "{}", "{secret: X}", "3d", "2 working days", "[10..20)", "> 100 EUR", "any")
    yield one


def client(directory: Path) -> Iterator[Try]:
    """`client.yaml`, the settings of its connectors, and secrets from a `.env` of any bytes."""
    texts = [text for name, text in yaml_files("rules/clients").items() if name.endswith("client.yaml")]
    classes = installed_connectors()
    (directory / "env").mkdir(exist_ok=True)
    env = "A_KEY=abc\nB_KEY=\"quoted # text\"\nexport C_TOKEN='x'\nD_FILE=/nowhere\n# comment\nA=${B}\nDEMO_MIRAKL_KEY=k\n"

    def one(rng: Random) -> object:
        problems = Problems()
        node = read_source(bent_lines(rng, rng.choice(texts)).encode("utf-8", "surrogatepass"), "client.yaml", problems)
        config = None if node is None else read_client(node, problems)
        assert config is not None or problems
        if rng.random() < 0.3:
            (directory / "env" / ".env").write_bytes(bent_bytes(rng, env.encode()))
        for use in () if config is None else config.connectors.values():
            if use.use not in classes:
                continue
            try:
                settings = resolve_secrets(
                    use.settings, directory / "env", environment={"DEMO_SHIPBOB_SECRET": rng.choice(TEXTS)}
                )
                classes[use.use].Settings.model_validate(settings)
            except (ProblemsFound, ValidationError) as no:
                return str(no)
        return config

    yield one


def scenarios(_: Path) -> Iterator[Try]:
    """Scenario files and worlds."""
    rule_set = load(MAIN, "demo", installed_actions())
    beside = {name: text for name, text in yaml_files("rules/base").items() if name.endswith(".test.yaml")}
    worlds = list(yaml_files("rules/worlds").values())

    def one(rng: Random) -> object:
        problems = Problems()
        if rng.random() < 0.3:
            node = read_source(bent_lines(rng, rng.choice(worlds)).encode("utf-8", "surrogatepass"), "w.yaml", problems)
            return None if node is None else read_world(node, problems)
        name = rng.choice(list(beside))
        lines = beside[name].split("\n")
        starts = [
            n for n, line in enumerate(lines) if line.startswith("  ") and not line.startswith("   ") and line.endswith(":")
        ]
        at = rng.choice(starts) if starts else 0
        text = "scenarios:\n" + "\n".join(lines[at : at + rng.choice((8, 16, 24))])
        files = ScenarioFiles(Files({"rules/base/any.test.yaml": bent_lines(rng, text).encode("utf-8", "surrogatepass")}), ())
        files.add("rules/base/any.test.yaml", problems)
        return list(files.scenarios(rule_set, problems))

    yield one


_WORDS = (
    "order.lines",
    "rma.units",
    "u.verdict",
    "exists(rma)",
    "missing(order.x)",
    "known(",
    "min(",
    "sum(order.lines)",
    "any(l for l in order.lines)",
    "[u for u in rma.units if u.sku]",
    'matches(s, "(a+)+$")',
    'money(1, "EUR")',
    "days(1e9)",
    "add_working(",
    "lookup(policy)",
    "not ",
    " and ",
    " in ",
    "1/0",
    "10**9",
    "__import__('os')",
    "().__class__",
    "lambda: 0",
    "f'{x}'",
    "a if b else c",
    "xs[0]",
    "*xs",
    "0.1",
    "1e100",
    "-",
    "==",
    'mapped(marketplace.refund.reason, "x")',
    "params.refund_on",
    "answer.x",
    "unique(",
    "upper(s)",
    "date(order.created_at)",
    "true",
    "none",
)
_JOINTS = ("and", "or", "==", "!=", "<", "in", "+", "-", "*", "/", "if true else", "not in")
_LIST, _TEXT = list_of(NUMBER), TEXT
_VALUES = (
    None,
    UNKNOWN,
    Unreadable("x"),
    "",
    "text",
    0,
    10**40,
    Decimal("1e-60"),
    Money(Decimal(5), "EUR"),
    True,
    NOON,
    timedelta(days=9),
    Items(),
    Items([1, 2]),
    Items([None, UNKNOWN, "a"]),
    Items([1], [2]),
    [],
    {"a": [1]},
    Rec("rma", "1", {"units": Items()}),
    "\ud800",
)
