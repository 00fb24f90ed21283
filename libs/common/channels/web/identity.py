"""Who is logged in on the customer's site, proved by a signature of its server.

The site's server signs its own id of the user with the account's `identity_secret`; the same user
is then the same visitor on every device, and nobody else can be.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from libs.common.channel import Account
from libs.common.errors import BadSignatureError

USER_MOST = 200
"""Characters of a site's own id of a user."""
IDENTITY_LIFE_S = 30 * 24 * 3600
"""How long the token of an identified visitor is good; the page identifies them again."""

_SECRET = "identity_secret"  # noqa: S105 (its name)


def signature(secret: str, user: str) -> str:
    """Return what a site's server signs *user* with: HMAC-SHA256 in lower-case hexadecimal."""
    return hmac.digest(secret.encode(), user.encode(errors="surrogatepass"), "sha256").hex()


def identified(account: Account, user: str, given: str) -> str:
    """Return the visitor id of a site's *user*; the same for every device.

    It cannot be the id of a visitor without a name: those are drawn, and shorter.

    Raises:
        BadSignatureError: *given* is not the signature of *user*, the account has no identity
            secret, or the user's id is empty or longer than 200 characters.
    """
    if not 0 < len(user) <= USER_MOST or not account.secrets.get(_SECRET):
        raise BadSignatureError("nobody can be identified so")
    expected = signature(account.secret(_SECRET), user)
    if not hmac.compare_digest(expected.encode(), given.lower().encode(errors="surrogatepass")):
        raise BadSignatureError("the signature is not of this user")
    named = f"{account.slug}\0{user}".encode(errors="surrogatepass")
    return "u_" + base64.urlsafe_b64encode(hashlib.sha256(named).digest()).decode().rstrip("=")
