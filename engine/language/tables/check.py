"""What can be proved about the rows of a table: inputs no row covers, rows that contradict each other, rows without effect.

Everything is worked out over atoms (`engine.language.tables.atoms`), so nothing is claimed that is not so for a real set of
inputs. The search stops after `LARGEST_SEARCH` steps; what has not been found by then is not claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.language.show import show
from engine.language.tables.atoms import ELSE, Atom, atoms_of
from engine.language.tables.hit import Values
from engine.language.tables.index import Bits, rows_in
from engine.language.tables.policies import SINGLE
from engine.language.tables.table import Table
from engine.problems import Problems

LARGEST_SEARCH = 3_000_000  # atoms looked at, for one table
MOST_TOLD = 8  # of one kind, for one table


def check_tables(tables: Iterable[Table], problems: Problems, *, warn: bool) -> None:
    """Contradictions are errors; with `warn`, gaps and rows without effect are told too."""
    for table in tables:
        space = Space.of(table)
        if table.hit in ("unique", "any"):
            _check_overlaps(space, problems)
        if warn and table.rows:
            _warn_gaps(space, problems)
            _warn_dead(space, problems)


def _places(atoms: Sequence[Atom], rows: int) -> dict[int, list[Atom]]:
    """For each row the atoms it may match in; rows that may match in all of them are left out."""
    everywhere = every = (1 << rows) - 1
    for atom in atoms:
        everywhere &= atom.possible
    found: dict[int, list[Atom]] = {row: [] for row in rows_in(every & ~everywhere)}
    for atom in atoms:
        for row in rows_in(atom.possible & ~everywhere):
            found[row].append(atom)
    return found


class Spent(Exception):  # noqa: N818 - not a fault: the search is given up
    """The search took more steps than it may."""


@dataclass(slots=True)
class Space:
    """All inputs of a table, by atoms, and the steps left to search them."""

    table: Table
    atoms: tuple[tuple[Atom, ...], ...]
    left: int = LARGEST_SEARCH
    _places: tuple[Mapping[int, Sequence[Atom]], ...] | None = None

    @classmethod
    def of(cls, table: Table) -> Space:
        columns = zip(table.inputs, table.columns, strict=True)
        return cls(table, tuple(atoms_of(given, column) for given, column in columns))

    def step(self, cost: int = 1) -> None:
        self.left -= cost
        if self.left < 0:
            raise Spent

    def where(self, depth: int, row: int) -> Sequence[Atom]:
        """The atoms of one input in which the row may match."""
        if self._places is None:
            self._places = tuple(_places(atoms, len(self.table.rows)) for atoms in self.atoms)
        return self._places[depth].get(row, self.atoms[depth])

    def beside(self, row: int) -> Bits:
        """The rows that match somewhere where this one does, itself among them; none if it matches nowhere."""
        found = (1 << len(self.table.rows)) - 1
        for depth in range(len(self.atoms)):
            here = 0
            for atom in self.where(depth, row):
                if atom.sure >> row & 1:
                    here |= atom.sure
            found &= here
        return found if found >> row & 1 else 0

    def impossible_input(self, row: int) -> int | None:
        """The input of which no value is what the row asks for, if there is one."""
        return next((n for n in range(len(self.atoms)) if not self.where(n, row)), None)

    @property
    def is_certain(self) -> bool:
        """Whether for every value it is known of every row whether it matches: no second currency, no parameter not set."""
        return all(atom.sure == atom.possible for atoms in self.atoms for atom in atoms)

    def example(self, chosen: Sequence[Atom]) -> str:
        """Inputs as an author reads them; those that make no difference are left out."""
        said = [
            f"{given.name} = {show(atom.value) if atom.value is not ELSE else ELSE}"
            for given, atom in zip(self.table.inputs, chosen, strict=True)
            if atom.value is not None
        ]
        return ", ".join(said) or "any inputs"


# --- contradictions -------------------------------------------------------------------------------------------------


def _check_overlaps(space: Space, problems: Problems) -> None:
    table = space.table
    told = 0
    for later in range(len(table.rows)):
        for earlier in rows_in(space.beside(later) & ((1 << later) - 1)):
            if table.hit == "any" and table.rows[earlier].values == table.rows[later].values:
                continue
            if told == MOST_TOLD:
                return
            told += 1
            both = 1 << earlier | 1 << later
            shared = [next(atom for atom in atoms if atom.sure & both == both) for atoms in space.atoms]
            only = "only one row may match" if table.hit == "unique" else "rows that match together must give the same"
            said = (
                f'rows {earlier + 1} and {later + 1} of "{table.id}" both match where {space.example(shared)}; '
                f'with hit "{table.hit}" {only}'
            )
            problems.add(table.rows[later].place, "table-overlap", said)


# --- gaps -----------------------------------------------------------------------------------------------------------

Region = tuple[Atom, ...]  # an example: one atom for each input


def _warn_gaps(space: Space, problems: Problems) -> None:
    """One example for each region no row covers. Where every matching row counts, none is a result too."""
    table = space.table
    if table.hit not in SINGLE or table.otherwise is not None:
        return
    place = table.place
    try:
        found = gaps(space)
    except Spent:
        said = f'"{table.id}" is too large to look for inputs that no row covers: give it an "otherwise" to be sure'
        problems.add(place, "table-gap", said)
        return
    for number, region in enumerate(found):
        if number == MOST_TOLD:
            said = f'"{table.id}": there are more inputs that no row covers; write "otherwise" to cover them all'
            problems.add(place, "table-gap", said)
            return
        said = f'no row of "{table.id}" matches where {space.example(region)}: add a row, or write "otherwise"'
        problems.add(place, "table-gap", said)


def gaps(space: Space) -> list[Region]:
    """An example of each region in which every row is known not to match. Raises `Spent`."""
    held: dict[tuple[int, Bits], list[Region]] = {}

    def below(depth: int, rows: Bits) -> list[Region]:
        if not rows:
            return [tuple(atoms[0] for atoms in space.atoms[depth:])]
        if depth == len(space.atoms):
            return []
        if (depth, rows) not in held:
            space.step(len(space.atoms[depth]))
            found: dict[tuple[Region, ...], Region] = {}
            seen: set[Bits] = set()
            for atom in space.atoms[depth]:
                rest = rows & atom.possible
                if rest in seen:
                    continue
                seen.add(rest)
                inner = tuple(below(depth + 1, rest))
                if inner:
                    found.setdefault(inner, (atom,))
            regions = [(*start, *region) for inner, start in found.items() for region in inner]
            held[depth, rows] = regions[: MOST_TOLD + 1]
        return held[depth, rows]

    return below(0, (1 << len(space.table.rows)) - 1)


# --- rows without effect --------------------------------------------------------------------------------------------


def _warn_dead(space: Space, problems: Problems) -> None:
    for row, said in without_effect(space):
        code = "redundant-row" if said.endswith("the same") else "dead-row"
        problems.add(space.table.rows[row].place, code, f'row {row + 1} of "{space.table.id}" {said}')


def without_effect(space: Space) -> Iterator[tuple[int, str]]:
    """Rows that never match, never decide, or decide nothing other rows would not, each with what is to be said."""
    table = space.table
    left = (1 << len(table.rows)) - 1  # the rows of which nothing has been said
    for row in range(len(table.rows)):
        never = space.impossible_input(row)
        if never is not None:
            left &= ~(1 << row)
            yield row, f'can never match: no "{table.inputs[never].name}" is {table.rows[row].cells[never]}'
    try:
        if table.hit in ("first", "priority"):
            for row, over in _overruled(space, left):
                left &= ~(1 << row)
                yield row, f"can never decide: wherever it matches, {_rows(over)} {_COME_FIRST[table.hit]}"
        if table.hit in ("first", "any") and space.is_certain:
            yield from _redundant(space, left)
    except Spent:
        return


def _overruled(space: Space, left: Bits) -> Iterator[tuple[int, list[int]]]:
    """The rows that always lose to others, with those others."""
    table = space.table
    winning = 0
    for row in sorted(rows_in(left), key=lambda n: (table.rank(table.rows[n].values) if table.hit == "priority" else (), n)):
        if _covered(space, row, winning):
            yield row, rows_in(space.beside(row) & winning)
        else:
            winning |= 1 << row


def _redundant(space: Space, left: Bits) -> Iterator[tuple[int, str]]:
    """From the last row up, each that could be left out with all those said to be redundant before it."""
    for row in reversed(rows_in(left)):
        others = left & ~(1 << row)
        if _covered(space, row, others) if space.table.hit == "any" else _same_without(space, row, others):
            left = others
            yield row, "is redundant: without it, other rows give the same"


def _covered(space: Space, row: int, by: Bits) -> bool:
    """Whether wherever the row may match, one of `by` surely does."""

    def decided(rows: Bits) -> bool | None:
        return False if not rows else None

    return _everywhere(space, row, lambda rows: rows & by, decided, at_last=True)


def _same_without(space: Space, row: int, others: Bits) -> bool:
    """Whether wherever this row is the first to match, the next one that does gives the same."""
    table = space.table
    earlier = others & ((1 << row) - 1)
    later = others & ~earlier
    mine: Values = table.rows[row].values

    def at_leaf(rows: Bits) -> bool:
        if rows & earlier:
            return True
        following = rows & later
        return table.rows[(following & -following).bit_length() - 1].values == mine

    def decided(rows: Bits) -> bool | None:
        return None if rows else False

    return _everywhere(space, row, lambda rows: rows & others, decided, leaf=at_leaf)


def _everywhere(
    space: Space,
    row: int,
    keep: Callable[[Bits], Bits],
    decided: Callable[[Bits], bool | None],
    *,
    at_last: bool = False,
    leaf: Callable[[Bits], bool] | None = None,
) -> bool:
    """Whether it holds at every point where `row` may match; `decided` may tell for all points below at once."""
    proved: set[tuple[int, Bits]] = set()

    def below(depth: int, rows: Bits) -> bool:
        early = decided(rows)
        if early is not None:
            return early
        if depth == len(space.atoms):
            return at_last if leaf is None else leaf(rows)
        if (depth, rows) in proved:
            return True
        here = space.where(depth, row)
        space.step(len(here))
        rests = {rows & atom.sure for atom in here}
        for rest in sorted(rests, key=int.bit_count):
            if not below(depth + 1, rest):
                return False
        proved.add((depth, rows))
        return True

    return below(0, keep((1 << len(space.table.rows)) - 1))


_COME_FIRST = {"first": "above it matched already", "priority": "has priority"}


def _rows(numbers: list[int]) -> str:
    said = [str(n + 1) for n in numbers]
    if not said or len(said) > 5:
        return "another row"
    return f"row {said[0]}" if len(said) == 1 else f"row {', '.join(said[:-1])} or {said[-1]}"
