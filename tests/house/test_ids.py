"""Ids never change: what was stored under one is found by it for ever."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.ids import derive_id

KNOWN = {
    "a session": (("ses", "acme", "line-1", "U1", "e1"), "ses_lfjd4reyefpt2ydn55hmkz6bgq"),
    "nothing to name": (("x",), "x_5l7zjesz5zdsluxo6n6vox6lg4"),
    "beyond ASCII": (("con", "acme", "สวัสดี", "👋"), "con_rfotuvy3tppd7q4fdkwsntyzry"),
}


@pytest.mark.parametrize(("parts", "expected"), KNOWN.values(), ids=KNOWN)
def test_an_id_is_what_it_always_was(parts: tuple[str, ...], expected: str) -> None:
    assert derive_id(*parts) == expected


@given(st.text(), st.lists(st.text()))
def test_an_id_is_base32_of_blake2b_over_length_prefixed_parts(kind: str, parts: list[str]) -> None:
    raw = [part.encode("utf-8", "surrogatepass") for part in (kind, *parts)]
    named = b"".join(len(part).to_bytes(4, "big") + part for part in raw)
    digest = hashlib.blake2b(named, digest_size=16).digest()
    letters = base64.b32encode(digest).decode().rstrip("=").lower()
    assert derive_id(kind, *parts) == f"{kind}_{letters}"


def test_parts_do_not_run_into_each_other() -> None:
    assert derive_id("a", "bc", "d") != derive_id("a", "b", "cd")
