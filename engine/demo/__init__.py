"""`instep demo`: a seeded day of returns against local systems, played on virtual time."""

from engine.demo.play import play
from engine.demo.summary import Summary
from engine.demo.telling import DemoLine

__all__ = ["DemoLine", "Summary", "play"]
