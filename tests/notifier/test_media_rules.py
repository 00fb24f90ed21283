"""What a failed try comes to, and what is worth noting: the pure part of fetching."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from libs.common.bus.delivery import Ack, Bury, Delivery, Outcome, Retry
from libs.common.documents import ATTACHMENTS, MESSAGES, Attachment
from libs.common.errors import (
    AmbiguousSendError,
    BadSignatureError,
    BusUnavailableError,
    CredentialError,
    FileRefusedError,
    GatewayError,
    NotSentError,
    RejectedError,
    StaleRevisionError,
    StoreUnavailableError,
    ThrottledError,
)
from libs.common.events import Fact
from libs.common.http import ForbiddenTargetError
from libs.common.store.open import open_store
from services.notifier import media_claim
from services.notifier.media_claim import Claim
from services.notifier.media_content import ErrorDocumentError
from services.notifier.media_fetch import GoneError
from services.notifier.media_intake import Intake
from services.notifier.media_outcome import LONGEST_PAUSE_S, REFUSED_TRIES, after_failure

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def waiting(tries: int = 1, left_s: float = 86_400) -> Attachment:
    return Attachment(
        id="att_1",
        workspace="acme",
        account="page",
        direction="in",
        state="pending",
        tries=tries,
        created_at=NOW,
        fetch_at=NOW,
        fetch_before=NOW + timedelta(seconds=left_s),
    )


LAST = REFUSED_TRIES
ENDS: dict[str, tuple[int, GatewayError, str]] = {
    "what is not kept ends at once": (1, FileRefusedError("x"), "type_not_allowed"),
    "what is too large ends at once": (1, RejectedError("x", reason="too_large"), "too_large"),
    "what lies inside ends at once": (1, ForbiddenTargetError(), "refused"),
    "a redirect in a circle ends at once": (1, RejectedError("x", reason="redirected"), "refused"),
    "what is not there is believed in the end": (LAST, GoneError("x"), "gone"),
    "a refusal is believed in the end": (LAST, RejectedError("x"), "refused"),
    "an error in place of a file, too": (LAST, ErrorDocumentError("x"), "refused"),
}
GOES_ON: dict[str, tuple[int, GatewayError, float]] = {
    "the first pause is a second": (1, NotSentError("x"), 1),
    "each is twice the one before": (5, NotSentError("x"), 16),
    "the longest is ten minutes": (11, NotSentError("x"), LONGEST_PAUSE_S),
    "however long it goes on": (5000, NotSentError("x"), LONGEST_PAUSE_S),
    "a provider's own pause is kept": (1, ThrottledError("x", delay_s=90), 90),
    "what is not there may come": (LAST - 1, GoneError("x"), 64),
    "a refusal may pass": (LAST - 1, RejectedError("x"), 64),
    "a credential may be mended by a person": (LAST + 2, CredentialError("x"), 512),
    "an account without its secret, too": (LAST + 2, BadSignatureError("x"), 512),
    "a storage that is away says nothing of the file": (LAST + 2, StoreUnavailableError("x"), 512),
    "nor does the bus": (LAST + 2, BusUnavailableError("x"), 512),
    "nor a call that was cut off": (LAST + 2, AmbiguousSendError("x"), 512),
}


@pytest.mark.parametrize(("tries", "error", "reason"), ENDS.values(), ids=ENDS)
def test_d22_ends(tries: int, error: GatewayError, reason: str) -> None:
    ended = after_failure(waiting(tries), error, NOW)
    assert (ended.state, ended.reason, ended.fetch_at) == ("failed", reason, None)


@pytest.mark.parametrize(("tries", "error", "pause_s"), GOES_ON.values(), ids=GOES_ON)
def test_d22_goes_on(tries: int, error: GatewayError, pause_s: float) -> None:
    again = after_failure(waiting(tries), error, NOW)
    assert again.state == "pending"
    assert again.fetch_at == NOW + timedelta(seconds=pause_s)


def test_d22_the_last_look_is_when_the_file_expires() -> None:
    again = after_failure(waiting(tries=10, left_s=100), NotSentError("x"), NOW)
    assert again.fetch_at == again.fetch_before


def delivery(data: bytes) -> Delivery:
    return Delivery(
        subject="ev.acme.message.stored.ses_1",
        data=data,
        headers={},
        sequence=1,
        attempt=1,
        partition=0,
        pending=0,
        reply="",
    )


def fact(**more: object) -> bytes:
    said = Fact(
        fact_id="f", type="message.stored", workspace="acme", session="s", at=NOW, message="msg_1"
    )
    return msgspec.json.encode(msgspec.structs.replace(said, **more))


FACTS: dict[str, tuple[bytes, Outcome]] = {
    "a message without files": (fact(), Ack()),
    "a message that is not there yet": (fact(media=1), Retry(code="not_stored")),
    "no message": (fact(media=1, message=""), Ack()),
    "what nobody can read": (b"{", Bury(code="malformed_payload", detail="no fact")),
}


async def test_d22_facts_are_answered_one_by_one(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'x.db'}", [MESSAGES, ATTACHMENTS]) as store:
        noted: list[str] = []
        intake = Intake(store, {}, lambda _slug: None, lambda: NOW, noted.append)
        outcomes = await intake.handle([delivery(data) for data, _ in FACTS.values()])
    assert dict(zip(FACTS, outcomes, strict=True)) == {
        sentence: outcome for sentence, (_, outcome) in FACTS.items()
    }
    assert noted == []


async def test_d22_of_two_who_claim_a_file_one_has_it_until_its_lease_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_claim, "RENEW_S", 0.05)
    async with open_store(f"sqlite:///{tmp_path / 'x.db'}", [MESSAGES, ATTACHMENTS]) as store:
        doc = await store.insert(ATTACHMENTS, waiting())
        first, second = (Claim(store, doc, lambda: NOW) for _ in range(2))
        assert [await first.take(), await second.take()] == [True, False]
        thief = Claim(store, first.doc, lambda: NOW)
        assert await thief.take()
        with pytest.raises(StaleRevisionError):
            await first.settle(first.doc)
        assert thief.doc.tries == doc.tries + 2


async def test_d22_who_loses_a_claim_stops_working_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_claim, "RENEW_S", 0.05)
    async with open_store(f"sqlite:///{tmp_path / 'x.db'}", [MESSAGES, ATTACHMENTS]) as store:
        claim = Claim(store, await store.insert(ATTACHMENTS, waiting()), lambda: NOW)
        assert await claim.take()

        async def work() -> None:
            async with claim.kept():
                await asyncio.sleep(20)

        working = asyncio.create_task(work())
        await asyncio.sleep(0.2)
        assert claim.doc.rev > 3, "renewed meanwhile"
        assert not working.done()
        claim.doc = msgspec.structs.replace(claim.doc, rev=1)  # as if another had written
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(working, 5)
        assert claim.lost
