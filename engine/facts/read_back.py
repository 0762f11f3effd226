"""Whether a refund came out as it was sent, component by component."""

from __future__ import annotations

from decimal import Decimal

from engine.facts.account import PRICE, SHIPPING, TAX, ZERO, Account, ComponentKey, moved, with_proportional
from engine.facts.effects import EffectState
from engine.facts.values import Items, Rec

_SAID = {PRICE[0]: "item", SHIPPING[0]: "shipping", TAX: "tax {}", "shipping_tax": "shipping tax {}"}


def difference(account: Account, effect: EffectState, refund: Rec) -> str | None:
    """Each component of which another amount was refunded than was sent, with both amounts; None where all agree.

    A tax the marketplace works out by itself may be off by the smallest coin: it rounds as it likes. Taxes of a refund that
    tells nothing of taxes are not compared.
    """
    sent = with_proportional(account, moved(effect.params, account.currency))
    made = moved(refund, account.currency)
    told = {PRICE, SHIPPING} | {key for key in (*sent, *made) if isinstance(refund.get(_list_of(key)), Items)}
    found = [
        f"{_named(key)} {account.money(sent.get(key, ZERO))} sent but {account.money(made.get(key, ZERO))} refunded"
        for key in sorted(told)
        if abs(sent.get(key, ZERO) - made.get(key, ZERO)) > _slack(account, key)
    ]
    return "; ".join(found) or None


def _slack(account: Account, key: ComponentKey) -> Decimal:
    component = account.components.get(key)
    return ZERO if component is None or component.stated else account.quantum


def _list_of(key: ComponentKey) -> str:
    return "taxes" if key[0] == TAX else "shipping_taxes"


def _named(key: ComponentKey) -> str:
    return _SAID[key[0]].format(key[1])
