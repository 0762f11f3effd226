"""The sandbox's orders as Shopify writes them: REST bodies of deliveries, GraphQL nodes of answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from connectors.shopify.world import Fulfillment, Line, RefundLine, StoreOrder, StoreRefund, Transaction

Json = dict[str, Any]


def gid(kind: str, number: int) -> str:
    return f"gid://shopify/{kind}/{number}"


def instant(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def rest_order(order: StoreOrder) -> Json:
    return {
        "id": order.id,
        "admin_graphql_api_id": gid("Order", order.id),
        "cancel_reason": order.cancel_reason,
        "cancelled_at": instant(order.cancelled_at),
        "created_at": instant(order.created_at),
        "currency": order.currency,
        "financial_status": order.financial_status,
        "name": order.name,
        "note_attributes": [{"name": name, "value": value} for name, value in order.attributes.items()],
        "source_identifier": order.source_identifier,
        "tags": ", ".join(order.tags),
        "updated_at": instant(order.updated_at),
        "line_items": [_rest_line(line) for line in order.lines],
        "fulfillments": [rest_fulfillment(order, fulfillment) for fulfillment in order.fulfillments],
        "refunds": [rest_refund(order, refund) for refund in order.refunds],
    }


def rest_refund(order: StoreOrder, refund: StoreRefund) -> Json:
    return {
        "id": refund.id,
        "order_id": order.id,
        "admin_graphql_api_id": gid("Refund", refund.id),
        "created_at": instant(refund.created_at),
        "processed_at": instant(refund.created_at),
        "note": refund.note or None,
        "user_id": refund.user_id,
        "restock": any(line.restock != "no_restock" for line in refund.lines),
        "order_adjustments": [],
        "total_duties_set": _rest_money(Decimal(0), order.currency),
        "refund_line_items": [_rest_refund_line(line, order.currency) for line in refund.lines],
        "transactions": [_rest_transaction(transaction, order) for transaction in refund.transactions],
    }


def rest_fulfillment(order: StoreOrder, fulfillment: Fulfillment) -> Json:
    numbers = [fulfillment.tracking_number] if fulfillment.tracking_number else []
    return {
        "id": fulfillment.id,
        "order_id": order.id,
        "admin_graphql_api_id": gid("Fulfillment", fulfillment.id),
        "status": fulfillment.status,
        "created_at": instant(fulfillment.created_at),
        "updated_at": instant(fulfillment.updated_at),
        "tracking_number": numbers[0] if numbers else None,
        "tracking_numbers": numbers,
        "line_items": [_rest_line(line) for line in order.lines],
    }


def order_node(order: StoreOrder) -> Json:
    """An order as `OrderParts` asks for it, with each connection whole: `first` and `after` are applied later."""
    return {
        "id": gid("Order", order.id),
        "legacyResourceId": str(order.id),
        "name": order.name,
        "createdAt": instant(order.created_at),
        "updatedAt": instant(order.updated_at),
        "cancelledAt": instant(order.cancelled_at),
        "cancelReason": order.cancel_reason.upper() if order.cancel_reason else None,
        "displayFinancialStatus": order.financial_status.upper(),
        "currencyCode": order.currency,
        "sourceIdentifier": order.source_identifier,
        "tags": list(order.tags),
        "customAttributes": [{"key": name, "value": value} for name, value in order.attributes.items()],
        "fulfillments": [_fulfillment_node(each) for each in order.fulfillments],
        "lineItems": line_nodes(order),
        "refunds": [refund_node(order, refund) for refund in order.refunds],
    }


def line_nodes(order: StoreOrder) -> list[Json]:
    return [
        {
            "id": gid("LineItem", line.id),
            "sku": line.sku,
            "quantity": line.quantity,
            "originalUnitPriceSet": _node_money(line.price, order.currency),
        }
        for line in order.lines
    ]


def refund_node(order: StoreOrder, refund: StoreRefund) -> Json:
    paid = sum((t.amount for t in refund.transactions if t.status == "success"), Decimal(0))
    return {
        "id": gid("Refund", refund.id),
        "legacyResourceId": str(refund.id),
        "createdAt": instant(refund.created_at),
        "note": refund.note or None,
        "totalRefundedSet": _node_money(paid, order.currency),
        "refundLineItems": [_refund_line_node(line, order.currency) for line in refund.lines],
        "transactions": [_transaction_node(each, order.currency) for each in refund.transactions],
    }


def connection(nodes: Sequence[Json], first: int, after: str | None) -> Json:
    """One page of a list: cursors count from its start."""
    start = int(after) if after else 0
    end = min(start + first, len(nodes))
    mark = {"hasNextPage": end < len(nodes), "endCursor": str(end) if end > start else None}
    return {"pageInfo": mark, "nodes": list(nodes[start:end])}


def _rest_line(line: Line) -> Json:
    return {
        "id": line.id,
        "admin_graphql_api_id": gid("LineItem", line.id),
        "sku": line.sku,
        "quantity": line.quantity,
        "price": _amount(line.price),
    }


def _rest_refund_line(line: RefundLine, currency: str) -> Json:
    return {
        "id": line.id,
        "line_item_id": line.line.id,
        "quantity": line.quantity,
        "restock_type": line.restock,
        "subtotal": line.subtotal,
        "subtotal_set": _rest_money(line.subtotal, currency),
        "total_tax": line.tax,
        "total_tax_set": _rest_money(line.tax, currency),
        "line_item": _rest_line(line.line),
    }


def _rest_transaction(transaction: Transaction, order: StoreOrder) -> Json:
    return {
        "id": transaction.id,
        "order_id": order.id,
        "kind": transaction.kind,
        "status": transaction.status,
        "amount": _amount(transaction.amount),
        "currency": order.currency,
        "processed_at": instant(transaction.processed_at),
    }


def _rest_money(amount: Decimal, currency: str) -> Json:
    money = {"amount": _amount(amount), "currency_code": currency}
    return {"shop_money": money, "presentment_money": money}


def _fulfillment_node(fulfillment: Fulfillment) -> Json:
    return {
        "legacyResourceId": str(fulfillment.id),
        "createdAt": instant(fulfillment.created_at),
        "status": fulfillment.status.upper(),
    }


def _refund_line_node(line: RefundLine, currency: str) -> Json:
    return {
        "id": gid("RefundLineItem", line.id),
        "quantity": line.quantity,
        "restockType": line.restock.upper(),
        "subtotalSet": _node_money(line.subtotal, currency),
        "totalTaxSet": _node_money(line.tax, currency),
        "lineItem": {"id": gid("LineItem", line.line.id), "sku": line.line.sku},
    }


def _transaction_node(transaction: Transaction, currency: str) -> Json:
    return {
        "id": gid("OrderTransaction", transaction.id),
        "kind": transaction.kind.upper(),
        "status": transaction.status.upper(),
        "processedAt": instant(transaction.processed_at),
        "amountSet": _node_money(transaction.amount, currency),
    }


def _node_money(amount: Decimal, currency: str) -> Json:
    return {"shopMoney": {"amount": _amount(amount), "currencyCode": currency}}


def _amount(amount: Decimal) -> str:
    return f"{amount:.2f}"
