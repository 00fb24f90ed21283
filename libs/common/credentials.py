"""Passwords and access tokens: how they are made, written and compared.

A token reads `rdk_<workspace>_<id>_<secret>`: the workspace says inside which wall it is looked
up, the id which `AccessToken` it is, and only SHA-256 of the secret is stored. Passwords are
hashed with Argon2id; both password functions take tens of milliseconds of CPU, so a caller on an
event loop runs them in a thread.
"""

from __future__ import annotations

import hashlib
import re
import secrets

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

PREFIX = "rdk"
PASSWORD_MIN, PASSWORD_MAX = 8, 1024
"""Characters of a password; the upper bound keeps a huge body from costing a huge hash."""

_HASHER = PasswordHasher(time_cost=3, memory_cost=19 * 1024, parallelism=1)
"""19 MiB and three passes: above the OWASP floor for Argon2id (19 MiB, two passes)."""

_TOKEN = re.compile(
    rf"{PREFIX}_([a-z0-9](?:[a-z0-9-]{{0,46}}[a-z0-9])?)_([a-z0-9]{{1,64}})_([A-Za-z0-9_-]{{20,128}})"
)


class TokenParts(msgspec.Struct, frozen=True, kw_only=True):
    """A token taken apart; the secret is not shown in `repr`."""

    workspace: str
    token_id: str
    secret: str

    def __repr__(self) -> str:
        """Name the token only."""
        return f"TokenParts({self.workspace}/{self.token_id})"


def hash_password(text: str) -> str:
    """Return the Argon2id hash of *text* with its salt and costs; run it in a thread."""
    return _HASHER.hash(_plain(text))


def verify_password(stored: str, text: str) -> bool:
    """Tell whether *text* is the password behind *stored*; run it in a thread.

    An empty or damaged hash fits no password.
    """
    try:
        return _HASHER.verify(stored, _plain(text))
    except (VerificationError, InvalidHashError):
        return False


def needs_rehash(stored: str) -> bool:
    """Tell whether *stored* was made with other costs than today's."""
    try:
        return _HASHER.check_needs_rehash(stored)
    except InvalidHashError:
        return True


def new_token_id() -> str:
    """Return a random id for an `AccessToken`: 24 hexadecimal digits, no underscore."""
    return secrets.token_hex(12)


def new_secret() -> str:
    """Return 256 random bits as URL-safe text."""
    return secrets.token_urlsafe(32)


def token_text(workspace: str, token_id: str, secret: str) -> str:
    """Return the token as a caller sends it; shown once, never stored.

    Raises:
        ValueError: The parts cannot be read back: no slug, or an id with other characters than
            lower-case letters and digits.
    """
    text = f"{PREFIX}_{workspace}_{token_id}_{secret}"
    if parse_token(text) != TokenParts(workspace=workspace, token_id=token_id, secret=secret):
        raise ValueError("a token needs a workspace slug, a plain id and a URL-safe secret")
    return text


def parse_token(text: str) -> TokenParts | None:
    """Take a token apart; None for anything that cannot be one."""
    found = _TOKEN.fullmatch(text)
    if found is None:
        return None
    return TokenParts(workspace=found[1], token_id=found[2], secret=found[3])


def secret_hash(secret: str) -> str:
    """Return SHA-256 of a secret as hexadecimal; a secret is random, so no salt is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _plain(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
