"""Finance as a directory of files: every refund is booked once, component by component, as CSV that any ERP can read."""
