"""Secrets at rest: AES-256-GCM, bound to the place they belong to.

The sealed text is `kid.nonce.ciphertext` (base64url). The context, such as
`account:<workspace>/<slug>:<name>`, is authenticated with it, so a sealed text that is copied to
another account or field does not open there.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from libs.common.errors import SealError, SettingsError

VARIABLE = "RELAYDESK_SECRET_KEY"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")


class Sealer:
    """Seals with the first key and opens with all, so that keys can be rotated.

    Args:
        keys: Key id to 32-byte key, the sealing one first.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._first = next(iter(self._keys))

    @classmethod
    def from_setting(cls, text: str) -> Sealer:
        """Read `kid:base64key[,kid2:base64key2]`, as `new_key_setting` writes it.

        Raises:
            SettingsError: Says which key is wrong and how, never the key itself.
        """
        return cls(read_keys(text))

    def seal(self, plaintext: str, context: str) -> str:
        """Return the sealed text, another one each time."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._keys[self._first].encrypt(nonce, plaintext.encode(), context.encode())
        return f"{self._first}.{_to_text(nonce)}.{_to_text(sealed)}"

    def open(self, sealed: str, context: str) -> str:
        """Return the plaintext of what was sealed for *context*.

        Raises:
            SealError: Unknown key, another context, or damaged. Says neither text.
        """
        key_id, _, rest = sealed.partition(".")
        nonce, _, ciphertext = rest.partition(".")
        key = self._keys.get(key_id)
        if key is None:
            raise SealError("sealed with a key that is not configured, or not a sealed text")
        try:
            plain = key.decrypt(_from_text(nonce), _from_text(ciphertext), context.encode())
            return plain.decode()
        except (InvalidTag, ValueError):
            raise SealError("damaged, or sealed for another place or key") from None

    def is_current(self, sealed: str) -> bool:
        """Tell whether the first key sealed it; if not, seal it again to finish a rotation."""
        return sealed.partition(".")[0] == self._first

    def __repr__(self) -> str:
        """Show the key ids alone."""
        return f"Sealer({', '.join(self._keys)})"


def read_keys(text: str) -> dict[str, bytes]:
    """Return the keys of a setting by id, the first one first.

    Raises:
        SettingsError: As `Sealer.from_setting`.
    """
    keys: dict[str, bytes] = {}
    for number, part in enumerate(text.split(","), 1):
        key_id, _, encoded = part.strip().partition(":")
        if not _KEY_ID.fullmatch(key_id) or key_id in keys:
            raise SettingsError(f"{VARIABLE}: key {number} needs an id of its own before ':'")
        keys[key_id] = _key(encoded, number)
    return keys


def new_key_setting() -> str:
    """Return a fresh setting of one random key."""
    key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
    return f"k{secrets.token_hex(3)}:{key}"


def _key(encoded: str, number: int) -> bytes:
    try:
        key = _from_text(encoded.rstrip("=").replace("+", "-").replace("/", "_"))
    except ValueError:  # binascii.Error is one
        raise SettingsError(f"{VARIABLE}: key {number} is not base64") from None
    if len(key) != _KEY_BYTES:
        raise SettingsError(f"{VARIABLE}: key {number} has {len(key)} bytes, not {_KEY_BYTES}")
    return key


def _to_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _from_text(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
