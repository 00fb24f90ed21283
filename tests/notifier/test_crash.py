"""What dies with a notifier, what does not, and what two of them share. Real processes."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from libs.common.channel import Account
from libs.common.events import MediaPart
from libs.common.simulate.stub import Scripted, Stub, running_stub
from libs.common.subjects import OUTBOUND
from tests.nats_server import NatsProcess
from tests.notifier.rig import Process, Rig, notifying, spawned, staged, until

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
TOO_FAST = Scripted(
    status=429,
    body={"message": "The API rate limit has been exceeded."},
    headers={"Retry-After": "5"},
)


async def called(stub: Stub, *slugs: str) -> None:
    """Wait until each account had a call."""

    async def all_called() -> bool:
        return all(stub.sent(slug) for slug in slugs)

    await until(all_called, f"calls of {slugs}", within_s=20)


async def test_a7_a_kill_in_the_middle_of_a_call_is_unknown_and_never_sent_twice(
    nats_process: NatsProcess, tmp_path: Path, provider_stub: Stub
) -> None:
    async with staged(nats_process.url, tmp_path, provider_stub, provider_timeout_s=10) as rig:
        plain = await rig.connect("messenger", "plain")
        keyed = await rig.connect("line", "keyed")
        reply = await rig.connect("line", "reply")
        waiting = await rig.connect("messenger", "waiting")
        for of in (plain, keyed, reply):
            provider_stub.script(of.slug, Scripted(delay_s=4))
        provider_stub.script(waiting.slug, Scripted(status=429))
        async with spawned(rig, tmp_path, "first") as first:
            # Fresh enough for a reply now, too old for one when the second process looks at it:
            # it must not take the message for one that was pushed.
            seen_at = datetime.now(UTC) - timedelta(seconds=44)
            token = {"reply_token": "r-1", "reply_token_at": seen_at}
            messages = [
                (plain, await rig.send(plain, "hi")),
                (keyed, await rig.send(keyed, "hi")),
                (reply, await rig.send(reply, "hi", **token)),
                (waiting, await rig.send(waiting, "hi")),
            ]
            await called(provider_stub, *(of.slug for of, _ in messages))
            await asyncio.sleep(0.2)
            await first.kill()
        async with spawned(rig, tmp_path, "second"):
            found = {
                of.slug: (await rig.report(of, message, within_s=40)).status
                for of, message in messages
            }
        assert found == {
            "plain": "unknown",
            "keyed": "sent",
            "reply": "unknown",
            "waiting": "sent",
        }
        for of, _ in messages:
            assert provider_stub.shown(of.slug) == ["hi"]
        calls = {of.slug: len(provider_stub.sent(of.slug)) for of, _ in messages}
        assert calls == {"plain": 1, "keyed": 2, "reply": 1, "waiting": 2}


async def test_a7_a_kill_while_a_file_is_brought_leaves_nothing_unknown(
    nats_process: NatsProcess, tmp_path: Path, provider_stub: Stub
) -> None:
    async with staged(nats_process.url, tmp_path, provider_stub, provider_timeout_s=10) as rig:
        before = await rig.connect("whatsapp", "before")
        behind = await rig.connect("whatsapp", "behind")
        provider_stub.script(before.slug, Scripted(delay_s=4))
        provider_stub.script(behind.slug, Scripted(), Scripted(delay_s=4))
        async with spawned(rig, tmp_path, "first") as first:
            messages = []
            for of in (before, behind):
                part = MediaPart(kind="image", attachment=await rig.attach(of, PNG))
                messages.append((of, await rig.send(of, parts=(part,))))
            await called(provider_stub, before.slug)

            async def sending() -> bool:
                return len(provider_stub.of_kind(behind.slug, "message")) == 1

            await until(sending, "the message call")
            await first.kill()
        async with spawned(rig, tmp_path, "second"):
            found = {
                of.slug: (await rig.report(of, message, within_s=40)).status
                for of, message in messages
            }
    assert found == {"before": "sent", "behind": "unknown"}
    assert [item.what for item in provider_stub.sent(before.slug)] == ["upload"] * 2 + ["message"]
    assert len(provider_stub.of_kind(behind.slug, "message")) == 1, "shown, and never again"


async def test_sigterm_finishes_the_call_in_flight_and_leaves_the_rest(
    nats_process: NatsProcess, tmp_path: Path, provider_stub: Stub
) -> None:
    async with staged(nats_process.url, tmp_path, provider_stub, provider_timeout_s=10) as rig:
        slow = await rig.connect("messenger", "slow")
        paused = await rig.connect("line", "paused")
        provider_stub.script(slow.slug, Scripted(delay_s=2))
        provider_stub.script(paused.slug, TOO_FAST)
        async with spawned(rig, tmp_path, "first") as first:
            first_message = await rig.send(slow, "one")
            second_message = await rig.send(slow, "two")
            waiting = await rig.send(paused, "three")
            await called(provider_stub, slow.slug, paused.slug)
            code, seconds = await first.terminate()
        assert code == 0
        assert 1 < seconds < 8
        assert provider_stub.shown(paused.slug) == [], "what waits is left for the next process"
        assert (await rig.report(slow, first_message)).status == "sent"
        assert provider_stub.shown(slow.slug) == ["one"], "nothing new was begun"
        began = time.monotonic()
        async with spawned(rig, tmp_path, "second"):
            ready_s = time.monotonic() - began
            for of, message in ((slow, second_message), (paused, waiting)):
                assert (await rig.report(of, message, within_s=30)).status == "sent"
        took_s = time.monotonic() - began
        assert took_s < max(8, ready_s + 3), "handed over, not waited for"
        assert provider_stub.shown(slow.slug) == ["one", "two"]
        assert provider_stub.shown(paused.slug) == ["three"]


async def test_two_notifiers_fetch_one_token_and_send_each_message_once(
    nats_process: NatsProcess, tmp_path: Path, provider_stub: Stub
) -> None:
    async with staged(nats_process.url, tmp_path, provider_stub) as rig:
        of = await rig.connect("wechat", "official")
        provider_stub.script(of.slug, Scripted(delay_s=0.5))  # the fetch is slow: others wait
        async with (
            spawned(rig, tmp_path, "first") as first,
            spawned(rig, tmp_path, "second") as second,
        ):
            await shared(first, second)
            messages = await send_many(rig, of, 32)
            for message in messages:
                assert (await rig.report(of, message, within_s=20)).status == "sent"
        paths = [item.path for item in provider_stub.sent(of.slug)]
        assert paths.count("cgi-bin/stable_token") == 1
        assert sorted(provider_stub.shown(of.slug)) == sorted(messages)
        senders = {log for log in ("first", "second") if sent_by(tmp_path, log)}
        assert senders == {"first", "second"}, "both took part"


async def shared(*replicas: Process) -> None:
    """Wait until each replica has its share of the sixteen partitions, and all have one owner."""
    share = f"relaydesk_sender_partitions {16 / len(replicas)}"

    async def settled() -> bool:
        return all([share in (await replica.metrics()) for replica in replicas])

    await until(settled, "an even share of the partitions", within_s=20)


async def send_many(rig: Rig, of: Account, count: int) -> list[str]:
    """Queue messages of many visitors; each says its own id."""
    found = []
    for number in range(count):
        name = f"msg_{of.slug}_{number + 1}"
        found.append(await rig.send(of, name, session=f"ses_{number}", visitor=f"visitor-{number}"))
        assert found[-1] == name
    return found


def sent_by(folder: Path, name: str) -> int:
    return (folder / f"{name}.log").read_text().count('"event":"message.delivered"')


async def test_a_bus_that_is_away_for_the_report_is_waited_for(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    async with (
        running_stub() as stub,
        staged(nats_process.url, tmp_path, stub) as rig,
        notifying(rig),
    ):
        of = await rig.connect("messenger", "held")
        stub.script(of.slug, Scripted(delay_s=0.5))
        message = await rig.send(of, "hi")
        await called(stub, of.slug)
        nats_process.kill()
        await asyncio.sleep(1.5)
        attempt = await rig.attempt(of, message)
        assert attempt is not None
        assert attempt.state == "sent"
        nats_process.start()
        assert (await rig.report(of, message, within_s=20)).status == "sent"
        await asyncio.sleep(0.5)
        assert stub.shown(of.slug) == ["hi"]
        assert len(await rig.bus.read(OUTBOUND, f"out.*.{of.slug}.*")) == 1


async def test_neither_secrets_nor_text_are_logged(
    nats_process: NatsProcess, tmp_path: Path, provider_stub: Stub
) -> None:
    sentinels = ("access-0001", "app-secret-0001", "hello-sentinel", "provider-sentinel")
    async with staged(nats_process.url, tmp_path, provider_stub) as rig:
        of = await rig.connect("messenger", "quiet")
        provider_stub.script(
            of.slug,
            Scripted(status=400, body={"error": {"code": 100, "message": "provider-sentinel"}}),
            Scripted(drop="after"),
        )
        async with spawned(rig, tmp_path, "first") as first:
            for text, status in (("hello-sentinel", "failed"), ("hello-sentinel", "unknown")):
                message = await rig.send(of, text)
                assert (await rig.report(of, message, within_s=20)).status == status
            metrics = await first.metrics()
            await first.terminate()
        log = first.log.read_text()
    assert log.count('"event":"message.not_delivered"') == 2
    assert 'relaydesk_sender_sends_total{channel="messenger",outcome="failed"} 1.0' in metrics
    for sentinel in sentinels:
        assert sentinel not in log
        assert sentinel not in metrics


async def test_it_lives_without_nats_is_not_ready_and_ends_when_told(
    nats_process: NatsProcess, tmp_path: Path, provider_stub: Stub
) -> None:
    async with staged(nats_process.url, tmp_path, provider_stub) as rig:
        nats_process.stop()
        async with spawned(rig, tmp_path, "early") as early:
            assert await early.admin("/livez") == 200
            assert await early.admin("/readyz") == 503
            code, seconds = await early.terminate()
            assert (code, seconds < 3) == (0, True)
        nats_process.start()
        async with spawned(rig, tmp_path, "later") as later:

            async def ready() -> bool:
                return await later.admin("/readyz") == 200

            await until(ready, "readiness")
            nats_process.stop()
            code, seconds = await later.terminate()
            assert (code, seconds < 10) == (0, True)


async def test_a_call_that_takes_too_long_does_not_keep_the_service_from_ending(
    nats_process: NatsProcess, tmp_path: Path, provider_stub: Stub
) -> None:
    async with staged(nats_process.url, tmp_path, provider_stub, provider_timeout_s=60) as rig:
        of = await rig.connect("messenger", "endless")
        provider_stub.script(of.slug, Scripted(delay_s=30))
        async with spawned(rig, tmp_path, "first") as first:
            await rig.send(of, "hi")
            await called(provider_stub, of.slug)
            code, seconds = await first.terminate()
        assert (code, seconds < 10) == (0, True)
