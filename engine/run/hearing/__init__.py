"""From outside to facts: polls, fetches and deliveries become events, records, and cases to decide."""
