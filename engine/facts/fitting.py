"""How many pieces of a line an amount pays for. Each answer is a number of pieces, counted from the front of `numbers`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from engine.facts.account import ZERO, Account, Component


def fitting(account: Account, price: Component, numbers: Sequence[int], amount: Decimal) -> int:
    """The least number of open pieces whose remaining price this is; all of them if it takes everything that is left; else 0."""
    if not amount:
        return 0 if price.whole else 1
    if amount == price.left:
        return len(numbers)
    for count, own, off in _growing(account, price, numbers):
        remaining = min(own, price.left)
        if count == len(numbers) and ZERO < price.left - own <= price.rounding:
            remaining = price.left
        if abs(amount - remaining) <= off:
            return count
        if remaining > amount + off:
            break
    return 0


def paying_again(account: Account, price: Component, numbers: Sequence[int], amount: Decimal) -> int:
    """The least number of settled pieces whose whole price this is once more; else 0."""
    again = (count for count, own, off in _growing(account, price, numbers) if amount and abs(amount - own) <= off)
    return next(again, 0)


def reaching(account: Account, price: Component, numbers: Sequence[int], amount: Decimal) -> int:
    """How many whole pieces the amount reaches for."""
    return sum(1 for _, own, _ in _growing(account, price, numbers) if own <= amount)


def _growing(account: Account, price: Component, numbers: Sequence[int]) -> Iterator[tuple[int, Decimal, Decimal]]:
    """For the first piece, the first two, ...: how many, their price, and how far an amount rounded by hand may be off."""
    rounding, own = price.rounding, ZERO
    for count, number in enumerate(numbers, 1):
        own += price.shares[number - 1]
        yield count, own, min(rounding, account.quantum * count)
