"""WeChat's signatures and its AES envelope.

An encrypted body holds 16 random bytes, a 4-byte big-endian length, the message and the app id,
padded by PKCS#7 to blocks of 32 bytes, under AES-256-CBC with the first half of the key as IV.

Source: WeChat Official Account documentation, "Message encryption and decryption", read 2026-10.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

from libs.common.errors import MalformedPayloadError

RANDOM_BYTES = 16
_LENGTH_BYTES = 4
_PADDING_BLOCK = 32
_CIPHER_BLOCK = 16
_KEY_CHARACTERS = 43


def signature(*parts: str) -> str:
    """Return the SHA-1, in lower-case hex, of the *parts* sorted and joined.

    SHA-1 is WeChat's choice. The parts are token, timestamp and nonce, and for an encrypted body
    the ciphertext as well.
    """
    joined = "".join(sorted(parts)).encode(errors="surrogatepass")
    return hashlib.sha1(joined, usedforsecurity=False).hexdigest()


def is_signed(given: str, *parts: str) -> bool:
    """Tell in constant time whether *given* is the signature of the *parts*."""
    expected = signature(*parts).encode()
    return hmac.compare_digest(expected, given.encode(errors="surrogatepass"))


def decrypt(encoding_key: str, ciphertext: str, *, app_id: str = "") -> bytes:
    """Open an envelope whose signature holds.

    Raises:
        MalformedPayloadError: Wrong key, damaged text, or sealed for another app than *app_id*
            (not compared where that is empty).
    """
    sealed = _sealed_bytes(ciphertext)
    decryptor = _cipher(encoding_key).decryptor()
    padded = decryptor.update(sealed) + decryptor.finalize()
    content = _unpadded(padded)[RANDOM_BYTES:]
    size = int.from_bytes(content[:_LENGTH_BYTES], "big")
    message, owner = (
        content[_LENGTH_BYTES : _LENGTH_BYTES + size],
        content[_LENGTH_BYTES + size :],
    )
    if len(message) != size:
        raise MalformedPayloadError("the envelope is shorter than it says")
    if app_id and not hmac.compare_digest(owner, app_id.encode()):
        raise MalformedPayloadError("the envelope is sealed for another app")
    return message


def encrypt(encoding_key: str, message: bytes, *, app_id: str, random: bytes) -> str:
    """Seal *message* as WeChat does; *random* is 16 bytes.

    Raises:
        MalformedPayloadError: The key is none.
    """
    length = len(message).to_bytes(_LENGTH_BYTES, "big")
    content = random[:RANDOM_BYTES] + length + message + app_id.encode()
    padding = _PADDING_BLOCK - len(content) % _PADDING_BLOCK
    encryptor = _cipher(encoding_key).encryptor()
    sealed = encryptor.update(content + bytes([padding]) * padding) + encryptor.finalize()
    return base64.b64encode(sealed).decode()


def _cipher(encoding_key: str) -> Cipher[CBC]:
    if len(encoding_key) != _KEY_CHARACTERS:
        raise MalformedPayloadError("an EncodingAESKey has 43 characters")
    try:
        # The last character may carry stray bits, which this decoder ignores, as WeChat does.
        key = base64.b64decode(encoding_key + "=")
        return Cipher(AES256(key), CBC(key[:_CIPHER_BLOCK]))
    except ValueError:
        raise MalformedPayloadError("the EncodingAESKey is not base64 of 32 bytes") from None


def _sealed_bytes(ciphertext: str) -> bytes:
    try:
        sealed = base64.b64decode(ciphertext, validate=True)
    except ValueError:
        raise MalformedPayloadError("the ciphertext is not base64") from None
    if not sealed or len(sealed) % _CIPHER_BLOCK:
        raise MalformedPayloadError("the ciphertext is cut")
    return sealed


def _unpadded(padded: bytes) -> bytes:
    count = padded[-1]
    if not 1 <= count <= _PADDING_BLOCK or padded[-count:] != bytes([count]) * count:
        raise MalformedPayloadError("wrong key or damaged ciphertext")
    return padded[:-count]
