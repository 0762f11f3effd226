"""The HTTP side: deliveries are verified, written down and answered; what the service says of itself."""
