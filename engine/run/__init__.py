"""The runtime of one client: what is heard is decided on, and what is decided is sent."""
