"""Access tokens: what is one, and what it is made of."""

from __future__ import annotations

import pytest

from libs.common.credentials import new_secret, new_token_id, parse_token, secret_hash, token_text

SECRET = "s" * 43


def test_a_token_reads_back_as_what_it_was_made_of() -> None:
    secret, token_id = new_secret(), new_token_id()
    found = parse_token(token_text("acme-2", token_id, secret))
    assert found is not None
    assert (found.workspace, found.token_id, found.secret) == ("acme-2", token_id, secret)
    assert secret not in repr(found)


def test_secrets_hold_256_bits_and_differ() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert {len(secret) for secret in made} == {43}


def test_a_secret_with_underscores_stays_whole() -> None:
    found = parse_token(f"rdk_acme_1_{'_' * 43}")
    assert found is not None
    assert found.secret == "_" * 43


NO_TOKENS = {
    "nothing": "",
    "no prefix": f"acme_1_{SECRET}",
    "another prefix": f"rdx_acme_1_{SECRET}",
    "no secret": "rdk_acme_1_",
    "a short secret": "rdk_acme_1_abc",
    "an endless secret": "rdk_acme_1_" + "a" * 500,
    "the system's workspace": f"rdk__system_1_{SECRET}",
    "upper-case workspace": f"rdk_Acme_1_{SECRET}",
    "a line break": f"rdk_acme_1_{SECRET}\n",
    "NUL": f"rdk_acme_1\0_{SECRET}",
    "half a character": f"rdk_acme_1_{SECRET}\ud83d",
    "other digits": f"rdk_acme_\u0661_{SECRET}",
    "an operator": '{"$gt":""}',
}


@pytest.mark.parametrize("text", NO_TOKENS.values(), ids=NO_TOKENS)
def test_what_cannot_be_a_token_is_none(text: str) -> None:
    assert parse_token(text) is None


@pytest.mark.parametrize(
    "parts", [("_system", "1", SECRET), ("acme", "a_b", SECRET), ("acme", "1", "x")]
)
def test_a_token_that_could_not_be_read_back_is_not_made(parts: tuple[str, str, str]) -> None:
    with pytest.raises(ValueError, match="token"):
        token_text(*parts)


def test_the_hash_of_a_secret_is_what_is_stored() -> None:
    assert secret_hash("abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
