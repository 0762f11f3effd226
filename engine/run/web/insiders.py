"""Who may see what the service says of itself. Strangers learn that it lives and whether it is ready, and nothing else."""

from __future__ import annotations

from ipaddress import ip_address

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from engine.facts.secrecy import same

_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


def is_insider(request: Request, token: SecretStr | None) -> bool:
    """With a token: who sends it as `Authorization: Bearer`. Without one: who asks from this machine and by its own name, so that
    neither what a proxy hands on nor a page in a browser that was told another address for its own name (DNS rebinding) counts.
    """
    if token is not None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and same(given.strip(), token.get_secret_value())
    peer = request.client.host if request.client else ""
    forwarded = any(name in request.headers for name in _FORWARDED)
    return not forwarded and is_local(peer) and is_local(_host(request.headers.get("host", "")))


def turned_away(token: SecretStr | None) -> Response:
    """For a stranger who wants more."""
    if token is not None:
        said = "the status_token of the client is wanted, as Authorization: Bearer"
        return PlainTextResponse(said, status_code=401, headers={"WWW-Authenticate": "Bearer"})
    return PlainTextResponse("only for this machine; a status_token in client.yaml opens it to who has it", status_code=403)


def _host(named: str) -> str:
    """Without its port: `127.0.0.1:8080`, `[::1]:8080`."""
    if named.startswith("["):
        return named[1:].partition("]")[0]
    return named.partition(":")[0]


def is_local(host: str) -> bool:
    """Whether a name or address is this machine's own."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
