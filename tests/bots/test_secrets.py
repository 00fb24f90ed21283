"""The secret of a webhook bot opens for that bot alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from libs.common.bots.secrets import fresh_secret, open_secret, seal_secret
from libs.common.documents import Bot
from libs.common.errors import SealError
from libs.common.seal import Sealer, new_key_setting
from libs.common.signing import sign, verify

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
SEALER = Sealer.from_setting(new_key_setting())


def bot(sealed: dict[str, str], *, workspace: str = "acme", bot_id: str = "b1") -> Bot:
    return Bot(id=bot_id, workspace=workspace, name="Ada", kind="webhook", sealed=sealed)


def test_a_fresh_secret_opens_as_it_was_and_signs() -> None:
    secret = fresh_secret()
    opened = open_secret(SEALER, bot(seal_secret(SEALER, "acme", "b1", secret)))
    assert opened == secret != fresh_secret()
    assert verify(secret, sign(opened, "c1", b"{}", NOW), b"{}", NOW) == "c1"


SEALED = seal_secret(SEALER, "acme", "b1", "whsec_x")
OTHERS = {
    "another bot": bot(SEALED, bot_id="b2"),
    "a bot of the same id elsewhere": bot(SEALED, workspace="other"),
    "a bot without a secret": bot({}),
    "a bot whose secret was sealed with a key that is gone": bot(
        seal_secret(Sealer.from_setting(new_key_setting()), "acme", "b1", "whsec_x")
    ),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_secret_does_not_open_for(other: Bot) -> None:
    with pytest.raises(SealError) as refused:
        open_secret(SEALER, other)
    assert "whsec" not in refused.value.detail
