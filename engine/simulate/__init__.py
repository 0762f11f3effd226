"""What would happen: the same deciding as in the service, on recorded or imagined events, sending nothing."""
