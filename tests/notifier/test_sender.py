"""Sending on every channel, and every way it can go wrong: real NATS, real SQLite, the stub."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from libs.common import subjects
from libs.common.channel import Account
from libs.common.channels import CHANNELS
from libs.common.channels.web.wire import VisitorMessage
from libs.common.documents import SendAttempt
from libs.common.events import MediaPart, SendRequest, TextPart
from libs.common.ids import derive_id
from libs.common.simulate.stub import Scripted, running_stub
from libs.common.subjects import DEAD, VISITORS
from services.notifier import metrics
from tests.nats_server import NatsProcess
from tests.notifier.rig import Rig, notifying, staged, until
from tests.notifier.wire import serving, silence

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROVIDERS = sorted(set(CHANNELS) - {"web"})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("sender")
    async with running_stub() as stub, staged(nats_url, folder, stub) as found, notifying(found):
        yield found


def called(rig: Rig, of: Account) -> Callable[[], Awaitable[bool]]:
    async def there() -> bool:
        return bool(rig.stub.sent(of.slug))

    return there


COUNTERS = {"sends": metrics.SENDS, "via": metrics.VIA, "cost": metrics.COST}


def total(counter: str, **labels: str) -> float:
    return float(COUNTERS[counter].labels(**labels)._value.get())


@pytest.mark.parametrize("channel", PROVIDERS)
async def test_a_text_goes_out_once_and_is_reported_as_sent(rig: Rig, channel: str) -> None:
    of = await rig.connect(channel, f"plain-{channel.replace('_', '-')}")
    before = total("sends", channel=channel, outcome="sent")
    message = await rig.send(of, "hello ค่ะ")
    report = await rig.report(of, message)
    assert (report.status, report.reason) == ("sent", "")
    assert bool(report.provider_ids) is (channel != "wechat")
    assert rig.stub.shown(of.slug) == ["hello ค่ะ"]
    attempt = await rig.attempt(of, message)
    assert attempt is not None
    assert (attempt.state, attempt.via) == ("sent", report.via)
    assert total("sends", channel=channel, outcome="sent") == before + 1


STALE = {
    "a person's message goes out whatever has changed": (None, 7, "sent"),
    "a machine's goes out where nobody has taken over since": (7, 7, "sent"),
    "a machine's goes out where only machines moved it": (3, 0, "sent"),
    "a machine's of before a person took over stays here": (6, 7, "failed"),
}


@pytest.mark.parametrize(("epoch", "hushed", "status"), STALE.values(), ids=STALE)
async def test_d03_a_machine_is_silent_once_a_person_has_taken_over(
    rig: Rig, epoch: int | None, hushed: int, status: str
) -> None:
    of = await rig.connect("line", f"stale-{epoch}-{hushed}")
    await rig.talk(of, f"ses_{of.slug}", hushed=hushed)
    message = await rig.send(of, "hello", epoch=epoch)
    report = await rig.report(of, message)
    refused = status == "failed"
    assert (report.status, report.reason) == (status, "stale_epoch" if refused else "")
    assert rig.stub.shown(of.slug) == ([] if refused else ["hello"])


async def test_the_web_channel_shows_it_in_the_visitors_stream(rig: Rig) -> None:
    of = await rig.connect("web", "shop")
    message = await rig.send(of, "hello", visitor="visitor-9", reply_to="web:visitor-9:c-1")
    assert (await rig.report(of, message)).status == "sent"
    visitor = derive_id("vis", of.slug, "visitor-9")
    stored = await rig.bus.read(VISITORS, subjects.visitor("acme", of.slug, visitor))
    shown = [msgspec.json.decode(one.data, type=VisitorMessage) for one in stored]
    assert [(one.id, one.sender, one.parts, one.reply_to) for one in shown] == [
        (message, "agent", (TextPart(text="hello"),), "web:visitor-9:c-1")
    ]


async def test_d29_line_replies_while_the_token_is_fresh_and_pushes_when_it_is_spent(
    rig: Rig,
) -> None:
    of = await rig.connect("line", "line-reply")
    now = datetime.now(UTC)
    free = total("via", channel="line", via="reply")
    costs = [total("cost", channel="line", cost=cost) for cost in ("free", "paid")]
    first = await rig.send(of, "one", reply_token="r-1", reply_token_at=now)
    again = await rig.send(of, "two", reply_token="r-1", reply_token_at=now)
    old = await rig.send(of, "three", reply_token="r-2", reply_token_at=now - timedelta(minutes=2))
    ways = [(await rig.report(of, message)).via for message in (first, again, old)]
    assert ways == ["reply", "push", "push"]
    calls = [item.path.rpartition("/")[2] for item in rig.stub.sent(of.slug)]
    assert calls == ["reply", "reply", "push", "push"]
    assert rig.stub.shown(of.slug) == ["one", "two", "three"]
    assert total("via", channel="line", via="reply") == free + 1
    after = [total("cost", channel="line", cost=cost) for cost in ("free", "paid")]
    assert after == [costs[0] + 1, costs[1] + 2]


async def test_d29_no_push_is_made_while_a_token_lives(rig: Rig) -> None:
    of = await rig.connect("line", "line-free")
    at = datetime.now(UTC)
    messages = [
        await rig.send(of, f"{n}", reply_token=f"free-{n}", reply_token_at=at) for n in range(5)
    ]
    assert {(await rig.report(of, message)).via for message in messages} == {"reply"}
    assert {item.path.rpartition("/")[2] for item in rig.stub.sent(of.slug)} == {"reply"}


WINDOWS: dict[str, tuple[float, tuple[str, ...], str, str]] = {
    "still open": (60, (), "sent", ""),
    "closed meanwhile": (-1, (), "failed", "window_closed"),
    "closed meanwhile, with the longer window for people": (-1, ("human_agent",), "sent", ""),
}


@pytest.mark.parametrize("name", WINDOWS)
async def test_d08_a_window_is_looked_at_again_before_the_call(rig: Rig, name: str) -> None:
    open_s, features, status, reason = WINDOWS[name]
    of = await rig.connect("messenger", f"window-{list(WINDOWS).index(name)}", features=features)
    until_then = datetime.now(UTC) + timedelta(seconds=open_s)
    message = await rig.send(of, "hi", open_until=until_then)
    report = await rig.report(of, message)
    assert (report.status, report.reason) == (status, reason)
    calls = rig.stub.sent(of.slug)
    assert len(calls) == (status == "sent")
    tags = [call.body.get("tag") for call in calls]
    assert tags in ([], ["HUMAN_AGENT" if features else None])


async def test_d08_a_window_that_closes_while_the_message_waits_is_closed(rig: Rig) -> None:
    of = await rig.connect("line", "window-waits")
    too_fast = {"message": "The API rate limit has been exceeded."}
    rig.stub.script(of.slug, Scripted(status=429, body=too_fast, headers={"Retry-After": "2"}))
    first = await rig.send(of, "one", session="ses_w1", visitor="v1")
    await until(called(rig, of), "the refusal")
    closes = datetime.now(UTC) + timedelta(seconds=0.5)
    second = await rig.send(of, "two", session="ses_w2", visitor="v2", open_until=closes)
    assert (await rig.report(of, first)).status == "sent"
    report = await rig.report(of, second)
    assert (report.status, report.reason) == ("failed", "window_closed")
    assert rig.stub.shown(of.slug) == ["one"]


async def test_an_account_calls_no_faster_than_its_channel_says(rig: Rig) -> None:
    of = await rig.connect("fb_comment", "paced")
    pace = CHANNELS["fb_comment"].pace
    assert (pace.burst, pace.per_second) == (50, 2), "else this test shows nothing"
    for n in range(pace.burst + 3):
        await rig.send(of, "hi", session=f"ses_p{n}", visitor=f"v{n}")

    async def all_out() -> bool:
        return len(rig.stub.sent(of.slug)) == pace.burst + 3

    await until(all_out, "the last one")
    at = [item.at for item in rig.stub.sent(of.slug)]
    assert at[-1] - at[0] > timedelta(seconds=1.4), "three beyond the burst at two a second"


OUTCOMES: dict[str, tuple[str, list[Scripted], str, str, list[int], list[str]]] = {
    "LINE: too fast, then taken": (
        "line",
        [Scripted(status=429, body={"message": "The API rate limit has been exceeded."})],
        "sent",
        "",
        [429, 200],
        ["hi"],
    ),
    "LINE: no quota left is final": (
        "line",
        [Scripted(status=429, body={"message": "You have reached your monthly limit."})],
        "failed",
        "quota",
        [429],
        [],
    ),
    "500 without a retry key is unknown and not repeated": (
        "messenger",
        [Scripted(status=500)],
        "unknown",
        "ambiguous",
        [500],
        [],
    ),
    "500 with a retry key is repeated under the same key and shown once": (
        "line",
        [Scripted(status=500, taken=True)],
        "sent",
        "",
        [500, 409],
        ["hi"],
    ),
    "cut after writing with a retry key: repeated, shown once": (
        "line",
        [Scripted(drop="after")],
        "sent",
        "",
        [0, 409],
        ["hi"],
    ),
    "cut before it was taken, with a retry key: repeated, shown once": (
        "line",
        [Scripted(drop="before")],
        "sent",
        "",
        [0, 200],
        ["hi"],
    ),
    "cut after writing without a key: unknown, though it went out": (
        "whatsapp",
        [Scripted(drop="after")],
        "unknown",
        "ambiguous",
        [0],
        ["hi"],
    ),
    "200 with HTML: unknown": (
        "messenger",
        [Scripted(status=200, body="<html>captive portal</html>")],
        "unknown",
        "ambiguous",
        [200],
        ["hi"],
    ),
    "a redirect is not followed": (
        "messenger",
        [Scripted(status=302, taken=False, headers={"Location": "https://elsewhere.example/"})],
        "failed",
        "redirected",
        [302],
        [],
    ),
    "outside the window": (
        "messenger",
        [Scripted(status=400, body={"error": {"code": 10, "error_subcode": 2018278}})],
        "failed",
        "window_closed",
        [400],
        [],
    ),
    "WeChat: outside 48 h, said with status 200": (
        "wechat",
        [Scripted(), Scripted(status=200, taken=False, body={"errcode": 45015})],
        "failed",
        "window_closed",
        [200, 200],
        [],
    ),
    "WeChat: a token that has become invalid is fetched anew, once": (
        "wechat",
        [Scripted(), Scripted(status=200, taken=False, body={"errcode": 40001})],
        "sent",
        "",
        [200, 200, 200, 200],
        ["hi"],
    ),
    "WeChat: refused with the new token too: the account's credential is bad": (
        "wechat",
        [
            Scripted(),
            Scripted(status=200, taken=False, body={"errcode": 40001}),
            Scripted(),
            Scripted(status=200, taken=False, body={"errcode": 40001}),
        ],
        "failed",
        "credential",
        [200, 200, 200, 200],
        [],
    ),
    "WeChat: no token to be had, then one": (
        "wechat",
        [Scripted(status=503)],
        "sent",
        "",
        [503, 200, 200],
        ["hi"],
    ),
}


@pytest.mark.parametrize("name", OUTCOMES)
async def test_outcomes(rig: Rig, name: str) -> None:
    channel, plan, status, reason, answers, shown = OUTCOMES[name]
    of = await rig.connect(channel, f"outcome-{list(OUTCOMES).index(name)}")
    rig.stub.script(of.slug, *plan)
    message = await rig.send(of, "hi", thread=None)
    report = await rig.report(of, message)
    await asyncio.sleep(0.2 if status != "unknown" else 1.2)  # a repeat would come by then
    assert (report.status, report.reason) == (status, reason)
    assert [item.status for item in rig.stub.sent(of.slug)] == answers
    assert rig.stub.shown(of.slug) == shown
    keys = {item.headers.get("x-line-retry-key") for item in rig.stub.sent(of.slug)}
    assert len(keys) == 1, "every try carries the same retry key"
    assert len(await rig.reports(of)) == 1


async def test_no_answer_in_time_is_unknown(nats_process: NatsProcess, tmp_path: Path) -> None:
    async with (
        running_stub() as stub,
        staged(nats_process.url, tmp_path, stub, provider_timeout_s=1.0) as rig,
        notifying(rig),
    ):
        of = await rig.connect("whatsapp", "late")
        stub.script(of.slug, Scripted(delay_s=1.5))
        report = await rig.report(of, await rig.send(of, "hi", thread=None))
        await asyncio.sleep(1.2)  # a repeat would come by then
        assert (report.status, report.reason) == ("unknown", "ambiguous")
        assert [item.status for item in stub.sent(of.slug)] == [200]
        assert stub.shown(of.slug) == ["hi"]
        assert len(await rig.reports(of)) == 1


async def test_e3_a_refused_connection_is_tried_again_and_then_sent(rig: Rig) -> None:
    async with serving(silence) as gone:
        base = gone.base
    of = await rig.connect("messenger", "refused", api_base=base)
    message = await rig.send(of, "hi")

    async def refused() -> SendAttempt | None:
        attempt = await rig.attempt(of, message)
        return attempt if attempt and attempt.state == "waiting" else None

    attempt = await until(refused, "the first try")
    assert (attempt.state, attempt.tries) == ("waiting", 1), "nothing is out, and a crash knows it"
    await rig.connect("messenger", "refused")
    assert (await rig.report(of, message)).status == "sent"
    assert rig.stub.shown(of.slug) == ["hi"]


async def test_refused_until_the_tries_are_used_up_is_failed(rig: Rig) -> None:
    async with serving(silence) as gone:
        base = gone.base
    of = await rig.connect("messenger", "refused-for-good", api_base=base)
    message = await rig.send(of, "hi")
    report = await rig.report(of, message)
    assert (report.status, report.reason) == ("failed", "not_sent")


async def test_a_part_that_went_out_is_not_sent_again(rig: Rig) -> None:
    of = await rig.connect("line", "parts")
    bubbles = [f"part {number}" for number in range(7)]  # five fit one call
    rig.stub.script(of.slug, Scripted(), Scripted(status=429))
    message = await rig.send(of, *bubbles)
    assert (await rig.report(of, message)).status == "sent"
    assert [item.status for item in rig.stub.sent(of.slug)] == [200, 429, 200]
    assert "\n".join(rig.stub.shown(of.slug)) == "\n".join(bubbles)


async def test_refused_behind_a_part_says_that_a_part_is_out(rig: Rig) -> None:
    of = await rig.connect("messenger", "half")
    rig.stub.script(of.slug, Scripted(), Scripted(status=400, body={"error": {"code": 551}}))
    message = await rig.send(of, "a" * 2500)
    report = await rig.report(of, message)
    assert (report.status, report.reason) == ("failed", "partly_sent")
    assert len(report.provider_ids) == 1
    assert len(rig.stub.sent(of.slug)) == 2


async def test_messages_of_a_session_go_out_in_order_though_the_first_is_slow(rig: Rig) -> None:
    of = await rig.connect("messenger", "order")
    rig.stub.script(of.slug, Scripted(delay_s=0.6))
    messages = [await rig.send(of, text) for text in ("one", "two", "three")]
    assert (await rig.report(of, messages[-1])).status == "sent"
    assert rig.stub.shown(of.slug) == ["one", "two", "three"]
    began = [item.at for item in rig.stub.sent(of.slug)]
    assert began[1] - began[0] > timedelta(seconds=0.5), "the second waited for the first"
    assert [report.message_id for report in await rig.reports(of)] == messages


async def test_order_holds_over_tries(rig: Rig) -> None:
    of = await rig.connect("messenger", "order-tries")
    rig.stub.script(of.slug, Scripted(drop="before", delay_s=0.3))
    messages = [await rig.send(of, text) for text in ("one", "two")]
    statuses = [(await rig.report(of, message)).status for message in messages]
    assert statuses == ["unknown", "sent"]
    assert [r.message_id for r in await rig.reports(of)] == messages


async def test_a_slow_account_delays_no_other(rig: Rig) -> None:
    slow = await rig.connect("messenger", "isolation-slow")
    quick = await rig.connect("messenger", "isolation-quick")
    call_s = 0.9
    rig.stub.script(slow.slug, *[Scripted(delay_s=call_s)] * 40)
    for number in range(40):
        await rig.send(slow, "x", session=f"ses_slow_{number}", visitor=f"v{number}")
    for number in range(5):  # a few, so that some share a partition with the slow ones
        message = await rig.send(quick, "y", session=f"ses_q_{number}", visitor=f"v{number}")
        assert (await rig.report(quick, message)).status == "sent"
    assert len(rig.stub.sent(slow.slug)) < 40, "the slow ones were still going out"

    async def all_out() -> bool:
        return len(rig.stub.sent(slow.slug)) == 40

    await until(all_out, "the slow ones")
    at = [item.at for item in rig.stub.sent(slow.slug)]
    apart = [later - earlier for earlier, later in zip(at, at[8:], strict=False)]
    assert min(apart) > timedelta(seconds=call_s * 0.9), "at most eight calls at once"


async def test_e1_too_fast_makes_the_account_wait_and_no_other(rig: Rig) -> None:
    of = await rig.connect("line", "throttled")
    other = await rig.connect("line", "not-throttled")
    too_fast = {"message": "The API rate limit has been exceeded."}
    rig.stub.script(of.slug, Scripted(status=429, body=too_fast, headers={"Retry-After": "4"}))
    first = await rig.send(of, "one", session="ses_t1", visitor="v1")
    await until(called(rig, of), "the refusal")
    await asyncio.sleep(0.3)
    second = await rig.send(of, "two", session="ses_t2", visitor="v2")
    elsewhere = await rig.send(other, "three", session="ses_t3", visitor="v3")
    assert (await rig.report(other, elsewhere)).status == "sent"
    assert len(rig.stub.sent(of.slug)) == 1, "which waited meanwhile"
    assert metrics.PAUSED_ACCOUNTS._value.get() >= 1
    for message in (first, second):
        assert (await rig.report(of, message)).status == "sent"
    at = [item.at for item in rig.stub.sent(of.slug)]
    assert at[1] - at[0] > timedelta(seconds=3.9)


async def test_e6_a_revoked_credential_rests_the_account(rig: Rig) -> None:
    of = await rig.connect("messenger", "revoked")
    rig.stub.script(of.slug, *[Scripted(status=401, body={"error": {"code": 190}})] * 9)
    first = await rig.send(of, "one", session="ses_r1", visitor="v1")
    assert (await rig.report(of, first)).reason == "credential"
    for number in range(5):
        await rig.send(of, "more", session=f"ses_r{number + 2}", visitor=f"v{number}")
    await asyncio.sleep(0.5)
    assert len(rig.stub.sent(of.slug)) == 1, "no storm of refusals"


async def test_a_message_delivered_twice_is_sent_once_and_reported_again(rig: Rig) -> None:
    of = await rig.connect("messenger", "twice")
    message = await rig.send(of, "hi")
    await rig.report(of, message)
    stored = await rig.bus.read(subjects.OUTBOUND, f"out.*.{of.slug}.*")
    await rig.bus.publish(stored[0].subject, stored[0].data, msg_id="replayed")
    await asyncio.sleep(0.5)
    assert rig.stub.shown(of.slug) == ["hi"]
    assert len(await rig.reports(of)) == 1


UNSENDABLE = {
    "an account that is gone": ({"account": "nobody"}, "account_unavailable"),
    "a workspace that is not the account's": ({"workspace": "other"}, "account_unavailable"),
    "content that the channel cannot carry": (
        {"parts": (MediaPart(kind="image", url="https://x.example/a.jpg"),)},
        "bad_content",
    ),
}


@pytest.mark.parametrize(("change", "reason"), UNSENDABLE.values(), ids=UNSENDABLE)
async def test_what_cannot_be_sent_is_failed_without_a_call(
    rig: Rig, change: dict[str, object], reason: str
) -> None:
    name = list(UNSENDABLE.values()).index((change, reason))
    of = await rig.connect("messenger", f"unsendable-{name}")
    template = await rig.send(of, "x", session="ses_template")
    await rig.report(of, template)
    stored = await rig.bus.read(subjects.OUTBOUND, f"out.*.{of.slug}.*")
    request = msgspec.structs.replace(
        msgspec.json.decode(stored[0].data, type=SendRequest),
        message_id=f"msg_unsendable_{name}",
        **change,
    )
    await rig.bus.publish(stored[0].subject, msgspec.json.encode(request), msg_id=f"u{name}")
    target = msgspec.structs.replace(of, slug=request.account, workspace=request.workspace)
    report = await rig.report(target, request.message_id)
    assert (report.status, report.reason) == ("failed", reason)
    assert len(rig.stub.sent(of.slug)) == 1


async def test_what_nobody_can_read_is_buried(rig: Rig) -> None:
    subject = subjects.outbound("acme", "buried", "v", "ses_buried")
    await rig.bus.publish(subject, b'{"broken":', msg_id="broken")

    async def buried() -> list[bytes]:
        stored = await rig.bus.read(DEAD, subjects.dead("notifier", subject))
        return [message.data for message in stored]

    assert await until(buried, "the burial") == [b'{"broken":']
