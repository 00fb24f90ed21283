"""One person behind several ids: a page's comments and messages, and a new number."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import permutations
from typing import Any

import msgspec
import pytest

from libs.common.commands import Done
from libs.common.directory import AccountEntry, Directory
from libs.common.documents import CONTACTS, IDENTITIES, SESSIONS, Contact, Identity, Session
from libs.common.events import (
    ContactChanged,
    DeliveryReported,
    IdentityChanged,
    Inbound,
    InboundEvent,
    InteractionReceived,
    MessageEchoed,
    MessageReceived,
    Profile,
    Referral,
    SendReported,
    TextPart,
    Thread,
)
from libs.common.ids import derive_id
from libs.common.seal import Sealer, new_key_setting
from libs.common.store.api import Page
from services.router.app import messages_of_page
from tests.router.faulty import Crashed, FaultyStore, Steps
from tests.router.rig import ACCOUNT, UNHOSTED, WORKSPACE, Rig, arrived, at, event, rig_on, said

PAGE, MESSAGES = "acme-comments", "acme-page"


async def identity_of(rig: Rig, account: str, visitor: str) -> Identity:
    identity = derive_id("idn", WORKSPACE, account, visitor)
    found = await rig.store.get(IDENTITIES, WORKSPACE, identity)
    assert found is not None
    return found


async def sessions_of(rig: Rig, contact: str) -> list[Session]:
    page = Page(order="contact", limit=100)
    return await rig.store.find(SESSIONS, WORKSPACE, {"contact": contact}, page)


# --- a page's comments and messages ------------------------------------------------------------


def comment(number: int, seconds: float) -> Inbound:
    thread = Thread(post="p", comment=f"c{number}")
    profile = Profile(name="Ada")
    wrote = said(f"c{number}", seconds, visitor="commenter", thread=thread, profile=profile)
    return arrived(wrote, channel="fb_comment", account=PAGE)


def answer(number: int, seconds: float) -> Inbound:
    wrote = said(f"a{number}", seconds, visitor="PSID-7", profile=Profile())
    return arrived(wrote, channel="messenger", account=MESSAGES)


def revealed(message: str, seconds: float, key: str = "s1") -> Inbound:
    report = event(
        SendReported,
        key,
        seconds,
        visitor="commenter",
        message_id=message,
        status="sent",
        provider_ids=("mid-1",),
        linked_visitor="PSID-7",
    )
    return arrived(report, channel="fb_comment", account=PAGE)


async def answered_privately(rig: Rig) -> str:
    """Let Ada comment and be answered privately; return the id of the answer."""
    rig.siblings[PAGE] = MESSAGES
    rig.settings = UNHOSTED
    await rig.take(comment(1, 1))
    done = await rig.done(rig.send((await rig.only()).id, "amy", "12 euro", way="private"))
    assert done.message is not None
    return done.message.id


async def united(rig: Rig) -> list[Session]:
    """Check that all of Ada's is one contact's; return its sessions."""
    one = await identity_of(rig, PAGE, "commenter")
    other = await identity_of(rig, MESSAGES, "PSID-7")
    assert one.contact == other.contact
    sessions = await rig.sessions()
    assert {session.contact for session in sessions} == {one.contact}
    return sessions


ORDERS: dict[str, str] = {
    "the report, then the Messenger answer": "ra",
    "the Messenger answer, then the report": "ar",
    "the report twice, around the answer": "rar",
    "the answer twice, around the report": "ara",
    "an older Messenger conversation": "oar",
}


@pytest.mark.parametrize("one_batch", [False, True], ids=["one by one", "in one batch"])
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
async def test_d12_the_commenter_and_the_messenger_contact_are_one(
    rig: Rig, order: str, one_batch: bool
) -> None:
    ours = await answered_privately(rig)
    events = {"r": revealed(ours, 62), "a": answer(1, 63), "o": answer(0, 2)}
    if one_batch:
        await rig.take(*(events[step] for step in order))
    else:
        for step in order:
            await rig.take(events[step])
    sessions = await united(rig)
    assert {session.channel for session in sessions} == {"fb_comment", "messenger"}
    [contact] = {session.contact for session in sessions}
    told = await rig.store.get(CONTACTS, WORKSPACE, contact)
    assert told is not None
    assert told.name == "Ada"
    assert {session.contact_name for session in sessions} == {"Ada"}
    shown = [entry for session in sessions for entry in await rig.timeline(session.id)]
    texts = {entry.parts[0].text for entry in shown if entry.kind == "message"}  # type: ignore[union-attr]
    assert {"c1", "12 euro", "a1"} <= texts


async def test_d12_the_older_contact_stays_and_its_sessions_too(rig: Rig) -> None:
    rig.settings = UNHOSTED
    await rig.take(answer(0, 0))
    first = await rig.only()
    await rig.done(rig.end(first.id, "amy"))
    rig.siblings[PAGE] = MESSAGES
    await rig.take(comment(1, 1))
    commented = next(one for one in await rig.sessions() if one.channel == "fb_comment")
    done = await rig.done(rig.send(commented.id, "amy", "12 euro", way="private"))
    assert done.message is not None
    await rig.take(revealed(done.message.id, 62))
    assert {session.contact for session in await united(rig)} == {first.contact}
    assert len(await sessions_of(rig, first.contact)) == 2
    changed = [fact.session for fact in rig.bus.facts("contact.changed")]
    assert changed == [commented.id]


async def test_d12_tags_fields_and_zone_of_both_are_one_contacts_the_olders_first(rig: Rig) -> None:
    ours = await answered_privately(rig)
    await rig.take(answer(1, 100))
    set_by_people = {
        (PAGE, "commenter"): (("vip", "red"), {"plan": "gold", "city": "Oslo"}, ""),
        (MESSAGES, "PSID-7"): (("red", "new"), {"plan": "free", "age": "40"}, "Asia/Tokyo"),
    }
    for place, (tags, fields, zone) in set_by_people.items():
        contact = (await identity_of(rig, *place)).contact
        found = await rig.store.get(CONTACTS, WORKSPACE, contact)
        assert found is not None
        noted = msgspec.structs.replace(found, tags=tags, fields=fields, zone=zone)
        by = (
            {"email": "eve@example.org", "email_by": "amy"} if zone else {"email": "typo@a.example"}
        )
        await rig.store.replace(CONTACTS, msgspec.structs.replace(noted, **by))
    await rig.take(revealed(ours, 101))
    [contact] = {session.contact for session in await united(rig)}
    one = await rig.store.get(CONTACTS, WORKSPACE, contact)
    assert one is not None
    assert set(one.tags) == {"vip", "red", "new"}
    assert one.fields == {"plan": "gold", "city": "Oslo", "age": "40"}
    assert one.zone == "Asia/Tokyo"
    assert (one.email, one.email_by) == ("eve@example.org", "amy")  # as set, not as told
    assert (one.merged_into, one.email_key) == (None, "eve@example.org")
    page = Page(order="merged", limit=10)
    [former] = await rig.store.find(CONTACTS, WORKSPACE, {"merged_into": contact}, page)
    assert (former.tags, former.email_key, former.words) == ((), None, ())


async def test_d12_who_moves_away_brings_everybody_of_their_contact(rig: Rig) -> None:
    """The contact that is given up had another identity already."""
    ours = await answered_privately(rig)
    await rig.take(answer(1, 100))
    own = await identity_of(rig, MESSAGES, "PSID-7")
    third = Identity(
        id=derive_id("idn", WORKSPACE, "shop", "X"),
        workspace=WORKSPACE,
        account="shop",
        channel="web",
        visitor="X",
        contact=own.contact,
        first_seen_at=at(0),
    )
    await rig.store.insert_many(IDENTITIES, [third])
    await rig.take(revealed(ours, 101))
    [contact] = {session.contact for session in await united(rig)}
    assert (await identity_of(rig, "shop", "X")).contact == contact


async def test_d12_without_the_pages_messenger_account_nothing_is_linked(rig: Rig) -> None:
    ours = await answered_privately(rig)
    rig.siblings.clear()
    await rig.take(revealed(ours, 62))
    assert (await rig.messages([ours]))[0].status == "sent"
    await rig.take(answer(1, 63))
    assert len({session.contact for session in await rig.sessions()}) == 2


async def test_d12_linked_at_once_by_two_replicas(rig: Rig) -> None:
    """The report and the Messenger answer are of two partitions, hence of two processes."""
    ours = await answered_privately(rig)
    other = rig.twin()
    other.sequence = 100
    await asyncio.gather(rig.take(revealed(ours, 62)), other.take(answer(1, 63)))
    await rig.take(answer(2, 64))
    await united(rig)


class Between(FaultyStore):
    """A store that lets something happen just before a session is opened."""

    def __init__(self, store: Any, happens: Callable[[], Awaitable[Any]]) -> None:
        super().__init__(store, Steps())
        self._happens: Callable[[], Awaitable[Any]] | None = happens

    async def insert_many(self, collection: Any, docs: Any) -> dict[str, str]:
        happens, waiting = self._happens, collection is SESSIONS and docs
        if happens is not None and waiting:
            self._happens = None
            await happens()
        return await super().insert_many(collection, docs)


async def test_d12_linked_while_the_messenger_session_is_being_opened(rig: Rig) -> None:
    """The other replica has looked at who writes, and not yet stored their session."""
    ours = await answered_privately(rig)
    other = rig.process(Between(rig.store, lambda: rig.take(revealed(ours, 62))), rig.bus)
    other.sequence = 100
    await other.take(answer(1, 63))
    assert len(await united(rig)) == 2
    await other.take(answer(2, 64))
    assert len(await united(rig)) == 2


async def test_d12_after_a_crash_anywhere_a_repeat_completes_it(fresh_url: Any) -> None:
    for step in range(1, 40):
        async with rig_on(fresh_url()) as fresh:
            ours = await answered_privately(fresh)
            await fresh.take(answer(1, 90))
            await fresh.outbox.flush()
            deliveries = fresh.number([revealed(ours, 91)])
            steps = Steps(step, "after", Crashed)
            broken = fresh.process(FaultyStore(fresh.store, steps), fresh.bus)
            try:
                await broken.deliver(deliveries)
            except Crashed:
                pass
            else:
                assert step > 5
                return
            fresh.restart()
            await fresh.deliver(deliveries)
            await united(fresh)
    raise AssertionError("it never came to its end")


def entry(slug: str, channel: str, **fields: Any) -> AccountEntry:
    known: dict[str, Any] = {"workspace": WORKSPACE, "external_id": "1001"}
    return AccountEntry(**{**known, "slug": slug, "channel": channel, **fields})


SIBLINGS: dict[str, tuple[dict[str, Any], str]] = {
    "the same page": ({}, MESSAGES),
    "another page": ({"external_id": "1002"}, ""),
    "another workspace": ({"workspace": "other"}, ""),
    "another channel": ({"channel": "instagram"}, ""),
    "switched off": ({"enabled": False}, ""),
}


@pytest.mark.parametrize("case", SIBLINGS.values(), ids=SIBLINGS)
def test_d12_the_pages_messenger_account_is_found_in_the_directory(case: Any) -> None:
    fields, expected = case
    directory = Directory(Sealer.from_setting(new_key_setting()))
    for one in (entry(PAGE, "fb_comment"), entry(MESSAGES, **{"channel": "messenger", **fields})):
        directory.put_account(one.slug, msgspec.json.encode(one))
    assert messages_of_page(directory, PAGE) == expected
    assert messages_of_page(directory, "nobody") == ""


def test_an_account_that_is_switched_off_is_known_without_its_secrets() -> None:
    directory = Directory(Sealer.from_setting(new_key_setting()))
    off = entry(PAGE, "fb_comment", enabled=False, features=("human_agent",))
    directory.put_account(PAGE, msgspec.json.encode(off))
    known = directory.known(PAGE)
    assert known is not None
    assert (known.enabled, known.features, known.secrets) == (False, ("human_agent",), {})
    assert directory.account(PAGE) is None
    assert directory.known("nobody") is None


# --- a new number ------------------------------------------------------------------------------

OLD, NEW = "US.1", "US.2"


def old(text: str, seconds: float, **more: Any) -> InboundEvent:
    return said(text, seconds, visitor=OLD, **more)


def new(text: str, seconds: float, **more: Any) -> InboundEvent:
    return said(text, seconds, visitor=NEW, **more)


def renamed(seconds: float, key: str = "x", visitor: str = NEW, was: str = OLD) -> InboundEvent:
    return event(IdentityChanged, key, seconds, visitor=visitor, previous=was)


async def opened(rig: Rig) -> Session:
    """Return the one open session."""
    [session] = [one for one in await rig.sessions() if one.open_key]
    return session


async def test_the_open_session_goes_on_under_the_new_id(rig: Rig) -> None:
    await rig.take(old("one", 1))
    before = await rig.only()
    await rig.done(rig.claim(before.id, "amy"))
    await rig.take(renamed(2))
    after = await rig.only()
    assert (after.id, after.owner, after.visitor) == (before.id, "amy", NEW)
    assert after.open_key == f"{ACCOUNT}|{NEW}"
    await rig.take(new("two", 3))
    after = await rig.only()
    assert (after.inbound, after.contact) == (2, before.contact)
    await rig.done(rig.send(after.id, "amy", "hello"))
    assert rig.bus.sends()[0].visitor == NEW
    assert (await identity_of(rig, ACCOUNT, OLD)).became == NEW
    assert (await identity_of(rig, ACCOUNT, NEW)).was == (OLD,)


async def test_what_comes_late_under_the_old_id_goes_to_the_new_one(rig: Rig) -> None:
    await rig.take(old("one", 1))
    await rig.take(renamed(2))
    session = await rig.only()
    sent = await rig.done(rig.send(session.id, "amy", "hello"))
    assert sent.message is not None
    report = event(SendReported, "s", 61, visitor=OLD, message_id=sent.message.id, status="sent")
    read = event(DeliveryReported, "r", 62, visitor=OLD, status="read", watermark=at(62))
    await rig.take(old("late", 1.5), report)
    await rig.take(read)
    after = await rig.only()
    assert (after.id, after.visitor, after.inbound) == (session.id, NEW, 2)
    assert after.read_up_to == at(62)
    assert (await rig.messages([sent.message.id]))[0].status == "sent"


async def test_what_was_said_under_the_old_id_can_still_be_quoted(rig: Rig) -> None:
    await rig.take(old("one", 1))
    await rig.take(renamed(2))
    session = await rig.only()
    first = (await rig.timeline(session.id))[0]
    await rig.done(rig.send(session.id, "amy", "as you said", reply_to=first.id))
    assert rig.bus.sends()[0].reply_to == "m-one"


async def test_told_before_anything_else_the_old_id_opens_a_session_of_the_new(rig: Rig) -> None:
    await rig.take(renamed(2))
    await rig.take(old("one", 1))
    session = await rig.only()
    assert (session.visitor, session.open_key) == (NEW, f"{ACCOUNT}|{NEW}")
    await rig.take(new("two", 3))
    assert (await rig.only()).inbound == 2
    assert len({i.contact for i in (
        await identity_of(rig, ACCOUNT, OLD), await identity_of(rig, ACCOUNT, NEW)
    )}) == 1  # fmt: skip


async def test_where_both_have_an_open_session_both_stay(rig: Rig) -> None:
    await rig.take(old("one", 1))
    await rig.take(new("two", 3))
    await rig.take(renamed(2))
    sessions = await rig.sessions()
    assert sorted(session.visitor for session in sessions) == [OLD, NEW]
    assert len({session.contact for session in sessions}) == 1
    ended = next(session for session in sessions if session.visitor == OLD)
    await rig.done(rig.end(ended.id, "amy"))
    await rig.take(old("late", 1.5))  # now there is one place only
    assert (await opened(rig)).visitor == NEW


async def test_the_window_goes_with_the_person(rig: Rig) -> None:
    await rig.take(old("one", 1, referral=Referral(source="ad", ad_id="7")))
    await rig.done(rig.end((await rig.only()).id, "amy"))
    await rig.take(renamed(2))
    await rig.take(new("two", 0.5))
    session = await opened(rig)
    assert (session.visitor, session.window_at, session.ad_at) == (NEW, at(1), at(1))


STORY = [old("one", 1), renamed(2), new("two", 3), old("late", 1.5)]


@pytest.mark.parametrize("twice", [False, True], ids=["once each", "each twice"])
async def test_i5_in_any_order_it_is_one_person(fresh_url: Any, *, twice: bool) -> None:
    """At most one open session an id, one contact, and one session where the old id came first."""
    for order in permutations(range(len(STORY))):
        async with rig_on(fresh_url()) as rig:
            deliveries = rig.number(STORY)
            for place in order:
                for _ in range(2 if twice else 1):
                    await rig.deliver([deliveries[place]])
            sessions = await rig.sessions()
            assert sum(session.inbound for session in sessions) == 3, order
            assert len({session.contact for session in sessions}) == 1, order
            separate = order.index(1) > max(min(order.index(0), order.index(3)), order.index(2))
            assert len(sessions) == (2 if separate else 1), order
            assert {s.visitor for s in sessions} >= {NEW}
            assert (await identity_of(rig, ACCOUNT, OLD)).became == NEW


async def test_i5_in_one_batch_it_is_one_person_too(fresh_url: Any) -> None:
    for order in permutations(range(len(STORY))):
        async with rig_on(fresh_url()) as rig:
            deliveries = rig.number(STORY)
            await rig.deliver([deliveries[place] for place in order])
            sessions = await rig.sessions()
            assert sum(session.inbound for session in sessions) == 3, order
            assert len({session.contact for session in sessions}) == 1, order
            assert len({s.open_key for s in sessions}) == len(sessions)


async def test_a_number_that_is_given_back(rig: Rig) -> None:
    await rig.take(old("one", 1))
    await rig.take(renamed(2))
    await rig.take(renamed(4, "y", visitor=OLD, was=NEW))
    await rig.take(old("two", 5))
    session = await rig.only()
    assert (session.visitor, session.inbound) == (OLD, 2)
    await rig.take(renamed(2, "z"))  # told again, late, under another key
    await rig.take(old("three", 6), new("four", 3))
    session = await rig.only()
    assert (session.visitor, session.inbound) == (OLD, 4)


async def test_two_changes_in_a_row(rig: Rig) -> None:
    await rig.take(old("one", 1))
    await rig.take(renamed(3, "y", visitor="US.3", was=NEW))
    await rig.take(renamed(2))
    await rig.take(old("late", 1.5), said("three", 4, visitor="US.3"))
    session = await rig.only()
    assert (session.visitor, session.inbound) == ("US.3", 3)


async def test_the_change_races_with_what_comes_under_both_ids(fresh_url: Any) -> None:
    """Three processes, for the ids are of two partitions; nothing is lost, and one person stays."""
    for number in range(8):
        async with rig_on(fresh_url()) as rig:
            await rig.take(old("one", 1))
            told = rig.number([renamed(2), old("late", 1.5), new("two", 3)])
            replicas = [rig, rig.twin(), rig.twin()]
            turn = number % 3
            await asyncio.gather(
                *(one.deliver([told[(place + turn) % 3]]) for place, one in enumerate(replicas))
            )
            await rig.take(new("three", 5))
            sessions = await rig.sessions()
            assert sum(session.inbound for session in sessions) == 4
            assert len({session.contact for session in sessions}) == 1


async def test_a_reply_races_with_the_change_and_is_sent_once(rig: Rig) -> None:
    await rig.take(old("one", 1))
    session = await rig.only()
    other = rig.twin()
    answer, _ = await asyncio.gather(
        other.ask(other.send(session.id, "amy", "hello")), rig.take(renamed(2))
    )
    assert isinstance(answer, Done)
    after = await rig.only()
    assert (after.visitor, after.owner) == (NEW, "amy")
    [request] = rig.bus.sends()
    assert request.visitor in {OLD, NEW}


# --- a phone number beside the user id ---------------------------------------------------------

PHONE, USER = "15550001", "US.9"


def by_phone(text: str, seconds: float) -> InboundEvent:
    return said(text, seconds, visitor=PHONE, profile=Profile(phone=PHONE))


def by_user(text: str, seconds: float, visitor: str = USER) -> InboundEvent:
    profile = Profile(name="Bsu", phone=PHONE)
    return said(text, seconds, visitor=visitor, alias=PHONE, profile=profile)


def typed(seconds: float) -> InboundEvent:
    """An agent's answer from the phone app, to the number alone."""
    parts = (TextPart(text="typed"),)
    return event(MessageEchoed, "echo", seconds, visitor=PHONE, message_id="g1", parts=parts)


SPLITS: dict[str, list[InboundEvent]] = {
    "the number first": [by_phone("one", 1), by_user("two", 2)],
    "both first": [by_user("one", 1), by_phone("two", 2)],
    "an answer typed to the number": [by_user("one", 1), typed(2), by_phone("two", 3)],
    "the number around both": [by_phone("one", 1), by_user("two", 2), typed(3), by_phone("x", 4)],
    "a consent, then the number": [
        event(ContactChanged, "p", 1, visitor=USER, alias=PHONE, change="opt_in"),
        by_phone("one", 2),
    ],
}


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in one batch"])
@pytest.mark.parametrize("story", SPLITS.values(), ids=SPLITS)
async def test_d4_number_and_user_id_are_one_conversation(
    rig: Rig, story: list[InboundEvent], together: bool
) -> None:
    deliveries = rig.number(story)
    for group in [deliveries] if together else [[one] for one in deliveries]:
        await rig.deliver(group)
    await rig.deliver(deliveries)  # and all of it again
    session = await rig.only()
    assert (session.visitor, session.open_key) == (USER, f"{ACCOUNT}|{USER}")
    spoken = [entry for entry in await rig.timeline(session.id) if entry.kind == "message"]
    assert len(spoken) == sum(isinstance(e, MessageReceived | MessageEchoed) for e in story)
    both = [await identity_of(rig, ACCOUNT, one) for one in (PHONE, USER)]
    assert {identity.contact for identity in both} == {session.contact}
    assert (await contact_of(rig, session)).phone == PHONE


async def test_d4_the_order_of_arrival_makes_no_difference(fresh_url: Any) -> None:
    story = [by_phone("one", 1), by_user("two", 2), typed(3), by_user("three", 4)]
    for order in permutations(range(len(story))):
        async with rig_on(fresh_url()) as rig:
            deliveries = rig.number(story)
            for place in order:
                await rig.deliver([deliveries[place]])
            session = await rig.only()
            assert (session.visitor, session.inbound) == (USER, 3), order
            assert len(await rig.timeline(session.id)) == 4, order


async def test_d4_a_number_given_to_somebody_else_makes_nobody_the_same(rig: Rig) -> None:
    await rig.take(by_user("one", 1))
    await rig.take(by_user("two", 5, visitor="US.10"))
    await rig.take(by_user("late", 2))
    await rig.take(by_phone("three", 6))
    first, second = sorted(await rig.sessions(), key=lambda session: session.visitor)
    assert (first.visitor, first.inbound) == ("US.10", 2)
    assert (second.visitor, second.inbound) == (USER, 2)
    assert first.contact != second.contact


async def test_d4_number_and_user_id_at_once_on_two_replicas(fresh_url: Any) -> None:
    for _ in range(5):
        async with rig_on(fresh_url()) as rig:
            other = rig.twin()
            one, two = rig.number([by_phone("one", 1), by_user("two", 2)])
            await asyncio.gather(rig.deliver([one]), other.deliver([two]))
            await rig.take(by_phone("three", 3))
            sessions = await rig.sessions()
            assert sum(session.inbound for session in sessions) == 3
            assert len({session.contact for session in sessions}) == 1


# --- what is told of a person ------------------------------------------------------------------


async def contact_of(rig: Rig, session: Session) -> Contact:
    found = await rig.store.get(CONTACTS, WORKSPACE, session.contact)
    assert found is not None
    return found


ADA = Profile(name="Ada", email="ada@example.org")
FORM = {"name": "Ada", "email": "ada@example.org", "language": "en"}
TOLD: dict[str, tuple[list[InboundEvent], tuple[str, str, str, str]]] = {
    "a name that comes second": (
        [said("a", 1, profile=Profile()), said("b", 2, profile=ADA)],
        ("Ada", "", "ada@example.org", ""),
    ),
    "a new name": (
        [said("a", 1, profile=ADA), said("b", 2, profile=Profile(name="Countess"))],
        ("Countess", "", "ada@example.org", ""),
    ),
    "an older name that comes late": (
        [said("b", 2, profile=ADA), said("a", 1, profile=Profile(name="A.", language="en"))],
        ("Ada", "", "ada@example.org", "en"),
    ),
    "silence": ([said("a", 1, profile=ADA), said("b", 2, profile=Profile())],
        ("Ada", "", "ada@example.org", "")),
    "before the first message": (
        [
            event(ContactChanged, "p", 1, change="opt_in", profile=Profile(phone="1")),
            said("a", 2, profile=Profile(name="Ada", phone="2")),
        ],
        ("Ada", "2", "", ""),
    ),
    "a form before the first message": (
        [
            event(InteractionReceived, "p", 1, kind="profile", data=FORM),
            said("a", 2, profile=Profile()),
        ],
        ("Ada", "", "ada@example.org", "en"),
    ),
    "a form in the conversation": (
        [
            said("a", 1, profile=Profile(name="A.")),
            event(InteractionReceived, "p", 2, kind="profile", data=FORM),
        ],
        ("Ada", "", "ada@example.org", "en"),
    ),
    "what is no form": (
        [
            said("a", 1, profile=ADA),
            event(InteractionReceived, "p", 2, kind="beacon", data={"name": "Hall", "email": "x"}),
        ],
        ("Ada", "", "ada@example.org", ""),
    ),
    "a new number": (
        [
            said("a", 1, profile=Profile(name="Ada", phone="1")),
            event(IdentityChanged, "n", 2, visitor="U2", previous="U1", profile=Profile(phone="2")),
        ],
        ("Ada", "2", "", ""),
    ),
    "a member of a group": ([said("a", 1, profile=ADA, author="U9")], ("", "", "", "")),
    "a group with a title": (
        [said("a", 1, profile=ADA, author="U9", group="Our group")],
        ("Our group", "", "", ""),
    ),
    "a group whose title changed": (
        [
            said("a", 1, profile=ADA, author="U9", group="Our group"),
            said("b", 2, profile=ADA, author="U8", group="Friends"),
        ],
        ("Friends", "", "", ""),
    ),
}  # fmt: skip


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in one batch"])
@pytest.mark.parametrize(("story", "expected"), TOLD.values(), ids=TOLD)
async def test_d3_the_contact_knows_what_was_told_last(
    rig: Rig, story: list[InboundEvent], expected: tuple[str, ...], together: bool
) -> None:
    deliveries = rig.number(story)
    for group in [deliveries] if together else [[one] for one in deliveries]:
        await rig.deliver(group)
    contact = await contact_of(rig, await rig.only())
    assert (contact.name, contact.phone, contact.email, contact.language) == expected


async def test_d3_the_contact_follows_in_the_next_conversation_too(rig: Rig) -> None:
    rig.settings = UNHOSTED
    await rig.take(said("a", 1, profile=ADA))
    await rig.done(rig.end((await rig.only()).id, "amy"))
    await rig.take(said("b", 5, profile=Profile(name="Countess")))
    session = await opened(rig)
    assert (await contact_of(rig, session)).name == "Countess"
    assert (session.contact_name, session.contact_email) == ("Countess", "ada@example.org")
    await rig.take(said("late", 0.5, profile=Profile(name="Girl")))
    assert (await contact_of(rig, session)).name == "Countess"
