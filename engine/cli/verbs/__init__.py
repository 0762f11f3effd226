"""What can be typed, by who types it. Each verb only calls the floor it belongs to."""

from engine.cli.verbs import authoring, operating, trying

__all__ = ["authoring", "operating", "trying"]
