"""Exact division of an amount among equal pieces."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from decimal import Context, Decimal, localcontext
from types import MappingProxyType

# ISO 4217 currencies whose minor unit is not a hundredth.
_DIGITS: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(),  # noqa: SIM905 - a word list reads better
        0,
    )
    | dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)
    | dict.fromkeys(("CLF", "UYW"), 4)
)
_QUANTA = tuple(Decimal(1).scaleb(-digits) for digits in range(5))


def exact() -> AbstractContextManager[Context]:
    """Enough digits that no amount we accept is ever rounded, whatever the context of the caller."""
    return localcontext(Context(prec=200))


def minor_unit(currency: str) -> Decimal:
    """The smallest amount of a currency: `0.01`, `1` for JPY, `0.001` for KWD."""
    return _QUANTA[_DIGITS.get(currency, 2)]


def shares(whole: Decimal, pieces: int, quantum: Decimal) -> list[Decimal]:
    """`whole` among equal pieces by largest remainder: they differ by at most one `quantum` and add up to it exactly.

    What is left over goes to the first pieces, and a part finer than `quantum`, if there is one, to the very first.
    """
    if pieces <= 1:
        return [whole] * pieces
    coins = int(whole // quantum)
    each, over = divmod(coins, pieces)
    small = each * quantum
    found = [small + quantum] * over + [small] * (pieces - over)
    found[0] += whole - coins * quantum
    return found
