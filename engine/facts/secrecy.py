"""What keeps a secret a secret: comparing without telling how much was right, and being past all guessing."""

from __future__ import annotations

import hmac

from pydantic import SecretStr

SHORTEST_TOKEN = 20  # characters of a token that alone opens an endpoint: past all guessing where they are random
SHORTEST_KEY = 16  # characters or bytes of a key that signs
FEWEST_DIFFERENT = 8  # characters in either: "aaaaaaaaaaaaaaaaaaaaaaaa" is long and no secret


def same(given: str, expected: str) -> bool:
    """Whether two texts are equal, in constant time. Never true of an empty expectation."""
    left = given.encode("utf-8", "backslashreplace")
    right = expected.encode("utf-8", "backslashreplace")
    return bool(right) and hmac.compare_digest(left, right)


def unguessable(secret: SecretStr, shortest: int = SHORTEST_TOKEN) -> SecretStr:
    """The secret, if it is none or a strong one. Raises ValueError, which does not repeat it."""
    text = secret.get_secret_value()
    if text and (len(text) < shortest or len(set(text)) < FEWEST_DIFFERENT):
        raise ValueError(
            f"it can be guessed: at least {shortest} characters are wanted, {FEWEST_DIFFERENT} of them different;"
            ' python3 -c "import secrets; print(secrets.token_urlsafe(32))" makes one'
        )
    return secret
