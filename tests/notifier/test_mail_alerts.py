"""Alerts by email, from the stream to the mail server: real NATS, SQLite and SMTP."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.common.alerts import ATTENTION, Alert
from libs.common.documents import AGENTS
from libs.common.events import MessageDeleted
from libs.common.mails import MAILINGS
from libs.common.simulate.kept_mail import KeptMail
from libs.common.switches import Alerting, RemoveBranding
from libs.common.unsubscribe import EndAlert, unsubscribe_keys, verify
from services.notifier import faults, mail_worker
from services.notifier.mail import mailing_alerts
from tests.nats_server import NatsProcess
from tests.notifier.attention_rig import engine, later, open_desk
from tests.notifier.mail_rig import FROM, Stage, mailing_process, mailing_replica, staged_mail
from tests.notifier.rig import until


@pytest.fixture
async def stage(
    nats_process: NatsProcess, empty_store: Path, tmp_path: Path
) -> AsyncIterator[Stage]:
    async with staged_mail(nats_process.url, empty_store, tmp_path, smtp_timeout_s=2.0) as made:
        yield made


async def test_an_alert_is_mailed_with_what_was_said_and_how_to_stop(stage: Stage) -> None:
    alert = await stage.waits("s1")
    async with mailing_replica(stage):
        await stage.publish(alert)
        [kept] = await stage.mailed(1)
    headers = dict(kept.headers)
    assert kept.to == ("ada@example.org",)
    assert kept.subject == "3 new messages from Vera (LINE)"
    for body in (kept.text, kept.html):
        assert all(f"words {n}" in body for n in (1, 2, 3))
        assert "https://desk.example/#/sessions/s1" in body
        assert "Relaydesk" in body
    assert headers["Auto-Submitted"] == "auto-generated"
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = re.fullmatch(r"<https://desk\.example/unsubscribe\?t=(.+)>", headers["List-Unsubscribe"])
    assert link
    keys = unsubscribe_keys(stage.settings.secret_key)
    assert verify(keys, link[1]) == EndAlert(
        workspace="acme", agent="ada", trigger="unassigned.message"
    )


async def test_d09_a_mail_of_the_ladder_is_ended_as_a_notice_and_goes_with_what_waits(
    stage: Stage,
) -> None:
    called: dict[str, Any] = {"trigger": "notice", "because": "nobody_reacted", "rung": 2}
    await stage.publish(await stage.waits("s1", **called))
    await cleared(stage)
    await stage.publish(await stage.waits("s2", "bob", **called))
    async with mailing_replica(stage):
        [kept] = await stage.mailed(1)
        await stage.settled()
    assert [kept.to for kept in stage.sink.mails] == [("bob@example.org",)]
    assert (kept.subject, "words 3" in kept.text) == ("Nobody has reacted: Vera (LINE)", True)
    [token] = re.findall(r"unsubscribe\?t=(.+)>", dict(kept.headers)["List-Unsubscribe"])
    wish = EndAlert(workspace="acme", agent="bob", trigger="notice")
    assert verify(unsubscribe_keys(stage.settings.secret_key), token) == wish


async def test_d09_the_subject_counts_all_that_the_mail_shows(stage: Stage) -> None:
    alert = await stage.waits("s1", count=1)
    async with mailing_replica(stage):
        await stage.publish(alert)
        [kept] = await stage.mailed(1)
    assert kept.subject == "3 new messages from Vera (LINE)"


async def test_what_was_seen_unsent_or_edited_meanwhile_is_as_it_stands(stage: Stage) -> None:
    alert = await stage.waits("s1")
    await stage.change("s1", reads={"ada": 1})
    gone = MessageDeleted(event_id="e1", visitor="s1", occurred_at=alert.at, target="s1-p3")
    await stage.says(
        "s1",
        0,
        "",
        key="e1",
        kind="event",
        timeline=None,
        target=("s1-p3",),
        event=gone,
        parts=(),
        provider_ids=(),
    )
    async with mailing_replica(stage):
        await stage.publish(alert)
        [kept] = await stage.mailed(1)
    told = [n for n in (1, 2, 3) if f"words {n}" in kept.text]
    assert told == [2], "1 was read, 3 was unsent"


async def seen(stage: Stage) -> None:
    await stage.change("s1", reads={"ada": 3})


async def cleared(stage: Stage) -> None:
    found = await stage.store.get(ATTENTION, "acme", "s1")
    assert found
    await stage.store.replace(ATTENTION, msgspec.structs.replace(found, watches=()))


async def left(stage: Stage) -> None:
    found = await stage.store.get(AGENTS, "acme", "ada")
    assert found
    await stage.store.replace(AGENTS, msgspec.structs.replace(found, disabled=True))


async def gone(stage: Stage) -> None:
    await stage.store.delete(AGENTS, "acme", "ada")


async def renewed(stage: Stage, **more: Any) -> None:
    """A burst after that of the alert takes its place, as another alert of the same agent."""
    found = await stage.store.get(ATTENTION, "acme", "s1")
    assert found
    watch = msgspec.structs.replace(found.watches[0], alert="s1:2:ada", **more)
    await stage.store.replace(ATTENTION, msgspec.structs.replace(found, watches=(watch,)))


async def mailed_later(stage: Stage) -> None:
    await renewed(stage, email_at=datetime.now(UTC) + timedelta(minutes=5))


async def mailed_since(stage: Stage) -> None:
    await renewed(stage, told={"email": datetime.now(UTC) + timedelta(seconds=1)})


MOOT: dict[str, Callable[[Stage], Awaitable[None]]] = {
    "who has read it gets no email": seen,
    "who need not look any more gets none": cleared,
    "who gets an email of a later burst gets none of the former": mailed_later,
    "who got an email of a later burst gets none of the former": mailed_since,
    "who has left gets none": left,
    "who is gone gets none": gone,
}


@pytest.mark.parametrize("change", MOOT.values(), ids=MOOT)
async def test_moot(stage: Stage, change: Callable[[Stage], Awaitable[None]]) -> None:
    alert = await stage.waits("s1")
    await change(stage)
    other = await stage.waits("s2", "bob")
    async with mailing_replica(stage):
        await stage.publish(alert, other)
        await stage.mailed(1)
        await stage.settled()
    assert [kept.to for kept in stage.sink.mails] == [("bob@example.org",)]


async def test_a_later_burst_without_an_email_of_its_own_drops_none(stage: Stage) -> None:
    alert = await stage.waits("s1")
    await renewed(stage, told={"email": alert.at - timedelta(milliseconds=1)})
    async with mailing_replica(stage):
        await stage.publish(alert)
        await stage.mailed(1)


async def test_a_mention_is_mailed_although_it_is_forgotten_once_it_was_told(stage: Stage) -> None:
    alert = await stage.waits("s1", trigger="mention", excerpt="@ada look")
    await cleared(stage)
    async with mailing_replica(stage):
        await stage.publish(alert)
        [kept] = await stage.mailed(1)
    assert "@ada look" in kept.text
    assert "words" not in kept.text


async def test_g14_a_mail_that_cannot_be_made_is_buried(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_args: object) -> None:
        raise KeyError("a fault of ours")

    monkeypatch.setattr(mail_worker, "compose", wrong)
    monkeypatch.setattr(faults, "TRIES", 1)
    async with mailing_replica(stage):
        await stage.publish(await stage.waits("s1"))
        async with asyncio.timeout(5):
            await stage.settled()
    assert not stage.sink.mails


async def test_what_is_updated_or_cleared_is_not_mailed(stage: Stage) -> None:
    alert = await stage.waits("s1")
    await stage.publish(
        msgspec.structs.replace(alert, kind="updated", n=1),
        msgspec.structs.replace(alert, kind="cleared", n=2),
    )
    async with mailing_replica(stage):
        await stage.settled()
    assert not stage.sink.mails


async def test_without_a_mail_server_alerts_pass_by(
    nats_process: NatsProcess, empty_store: Path, tmp_path: Path
) -> None:
    async with staged_mail(nats_process.url, empty_store, tmp_path, smtp_url="") as stage:
        await stage.publish(await stage.waits("s1"))
        async with mailing_replica(stage):
            await stage.settled()
        assert not stage.sink.mails


@pytest.mark.parametrize("removed", [True, False])
async def test_a22_the_workspace_decides_whether_our_name_is_shown(
    stage: Stage, *, removed: bool
) -> None:
    await stage.policy(remove_branding=RemoveBranding(email=removed))
    alert = await stage.waits("s1")
    async with mailing_replica(stage):
        await stage.publish(alert)
        [kept] = await stage.mailed(1)
    assert ("Relaydesk" in kept.text) is not removed
    assert ("Relaydesk" in kept.html) is not removed


async def test_two_replicas_mail_each_alert_once(stage: Stage) -> None:
    alerts = [await stage.waits(f"s{n}") for n in range(30)]
    async with mailing_replica(stage), mailing_replica(stage):
        await stage.publish(*alerts)
        await stage.publish(*alerts)
        await stage.mailed(30, within_s=20)
        await stage.settled()
    ids = [dict(kept.headers)["Message-ID"] for kept in stage.sink.mails]
    assert len(ids) == len(set(ids)) == 30


async def test_a_busy_mailbox_gets_it_later_and_delays_nobody_else(stage: Stage) -> None:
    stage.sink.at_rcpt["ada@example.org"].append("450 4.2.1 busy")
    first, second = await stage.waits("s1"), await stage.waits("s2", "bob")
    async with mailing_replica(stage):
        await stage.publish(first, second)
        [quick] = await stage.mailed(1)
        assert quick.to == ("bob@example.org",)
        _, late = await stage.mailed(2, within_s=12)
    assert late.to == ("ada@example.org",)


async def test_a6_a_kill_after_the_server_took_it_makes_at_most_one_flagged_duplicate(
    stage: Stage, tmp_path: Path
) -> None:
    alerts: list[Alert] = [await stage.waits("s1"), await stage.waits("s2", "bob")]
    took = asyncio.Event()

    async def hang(kept: KeptMail) -> None:
        if kept.to == ("ada@example.org",) and not took.is_set():
            took.set()
            await asyncio.sleep(30)

    async def bobs_is_known() -> bool:
        line = await stage.store.get(MAILINGS, "acme", f"alert:{alerts[1].id}:0")
        return line is not None and line.state == "sent"

    stage.sink.before_answer = hang
    async with mailing_process(stage, tmp_path, "first") as first:
        await stage.publish(*alerts)
        async with asyncio.timeout(20):
            await took.wait()
        await until(bobs_is_known, "the record of Bob's")
        first.kill()
        await first.wait()
    async with mailing_process(stage, tmp_path, "second"):
        mails = await stage.mailed(3, within_s=25)
        await stage.settled()
    to_ada = [dict(kept.headers) for kept in mails if kept.to == ("ada@example.org",)]
    assert [headers.get("X-Maybe-Duplicate") for headers in to_ada] == [None, "yes"]
    assert len({headers["Message-ID"] for headers in to_ada}) == 1, "mail systems fold them"
    assert len([kept for kept in mails if kept.to == ("bob@example.org",)]) == 1
    lines = [await stage.store.get(MAILINGS, "acme", f"alert:{each.id}:0") for each in alerts]
    assert [(line.state, line.maybe_duplicate) for line in lines if line] == [
        ("sent", True),
        ("sent", False),
    ]


async def test_c03_a_burst_of_thirty_is_one_email(
    stage: Stage, nats_process: NatsProcess, tmp_path: Path
) -> None:
    alerts = Alerting(window_s=2, email_after_s=2, escalation=())
    (tmp_path / "desk").mkdir()
    async with open_desk(nats_process.url, tmp_path / "desk", alerts=alerts) as desk:
        found = await stage.store.get(AGENTS, "acme", "bob")
        assert found
        bob = msgspec.structs.replace(found, workspace=desk.workspace, rev=0)
        await desk.store.insert(AGENTS, bob)
        await desk.prefers("bob", triggers={"unassigned.message": ("browser", "email")})
        await desk.opens("s1")
        await desk.is_online("bob")
        stop = asyncio.Event()
        async with (
            engine(desk) as directory,
            mailing_alerts(stage.settings, (desk.bus, desk.store, directory), stop),
        ):
            await desk.writes("s1", 30)
            [kept] = await stage.mailed(1)
            await later(1.5)
            stop.set()
        assert len(stage.sink.mails) == 1
        assert kept.subject == "30 new messages from Vera (LINE)"
        assert kept.sender == "alerts@example.com" in FROM
