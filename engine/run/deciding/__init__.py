"""One case at a time, in one transaction: what is known is loaded, decided on, and kept."""
