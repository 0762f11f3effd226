"""The money of one order line: what it was sold for, component by component, and what is left of it to refund."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from engine.facts.allocate import minor_unit, shares
from engine.facts.values import Money, Rec, listed

ZERO = Decimal(0)
PRICE = ("price", "")
SHIPPING = ("shipping", "")
TAX = "tax"
SHIPPING_TAX = "shipping_tax"
_OF_THEIR_OWN = ("price", "shipping")
ComponentKey = tuple[str, str]  # what it is, and the code of a tax


@dataclass(slots=True)
class Component:
    """One of the amounts a line is made of. `reserved` is what effects still under way will take of `left`.

    `stated`: a refund has to name the amount. Mirakl works out proportional taxes itself and refunds no other tax that is not
    named (OR28, `tax_calculation_rule`).
    """

    whole: Decimal
    left: Decimal
    shares: Sequence[Decimal]
    rounding: Decimal  # how far amounts rounded piece by piece may be off in all; nothing where pieces divide evenly
    stated: bool = True
    reserved: Decimal = ZERO


@dataclass(slots=True)
class Account:
    """The components of a line of `pieces` pieces. `on_top`: taxes come on top of price and shipping."""

    currency: str
    on_top: bool
    pieces: int
    quantum: Decimal
    components: dict[ComponentKey, Component] = field(default_factory=dict)
    void: bool = False  # cancelled or refused as a whole: nothing is left to refund

    @property
    def price(self) -> Component | None:
        return self.components.get(PRICE)

    @property
    def empty(self) -> bool:
        """Whether the line was given away: no component of it ever held money."""
        return not any(component.whole for component in self.components.values())

    def take(self, amounts: Mapping[ComponentKey, Decimal]) -> None:
        """Money has left the line. More than there was leaves nothing, never less."""
        for key, amount in amounts.items():
            component = self.components.get(key)
            if component is not None:
                component.left = max(ZERO, component.left - amount)

    def reserve(self, amounts: Mapping[ComponentKey, Decimal]) -> None:
        for key, amount in amounts.items():
            if key in self.components:
                self.components[key].reserved += amount

    def due(self, numbers: Collection[int], *, last: bool, reserved: bool = True) -> dict[ComponentKey, Decimal]:
        """What can be refunded for these pieces, per component: their shares of the whole, at most what is left.

        With `last` no other piece is open: then they also get what rounding left behind, so that no cent stays.
        """
        return {key: self._due(c, numbers, last=last, reserved=reserved) for key, c in self.components.items()}

    def _due(self, component: Component, numbers: Collection[int], *, last: bool, reserved: bool) -> Decimal:
        if self.void:
            return ZERO
        left = max(ZERO, component.left - component.reserved) if reserved else component.left
        own = ZERO
        for number in numbers:
            own += component.shares[number - 1]
        if left <= own or (last and left - own <= component.rounding):
            return left
        return own

    def sum(self, amounts: Mapping[ComponentKey, Decimal]) -> Money:
        """All that moves with these amounts: a tax counts where it comes on top, not where it is inside another."""
        whole = ZERO
        for key, amount in amounts.items():
            if self.on_top or key[0] in _OF_THEIR_OWN:
                whole += amount
        return self.money(whole)

    @property
    def left(self) -> Money:
        return self.sum({} if self.void else {key: c.left for key, c in self.components.items()})

    def money(self, amount: Decimal) -> Money:
        """An amount of this line, written with the digits of its currency unless it has finer ones."""
        written = amount.quantize(self.quantum)
        return Money(written if written == amount else amount, self.currency)


def open_account(line: Rec, *, on_top: bool) -> Account | None:
    """The account of a line before any refund; None where its price is not known."""
    price = line["price"]
    if not isinstance(price, Money):
        return None
    pieces = len(line["units"])
    account = Account(price.currency, on_top, pieces, minor_unit(price.currency))
    for key, amount, stated in _components(line, account.currency):
        known = account.components.get(key)
        whole = amount if known is None else known.whole + amount
        parts = shares(whole, pieces, account.quantum)
        rounding = account.quantum * pieces if parts and parts[0] != parts[-1] else ZERO
        account.components[key] = Component(whole, whole, parts, rounding, stated)
    return account


def _components(line: Rec, currency: str) -> Iterator[tuple[ComponentKey, Decimal, bool]]:
    yield PRICE, amount_in(line["price"], currency), True
    yield SHIPPING, amount_in(line["shipping_price"], currency), True
    for name, what in (("taxes", TAX), ("shipping_taxes", SHIPPING_TAX)):
        for tax in listed(line[name]):
            yield (what, str(tax["code"])), amount_in(tax["amount"], currency), tax["rule"] != "proportional"


def amount_in(value: Any, currency: str) -> Decimal:
    """The amount of money in the line's currency; nothing where there is none or it is in another."""
    return value.amount if isinstance(value, Money) and value.currency == currency else ZERO


def moved(rec: Mapping[str, Any], currency: str) -> dict[ComponentKey, Decimal]:
    """What a refund, a cancellation or the parameters of an effect take, per component."""
    amounts = {
        PRICE: amount_in(rec.get("amount"), currency),
        SHIPPING: amount_in(rec.get("shipping_amount"), currency),
    }
    for name, what in (("taxes", TAX), ("shipping_taxes", SHIPPING_TAX)):
        for tax in _taxes(rec.get(name)):
            key = (what, str(tax["code"]))
            amounts[key] = amounts.get(key, ZERO) + amount_in(tax["amount"], currency)
    return amounts


def _taxes(value: Any) -> Iterable[Mapping[str, Any]]:
    return value if isinstance(value, tuple | list) else ()


def with_proportional(account: Account, amounts: Mapping[ComponentKey, Decimal]) -> dict[ComponentKey, Decimal]:
    """The amounts of a refund of ours that is not seen yet, with the taxes Mirakl will work out in proportion to it."""
    found = dict(amounts)
    for key, component in account.components.items():
        if not component.stated and key not in found:
            base = account.components[PRICE if key[0] == TAX else SHIPPING]
            taken = amounts.get(PRICE if key[0] == TAX else SHIPPING, ZERO)
            found[key] = (component.whole * taken / base.whole).quantize(account.quantum) if base.whole else ZERO
    return found
