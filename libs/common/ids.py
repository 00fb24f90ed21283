"""Ids that are derived, not drawn, so that a repeat is recognisable."""

from __future__ import annotations

import hashlib
import re
import zlib

PARTITIONS = 16
"""Number of partitions of INBOUND and OUTBOUND; fixed for the life of the streams."""

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?")
"""Workspace, account, app and agent slugs: 1 to 48 characters, safe as one subject token."""

_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_DUOS = tuple(a + b for a in _BASE32 for b in _BASE32)
"""Two letters at a time: the standard library's encoder takes half of the time of an id."""


def derive_id(kind: str, *parts: str) -> str:
    """Return the id of what *parts* name, the same for the same parts for ever.

    128 bits of BLAKE2b over the length-prefixed parts, in lower-case base32, behind a kind prefix:
    `derive_id("ses", "acme", "line-1", "U1", "e1")` gives `ses_...`.
    """
    named: list[bytes] = []
    for part in (kind, *parts):
        raw = part.encode("utf-8", "surrogatepass")
        named += (len(raw).to_bytes(4, "big"), raw)
    digest = hashlib.blake2b(b"".join(named), digest_size=16).digest()
    value = int.from_bytes(digest, "big") << 2  # 128 bits make 26 letters of 5 bits, 2 left over
    return f"{kind}_" + "".join([_DUOS[value >> shift & 1023] for shift in range(120, -1, -10)])


def partition_of(workspace: str, account: str, visitor: str) -> int:
    """Return the partition, 0 to 15, that serves this visitor's conversation."""
    key = f"{workspace}|{account}|{visitor}".encode("utf-8", "surrogatepass")
    return zlib.crc32(key) % PARTITIONS


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(a + b for a in _CROCKFORD for b in _CROCKFORD)


def ordered_id(now_ms: int, randomness: bytes) -> str:
    """Return a ULID: 26 characters that sort by *now_ms* (UTC, below 2**48), then by chance.

    *randomness* is 10 bytes; who draws them decides whether the id can be guessed.

    Source: github.com/ulid/spec, Crockford's base32, most significant character first.
    """
    pairs, ms = _PAIRS, now_ms  # written out, ten bits a step: this runs for every webhook
    a, b = int.from_bytes(randomness[:5], "big"), int.from_bytes(randomness[5:], "big")
    return (
        f"{pairs[ms >> 40]}{pairs[ms >> 30 & 1023]}{pairs[ms >> 20 & 1023]}{pairs[ms >> 10 & 1023]}"
        f"{pairs[ms & 1023]}"
        f"{pairs[a >> 30]}{pairs[a >> 20 & 1023]}{pairs[a >> 10 & 1023]}{pairs[a & 1023]}"
        f"{pairs[b >> 30]}{pairs[b >> 20 & 1023]}{pairs[b >> 10 & 1023]}{pairs[b & 1023]}"
    )


def is_slug(text: str) -> bool:
    """Tell whether *text* may name a workspace, account, app or agent."""
    return SLUG.fullmatch(text) is not None
