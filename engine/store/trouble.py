"""When the store cannot be used: one error, whatever is under it, with what to do."""

from __future__ import annotations


class StoreTrouble(Exception):  # noqa: N818 - named for what it tells
    """The store cannot be read or written. Nothing may be sent, and nothing acknowledged, until it is opened anew.

    `what` is the matter, `remedy` what a person does about it. `passes` says that it can end without anybody mending the store
    itself, so that a service waits and opens it again; everything else ends the service.
    """

    def __init__(self, what: str, remedy: str, *, passes: bool = False) -> None:
        super().__init__(f"{what}. {remedy}")
        self.what = what
        self.remedy = remedy
        self.passes = passes
