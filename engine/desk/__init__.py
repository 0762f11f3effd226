"""What people are told of a client's store, and what they decide: one set of functions for the command line and the console.

Each opens the store beside the service that may be running on it, answers in plain values, and says `NotFound` in words for what
was asked wrongly. How a terminal shows the same stands next to it.
"""
