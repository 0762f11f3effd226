"""The store at Shopify: orders, and the refunds, cancellations and fulfilments people make there."""
