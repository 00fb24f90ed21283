"""Sealed secrets open where they belong and nowhere else."""

from __future__ import annotations

import base64
import traceback

import pytest

from libs.common.errors import SealError, SettingsError
from libs.common.seal import Sealer, new_key_setting

HERE = "account:acme/line-1:channel_secret"
OLD = "old:" + base64.b64encode(b"o" * 32).decode()
NEW = "new:" + base64.urlsafe_b64encode(bytes(range(224, 256))).decode().rstrip("=")
SEALED = Sealer.from_setting(OLD).seal("s3cret", HERE)


@pytest.mark.parametrize("text", ["", "s3cret", "ความลับ 🔑", "x" * 100_000])
def test_what_was_sealed_opens_again(text: str) -> None:
    sealer = Sealer.from_setting(new_key_setting())
    sealed = sealer.seal(text, HERE)
    assert sealer.open(sealed, HERE) == text
    assert not text or text not in sealed
    assert sealer.seal(text, HERE) != sealed


def test_after_a_rotation_the_first_key_seals_and_all_open() -> None:
    rotated = Sealer.from_setting(f"{NEW}, {OLD}")
    assert rotated.open(SEALED, HERE) == "s3cret"
    assert not rotated.is_current(SEALED)
    again = rotated.seal("s3cret", HERE)
    assert rotated.is_current(again)
    assert Sealer.from_setting(NEW).open(again, HERE) == "s3cret"


def flipped(sealed: str, place: int) -> str:
    other = "A" if sealed[place] != "A" else "B"
    return sealed[:place] + other + sealed[place:][1:]


KEY_ID, NONCE, TEXT = SEALED.split(".")
CLOSED: dict[str, tuple[str, str, str]] = {
    "another account": (OLD, SEALED, "account:acme/line-2:channel_secret"),
    "another field": (OLD, SEALED, "account:acme/line-1:access_token"),
    "another workspace": (OLD, SEALED, "account:rival/line-1:channel_secret"),
    "an unknown key": (NEW, SEALED, HERE),
    "another key under the same id": (NEW.replace("new:", "old:"), SEALED, HERE),
    "a flipped nonce": (OLD, flipped(SEALED, len(KEY_ID) + 1), HERE),
    "a flipped ciphertext": (OLD, flipped(SEALED, -10), HERE),
    "a cut tag": (OLD, SEALED[:-4], HERE),
    "no nonce": (OLD, f"{KEY_ID}..{TEXT}", HERE),
    "no text": (OLD, f"{KEY_ID}.{NONCE}.", HERE),
    "the plaintext itself": (OLD, "s3cret", HERE),
    "not base64": (OLD, f"{KEY_ID}.{NONCE}.ไทย*", HERE),
    "nothing": (OLD, "", HERE),
}


@pytest.mark.parametrize(("setting", "sealed", "context"), CLOSED.values(), ids=CLOSED)
def test_it_stays_closed(setting: str, sealed: str, context: str) -> None:
    with pytest.raises(SealError) as refused:
        Sealer.from_setting(setting).open(sealed, context)
    assert "s3cret" not in "".join(traceback.format_exception_only(refused.value))


BAD: dict[str, tuple[str, str]] = {
    "nothing": ("", "key 1 needs an id"),
    "no id": (":" + "A" * 43, "key 1 needs an id"),
    "no key": ("k1", "key 1 has 0 bytes"),
    "a short key": ("k1:QUJD", "key 1 has 3 bytes, not 32"),
    "not base64": ("k1:" + "*" * 43, "key 1 is not base64"),
    "the same id twice": (f"{OLD},{OLD}", "key 2 needs an id of its own"),
    "a dot in the id": (OLD.replace("old", "o.ld"), "key 1 needs an id"),
    "a comma at the end": (OLD + ",", "key 2 needs an id"),
}


@pytest.mark.parametrize(("setting", "text"), BAD.values(), ids=BAD)
def test_a_bad_setting_says_which_key_is_wrong_but_not_the_key(setting: str, text: str) -> None:
    with pytest.raises(SettingsError, match=text) as refused:
        Sealer.from_setting(setting)
    assert "RELAYDESK_SECRET_KEY" in str(refused.value)
    assert "ABC" not in str(refused.value)
    assert OLD[4:] not in str(refused.value)


def test_repr_shows_no_key() -> None:
    sealer = Sealer.from_setting(f"{NEW},{OLD}")
    assert repr(sealer) == str(sealer) == "Sealer(new, old)"


def test_fresh_settings_differ() -> None:
    assert len({new_key_setting() for _ in range(20)}) == 20
