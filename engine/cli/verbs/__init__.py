"""What can be typed, by who types it. Each verb only calls the floor it belongs to."""

from engine.cli.verbs import admitting, attending, authoring, keeping, mending, operating, trying

__all__ = ["admitting", "attending", "authoring", "keeping", "mending", "operating", "trying"]
