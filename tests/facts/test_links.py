"""A case is what can be reached from its order without passing through another."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from engine.facts.links import Node, owners, reach

A, B = ("order", "A"), ("order", "B")
SALE, RMA, PARCEL, LONE = ("sale", "S"), ("rma", "1"), ("parcel", "T"), ("rma", "9")


def graph(*edges: tuple[Node, Node]) -> Callable[[Node], Iterable[Node]]:
    def neighbours(node: Node) -> Iterable[Node]:
        return [b if a == node else a for a, b in edges if node in (a, b)]

    return neighbours


SHARED = graph((SALE, A), (SALE, B), (RMA, SALE), (RMA, PARCEL))


def test_records_join_over_any_number_of_links_in_either_direction() -> None:
    assert reach(A, graph((SALE, A), (RMA, SALE), (PARCEL, RMA))) == {A, SALE, RMA, PARCEL}


def test_a_record_between_two_orders_belongs_to_both_and_neither_order_to_the_other() -> None:
    assert reach(A, SHARED) == {A, SALE, RMA, PARCEL}
    assert reach(B, SHARED) == {B, SALE, RMA, PARCEL}


def test_nothing_is_reached_through_another_order() -> None:
    assert LONE not in reach(A, graph((SALE, A), (SALE, B), (LONE, B)))


def test_a_record_joins_the_case_of_every_order_it_reaches() -> None:
    assert owners(PARCEL, SHARED) == {A, B}


def test_a_record_that_reaches_no_order_waits_with_what_it_is_tied_to() -> None:
    lone = graph((LONE, PARCEL))
    assert owners(PARCEL, lone) == frozenset()
    assert reach(PARCEL, lone) == {PARCEL, LONE}


def test_a_circle_of_links_comes_to_an_end() -> None:
    assert reach(A, graph((A, SALE), (SALE, RMA), (RMA, A))) == {A, SALE, RMA}
