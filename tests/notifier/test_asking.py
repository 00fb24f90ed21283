"""Providers tell when a token ends and how much of a quota is used; they are asked seldom, once.

Real NATS; the providers are the stub.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from libs.common.bus.client import Bus, open_bus
from libs.common.channel import Account, HttpCall, HttpReply
from libs.common.directory import AccountEntry
from libs.common.doctor.health import look_at_health
from libs.common.errors import NotSentError
from libs.common.health import Seen, together
from libs.common.http import Door, allowed_base, open_door
from libs.common.provider_words import Told as ProviderTold
from libs.common.provider_words import questions
from libs.common.simulate.calls import Books
from libs.common.simulate.stub import Stub, running_stub
from libs.common.subjects import HEALTH_KV
from services.notifier.asking import LEASE, Asking
from services.scheduler.watch_accounts import Told

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY = timedelta(days=1)
TOKEN = "EAAG-secret/word"


class Stage:
    """Two replicas that ask about one account of a provider's."""

    def __init__(self, bus: Bus, stub: Stub, door: Door) -> None:
        self.bus = bus
        self.stub = stub
        self.door = door
        self.at = datetime.now(UTC).replace(microsecond=0)
        self.away = False
        self.calls: list[HttpCall] = []
        self.present: list[Account] = []
        self.one = Asking(bus, lambda: self.present, self._perform, lambda: self.at, self._spread)
        self.two = Asking(bus, lambda: self.present, self._perform, lambda: self.at, self._spread)

    @staticmethod
    def _spread(low: float, high: float) -> float:
        return (low + high) / 2

    def account(self, channel: str, **secrets: str) -> Books:
        """Have one account; return what its provider knows."""
        slug = f"a{uuid.uuid4().hex[:8]}"
        held = {"access_token": TOKEN, "app_secret": "s3cret", **secrets}
        self.present = [
            Account(
                workspace="acme",
                slug=slug,
                channel=channel,
                external_id="1",
                api_base=self.stub.base(slug),
                secrets=held,
            )
        ]
        return self.stub.provider(slug).books

    @property
    def the(self) -> Account:
        return self.present[0]

    async def look(self, wait: timedelta = timedelta(minutes=2)) -> Seen | None:
        """Let both replicas look now and after *wait*; return what is known then."""
        await self.both()
        self.at += wait
        await self.both()
        return await self.known()

    async def both(self) -> None:
        await asyncio.gather(self.one.look(), self.two.look())

    async def known(self) -> Seen | None:
        entry = await self.bus.kv_get(HEALTH_KV, f"{self.the.slug}.provider")
        return together([msgspec.json.decode(entry.value or b"", type=Seen)]) if entry else None

    async def _perform(self, account: Account, call: HttpCall) -> HttpReply:
        self.calls.append(call)
        if self.away:
            raise NotSentError("away")
        return await self.door.perform(call, timeout_s=5, allow=allowed_base(account.api_base))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parts(nats_url: str) -> AsyncIterator[tuple[Bus, Stub, Door]]:
    async with (
        open_bus(nats_url, name="asking") as bus,
        running_stub() as stub,
        open_door() as door,
    ):
        yield bus, stub, door


@pytest.fixture
def stage(parts: tuple[Bus, Stub, Door]) -> Stage:
    return Stage(*parts)


def ends(days: float) -> Callable[[Books, datetime], None]:
    return lambda books, at: setattr(
        books, "token_expires_at", int((at + timedelta(days=days)).timestamp())
    )


def _never(books: Books, _at: datetime) -> None:
    books.token_expires_at = 0


def _mute(books: Books, _at: datetime) -> None:
    books.says_nothing = True


def _spent(spent: int, of: int) -> Callable[[Books, datetime], None]:
    def change(books: Books, _at: datetime) -> None:
        books.quota_spent, books.quota = spent, of

    return change


def _short_lived(books: Books, at: datetime) -> None:
    books.line_token_ends = int(at.timestamp()) + 20 * 86400


SAID: dict[str, tuple[str, dict[str, str], Callable[..., None], float | None, float | None]] = {
    "a page's token that ends": ("messenger", {"app_id": "77"}, ends(3), 3, None),
    "the same without the app's id": ("messenger", {}, ends(3), 3, None),
    "a token of comments": ("fb_comment", {"app_id": "77"}, ends(3), 3, None),
    "WhatsApp's": ("whatsapp", {"app_id": "77"}, ends(3), 3, None),
    "Instagram's by a page": ("instagram", {"app_id": "77", "page_id": "5"}, ends(3), 3, None),
    "Instagram's by its own login cannot be told": ("instagram", {}, ends(3), None, None),
    "one that has ended": ("messenger", {"app_id": "77"}, ends(-2), -2, None),
    "one that never ends": ("messenger", {"app_id": "77"}, _never, None, None),
    "a provider that refuses to say": ("messenger", {"app_id": "77"}, _mute, None, None),
    "LINE's long-lived token, and its quota": ("line", {}, _spent(950, 1000), None, 0.95),
    "LINE's short-lived token": ("line", {}, _short_lived, 20, 0.0),
    "LINE's plan without a limit": ("line", {}, _spent(950, 0), None, None),
    "LINE refuses to say": ("line", {}, _mute, None, None),
    "Telegram's does not end": ("telegram", {}, ends(3), None, None),
    "WeChat's we fetch ourselves": ("wechat", {}, ends(3), None, None),
}


@pytest.mark.parametrize(("channel", "secrets", "change", "days", "quota"), SAID.values(), ids=SAID)
async def test_d10_what_a_provider_says_is_known(
    stage: Stage,
    channel: str,
    secrets: dict[str, str],
    change: Callable[[Books, datetime], None],
    days: float | None,
    quota: float | None,
) -> None:
    change(stage.account(channel, **secrets), stage.at)
    began = stage.at

    seen = await stage.look()

    found = seen.token_expires_at if seen else None
    if days is None:
        assert found is None
    else:
        assert found is not None
        assert abs(found - began - days * DAY) < timedelta(minutes=3)
    assert (seen.quota_used if seen else None) == quota


async def test_d10_of_two_replicas_one_asks_and_again_a_day_later(stage: Stage) -> None:
    stage.account("messenger", app_id="77")

    await stage.look()
    await stage.look(timedelta(hours=20))
    restarted = Asking(stage.bus, lambda: stage.present, stage._perform, lambda: stage.at)
    await restarted.look()
    stage.at += timedelta(minutes=2)
    await restarted.look()
    assert len(stage.calls) == 1, "not again within the day, after a restart neither"

    await stage.look(timedelta(hours=5))
    assert len(stage.calls) == 2


async def test_d10_nobody_is_asked_at_once_so_that_a_start_makes_no_flood(stage: Stage) -> None:
    stage.account("messenger", app_id="77")
    await stage.look(timedelta(seconds=10))
    assert stage.calls == []


async def test_d10_a_changed_account_is_asked_anew_and_the_old_word_is_gone(stage: Stage) -> None:
    books = stage.account("messenger", app_id="77")
    ends(1)(books, stage.at)
    await stage.look()
    renewed = {**stage.the.secrets, "access_token": "another"}
    stage.present = [msgspec.structs.replace(stage.the, secrets=renewed)]
    books.says_nothing = True

    seen = await stage.look()

    assert len(stage.calls) == 2
    assert seen is not None
    assert seen.token_expires_at is None, "that was the old token's end"


async def test_d10_a_provider_that_fails_raises_nothing_and_is_asked_the_next_day(
    stage: Stage,
) -> None:
    books = stage.account("messenger", app_id="77")
    ends(40)(books, stage.at)
    before = await stage.look()
    assert before is not None
    stage.away = True
    stage.at += DAY

    during = await stage.look()
    assert during is not None
    assert during.token_expires_at == before.token_expires_at, "what was said still holds"
    calls = len(stage.calls)
    await stage.look()
    assert len(stage.calls) == calls, "not asked again the same day"

    stage.away = False
    ends(50)(books, stage.at)
    after = await stage.look(timedelta(hours=27))
    assert after is not None
    assert after.token_expires_at != before.token_expires_at


async def test_d10_a_replica_that_dies_while_it_asks_is_followed_by_another(stage: Stage) -> None:
    stage.account("messenger", app_id="77")

    async def die(_account: Account, _call: HttpCall) -> HttpReply:
        raise RuntimeError("killed")

    dying = Asking(stage.bus, lambda: stage.present, die, lambda: stage.at, stage._spread)
    await dying.look()
    await stage.both()
    stage.at += timedelta(minutes=2)
    with pytest.raises(RuntimeError, match="killed"):
        await dying.look()

    await stage.look(LEASE / 2)
    assert stage.calls == [], "whoever asks may still be waiting for the answer"
    seen = await stage.look(LEASE * 2)
    assert seen is not None
    assert seen.token_expires_at is not None


async def test_d10_the_app_asks_by_its_own_token_and_no_secret_is_logged(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stage.account("messenger", app_id="77").says_nothing = True
    await stage.look()

    assert stage.calls[0].headers["authorization"] == "Bearer 77|s3cret"
    assert TOKEN not in caplog.text + repr(stage.calls)
    assert "s3cret" not in caplog.text
    kept = await stage.bus.kv_get(HEALTH_KV, f"{stage.the.slug}.provider")
    assert kept is not None
    assert TOKEN.encode() not in (kept.value or b"")


GRADES = {
    "two months": (60.0, 0.1, "ok"),
    "five days": (5.0, 0.1, "note"),
    "hours": (0.5, 0.1, "wrong"),
    "ended": (-1.0, 0.1, "wrong"),
    "quota nearly used": (60.0, 0.95, "note"),
}


@pytest.mark.parametrize(("days", "quota", "grade"), GRADES.values(), ids=GRADES)
async def test_d10_doctor_and_metric_tell_it(days: float, quota: float, grade: str) -> None:
    now = datetime.now(UTC)
    seen = Seen(
        at=now, sent_at=now, token_expires_at=now + days * DAY, quota_used=quota, quota_at=now
    )
    entry: Any = AccountEntry(
        workspace="acme", slug="shop", channel="messenger", external_id="1", enabled=True
    )
    (check,) = look_at_health([entry], {"shop": [seen]}, None, now)
    assert check.grade == grade
    assert "its token ends" in check.words

    told = Told()
    told.add(
        Account(workspace="acme", slug="shop", channel="messenger", external_id="1"),
        seen,
        silent=False,
    )
    assert told.token["shop", "messenger"] == (now + days * DAY).timestamp()
    assert told.quota["shop", "messenger"] == quota


def _answered(channel: str, *bodies: bytes) -> ProviderTold:
    account = Account(
        workspace="acme",
        slug="shop",
        channel=channel,
        external_id="1",
        secrets={"access_token": TOKEN},
    )
    asked = questions(account, datetime.now(UTC))
    assert asked is not None
    next(asked)
    *first, last = (HttpReply(status=200, body=body) for body in bodies)
    for reply in first:
        asked.send(reply)
    with pytest.raises(StopIteration) as ended:
        asked.send(last)
    told = ended.value.value
    assert isinstance(told, ProviderTold)
    return told


NONSENSE = {
    "no JSON": b"<html>",
    "a list": b"[]",
    "nested without end": b"[" * 100_000,
    "another shape": b'{"data":[],"expires_in":[],"type":{}}',
    "words for numbers": b'{"data":{"expires_at":"soon"},"expires_in":"9","type":"limited"}',
    "numbers out of range": b'{"data":{"expires_at":1e300},"expires_in":1e300,"value":-1}',
    "no numbers at all": b'{"data":{"expires_at":true,"is_valid":false},"expires_in":null}',
}


@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE)
async def test_d10_nonsense_says_nothing(body: bytes) -> None:
    assert _answered("messenger", body) == ProviderTold()
    limited = b'{"type":"limited","value":10}'
    told = _answered("line", body, limited, body)
    assert (told.token_expires_at, told.quota_used, told.quota_told) == (None, None, False)


async def test_d10_the_earlier_end_of_two_counts() -> None:
    told = _answered("messenger", b'{"data":{"expires_at":0,"data_access_expires_at":1800000000}}')
    assert told.token_expires_at == datetime.fromtimestamp(1_800_000_000, UTC)
    both = b'{"data":{"expires_at":1700000000,"data_access_expires_at":1800000000}}'
    assert _answered("messenger", both).token_expires_at == datetime.fromtimestamp(
        1_700_000_000, UTC
    )
