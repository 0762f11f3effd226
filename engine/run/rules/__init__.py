"""Rule sets while everything goes on: read, compared, activated, and found again."""
