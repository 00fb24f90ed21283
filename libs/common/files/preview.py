"""A still picture to show for films, where a provider demands one: the sign for playing, on grey.

It also stands for pictures too large to be shown small. It is the same for all and
holds nothing of anybody, so it needs no signature.
"""

from __future__ import annotations

import struct
import zlib
from functools import cache

from libs.common.files.links import PREFIX

PREVIEW_PATH = PREFIX + "preview.png"
WIDTH, HEIGHT = 480, 270
_GROUND, _SIGN = b"\x38", b"\xd8"
_HALF = 45  # of the sign's height, in dots
_GREY, _DEPTH = 0, 8


@cache
def preview() -> bytes:
    """Return the picture, a PNG of some hundred bytes (W3C PNG, third edition, section 5)."""
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, _DEPTH, _GREY, 0, 0, 0)
    rows = b"".join(b"\0" + _row(y) for y in range(HEIGHT))
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _row(y: int) -> bytes:
    """Return a row of dots: the sign is a triangle that points to the right."""
    sign = max(0, 2 * (_HALF - abs(y - HEIGHT // 2)))
    left = WIDTH // 2 - 2 * _HALF // 3
    return _GROUND * left + _SIGN * sign + _GROUND * (WIDTH - left - sign)


def _chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
