"""However records come and change, cases are the same in the end: one for each order, and one for each group without any."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.facts.links import reach
from engine.run.hearing.linking import Linking
from engine.store.rows import Node, RecordRow
from engine.store.sqlite import SqliteStore

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
KINDS = ("order", "rma", "sale", "parcel")
NODES = st.tuples(st.sampled_from(KINDS), st.sampled_from("123"))


@dataclass(frozen=True)
class Seen:
    """A record, and what it names now."""

    node: Node
    links: frozenset[Node]


seen = st.builds(lambda node, links: Seen(node, frozenset(links - {node})), NODES, st.sets(NODES, max_size=3))


class World:
    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self.store = SqliteStore.open(path, synchronous="NORMAL")
        self.absorbed: list[tuple[int, int]] = []
        self.linking = Linking(self.store.records, self.store.cases, self._absorb)
        self.links: dict[Node, frozenset[Node]] = {}

    def _absorb(self, case_id: int, into: int) -> None:
        self.absorbed.append((case_id, into))
        self.store.cases.absorb(case_id, into)

    def see(self, one: Seen) -> set[int]:
        lost = self.links.get(one.node, frozenset()) - one.links
        self.links[one.node] = one.links
        with self.store.transaction():
            id_ = self.store.records.put(RecordRow(0, *one.node, NOON, "{}"))
            self.store.records.link(id_, one.links)
            return self.linking.place(one.node, lost, NOON)

    def cases(self) -> dict[str, frozenset[Node]]:
        found = self.store.cases.listed(only_open=False, limit=1000)
        return {c.name: frozenset((r.kind, r.key) for r in self.store.records.of_case(c.id)) for c in found}

    def wanted(self) -> dict[str, frozenset[Node]]:
        """The cases there should be, worked out anew from all links."""
        every: dict[Node, set[Node]] = {}
        for node, links in self.links.items():
            for link in links:
                every.setdefault(node, set()).add(link)
                every.setdefault(link, set()).add(node)
        here = self.links.keys()
        orders = [n for n in here if n[0] == "order"]
        cases = {_name(o): reach(o, lambda n: every.get(n, ())) & here for o in orders}
        loose = here - frozenset().union(*cases.values()) if cases else set(here)
        while loose:
            group = frozenset(n for n in reach(min(loose), lambda n: every.get(n, ())) if n[0] != "order") & here
            cases[_name(min(group))] = group
            loose = loose - group
        return cases


def _name(node: Node) -> str:
    return f"{node[0]}:{node[1]}"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(seen, max_size=14))
def test_cases_are_what_the_links_say_after_every_change(tmp_path: Path, story: Sequence[Seen]) -> None:
    world = World(tmp_path / "a.db")
    try:
        for one in story:
            before = world.cases()
            touched = world.see(one)
            after = world.cases()
            assert after == world.wanted()
            ids = {c.id: c.name for c in world.store.cases.listed(only_open=False, limit=1000)}
            changed = {name for name in after if before.get(name) != after[name]}
            assert changed <= {ids[case_id] for case_id in touched}
    finally:
        world.store.close()


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(NODES, st.sets(NODES, max_size=3), max_size=10), st.randoms(use_true_random=False))
def test_the_order_in_which_records_come_does_not_matter(
    tmp_path: Path, links: dict[Node, set[Node]], rng: random.Random
) -> None:
    outcomes = []
    for _ in range(2):
        story = [Seen(node, frozenset(named - {node})) for node, named in links.items()]
        rng.shuffle(story)
        world = World(tmp_path / "a.db")
        for one in story:
            world.see(one)
        outcomes.append(world.cases())
        world.store.close()
    assert outcomes[0] == outcomes[1]


def test_long_chains_are_followed(tmp_path: Path) -> None:
    world = World(tmp_path / "a.db")
    for n in range(200):
        world.see(Seen(("rma", str(n)), frozenset({("parcel", str(n))})))
        world.see(Seen(("parcel", str(n)), frozenset({("rma", str(n + 1))})))
    world.see(Seen(("rma", "200"), frozenset({("order", "A")})))
    world.see(Seen(("order", "A"), frozenset()))
    assert [len(members) for members in world.cases().values()] == [402]
    world.store.close()
