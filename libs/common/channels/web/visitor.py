"""Who a web visitor is, and which uploads are theirs: proved by the account's key alone.

Desk and ingest ask here; neither needs a query to know.
"""

from __future__ import annotations

import hmac
import re
from datetime import datetime

from libs.common.channel import Account
from libs.common.channels.web.wire import visitor_of
from libs.common.errors import BadSignatureError

_NONCE = re.compile(r"[a-z0-9]{8,32}")
_UPLOAD = re.compile(r"att_(?P<nonce>[a-z0-9]{8,32})_(?P<proof>[0-9a-f]{32})")
_PROOF_BYTES = 16


def visitor_from(account: Account, authorization: str, now: datetime | None) -> str:
    """Return the visitor id that an `Authorization: Bearer <visitor token>` header proves.

    *now* is when it was given; None: not known, and a token that ends is not believed.

    Raises:
        BadSignatureError: No bearer token, or none of *account* that is good now.
    """
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise BadSignatureError("no bearer token")
    return visitor_of(account, token.strip(), int(now.timestamp()) if now else None)


def upload_id(account: Account, visitor: str, nonce: str) -> str:
    """Return the attachment id for a file that *visitor* uploads; *nonce* is drawn by chance.

    The id itself proves whose it is: a message that names it is believed only from its visitor, so
    nobody shows, or is shown, another's file by guessing or overhearing an id.

    Raises:
        ValueError: The nonce is not 8 to 32 of `[a-z0-9]`.
        BadSignatureError: The account has no `visitor_key`.
    """
    if _NONCE.fullmatch(nonce) is None:
        raise ValueError("a nonce is 8 to 32 of [a-z0-9]")
    return f"att_{nonce}_{_proof(account, visitor, nonce)}"


def is_upload_of(account: Account, visitor: str, attachment: str) -> bool:
    """Tell in constant time whether *visitor* uploaded *attachment* to *account*."""
    found = _UPLOAD.fullmatch(attachment)
    if found is None:
        return False
    return hmac.compare_digest(_proof(account, visitor, found["nonce"]), found["proof"])


def _proof(account: Account, visitor: str, nonce: str) -> str:
    key = account.secret("visitor_key").encode()
    named = f"upload:{account.slug}:{visitor}:{nonce}".encode()
    return hmac.digest(key, named, "sha256")[:_PROOF_BYTES].hex()
