"""A mail goes out once; what SMTP leaves open is one flagged duplicate. Real store, real server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from libs.common.mails import (
    MAILINGS,
    SUPPRESSIONS,
    Mail,
    Mailed,
    Mailing,
    Suppression,
    suppression_id,
)
from libs.common.simulate.kept_mail import KeptMail
from libs.common.simulate.mail_sink import MailSink, running_sink
from services.notifier.mail_sweep import sweep_mails
from services.notifier.mailer import GIVE_UP, PAUSES_S, Mailer
from tests.notifier.mail_rig import ADA, Post, mail, posting


@pytest.fixture
async def post(empty_store: Path, tmp_path: Path) -> AsyncIterator[Post]:
    async with posting(empty_store, tmp_path) as made:
        yield made


async def line_of(post: Post, key: str = "m1") -> Mailing:
    found = await post.store.get(MAILINGS, "acme", key)
    assert found is not None
    return found


async def test_a_mail_goes_out_with_both_bodies_and_is_on_record(post: Post) -> None:
    mailed = await post.mailer().send(mail())
    assert mailed == Mailed(state="sent")
    [kept] = post.sink.mails
    assert (kept.sender, kept.to, kept.subject) == ("alerts@example.com", (ADA,), "Hello")
    assert (kept.text, kept.html) == ("Plain.\n", "<p>Rich.</p>")
    line = await line_of(post)
    assert (line.state, line.tries, line.sent_at) == ("sent", 1, post.clock.at)
    assert dict(kept.headers)["Message-ID"] == f"<{line.message_id}>"


async def test_the_same_key_is_the_same_mail(post: Post) -> None:
    for _ in range(2):
        for mailer in (post.mailer(), post.mailer()):
            assert (await mailer.send(mail())).state == "sent"
    assert len(post.sink.mails) == 1
    await post.mailer().send(mail(key="m2"))
    assert len(post.sink.mails) == 2


async def test_two_processes_with_the_same_mail_at_the_same_time_send_one(post: Post) -> None:
    mailers = [post.mailer() for _ in range(4)]
    mailed = await asyncio.gather(*(mailer.send(mail()) for mailer in mailers))
    assert len(post.sink.mails) == 1
    assert {each.state for each in mailed} <= {"sent", "waiting"}
    assert (await line_of(post)).state == "sent"


async def test_a_connection_serves_many_mails(post: Post) -> None:
    mailer = post.mailer()
    for number in range(5):
        assert (await mailer.send(mail(key=f"k{number}"))).state == "sent"
    post.sink.at_rcpt[ADA].append("450 4.2.1 later")
    assert (await mailer.send(mail(key="refused"))).state == "waiting"
    assert (await mailer.send(mail(key="after"))).state == "sent"
    assert len(post.sink.mails) == 6


Plan = Callable[[MailSink], object]

REFUSALS: dict[str, tuple[Plan, Mailed]] = {
    "a mailbox that is busy waits": (
        lambda sink: sink.at_rcpt[ADA].append("450 4.2.1 mailbox busy"),
        Mailed(state="waiting", reason="busy", code=450, delay_s=PAUSES_S[0]),
    ),
    "a greylisting server waits": (
        lambda sink: sink.at_rcpt[ADA].append("451 4.7.1 greylisted"),
        Mailed(state="waiting", reason="busy", code=451, delay_s=PAUSES_S[0]),
    ),
    "content that is refused for now waits, and is no duplicate": (
        lambda sink: sink.at_data.append("452 4.3.1 disk full"),
        Mailed(state="waiting", reason="busy", code=452, delay_s=PAUSES_S[0]),
    ),
    "content that is refused is given up": (
        lambda sink: sink.at_data.append("554 5.7.1 spam"),
        Mailed(state="failed", reason="refused", code=554),
    ),
    "a mailbox that does not exist is given up": (
        lambda sink: sink.at_rcpt[ADA].append("550 5.1.1 no such user"),
        Mailed(state="failed", reason="bounced", code=550),
    ),
    "a mailbox that does not exist, without an enhanced code": (
        lambda sink: sink.at_rcpt[ADA].append("553 sorry"),
        Mailed(state="failed", reason="bounced", code=553),
    ),
    "mail that is not wanted is given up, and is not the address's fault": (
        lambda sink: sink.at_rcpt[ADA].append("550 5.7.1 blocked"),
        Mailed(state="failed", reason="refused", code=550),
    ),
    "a full mailbox is given up, and is not the address's fault": (
        lambda sink: sink.at_rcpt[ADA].append("552 5.2.2 full"),
        Mailed(state="failed", reason="refused", code=552),
    ),
}


@pytest.mark.parametrize(("plan", "expected"), REFUSALS.values(), ids=REFUSALS)
async def test_what_the_server_refuses(post: Post, plan: Plan, expected: Mailed) -> None:
    plan(post.sink)
    assert await post.mailer().send(mail()) == expected
    line = await line_of(post)
    assert (line.state, line.reason, line.code) == (
        expected.state,
        expected.reason,
        expected.code,
    )
    assert line.refused == ((ADA,) if expected.state == "failed" else ())
    again = await post.mailer().send(mail())
    kept = list(post.sink.mails)
    if expected.state == "failed":
        assert (again, kept) == (expected, [])
    else:
        assert (again.state, len(kept)) == ("sent", 1)
        assert "X-Maybe-Duplicate" not in dict(kept[0].headers)
    suppressed = await post.store.get(SUPPRESSIONS, "acme", suppression_id(ADA))
    assert (suppressed is not None) == (expected.reason == "bounced")


async def test_an_address_that_does_not_exist_is_left_alone_for_a_month(post: Post) -> None:
    post.sink.at_rcpt[ADA].append("550 5.1.1 no such user")
    assert (await post.mailer().send(mail())).reason == "bounced"
    other = mail(key="m2", to=ADA.upper())
    assert await post.mailer().send(other) == Mailed(state="suppressed", reason="bounced")
    assert (await post.mailer().send(mail(key="m3", workspace="other"))).state == "sent"
    post.clock.later(days=31)
    assert (await post.mailer().send(mail(key="m4"))).state == "sent"
    assert [each.to for each in post.sink.mails] == [(ADA,)] * 2


SCOPES = {
    "who unsubscribed as a visitor gets no reply": ("visitor", "visitor", "suppressed"),
    "who unsubscribed as a visitor is still alerted as an agent": ("visitor", "alert", "sent"),
    "who does not exist gets no reply": ("all", "visitor", "suppressed"),
    "who does not exist is not alerted": ("all", "alert", "suppressed"),
}


@pytest.mark.parametrize(("scope", "kind", "expected"), SCOPES.values(), ids=SCOPES)
async def test_suppressed(post: Post, scope: str, kind: str, expected: str) -> None:
    raw = {
        "id": suppression_id(ADA, scope),  # type: ignore[arg-type]
        "workspace": "acme",
        "scope": scope,
        "reason": "unsubscribed",
        "shown": "a…@example.org",
        "since": post.clock.at,
    }
    await post.store.insert(SUPPRESSIONS, msgspec.convert(raw, Suppression))
    assert (await post.mailer().send(mail(kind=kind))).state == expected
    assert len(post.sink.mails) == (expected == "sent")


async def test_a_bad_address_is_given_up_at_once(post: Post) -> None:
    bad = mail(to="ada@example.org\r\nRCPT TO:<x@evil.example>")
    assert await post.mailer().send(bad) == Mailed(state="failed", reason="bad_email")
    assert not post.sink.mails


async def test_without_a_server_nothing_is_sent(post: Post) -> None:
    mailer = Mailer(post.store, None, now=post.clock)
    assert await mailer.send(mail()) == Mailed(state="off", reason="no_smtp")
    assert await post.store.get(MAILINGS, "acme", "m1") is None


async def test_a_server_that_is_down_for_a_while_gets_it_once(post: Post) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    mailer = post.mailer(url=f"smtp+plain://127.0.0.1:{port}")
    pauses = []
    for _ in range(3):
        mailed = await mailer.send(mail())
        assert (mailed.state, mailed.reason) == ("waiting", "unreachable")
        pauses.append(mailed.delay_s)
        post.clock.later(seconds=mailed.delay_s)
    assert tuple(pauses) == PAUSES_S[:3]
    async with running_sink(port=port) as late:
        assert (await mailer.send(mail())).state == "sent"
        assert (await mailer.send(mail())).state == "sent"
        assert len(late.mails) == 1
        assert "X-Maybe-Duplicate" not in dict(late.mails[0].headers)
        await mailer_closed(post)


async def mailer_closed(post: Post) -> None:
    while post.lines:
        await post.lines.pop().close()


async def test_a_mail_is_given_up_after_hours(post: Post) -> None:
    mailer = post.mailer(url="smtp+plain://127.0.0.1:1")
    tries = 0
    while (mailed := await mailer.send(mail())).state == "waiting":
        tries += 1
        post.clock.later(seconds=mailed.delay_s)
    assert mailed == Mailed(state="failed", reason="too_late")
    assert 8 <= tries <= 15
    line = await line_of(post)
    assert GIVE_UP <= line.updated_at - line.first_at < GIVE_UP + timedelta(hours=1)


async def stalled(sink: MailSink) -> None:
    """Have the server take the next mail, and answer too late."""

    async def stall(_mail: KeptMail) -> None:
        await asyncio.sleep(1.5)

    sink.before_answer = stall


async def test_a6_an_answer_that_does_not_come_makes_one_flagged_duplicate(post: Post) -> None:
    mailer = post.mailer(timeout_s=0.5)
    await stalled(post.sink)
    first = await mailer.send(mail())
    assert (first.state, first.reason) == ("waiting", "in_doubt")
    post.sink.before_answer = None
    second = await mailer.send(mail())
    assert (second.state, second.maybe_duplicate) == ("sent", True)
    assert (await mailer.send(mail())).state == "sent"
    flags = [dict(kept.headers).get("X-Maybe-Duplicate") for kept in post.sink.mails]
    ids = {dict(kept.headers)["Message-ID"] for kept in post.sink.mails}
    assert (flags, len(ids)) == ([None, "yes"], 1)
    assert (await line_of(post)).maybe_duplicate


async def test_a6_what_stays_in_doubt_twice_is_never_sent_a_third_time(post: Post) -> None:
    mailer = post.mailer(timeout_s=0.5)
    await stalled(post.sink)
    assert (await mailer.send(mail())).state == "waiting"
    assert await mailer.send(mail()) == Mailed(
        state="unknown", reason="in_doubt", maybe_duplicate=True
    )
    post.sink.before_answer = None
    assert (await mailer.send(mail())).state == "unknown"
    assert len(post.sink.mails) == 2


async def died(post: Post, **changes: object) -> Mail:
    """Leave the mark of a process that died with the mail half given."""
    mark = {
        "id": "m1",
        "workspace": "acme",
        "kind": "alert",
        "state": "started",
        "message_id": "m.0@example.com",
        "tries": 1,
        "first_at": post.clock.at,
        "started_at": post.clock.at,
        "updated_at": post.clock.at,
        **changes,
    }
    await post.store.insert(MAILINGS, msgspec.convert(mark, Mailing))
    return mail()


async def test_a6_who_finds_a_started_mail_waits_then_sends_it_flagged(post: Post) -> None:
    waiting = await died(post)
    mailer = post.mailer(timeout_s=10)
    early = await mailer.send(waiting)
    assert (early.state, early.reason) == ("waiting", "elsewhere")
    assert early.delay_s == pytest.approx(22)
    assert not post.sink.mails
    post.clock.later(seconds=early.delay_s)
    assert (await mailer.send(waiting)).maybe_duplicate
    [kept] = post.sink.mails
    assert dict(kept.headers)["X-Maybe-Duplicate"] == "yes"
    assert dict(kept.headers)["Message-ID"] == "<m.0@example.com>"


async def test_a6_a_second_death_leaves_it_unknown(post: Post) -> None:
    waiting = await died(post, maybe_duplicate=True)
    post.clock.later(seconds=30)
    assert (await post.mailer(timeout_s=10).send(waiting)).state == "unknown"
    assert not post.sink.mails


async def test_a6_a_flagged_mail_that_a_server_refuses_for_now_stays_flagged(post: Post) -> None:
    waiting = await died(post)
    post.clock.later(seconds=30)
    post.sink.at_rcpt[ADA].append("450 later")
    mailer = post.mailer(timeout_s=10)
    assert (await mailer.send(waiting)).state == "waiting"
    assert (await mailer.send(waiting)).maybe_duplicate
    assert len(post.sink.mails) == 1


async def test_g16_old_lines_and_ended_suppressions_are_forgotten_and_nothing_else(
    post: Post,
) -> None:
    store, now = post.store, post.clock()
    ages = {f"old{n}": 31 for n in range(201)} | {"young": 29}
    for key, days in ages.items():
        at = now - timedelta(days=days)
        line = Mailing(
            id=key, workspace="acme", kind="alert", state="sent", first_at=at, updated_at=at
        )
        await store.insert(MAILINGS, line)
    ends = {"over": now - timedelta(seconds=1), "bounced": now + timedelta(days=1), "no": None}
    for key, until in ends.items():
        entry = Suppression(
            id=key, workspace="acme", reason="bounced", shown="a…", since=now, until=until
        )
        await store.insert(SUPPRESSIONS, entry)
    assert await sweep_mails(store, ["acme"], now) == 202
    assert list(await store.get_many(MAILINGS, "acme", list(ages))) == ["young"]
    assert set(await store.get_many(SUPPRESSIONS, "acme", list(ends))) == {"bounced", "no"}
