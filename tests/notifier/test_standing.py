"""How an account stands: no storm of refusals, no hammering of the dead, and who is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from libs.common.channel import Account, HttpCall
from libs.common.errors import (
    AmbiguousSendError,
    CredentialError,
    GatewayError,
    NotSentError,
    RejectedError,
    ThrottledError,
)
from libs.common.health import State
from libs.common.http import ForbiddenTargetError
from libs.common.recorder import Recorder
from libs.common.simulate.stub import Scripted, running_stub
from services.notifier import metrics
from services.notifier.deliver import CutOffError
from services.notifier.gates import Gates
from services.notifier.standing import Standings, SuspendedError
from tests.nats_server import NatsProcess
from tests.notifier.rig import Rig, notifying, staged, until
from tests.notifier.wire import serving, silence

pytestmark = pytest.mark.asyncio(loop_scope="module")

REVOKED = Scripted(status=401, taken=False, body={"error": {"code": 190}})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("standing")
    async with running_stub() as stub, staged(nats_url, folder, stub) as found, notifying(found):
        yield found


def accounts(channel: str, state: State) -> float:
    return float(metrics.ACCOUNT_STATE.labels(channel, state)._value.get())


async def send_to_many(rig: Rig, of: Account, count: int) -> list[str]:
    return [
        await rig.send(of, "hi", session=f"ses_{of.slug}_{n}", visitor=f"v{n}")
        for n in range(count)
    ]


async def test_d10_a_hundred_messages_of_a_revoked_account_make_two_calls_at_most(
    rig: Rig,
) -> None:
    of = await rig.connect("messenger", "storm")
    rig.stub.script(of.slug, *[REVOKED] * 200)
    before = accounts("messenger", "revoked")
    messages = await send_to_many(rig, of, 100)

    async def all_reported() -> bool:
        return len(await rig.reports(of)) == len(messages)

    await until(all_reported, "the outcome of all", within_s=20)
    assert {(r.status, r.reason) for r in await rig.reports(of)} == {("failed", "credential")}
    assert len(rig.stub.sent(of.slug)) <= 2
    assert accounts("messenger", "revoked") == before + 1


async def test_a_new_secret_closes_it_at_once(rig: Rig) -> None:
    of = await rig.connect("messenger", "renewed")
    rig.stub.script(of.slug, REVOKED)
    before = accounts("messenger", "revoked")
    for _ in range(2):
        message = await rig.send(of, "one")
        assert (await rig.report(of, message)).reason == "credential"
    assert len(rig.stub.sent(of.slug)) == 1
    assert accounts("messenger", "revoked") == before + 1
    of = await rig.connect("messenger", "renewed", secrets={**of.secrets, "access_token": "new"})
    message = await rig.send(of, "two")
    assert (await rig.report(of, message)).status == "sent"
    assert rig.stub.shown(of.slug) == ["two"]
    assert accounts("messenger", "revoked") == before


async def test_a_revoked_account_that_is_gone_alerts_no_more(rig: Rig) -> None:
    of = await rig.connect("messenger", "leaver")
    rig.stub.script(of.slug, REVOKED)
    before = accounts("messenger", "revoked")
    await rig.report(of, await rig.send(of, "one"))
    assert accounts("messenger", "revoked") == before + 1
    await rig.disconnect(of)

    async def forgotten() -> bool:
        return accounts("messenger", "revoked") == before

    await until(forgotten, "the account leaving the metrics")


async def test_an_account_that_cannot_be_reached_rests_and_goes_on_once_it_is_mended(
    rig: Rig,
) -> None:
    async with serving(silence) as gone:
        base = gone.base
    of = await rig.connect("messenger", "dead", api_base=base)
    before = accounts("messenger", "failing")
    first = await rig.send(of, "one", session="ses_d1", visitor="v1")
    assert (await rig.report(of, first)).reason == "not_sent"
    waiting = await rig.send(of, "two", session="ses_d2", visitor="v2")

    async def failing() -> bool:
        return accounts("messenger", "failing") == before + 1

    await until(failing, "five failures in a row")
    mended = await rig.connect("messenger", "dead")
    assert (await rig.report(mended, waiting)).status == "sent"
    assert accounts("messenger", "failing") == before


async def test_d10_what_was_seen_of_an_account_is_kept_for_all_to_read(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    async with running_stub() as stub, staged(nats_process.url, tmp_path, stub) as rig:
        began = datetime.now(UTC)
        line = await rig.connect("line", "seen-line")
        wechat = await rig.connect("wechat", "seen-wechat")
        page = await rig.connect("messenger", "seen-page")
        stub.script(page.slug, REVOKED)
        async with notifying(rig):
            token = {"reply_token": "r", "reply_token_at": began}
            messages = [
                (line, await rig.send(line, "free", **token)),
                (line, await rig.send(line, "paid")),
                (wechat, await rig.send(wechat, "hi")),
                (page, await rig.send(page, "hi")),
            ]
            for of, message in messages:
                await rig.report(of, message)
        seen = await rig.health(line)
        assert seen is not None
        assert (seen.state, seen.sent, seen.errors) == ("ok", {"reply": 1, "push": 1}, {})
        assert seen.sent_at is not None
        assert seen.sent_at >= began
        seen = await rig.health(wechat)
        assert seen is not None
        assert seen.token_expires_at is not None
        left = seen.token_expires_at - began
        assert timedelta(minutes=115) < left < timedelta(minutes=125), "a token of two hours"
        seen = await rig.health(page)
        assert seen is not None
        assert (seen.state, seen.failed_code) == ("revoked", "credential")
        assert seen.errors == {"credential": 1}


# --- the rules, without a network ---------------------------------------------------------------

CALL = HttpCall(url="https://provider.example/")
CODE = RejectedError("no", reason="window_closed", provider_code="10")

JUDGED: dict[str, tuple[list[tuple[GatewayError, bool, bool]], State]] = {
    "a refused credential that another token may mend": (
        [(CredentialError("x", reason="credential"), True, False)],
        "unknown",
    ),
    "a refused credential for good": (
        [(CredentialError("x", reason="credential"), True, True)],
        "revoked",
    ),
    "an account without its secret, which makes no call": (
        [(CredentialError("x", reason="credential"), False, True)],
        "revoked",
    ),
    "the provider refuses a message for its own sake: it is there": ([(CODE, True, True)], "ok"),
    "our own refusal proves nothing": (
        [(RejectedError("no", reason="window_closed"), False, True)],
        "unknown",
    ),
    "nor does a target that may not be called": ([(ForbiddenTargetError(), True, True)], "unknown"),
    "nor a redirect": (
        [(RejectedError("no", reason="redirected", provider_code="302"), True, True)],
        "unknown",
    ),
    "five time-outs in a row": ([(AmbiguousSendError("x"), True, True)] * 5, "failing"),
    "five refused connections in a row": ([(NotSentError("x"), True, False)] * 5, "failing"),
    "no token to be had, five times": ([(NotSentError("x"), False, False)] * 5, "failing"),
    "too fast is no failure": ([(ThrottledError("x"), True, False)] * 9, "unknown"),
    "messages that were cut off earlier are none": (
        [(CutOffError("x"), True, True)] * 9,
        "unknown",
    ),
    "nor are those that were not tried": ([(SuspendedError(), False, True)] * 9, "unknown"),
}


@pytest.mark.parametrize(("tries", "state"), JUDGED.values(), ids=JUDGED)
async def test_what_a_failed_try_says_about_its_account(
    tries: list[tuple[GatewayError, bool, bool]], state: State
) -> None:
    of = Account(workspace="acme", slug="a", channel="messenger", external_id="1")
    gates, recorder = Gates(), Recorder("notifier")
    standings = Standings({"a": of}.get, gates, recorder, lambda: datetime.now(UTC))
    standings.admit(of)
    for error, called, final in tries:
        standings.failed("a", error, CALL if called else None, final=final)
    assert recorder.of("a").state == state
    assert standings.silent(of) is (state in {"failing", "revoked"})
    assert gates.of("a").paused is (state == "failing")
    gates.close()
    standings.close()
    await asyncio.sleep(0)
