"""Seal secrets for the store: AES-256-GCM, bound to the place where each is kept."""

from __future__ import annotations

import base64
import binascii
import os
import re

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from libs.common.errors import SealError, SettingsError

KEY_BYTES = 32
NONCE_BYTES = 12
_KEY_ID = re.compile(r"[a-z0-9-]{1,32}")


class Sealer:
    """Seals with the first key, opens with any: so a key is replaced without a gap."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._first = next(iter(keys))

    def __repr__(self) -> str:
        """Name the key ids only."""
        return f"Sealer({', '.join(self._keys)})"

    @classmethod
    def from_setting(cls, text: str) -> Sealer:
        """Read `id:base64 of 32 bytes`, more by comma.

        Raises:
            SettingsError: It cannot be read; the text never repeats the key.
        """
        keys: dict[str, bytes] = {}
        for part in text.split(","):
            key_id, colon, encoded = part.strip().partition(":")
            if not colon or not _KEY_ID.fullmatch(key_id) or key_id in keys:
                raise SettingsError(
                    "RELAYDESK_SECRET_KEY: each key is `id:base64`, its id 1 to 32 of a-z, 0-9, -, "
                    "given once"
                )
            keys[key_id] = _key(key_id, encoded)
        return cls(keys)

    def seal(self, plaintext: str, context: str) -> str:
        """Return `id.nonce.ciphertext`; it opens only with the same *context*."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._keys[self._first].encrypt(nonce, plaintext.encode(), context.encode())
        return f"{self._first}.{_text(nonce)}.{_text(sealed)}"

    def open(self, sealed: str, context: str) -> str:
        """Return the plaintext.

        Raises:
            SealError: Unknown key, other context, or damaged.
        """
        try:
            key_id, nonce, ciphertext = sealed.split(".")
            plain = self._keys[key_id].decrypt(_bytes(nonce), _bytes(ciphertext), context.encode())
            return plain.decode()
        except (KeyError, ValueError, InvalidTag):
            raise SealError(f"cannot open the secret of {context}") from None


def new_key_setting() -> str:
    """Return a fresh key as `RELAYDESK_SECRET_KEY` takes it."""
    return "k1:" + base64.b64encode(os.urandom(KEY_BYTES)).decode()


def _key(key_id: str, encoded: str) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise SettingsError(f"RELAYDESK_SECRET_KEY: key {key_id} is not base64 of 32 bytes")
    return key


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
