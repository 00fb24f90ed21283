"""Typing and reading shown to visitors: now or never, once, and never in a message's way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from libs.common import subjects
from libs.common.channel import Account
from libs.common.events import VisitorSignal
from libs.common.simulate.stub import Scripted, running_stub
from services.notifier import metrics
from tests.nats_server import NatsProcess
from tests.notifier.rig import Rig, notifying, staged, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

REVOKED = Scripted(status=401, taken=False, body={})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """Two replicas, so that what is shown once is shared."""
    folder = tmp_path_factory.mktemp("signals")
    async with (
        running_stub() as stub,
        staged(nats_url, folder, stub) as found,
        notifying(found),
        notifying(found),
    ):
        await ready(found)
        yield found


async def ready(rig: Rig) -> None:
    """Wait until a notifier works: what is shouted before is lost, by design."""
    of = await rig.connect("messenger", "ready")
    await rig.report(of, await rig.send(of, "hi"))


def show(rig: Rig, of: Account, **facts: str) -> None:
    given = {"session": "ses_1", "visitor": "U1", "kind": "typing", **facts}
    wanted = {"workspace": of.workspace, "channel": of.channel, "account": of.slug, **given}
    data = msgspec.json.encode(msgspec.convert(wanted, VisitorSignal))
    rig.bus.shout(subjects.signal(of.workspace, of.slug), data)


def signals(rig: Rig, of: Account) -> list[str]:
    return [item.path.rpartition("/")[2] for item in rig.stub.of_kind(of.slug, "signal")]


async def counted(outcome: str, before: float) -> None:
    async def more() -> bool:
        return total(outcome) > before

    await until(more, f"a signal that is {outcome}")


def total(outcome: str) -> float:
    return float(metrics.SIGNALS.labels("line", outcome)._value.get())


async def test_typing_and_reading_are_shown_by_one_replica(rig: Rig) -> None:
    of = await rig.connect("line", "signals")
    show(rig, of)
    show(rig, of, kind="seen", read_token="r-1")

    async def both() -> bool:
        return len(signals(rig, of)) >= 2

    await until(both, "two signals")
    await asyncio.sleep(0.2)
    assert sorted(signals(rig, of)) == ["markAsRead", "start"]


async def test_typing_is_shown_once_in_three_seconds_to_each_visitor(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    async with (
        running_stub() as stub,
        staged(nats_process.url, tmp_path, stub) as rig,
        notifying(rig),
    ):
        of = await rig.connect("line", "often")
        await ready(rig)
        dropped = total("dropped")
        for _ in range(5):
            show(rig, of, visitor="U1")
        show(rig, of, visitor="U2")
        await counted("dropped", dropped + 3)
        await asyncio.sleep(0.3)
        chats = [item.body["chatId"] for item in stub.of_kind(of.slug, "signal")]
        assert sorted(chats) == ["U1", "U2"]
        await asyncio.sleep(3)
        show(rig, of, visitor="U1")

        async def again() -> bool:
            return len(signals(rig, of)) == 3

        await until(again, "typing once more")


async def test_a_revoked_account_shows_nothing(nats_process: NatsProcess, tmp_path: Path) -> None:
    async with (
        running_stub() as stub,
        staged(nats_process.url, tmp_path, stub) as rig,
        notifying(rig),
    ):
        of = await rig.connect("line", "silent")
        stub.script(of.slug, REVOKED)
        assert (await rig.report(of, await rig.send(of, "hi"))).reason == "credential"
        dropped = total("dropped")
        show(rig, of)
        await counted("dropped", dropped)
        assert len(stub.sent(of.slug)) == 1


async def test_a_slow_provider_is_given_up_and_a_refusal_is_not_repeated(rig: Rig) -> None:
    slow = await rig.connect("line", "slow-signal")
    refused = await rig.connect("line", "refused-signal")
    rig.stub.script(slow.slug, Scripted(delay_s=30))
    rig.stub.script(refused.slug, *[Scripted(status=500)] * 2)
    before, began = total("failed"), time.monotonic()
    show(rig, refused)
    await counted("failed", before)
    show(rig, slow)
    await counted("failed", before + 1)
    assert time.monotonic() - began < 20
    assert len(rig.stub.sent(refused.slug)) == 1


UNSHOWN = {
    "of an account that nobody connected": {"account": "nobody"},
    "of another workspace's account": {"workspace": "other"},
    "on a channel that the account is not": {"channel": "messenger"},
}


@pytest.mark.parametrize("facts", UNSHOWN.values(), ids=UNSHOWN)
async def test_what_names_no_account_of_ours_is_dropped(rig: Rig, facts: dict[str, str]) -> None:
    of = await rig.connect("line", "unshown")
    channel = facts.get("channel", "line")
    before = metrics.SIGNALS.labels(channel, "dropped")._value.get()
    show(rig, of, **facts)

    async def dropped() -> bool:
        return bool(metrics.SIGNALS.labels(channel, "dropped")._value.get() > before)

    await until(dropped, "the drop")
    assert rig.stub.sent(of.slug) == []


async def test_what_nobody_can_read_harms_nobody(rig: Rig) -> None:
    of = await rig.connect("line", "garbled")
    rig.bus.shout(subjects.signal("acme", of.slug), b'{"broken":')
    show(rig, of)

    async def shown() -> bool:
        return bool(signals(rig, of))

    await until(shown, "the signal behind it")
