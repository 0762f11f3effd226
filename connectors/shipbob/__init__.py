"""The warehouse at ShipBob: what comes back is announced there, received, inspected and put away."""
