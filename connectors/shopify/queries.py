"""The GraphQL we send, word for word. The sandbox answers exactly these, told apart by the name of the operation."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_PAGE = "pageInfo { hasNextPage endCursor }"
_MONEY = "shopMoney { amount currencyCode }"
_LINE = f"id sku quantity originalUnitPriceSet {{ {_MONEY} }}"
_REFUND_LINE = f"""id quantity restockType
      subtotalSet {{ {_MONEY} }}
      totalTaxSet {{ {_MONEY} }}
      lineItem {{ id sku }}"""
_TRANSACTION = f"id kind status processedAt amountSet {{ {_MONEY} }}"

# `refunds` and `fulfillments` are plain lists: without `first` they come whole. Connections are paged to their end.
_ORDER = f"""
fragment OrderParts on Order {{
  id legacyResourceId name createdAt updatedAt cancelledAt cancelReason displayFinancialStatus currencyCode
  sourceIdentifier tags
  customAttributes {{ key value }}
  fulfillments {{ legacyResourceId createdAt status }}
  lineItems(first: 50) {{ {_PAGE} nodes {{ {_LINE} }} }}
  refunds {{
    id legacyResourceId createdAt note
    totalRefundedSet {{ {_MONEY} }}
    refundLineItems(first: 50) {{ {_PAGE} nodes {{ {_REFUND_LINE} }} }}
    transactions(first: 10) {{ {_PAGE} nodes {{ {_TRANSACTION} }} }}
  }}
}}
"""

QUERIES: Mapping[str, str] = MappingProxyType(
    {
        "OrdersUpdated": f"""
query OrdersUpdated($query: String!, $first: Int!, $after: String) {{
  orders(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {{ {_PAGE} nodes {{ ...OrderParts }} }}
}}
{_ORDER}""",
        "OrderById": f"""
query OrderById($id: ID!) {{
  order(id: $id) {{ ...OrderParts }}
}}
{_ORDER}""",
        "MoreLines": f"""
query MoreLines($id: ID!, $after: String) {{
  node(id: $id) {{ ... on Order {{ lineItems(first: 100, after: $after) {{ {_PAGE} nodes {{ {_LINE} }} }} }} }}
}}
""",
        "MoreRefundLines": f"""
query MoreRefundLines($id: ID!, $after: String) {{
  node(id: $id) {{
    ... on Refund {{ refundLineItems(first: 100, after: $after) {{ {_PAGE} nodes {{ {_REFUND_LINE} }} }} }}
  }}
}}
""",
        "MoreTransactions": f"""
query MoreTransactions($id: ID!, $after: String) {{
  node(id: $id) {{ ... on Refund {{ transactions(first: 50, after: $after) {{ {_PAGE} nodes {{ {_TRANSACTION} }} }} }} }}
}}
""",
    }
)
