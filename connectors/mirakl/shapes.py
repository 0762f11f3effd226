"""The bodies of Mirakl's answers, complete as its published schema wants them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

from connectors.mirakl.client import Json, wire_time

ZERO = Decimal("0.00")
CENT = Decimal("0.01")


def cents(value: Any) -> Decimal:
    """An amount with two decimals, halves up."""
    return Decimal(value).quantize(CENT, ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class NewTax:
    """A tax on a new line: `rule` tells whether a refund must state it, or Mirakl works it out."""

    code: str
    amount: str
    rule: Literal["none", "proportional"] = "none"


@dataclass(frozen=True, slots=True)
class NewLine:
    """A line of a new order. `price` is of one piece; shipping, taxes and commission are of the whole line."""

    sku: str
    quantity: int = 1
    price: str = "10.00"
    shipping: str = "0.00"
    taxes: tuple[NewTax, ...] = ()
    shipping_taxes: tuple[NewTax, ...] = ()
    commission: str = "0.00"
    commission_tax: str = "0.00"
    title: str = ""
    category: str = "clothing"


def order_body(
    order_id: str,
    lines: tuple[NewLine, ...],
    now: datetime,
    *,
    state: str,
    currency: str,
    tax_mode: str,
    commercial_id: str,
    channel: str,
    store_reference: str,
) -> Json:
    """An OR11 order with nothing debited, refunded or cancelled."""
    at = wire_time(now)
    bodies = [_line(f"{order_id}-{n}", n, line, state, at) for n, line in enumerate(lines, 1)]
    price, shipping = (sum((b[k] for b in bodies), ZERO) for k in ("price", "shipping_price"))
    address = {
        "city": "Springfield", "country": "USA", "country_iso_code": "USA", "firstname": "Sam", "lastname": "Sample",
        "state": "IL", "street_1": "1 Sample Street", "zip_code": "62701",
    }  # fmt: skip
    return {
        "order_id": order_id,
        "commercial_id": commercial_id,
        "order_state": state,
        "order_tax_mode": tax_mode,
        "currency_iso_code": currency,
        "created_date": at,
        "last_updated_date": at,
        "channel": {"code": channel, "label": channel},
        "customer": {
            "customer_id": "customer-1", "firstname": "Sam", "lastname": "Sample", "locale": "en_US",
            "billing_address": address, "shipping_address": address,
        },
        "references": {"order_reference_for_seller": store_reference} if store_reference else {},
        "can_cancel": False,
        "can_shop_ship": state == "SHIPPING",
        "customer_directly_pays_seller": False,
        "fulfillment": {"center": {"code": "DEFAULT"}},
        "fully_refunded": False,
        "has_customer_message": False,
        "has_incident": False,
        "has_invoice": False,
        "leadtime_to_ship": 2,
        "paymentType": "card",
        "payment_type": "card",
        "payment_workflow": "PAY_ON_ACCEPTANCE",
        "price": price,
        "shipping_price": shipping,
        "total_price": price + shipping,
        "total_commission": sum((b["total_commission"] for b in bodies), ZERO),
        "promotions": {"applied_promotions": [], "total_deduced_amount": ZERO},
        "shipping_type_code": "STD",
        "shipping_type_label": "Standard",
        "shipping_zone_code": "DOM",
        "shipping_zone_label": "Domestic",
        "order_additional_fields": [],
        "order_lines": bodies,
    }  # fmt: skip


def _line(line_id: str, index: int, line: NewLine, state: str, at: str) -> Json:
    price, shipping = cents(line.price) * line.quantity, cents(line.shipping)
    commission, commission_tax = cents(line.commission), cents(line.commission_tax)
    return {
        "order_line_id": line_id,
        "order_line_index": index,
        "order_line_state": state,
        "can_refund": False,
        "quantity": line.quantity,
        "price": price,
        "price_unit": cents(line.price),
        "origin_unit_price": cents(line.price),
        "shipping_price": shipping,
        "total_price": price + shipping,
        "taxes": [_tax(t) for t in line.taxes],
        "shipping_taxes": [_tax(t) for t in line.shipping_taxes],
        "commission_fee": commission,
        "commission_taxes": [{"code": "TAXDEFAULT", "amount": commission_tax, "rate": _rate(commission_tax, commission)}],
        "commission_vat": commission_tax,
        "commission_rate_vat": _rate(commission_tax, commission),
        "total_commission": commission + commission_tax,
        "created_date": at,
        "last_updated_date": at,
        "offer_id": 2000 + index,
        "offer_sku": line.sku,
        "offer_state_code": "11",
        "product_sku": f"P-{line.sku}",
        "product_title": line.title or line.sku,
        "product_medias": [],
        "category_code": line.category,
        "category_label": line.category,
        "description": "",
        "fees": [],
        "promotions": [],
        "refunds": [],
        "cancelations": [],
        "order_line_additional_fields": [],
    }


def _rate(part: Decimal, whole: Decimal) -> Decimal:
    return cents(part * 100 / whole) if whole else ZERO


def _tax(tax: NewTax) -> Json:
    rule = "PROPORTIONAL_TO_AMOUNT" if tax.rule == "proportional" else "NONE"
    return {"code": tax.code, "amount": cents(tax.amount), "tax_calculation_rule": rule}


def return_body(return_id: str, order: Json, lines: Mapping[str, int], now: datetime, *, reason: str, rma: str) -> Json:
    """An RT11 return that waits for acceptance. `lines` are pieces by order line."""
    at = wire_time(now)
    named = {"rma": rma} if rma else {}
    return {
        "id": return_id,
        "order_id": order["order_id"],
        "order_commercial_id": order["commercial_id"],
        "state": "WAITING_ACCEPTANCE",
        "method_code": "RETURN_METHOD_BY_MAIL",
        "reason_code": reason,
        **named,
        "date_created": at,
        "last_updated": at,
        "documents": [],
        "return_address": {
            "city": "Springfield", "country_iso_code": "USA", "state": "IL", "street1": "2 Sample Street", "zip_code": "62701",
        },
        "return_lines": [{"order_line_id": k, "quantity": n, "reason_code": reason} for k, n in lines.items()],
    }  # fmt: skip


def reason_bodies() -> list[Json]:
    """RE01 with the codes seen by default on several instances, and one to close incidents with."""
    rows = (
        ("14", "REFUND", "No answer from the shop", False), ("15", "REFUND", "Out of stock", True),
        ("16", "REFUND", "Cancelled by the client before shipping", True), ("17", "REFUND", "Item returned", True),
        ("18", "REFUND", "Item not received", True), ("19", "REFUND", "Agreement found with the client", True),
        ("1", "INCIDENT_OPEN", "Item not received", False), ("11", "INCIDENT_CLOSE", "Item returned and refunded", True),
        ("34", "CANCELATION", "Cancelled by the client before shipping", True),
        ("SYSTEM_LATE_SHIPMENT_CANCELATION", "CANCELATION", "Canceled due to late shipment", False),
        ("RETURN_REJECTION_NOT_ELIGIBLE", "RETURN_REJECTION", "Not eligible", True),
        ("RETURN_NON_COMPLIANT_DAMAGED_PRODUCT", "RETURN_NON_COMPLIANT", "Damaged product", True),
    )  # fmt: skip
    return [{"code": c, "type": t, "label": label, "is_shop_right": right} for c, t, label, right in rows]


def account_body(shop_id: int, name: str, currency: str, pending: Decimal, payable: Decimal, now: datetime) -> Json:
    """A01."""
    at = wire_time(now)
    address = {"city": "Springfield", "country_iso_code": "USA", "street_1": "2 Sample Street", "zip_code": "62701"}
    return {
        "shop_id": shop_id,
        "shop_name": name,
        "shop_state": "OPEN",
        "model": "MARKETPLACE",
        "currency_iso_code": currency,
        "date_created": at,
        "last_updated_date": at,
        "payment_details": {"pending_balance": pending, "payable_balance": payable, "paid_balance": ZERO},
        "applicable_taxes": [{"code": "TAXDEFAULT", "label": "Default", "fee_types": ["COMMISSION"]}],
        "billing_info": {},
        "channels": [],
        "contact_informations": {"city": "Springfield", "country": "USA", "email": "shop@example.com", "lastname": "Shop",
                                 "street1": "2 Sample Street"},
        "default_billing_information": {"default_language": "en_US", "id": "billing-1", "registration_address": address},
        "domains": ["PRODUCT"],
        "evaluations_count": 0,
        "free_shipping": False,
        "is_professional": True,
        "offers_count": 1,
        "orders_count": 1,
        "payment_method_mandatory": False,
        "premium": False,
        "pro_details": {},
        "shipping": {},
        "shipping_types": ["STD"],
        "shipping_zones": ["DOM"],
        "shop_additional_fields": [],
    }  # fmt: skip


def platform_body(tax_mode: str, time_zone: str, *, direct_payment: bool, direct_refunds: bool, returns: bool) -> Json:
    """PC01."""
    return {
        "platform_name": "Sandbox",
        "tenant_name": "sandbox-prod",
        "timezone": time_zone,
        "platform_configuration": {
            "customer_model": {"b2b": False, "b2c": True},
            "enhanced_seller_invoicing": {"enabled": False},
            "platform_model": {"drop_ship": False, "marketplace": True, "one_creditor": False},
        },
        "modules": {
            **dict.fromkeys(_MODULES, False), "offer_management": True, "order_management": True,
            "tax_manager": {"activated": False, "tax_provider": {"avalara": False, "vertex": False}},
        },
        "features": {
            **dict.fromkeys(_FLAGS, False),
            "order_tax_mode": tax_mode,
            "direct_payment_customer_store": {"activated": direct_payment, "refund_cancel_authorized": direct_refunds},
            "returns": {"marketplace": returns, "drop_ship": False, "one_creditor": False},
            "shipment": {"multi_shipment": False, "multi_part_item_shipment": False},
            "lead_time_to_ship_by_sellers_enabled": "NO",
            "offer_prices_decimals": "2",
            "operator_csv_delimiter": "SEMICOLON",
            "dropship": {},
            "catalog": {**dict.fromkeys(_CATALOG, False), "list_of_multiple_values_separator": "|"},
            "order_conditions": dict.fromkeys(_ORDER_CONDITIONS, False),
            "order_workflows": {**dict.fromkeys(_WORKFLOWS, False), "order_acceptance": "NOT_AUTOMATIC"},
            "pricing": {**dict.fromkeys(_PRICING, False), "channel_pricing": "DISABLED"},
            "promotion": {"cart_promotion_campaign": False, "discount_campaign": False, "seller_promotion": False},
            "shop_tax_options": {"tax_identification_number": {"mandatory": False}},
            "tax_collection": {"activated": "NO", "product_tax_code_mandatory": False, "tax_collection_by_operator": False},
            "tax_id_number": {"mandatory": False},
            "warehouses": {"geolocation": False, "restricted_countries": []},
        },
    }  # fmt: skip


_MODULES = (
    "mirakl_catalog_integrator", "mirakl_catalog_manager", "mirakl_catalog_transformer", "mirakl_platform_services",
    "promotions", "quotes",
)  # fmt: skip
_FLAGS = (
    "circular_economy_data_collection", "competitive_pricing_tool", "disable_seller_alternative_carrier",
    "kyc_status_per_seller", "multi_currency", "multi_payout_psp_per_seller", "no_reply_needed", "payment_confirmation",
    "product_data_validation_by_channel",
)  # fmt: skip
_CATALOG = (
    "allow_shop_contribution_to_all_channels", "exclude_invalid_products", "product_acceptance_by_channel",
    "product_data_validation_by_channel", "product_import_only_on_leaf",
)  # fmt: skip
_ORDER_CONDITIONS = ("lead_time_to_ship", "maximum_order_quantity", "minimum_order_quantity", "package_order_quantity")
_WORKFLOWS = (
    "no_customer_payment_confirmation", "pause_debit_workflow", "pay_on_due_date", "pay_on_shipment",
    "sellers_edit_shipping_origin", "shipping_and_billing_details_before_acceptance",
)  # fmt: skip
_PRICING = (
    "discount_period_required", "discount_price_creation_in_the_past_blocked", "scheduled_pricing", "volume_discount",
    "volume_pricing",
)  # fmt: skip
