"""A20: replies to visitors of the web chat who have left, with a real mail sink.

Visitors are gone after a second here, and an email waits for one more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.common import subjects, timers
from libs.common.awaited import AWAITED, WRITTEN, Awaited, Letter, Reply, Written, written_id
from libs.common.channel import Account
from libs.common.channels.web.wire import SignOfLife, VisitorMessage, returning
from libs.common.documents import (
    COLLECTIONS,
    CONTACTS,
    MESSAGES,
    SESSIONS,
    Contact,
    Message,
    SenderKind,
)
from libs.common.events import TextPart, Timer
from libs.common.ids import derive_id
from libs.common.mails import SUPPRESSIONS, Suppression, suppression_id
from libs.common.policy import Policy
from libs.common.simulate.kept_mail import KeptMail
from libs.common.simulate.mail_sink import MailSink, running_sink
from libs.common.simulate.stub import Stub, running_stub
from libs.common.store.api import Store
from libs.common.store.open import open_store
from libs.common.subjects import POLICY_KV, VISITORS, visitor_signs
from libs.common.switches import OfflineVisitors, RemoveBranding, Settings
from services.notifier.offline import MACHINES_A_DAY, MAILS_A_DAY
from tests.notifier.rig import Rig, notifying, spawned, staged, until

PUBLIC = "https://chat.example.com"
VISITOR = "visitor-1"
SHORT = OfflineVisitors(after_s=1, quiet_s=1)
OVER_S = 4.0
"""By then an email would have come."""


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with running_stub() as running:
        yield running


class Shop:
    """A workspace with a web account, whose visitor has written from a form."""

    def __init__(self, rig: Rig, store: Store, sink: MailSink, of: Account) -> None:
        self.rig = rig
        self.store = store
        self.sink = sink
        self.of = of
        self.session = f"ses_{of.slug}"
        self.address = f"eve@{of.slug}.example.org"

    async def furnish(self, settings: Settings, *, email: str | None = None) -> None:
        of, now = self.of, datetime.now(UTC)
        await self.rig.bus.kv_put(
            POLICY_KV, of.workspace, msgspec.json.encode(Policy(settings=settings))
        )
        await self.rig.talk(
            of, self.session, contact_email=self.address if email is None else email
        )
        asked = Message(
            id=f"in_{of.slug}",
            workspace=of.workspace,
            account=of.slug,
            key="in",
            session=self.session,
            visitor=VISITOR,
            kind="message",
            direction="in",
            sender="visitor",
            timeline=self.session,
            occurred_at=now - timedelta(minutes=1),
            received_at=now,
            parts=(TextPart(text="Where is my lamp? see https://spam.example/buy"),),
        )
        await self.store.insert(MESSAGES, asked)
        await asyncio.sleep(0.1)  # until the watch has brought the settings

    async def answers(self, text: str, *, sender: SenderKind = "agent", **more: Any) -> str:
        """Let an agent answer, or a machine, as the router would store and queue it."""
        now = datetime.now(UTC)
        sent = await self.rig.send(
            self.of, text, session=self.session, visitor=VISITOR, thread=None, **more
        )
        said = Message(
            id=sent,
            workspace=self.of.workspace,
            account=self.of.slug,
            key=sent,
            session=self.session,
            visitor=VISITOR,
            kind="message",
            direction="out",
            sender=sender,
            sender_id="ada",
            sender_name="Ada",
            timeline=self.session,
            occurred_at=now,
            received_at=now,
            parts=(TextPart(text=text),),
        )
        await self.store.insert(MESSAGES, said)
        await self.rig.report(self.of, sent)
        return sent

    @asynccontextmanager
    async def online(self, every_s: float = 0.1) -> AsyncIterator[None]:
        """Keep the visitor's page open."""

        async def beat() -> None:
            while True:
                self.beat()
                await asyncio.sleep(every_s)

        beating = asyncio.create_task(beat())
        try:
            yield
        finally:
            beating.cancel()

    def beat(self) -> None:
        sign = SignOfLife(account=self.of.slug, visitor=VISITOR, at=datetime.now(UTC))
        subject = visitor_signs(self.of.workspace, self.of.slug)
        self.rig.bus.shout(subject, msgspec.json.encode(sign))

    @property
    def mails(self) -> list[KeptMail]:
        return self.sink.to(self.address)

    async def mailed(self) -> KeptMail:
        async def there() -> bool:
            return bool(self.mails)

        await until(there, "an email")
        return self.mails[0]

    async def not_emailed(self) -> str:
        """Return what the timeline is told of an email that came to nothing."""
        reports = [r for r in await self.rig.reports(self.of) if r.via == "email"]
        return ",".join(report.reason for report in reports if report.status == "failed")

    async def settled(self) -> Awaited:
        async def over() -> Awaited | None:
            found = await self.store.get(AWAITED, self.of.workspace, self.session)
            return found if found and found.due_at is None and found.letter is None else None

        return await until(over, "nothing left to do")

    async def shown(self) -> list[str]:
        """Return what the visitor's plugin shows when it comes back."""
        token = derive_id("vis", self.of.slug, VISITOR)
        subject = subjects.visitor(self.of.workspace, self.of.slug, token)
        stored = await self.rig.bus.read(VISITORS, subject)
        found = [msgspec.json.decode(each.data, type=VisitorMessage) for each in stored]
        return [part.text for each in found for part in each.parts if isinstance(part, TextPart)]


class Street:
    """Where shops are opened: one store and one sink for all."""

    def __init__(self, rig: Rig, store: Store, sink: MailSink) -> None:
        self.rig = rig
        self.store = store
        self.sink = sink

    async def shop(
        self, slug: str, offline: OfflineVisitors = SHORT, *, email: str | None = None, **more: Any
    ) -> Shop:
        of = await self.rig.connect("web", slug, workspace=slug, name="The Lamp Shop")
        shop = Shop(self.rig, self.store, self.sink, of)
        await shop.furnish(Settings(offline_visitors=offline, **more), email=email)
        return shop


@asynccontextmanager
async def street(nats_url: str, folder: Path, stub: Stub, **settings: Any) -> AsyncIterator[Street]:
    async with running_sink() as sink:
        mail = {"smtp_url": sink.url, "mail_from": "Relaydesk <desk@example.com>"}
        chosen = {"public_url": PUBLIC, **mail, **settings}
        async with (
            staged(nats_url, folder, stub, **chosen) as rig,
            open_store(rig.settings.store_url, COLLECTIONS) as store,
        ):
            yield Street(rig, store, sink)


async def test_a20_who_left_gets_one_email_with_both_replies_and_a_way_back(
    nats_url: str, tmp_path: Path, stub: Stub
) -> None:
    async with street(nats_url, tmp_path, stub) as here, notifying(here.rig):
        shop = await here.shop("offline-both")
        ids = [await shop.answers("It left us on Monday."), await shop.answers("It is <late>.")]
        mail = await shop.mailed()
        await shop.settled()
        assert len(shop.mails) == 1
        assert mail.subject == "2 new messages from The Lamp Shop"
        headers = dict(mail.headers)
        assert headers["From"].startswith('"The Lamp Shop"') or "The Lamp Shop" in headers["From"]
        for content in (mail.text, mail.html):
            order = [content.index(words) for words in ("Where is my lamp", "on Monday", "late")]
            assert order == sorted(order)
            assert "Ada" in content
            assert "spam.example" not in content  # what the visitor wrote carries no link
            assert "Answers to this email are not read" in content
            assert "Relaydesk" in content
            assert f"{PUBLIC}/chat/{shop.of.slug}#t=" in content
        assert "<late>" not in mail.html
        token = mail.text.partition("#t=")[2].split()[0]
        claims = returning(shop.of, token, int(datetime.now(UTC).timestamp()))
        assert (claims.v, claims.s) == (VISITOR, shop.session)

        async def told() -> bool:
            reports = [r for r in await here.rig.reports(shop.of) if r.via == "email"]
            return {(r.message_id, r.status) for r in reports} == {(each, "sent") for each in ids}

        await until(told, "word of the email in the timeline")
        assert await shop.shown() == ["It left us on Monday.", "It is <late>."]


async def nothing(_: Shop) -> None:
    """Let the story take its course."""


async def has_read(shop: Shop) -> None:
    known = await shop.store.get(SESSIONS, shop.of.workspace, shop.session)
    assert known is not None
    read = msgspec.structs.replace(known, read_up_to=datetime.now(UTC))
    await shop.store.replace(SESSIONS, read)


async def wrote(shop: Shop) -> None:
    known = await shop.store.get(SESSIONS, shop.of.workspace, shop.session)
    assert known is not None
    await shop.store.replace(SESSIONS, msgspec.structs.replace(known, heard_at=datetime.now(UTC)))


async def came_back(shop: Shop) -> None:
    await asyncio.sleep(0.5)
    shop.beat()


async def had_many(shop: Shop) -> None:
    now = datetime.now(UTC)
    mails = tuple((f"k{number}", now) for number in range(MAILS_A_DAY))
    written = Written(
        id=written_id(shop.address), workspace=shop.of.workspace, mails=mails, updated_at=now
    )
    await shop.store.insert(WRITTEN, written)


async def wants_none(shop: Shop) -> None:
    entry = Suppression(
        id=suppression_id(shop.address, "visitor"),
        workspace=shop.of.workspace,
        scope="visitor",
        reason="unsubscribed",
        shown="e…",
        since=datetime.now(UTC),
    )
    await shop.store.insert(SUPPRESSIONS, entry)


async def has_contact(shop: Shop) -> None:
    contact = Contact(
        id="con_1",
        workspace=shop.of.workspace,
        email=shop.address,
        first_seen_at=datetime.now(UTC),
    )
    await shop.store.insert(CONTACTS, contact)


async def machines_had_many(shop: Shop) -> None:
    now = datetime.now(UTC)
    mails = tuple((f"k{number}", now) for number in range(MACHINES_A_DAY))
    of = written_id(f"machines of {shop.of.slug}")
    written = Written(id=of, workspace=shop.of.workspace, mails=mails, updated_at=now)
    await shop.store.insert(WRITTEN, written)


PLUGIN = OfflineVisitors(method="plugin", after_s=1, quiet_s=1)
Story = tuple[OfflineVisitors, str | None, str, Callable[[Shop], Awaitable[None]], int]
STORIES: dict[str, Story] = {
    "by-email": (SHORT, None, "", nothing, 1),
    "by-plugin": (PLUGIN, None, "", nothing, 0),
    "agent-says-email": (PLUGIN, None, "email", nothing, 1),
    "agent-says-plugin": (SHORT, None, "plugin", nothing, 0),
    "no-address": (SHORT, "", "", nothing, 0),
    "no-real-address": (SHORT, "eve at example", "", nothing, 0),
    "the-contact-has-one": (SHORT, "", "", has_contact, 1),
    "came-back": (SHORT, None, "", came_back, 0),
    "has-read": (SHORT, None, "", has_read, 0),
    "wrote": (SHORT, None, "", wrote, 0),
    "had-many-emails": (SHORT, None, "", had_many, 0),
    "machines-had-many": (SHORT, None, "", machines_had_many, 1),
    "machine-had-many": (SHORT, None, "", machines_had_many, 0),
    "machine-speaks": (SHORT, None, "", nothing, 1),
    "wants-none": (SHORT, None, "", wants_none, 0),
}


async def test_a20_by_email_or_in_the_plugin_as_set_and_as_the_agent_says(
    nats_url: str, tmp_path: Path, stub: Stub
) -> None:
    """All stories at the same time: most of each is waiting."""
    async with street(nats_url, tmp_path, stub) as here, notifying(here.rig):

        async def told(slug: str, story: Story) -> Shop:
            offline, email, choice, event, _ = story
            shop = await here.shop(f"story-{slug}", offline, email=email)
            sender: SenderKind = "bot" if slug.startswith("machine-") else "agent"
            await shop.answers("here you are", offline=choice, sender=sender)
            await event(shop)
            return shop

        shops = {slug: await told(slug, story) for slug, story in STORIES.items()}
        await asyncio.sleep(OVER_S)
        found = {slug: len(shop.mails) for slug, shop in shops.items()}
        assert found == {slug: story[-1] for slug, story in STORIES.items()}
        why = {slug: await shop.not_emailed() for slug, shop in shops.items()}
        assert {slug: reason for slug, reason in why.items() if reason} == {
            "had-many-emails": "limited",
            "machine-had-many": "limited",
            "wants-none": "unsubscribed",
        }
        [machine], [person] = shops["machine-speaks"].mails, shops["by-email"].mails
        assert "Where is my lamp" in person.text
        assert "Where is my lamp" not in machine.text + machine.html
        for shop in shops.values():  # and whatever happened, it waits in the plugin
            assert await shop.shown() == ["here you are"]


async def test_a20_who_is_there_gets_no_email(nats_url: str, tmp_path: Path, stub: Stub) -> None:
    async with street(nats_url, tmp_path, stub) as here, notifying(here.rig):
        shop = await here.shop("offline-online")
        async with shop.online():
            await shop.answers("you see this")
            await shop.settled()
        assert not shop.mails


async def test_a20_two_replicas_send_each_email_once(
    nats_url: str, tmp_path: Path, stub: Stub
) -> None:
    async with (
        street(nats_url, tmp_path, stub) as here,
        notifying(here.rig),
        notifying(here.rig),
    ):
        shops = [await here.shop(f"offline-two-{number}") for number in range(8)]
        await asyncio.gather(*(shop.answers("one") for shop in shops[:1]))
        for shop in shops[1:]:
            await shop.answers("one")
        for shop in shops:
            await shop.settled()
        await asyncio.sleep(0.3)
        assert [len(shop.mails) for shop in shops] == [1] * 8


async def test_a20_a_replica_that_is_killed_costs_no_email_and_doubles_none(
    nats_url: str, tmp_path: Path, stub: Stub
) -> None:
    async with street(nats_url, tmp_path, stub) as here:
        async with spawned(here.rig, tmp_path, "one") as one:
            shop = await here.shop("offline-kill", OfflineVisitors(after_s=2, quiet_s=1))
            await shop.answers("are you there?")
            await until(lambda: noted_of(shop), "a note of the reply")
            await one.kill()
        assert not shop.mails
        async with notifying(here.rig):
            await shop.settled()
            assert len(shop.mails) == 1


async def noted_of(shop: Shop) -> Awaited | None:
    return await shop.store.get(AWAITED, shop.of.workspace, shop.session)


async def test_a20_a_letter_that_was_begun_is_finished_once(
    nats_url: str, tmp_path: Path, stub: Stub
) -> None:
    """As after a crash before the email, and after one behind it."""
    async with street(nats_url, tmp_path, stub) as here:
        shop = await here.shop("offline-begun", OfflineVisitors(method="plugin"))
        async with notifying(here.rig):
            message = await shop.answers("begun")
            now = datetime.now(UTC)
            begun = Awaited(
                id=shop.session,
                workspace=shop.of.workspace,
                account=shop.of.slug,
                visitor=VISITOR,
                replies=(Reply(id=message, at=now, said_at=now),),
                due_at=now,
                letter=Letter(
                    key=f"{shop.session}:{message}", to=shop.address, replies=(message,), at=now
                ),
                updated_at=now,
            )
            kept = await shop.store.insert(AWAITED, begun)
            for _ in range(3):
                await due(here.rig, kept)
                known = await shop.settled()
                assert known.settled == (message,)
                kept = await shop.store.replace(
                    AWAITED, msgspec.structs.replace(begun, rev=known.rev)
                )
            assert len(shop.mails) == 1


async def test_a20_what_has_lost_its_timer_is_found_and_what_is_over_is_forgotten(
    nats_url: str, tmp_path: Path, stub: Stub
) -> None:
    async with street(nats_url, tmp_path, stub) as here:
        shop = await here.shop("offline-sweep")
        message, now = f"in_{shop.of.slug}", datetime.now(UTC)
        lost = Awaited(
            id=shop.session,
            workspace=shop.of.workspace,
            account=shop.of.slug,
            visitor=VISITOR,
            replies=(Reply(id=message, at=now - timedelta(hours=1), said_at=now),),
            due_at=now - timedelta(hours=1),
            updated_at=now - timedelta(hours=1),
        )
        long_ago = now - timedelta(days=9)
        over = msgspec.structs.replace(
            lost, id="ses_over", replies=(), due_at=None, updated_at=long_ago
        )
        fresh = msgspec.structs.replace(over, id="ses_fresh", updated_at=now)
        written = Written(id="someone", workspace=shop.of.workspace, updated_at=long_ago)
        for doc in (lost, over, fresh):
            await shop.store.insert(AWAITED, doc)
        await shop.store.insert(WRITTEN, written)
        async with notifying(here.rig):
            await shop.settled()
        assert len(shop.mails) == 1
        assert await shop.store.get(AWAITED, shop.of.workspace, "ses_over") is None
        assert await shop.store.get(AWAITED, shop.of.workspace, "ses_fresh") is not None
        assert await shop.store.get(WRITTEN, shop.of.workspace, "someone") is None


async def due(rig: Rig, doc: Awaited) -> None:
    """Let the timer of *doc* fire."""
    timer = Timer(kind="offline", workspace=doc.workspace, session=doc.id, due=datetime.now(UTC))
    subject, data, headers = timers.message(timer)
    await rig.bus.publish(subject, data, msg_id="", headers=headers)


async def test_a20_a_notifier_that_starts_calls_nobody_gone_whom_it_has_not_missed(
    nats_url: str, tmp_path: Path, stub: Stub
) -> None:
    async with street(nats_url, tmp_path, stub) as here:
        shop = await here.shop("offline-restart", OfflineVisitors(after_s=2, quiet_s=1))
        async with notifying(here.rig):
            await shop.answers("you see this")
        async with shop.online(every_s=0.9):  # whom nobody hears at first
            await asyncio.sleep(2.2)
            async with notifying(here.rig):
                await shop.settled()
        assert not shop.mails


async def test_a20_without_a_public_address_there_is_no_link(
    nats_url: str, tmp_path: Path, stub: Stub
) -> None:
    async with street(nats_url, tmp_path, stub, public_url="") as here, notifying(here.rig):
        shop = await here.shop("offline-nolink")
        await shop.answers("no way back")
        mail = await shop.mailed()
        assert "#t=" not in mail.text + mail.html
        assert "answer on our site" in mail.text


async def test_a22_our_name_is_not_in_the_email_where_it_is_removed(
    nats_url: str, tmp_path: Path, stub: Stub
) -> None:
    async with street(nats_url, tmp_path, stub) as here, notifying(here.rig):
        shop = await here.shop("offline-plain", remove_branding=RemoveBranding(email=True))
        await shop.answers("nobody's name")
        mail = await shop.mailed()
        assert "Relaydesk" not in mail.text + mail.html


async def test_a20_without_a_mail_server_replies_wait_and_nothing_is_noted(
    nats_url: str, tmp_path: Path, stub: Stub
) -> None:
    off = {"smtp_url": "", "mail_from": ""}
    async with street(nats_url, tmp_path, stub, **off) as here, notifying(here.rig):
        shop = await here.shop("offline-off")
        await shop.answers("in the plugin")
        assert await noted_of(shop) is None
        assert await shop.shown() == ["in the plugin"]
