"""What senders meet on the service's port, whether or not the service can use its store just now."""

from __future__ import annotations

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.run.web.insiders import is_insider
from engine.run.web.received import Received
from engine.store.trouble import StoreTrouble

AGAIN = 30  # seconds: every sender comes again after a 503, with or without being told when


def closed(why: str = "") -> PlainTextResponse:
    """Not now: nothing was written down, so the sender must come again. `why` is for insiders alone."""
    said = f"not now: {why}" if why else "not now: nothing was taken, come again"
    return PlainTextResponse(said, status_code=503, headers={"Retry-After": str(AGAIN)})


class Front:
    """Passes everything on to `app`, and answers 503 while there is none because of `trouble`. `token` is who may know of it."""

    def __init__(self, received: Received) -> None:
        self.app: ASGIApp | None = None
        self.trouble: StoreTrouble | None = None
        self.token: SecretStr | None = None
        self._received = received

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if app is None:
            known = scope["type"] == "http" and is_insider(Request(scope), self.token)
            app = closed(self.trouble.what if self.trouble and known else "")
            if scope["type"] == "http" and scope["method"] == "POST":
                self._received.refused("", "store" if self.trouble else "stopped")
        await app(scope, receive, send)
