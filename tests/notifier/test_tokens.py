"""Fetched tokens: one fetcher, everybody else reads. Real NATS, a provider that counts."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from libs.common.bus.client import Bus, open_bus
from libs.common.channel import Account, HttpCall, HttpReply, Token, TokenExchange
from libs.common.errors import AmbiguousSendError, CredentialError, NotSentError
from libs.common.seal import Sealer, new_key_setting
from libs.common.subjects import TOKENS_KV
from services.notifier.tokens import LEASE_S, Tokens

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIFE_S = 7200
SEALER = Sealer.from_setting(new_key_setting())


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 11, 22, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def pass_s(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Issuer:
    """The provider's side: numbers the tokens it gives, slowly."""

    def __init__(self) -> None:
        self.calls = 0
        self.trouble: BaseException | None = None

    async def __call__(self, _call: HttpCall) -> HttpReply:
        self.calls += 1
        await asyncio.sleep(0.05)
        if self.trouble is not None:
            raise self.trouble
        return HttpReply(status=200, body=b"token-%d" % self.calls)


def exchange(_account: Account) -> TokenExchange:
    reply = yield HttpCall(url="https://api.example/token", idempotent=True)
    if reply.body == b"":
        raise CredentialError("wrong secret", reason="credential")
    return Token(value=reply.body.decode(), expires_in_s=LIFE_S)


class Stage:
    """Two processes' worth of `Tokens` on one bucket and clock."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.clock = Clock()
        self.issuer = Issuer()
        self.one = Tokens(bus, SEALER, now=self.clock)
        self.two = Tokens(bus, SEALER, now=self.clock)
        self.account = Account(
            workspace="acme", slug=f"w{uuid.uuid4().hex[:8]}", channel="wechat", external_id="gh"
        )

    async def get(self, tokens: Tokens, *, refused: str | None = None) -> str:
        return await tokens.get(self.account, exchange, self.issuer, refused=refused)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    async with open_bus(nats_url, name="tokens") as found:
        yield found


@pytest.fixture
def stage(bus: Bus) -> Stage:
    return Stage(bus)


async def test_many_at_once_in_two_processes_fetch_once(stage: Stage) -> None:
    wanted = [stage.get(tokens) for tokens in (stage.one, stage.two) for _ in range(10)]
    assert set(await asyncio.gather(*wanted)) == {"token-1"}
    assert stage.issuer.calls == 1


async def test_it_is_kept_sealed(stage: Stage) -> None:
    await stage.get(stage.one)
    entry = await stage.bus.kv_get(TOKENS_KV, stage.account.slug)
    assert entry is not None
    assert b"token-1" not in (entry.value or b"")


LIVES = {
    "fresh: kept": (LIFE_S * 0.79, "token-1", 1),
    "at 80 % of its life: fetched anew": (LIFE_S * 0.81, "token-2", 2),
    "after its life: fetched anew": (LIFE_S + 1, "token-2", 2),
}


@pytest.mark.parametrize(("age_s", "expected", "calls"), LIVES.values(), ids=LIVES)
async def test_when_it_is_fetched_anew(
    stage: Stage, age_s: float, expected: str, calls: int
) -> None:
    await stage.get(stage.one)
    stage.clock.pass_s(age_s)
    assert await stage.get(stage.one) == expected
    assert await stage.get(stage.two) == expected
    assert stage.issuer.calls == calls


async def test_while_one_fetches_anew_the_others_use_the_old_one(stage: Stage) -> None:
    await stage.get(stage.one)
    stage.clock.pass_s(LIFE_S * 0.81)
    fetching = asyncio.create_task(stage.get(stage.one))
    await asyncio.sleep(0.03)
    assert await stage.get(stage.two) == "token-1"
    assert await fetching == "token-2"


async def test_a_refused_token_is_fetched_anew_once_for_all(stage: Stage) -> None:
    await stage.get(stage.one)
    await stage.get(stage.two)
    wanted = [stage.get(tokens, refused="token-1") for tokens in (stage.one, stage.two)]
    assert await asyncio.gather(*wanted) == ["token-2", "token-2"]
    assert stage.issuer.calls == 2


async def test_a_failed_fetch_is_not_sent_and_leaves_no_lease(stage: Stage) -> None:
    stage.issuer.trouble = AmbiguousSendError("time-out")
    with pytest.raises(NotSentError):
        await stage.get(stage.one)
    stage.issuer.trouble = None
    assert await stage.get(stage.two) == "token-2"


async def test_a_failed_renewal_falls_back_to_the_token_that_still_works(stage: Stage) -> None:
    await stage.get(stage.one)
    stage.clock.pass_s(LIFE_S * 0.81)
    stage.issuer.trouble = NotSentError("refused")
    assert await stage.get(stage.one) == "token-1"
    with pytest.raises(NotSentError):
        await stage.get(stage.one, refused="token-1")


async def test_a_bad_credential_is_said_as_such(stage: Stage) -> None:
    stage.issuer.trouble = CredentialError("wrong", reason="credential")
    with pytest.raises(CredentialError):
        await stage.get(stage.one)


async def test_the_lease_of_a_dead_fetcher_runs_out(stage: Stage) -> None:
    stage.issuer.trouble = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await stage.get(stage.one)
    stage.issuer.trouble = None
    waiting = asyncio.create_task(stage.get(stage.two))
    await asyncio.sleep(0.3)
    assert not waiting.done(), "the lease is respected"
    stage.clock.pass_s(LEASE_S)
    assert await asyncio.wait_for(waiting, 20) == "token-2"


async def test_a_token_sealed_under_a_lost_key_is_fetched_anew(stage: Stage) -> None:
    await stage.get(stage.one)
    other = Tokens(stage.bus, Sealer.from_setting(new_key_setting()), now=stage.clock)
    assert await stage.get(other) == "token-2"
