"""Invitations and links to a new password, on their way from desk to somebody's mailbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.common.bus.delivery import Ack, Delivery
from libs.common.errors import MalformedPayloadError
from libs.common.people import Letter, seal_letter
from libs.common.seal import Sealer, new_key_setting
from services.notifier.mail_people import Letters, mail_of
from tests.notifier.mail_rig import Post, posting

SEALER = Sealer.from_setting(new_key_setting())
URL = "https://desk.example/#/accept-invitation/inv_acme_abc_x"


@pytest.fixture
async def post(empty_store: Path, tmp_path: Path) -> AsyncIterator[Post]:
    async with posting(empty_store, tmp_path) as made:
        yield made


def letter(post: Post, **changes: Any) -> Letter:
    given: dict[str, Any] = {
        "kind": "invitation",
        "key": "letter-1",
        "workspace": "acme",
        "to": "nora@example.org",
        "by": "Adam\nBcc: all@example.org <b>",
        "url": URL,
        "expires_at": post.clock.at + timedelta(days=7),
    }
    return Letter(**{**given, **changes})


def delivered(told: Letter, workspace: str = "acme", data: bytes | None = None) -> Delivery:
    return Delivery(
        subject=f"alert.letter.{workspace}.inv1",
        data=seal_letter(SEALER, told) if data is None else data,
        headers={},
        sequence=1,
        attempt=1,
        partition=0,
        pending=0,
        reply="",
    )


async def test_d24_an_invitation_is_mailed_once_with_its_link(post: Post) -> None:
    letters = Letters(SEALER, post.mailer(), post.clock)
    for _ in range(2):
        assert await letters.handle(delivered(letter(post))) == Ack()
    [kept] = post.sink.mails
    assert kept.to == ("nora@example.org",)
    assert URL in kept.text
    assert [name for name, _ in kept.headers if name.lower() == "bcc"] == []
    assert "<b>" not in kept.html


async def test_d24_a_link_that_opens_nothing_any_more_is_not_mailed(post: Post) -> None:
    letters = Letters(SEALER, post.mailer(), post.clock)
    late = letter(post, expires_at=post.clock.at)
    assert await letters.handle(delivered(late)) == Ack()
    assert not post.sink.mails


async def test_d24_what_desk_has_not_sealed_for_this_workspace_is_not_mailed(post: Post) -> None:
    letters = Letters(SEALER, post.mailer(), post.clock)
    plain = msgspec.json.encode(letter(post))
    for delivery in (delivered(letter(post), "zeta"), delivered(letter(post), data=plain)):
        with pytest.raises(MalformedPayloadError):
            await letters.handle(delivery)
    assert not post.sink.mails


def test_d24_a_reset_says_that_nothing_need_be_done(post: Post) -> None:
    mail = mail_of(letter(post, kind="reset"))
    assert (mail.kind, mail.subject) == ("account", "Set a new password")
    assert "If it was not you, do nothing." in mail.text
