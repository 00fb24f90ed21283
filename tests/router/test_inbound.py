"""What channel events do to sessions, seen in the store and on the bus."""

from __future__ import annotations

import msgspec
import pytest

from libs.common.bus.delivery import Ack, Bury
from libs.common.channels import CHANNELS
from libs.common.documents import CONTACTS, IDENTITIES, Identity, Session, Settings
from libs.common.events import (
    AccountNoticed,
    ContactChanged,
    DeliveryReported,
    IdentityChanged,
    InboundEvent,
    InteractionReceived,
    MediaPart,
    MessageDeleted,
    MessageEchoed,
    MessageEdited,
    MessageHidden,
    MessageReceived,
    Profile,
    ReactionChanged,
    SendReported,
    TextPart,
    Thread,
    ThreadControlChanged,
    Unparsed,
)
from libs.common.ids import derive_id
from libs.common.timeline import fold, related
from services.router import metrics
from tests.router.rig import ACCOUNT, UNHOSTED, WORKSPACE, Rig, arrived, at, event, said


async def identity_of(rig: Rig, visitor: str) -> Identity | None:
    identity = derive_id("idn", WORKSPACE, ACCOUNT, visitor)
    return await rig.store.get(IDENTITIES, WORKSPACE, identity)


@pytest.mark.parametrize("channel", sorted(CHANNELS))
async def test_a02_auto_hosting_starts_in_bot_hosted(rig: Rig, channel: str) -> None:
    await rig.take(arrived(said("hi"), channel=channel))
    [session] = await rig.sessions("bot_hosted")
    assert (session.bot, session.owner, session.because) == (True, None, "auto_hosting")
    assert await rig.sessions("unassigned", "assigned", "ended") == []


@pytest.mark.parametrize("channel", sorted(CHANNELS))
async def test_a05_without_auto_hosting_it_starts_in_unassigned(rig: Rig, channel: str) -> None:
    rig.settings = UNHOSTED
    await rig.take(arrived(said("hi"), channel=channel))
    [session] = await rig.sessions("unassigned")
    assert (session.bot, session.owner, session.because) == (False, None, "auto_hosting_off")
    assert await rig.sessions("bot_hosted", "assigned", "ended") == []


async def test_b09_a_fresh_workspace_starts_in_bot_hosted(rig: Rig) -> None:
    rig.settings = Settings()  # what the directory gives where nothing was set
    await rig.take(said("hi"))
    assert (await rig.only()).list == "bot_hosted"


async def test_a_switch_does_not_move_what_is_open(rig: Rig) -> None:
    await rig.take(said("hi", 1))
    rig.settings = UNHOSTED
    await rig.take(said("still me", 2))
    assert (await rig.only()).list == "bot_hosted"


@pytest.mark.parametrize("settings", [Settings(), UNHOSTED], ids=["hosted", "not hosted"])
async def test_a13_after_an_end_a_new_session_of_the_same_contact(
    rig: Rig, settings: Settings
) -> None:
    await rig.take(said("first", 1))
    first = await rig.only()
    await rig.done(rig.end(first.id, "amy"))
    rig.settings = settings
    await rig.take(said("second", 100, profile=Profile()))
    ended, second = await rig.sessions()
    assert (ended.id, ended.list, ended.open_key) == (first.id, "ended", None)
    assert second.id != first.id
    assert second.contact == first.contact
    assert second.contact_name == "Vera"  # known from before
    assert second.list == ("bot_hosted" if settings.auto_hosting else "unassigned")
    assert (second.inbound, second.entries) == (1, 1)


async def test_a_new_visitor_becomes_a_contact(rig: Rig) -> None:
    profile = Profile(name="Vera", phone="+15550001", language="th", email="v@example.com")
    await rig.take(said("hi", profile=profile))
    session = await rig.only()
    contact = await rig.store.get(CONTACTS, WORKSPACE, session.contact)
    identity = await identity_of(rig, "U1")
    assert contact is not None
    assert (contact.name, contact.phone, contact.language) == ("Vera", "+15550001", "th")
    assert identity is not None
    assert (identity.contact, identity.channel, identity.profile) == (contact.id, "line", profile)


async def test_a_group_is_not_called_by_its_author(rig: Rig) -> None:
    await rig.take(said("hi", author="U9", visitor="G1"))
    session = await rig.only()
    assert session.contact_name == ""
    [entry] = await rig.entries(session.id)
    assert (entry.sender_id, entry.sender_name) == ("U9", "Vera")


async def test_d2_an_album_of_a_new_visitor_is_one_session(rig: Rig) -> None:
    photos = [said(f"photo {n}", n / 10) for n in range(10)]
    await rig.take(*photos)
    session = await rig.only()
    assert (session.inbound, session.entries) == (10, 10)
    assert [entry.number for entry in await rig.entries(session.id)] == list(range(1, 11))
    assert len(rig.bus.facts("session.created")) == 1
    assert len(rig.bus.facts("message.stored")) == 10


async def test_visitors_and_accounts_do_not_mix(rig: Rig) -> None:
    await rig.take(
        said("a", visitor="U1"),
        said("b", visitor="U2"),
        arrived(said("a", visitor="U1"), account="acme-web", channel="web"),
    )
    found = {(s.account, s.visitor, s.inbound) for s in await rig.sessions()}
    assert found == {(ACCOUNT, "U1", 1), (ACCOUNT, "U2", 1), ("acme-web", "U1", 1)}


async def test_workspaces_do_not_mix(rig: Rig) -> None:
    await rig.take(said("ours"), arrived(said("theirs"), workspace="other", account="other-line"))
    assert [s.workspace for s in await rig.sessions()] == ["acme"]
    assert {fact.workspace for fact in rig.bus.facts()} == {"acme", "other"}


async def test_b07_unread_counts_by_agent(rig: Rig) -> None:
    await rig.take(*(said(f"m{n}", n) for n in range(3)))
    session = await rig.only()
    assert session.inbound - session.reads.get("amy", 0) == 3
    await rig.done(rig.read(session.id, "amy"))
    await rig.take(event(DeliveryReported, "r1", 9, status="read", watermark=at(9)))
    session = await rig.only()
    assert session.inbound - session.reads.get("amy", 0) == 0
    assert session.inbound - session.reads.get("bob", 0) == 3


async def test_a_row_shows_the_newest_whatever_came_last(rig: Rig) -> None:
    await rig.take(said("newest", 9, profile=Profile(name="Vera New"), reply_token="t9"))
    await rig.take(said("older", 5, profile=Profile(name="Vera Old"), reply_token="t5"))
    session = await rig.only()
    assert session.last_message is not None
    assert session.last_message.excerpt == "newest"
    assert (session.contact_name, session.reply_token) == ("Vera New", "t9")
    assert (session.inbound, session.last_inbound_at) == (2, at(9))


async def test_the_newest_comment_gives_the_thread(rig: Rig) -> None:
    first = Thread(post="p1", comment="c1")
    second = Thread(post="p2", comment="c2")
    await rig.take(said("b", 9, thread=second), said("a", 5, thread=first), said("c", 12))
    assert (await rig.only()).thread == second


def words(text: str) -> tuple[TextPart]:
    return (TextPart(text=text),)


UNDER_A_COMMENT: dict[str, tuple[InboundEvent, str]] = {
    "an answer typed at the provider is an agent's message": (
        event(
            MessageEchoed, "e", 5, message_id="c2", parts=words("12 euro"), visitor="comment:m-c1"
        ),
        "12 euro",
    ),
    "a removal that names nobody takes the words from the list": (
        event(MessageDeleted, "d", 5, target="m-c1", visitor="comment:m-c1"),
        "",
    ),
    "an edit that names nobody is what the list shows": (
        event(MessageEdited, "d", 5, target="m-c1", parts=words("two?"), visitor="comment:m-c1"),
        "two?",
    ),
}


@pytest.mark.parametrize(("below", "excerpt"), UNDER_A_COMMENT.values(), ids=UNDER_A_COMMENT)
@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "later"])
async def test_d12_what_happens_to_a_comment_is_in_its_writers_session(
    rig: Rig, below: InboundEvent, excerpt: str, *, together: bool
) -> None:
    comment = said("c1", 1, thread=Thread(post="p", comment="c1"))
    if together:
        await rig.take(comment, below)
    else:
        await rig.take(comment)
        await rig.take(below)
    session = await rig.only()
    assert session.last_message is not None
    assert session.last_message.excerpt == excerpt
    assert len(await rig.entries(session.id)) == 2


async def test_what_happens_to_a_comment_nobody_knows_is_in_no_session(rig: Rig) -> None:
    echo = event(MessageEchoed, "e", 5, message_id="c9", parts=words("?"), visitor="comment:c8")
    await rig.take(said("c1", 1), echo)
    assert (await rig.only()).entries == 1


KEPT_APART: dict[str, InboundEvent] = {
    "an account's news": event(AccountNoticed, "x", 5, kind="quality", visitor=""),
    "an unknown kind": event(Unparsed, "x", 5, reason="unknown_kind", raw='{"a": 1}'),
    "an unreadable item": event(Unparsed, "x", 5, reason="malformed_item", raw="{", visitor=""),
}


@pytest.mark.parametrize("stray", KEPT_APART.values(), ids=KEPT_APART)
async def test_what_is_of_no_conversation_is_kept_without_a_session(
    rig: Rig, stray: InboundEvent
) -> None:
    await rig.take(said("hi", 1), stray)
    assert (await rig.only()).entries == 1
    [entry] = await rig.entries("")
    assert (entry.kind, entry.timeline, entry.number, entry.event) == ("event", None, 0, stray)


async def test_i4_unparsed_counts_as_quarantined(rig: Rig) -> None:
    count = metrics.EVENTS.labels("line", "quarantined")._value.get()
    await rig.take(event(Unparsed, "x", 5, reason="unknown_kind"))
    assert metrics.EVENTS.labels("line", "quarantined")._value.get() == count + 1


async def test_i4_what_cannot_be_decoded_is_buried_and_costs_its_neighbours_nothing(
    rig: Rig,
) -> None:
    outcomes = await rig.deliver(rig.number([said("a", 1), b'{"workspace": 7}', said("b", 2)]))
    assert [type(outcome) for outcome in outcomes] == [Ack, Bury, Ack]
    assert outcomes[1] == Bury("malformed", "ValidationError")
    assert (await rig.only()).inbound == 2


OPENS_NOTHING: dict[str, InboundEvent] = {
    "a receipt": event(DeliveryReported, "x", 5, status="read", watermark=at(5)),
    "an echo": event(MessageEchoed, "x", 5, message_id="m9", parts=()),
    "an edit": event(MessageEdited, "x", 5, target="m9", parts=()),
    "an unsend": event(MessageDeleted, "x", 5, target="m9"),
    "a hidden comment": event(MessageHidden, "x", 5, target="m9", hidden=True),
    "a reaction": event(ReactionChanged, "x", 5, target="m9", emoji="❤"),
    "a follow": event(ContactChanged, "x", 5, change="follow"),
    "a new number": event(IdentityChanged, "x", 5, previous="U0"),
    "a handover": event(ThreadControlChanged, "x", 5, change="taken"),
    "a scan": event(InteractionReceived, "x", 5, kind="scan"),
    "a report of a message we do not know": event(
        SendReported, "x", 5, message_id="msg_unknown", status="sent"
    ),
}


@pytest.mark.parametrize("other", OPENS_NOTHING.values(), ids=OPENS_NOTHING)
async def test_only_a_visitors_message_opens_a_session(rig: Rig, other: InboundEvent) -> None:
    await rig.take(other)
    assert await rig.sessions() == []
    [entry] = await rig.entries("")
    assert entry.key == "x"


@pytest.mark.parametrize("other", OPENS_NOTHING.values(), ids=OPENS_NOTHING)
async def test_other_events_join_the_open_session(rig: Rig, other: InboundEvent) -> None:
    await rig.take(said("hi", 1), other)
    session = await rig.only()
    assert (session.entries, session.inbound) == (2, 1)
    assert [entry.key for entry in await rig.entries(session.id)] == ["e-U1-hi", "x"]


@pytest.mark.parametrize("other", OPENS_NOTHING.values(), ids=OPENS_NOTHING)
async def test_after_an_end_other_events_join_the_newest_session(
    rig: Rig, other: InboundEvent
) -> None:
    await rig.take(said("one", 1))
    await rig.done(rig.end((await rig.only()).id, "amy"))
    await rig.take(said("two", 2))
    [_, newest] = await rig.sessions()
    await rig.done(rig.end(newest.id, "amy"))
    await rig.take(other)
    assert [s.list for s in await rig.sessions()] == ["ended", "ended"]
    assert "x" in [entry.key for entry in await rig.entries(newest.id)]


async def test_a_receipt_before_a_message_in_one_batch_joins_the_old_session(rig: Rig) -> None:
    await rig.take(said("one", 1))
    old = await rig.only()
    await rig.done(rig.end(old.id, "amy"))
    receipt = event(DeliveryReported, "r", 5, status="read", watermark=at(5))
    after = event(DeliveryReported, "r2", 7, status="read", watermark=at(7))
    await rig.take(receipt, said("two", 6), after)
    [ended, opened] = await rig.sessions()
    assert (ended.read_up_to, opened.read_up_to) == (at(5), at(7))


async def test_watermarks_only_rise_and_never_into_the_future(rig: Rig) -> None:
    await rig.take(said("hi", 1))
    await rig.take(event(DeliveryReported, "a", 9, status="read", watermark=at(9)))
    await rig.take(event(DeliveryReported, "b", 12, status="delivered", watermark=at(5)))
    session = await rig.only()
    assert (session.read_up_to, session.delivered_up_to) == (at(9), at(9))
    await rig.take(event(DeliveryReported, "c", 20, status="delivered", watermark=at(9999)))
    session = await rig.only()
    assert (session.read_up_to, session.delivered_up_to) == (at(9), at(20.5))


async def test_a_receipt_does_not_bring_the_session_up(rig: Rig) -> None:
    await rig.take(said("hi", 1))
    before = (await rig.only()).updated_at
    await rig.take(event(DeliveryReported, "a", 900, status="read", watermark=at(9)))
    assert (await rig.only()).updated_at == before


async def test_standby_opens_no_bot_session(rig: Rig) -> None:
    await rig.take(said("hi", standby=True))
    session = await rig.only()
    assert (session.list, session.bot, session.because) == ("unassigned", False, "standby")


async def test_typed_elsewhere_is_shown_as_an_agents(rig: Rig) -> None:
    echo = event(MessageEchoed, "x", 5, message_id="m9", parts=(TextPart(text="from the inbox"),))
    await rig.take(said("hi", 1), echo)
    session = await rig.only()
    [_, entry] = await rig.timeline(session.id)
    assert (entry.kind, entry.direction, entry.sender, entry.sender_id) == (
        "message",
        "out",
        "agent",
        "",
    )
    assert session.last_message is not None
    assert (session.last_message.excerpt, session.last_message.direction) == (
        "from the inbox",
        "out",
    )
    assert (session.list, session.inbound) == ("bot_hosted", 1)  # A11: no reply of ours


async def test_a_new_number_is_the_same_person(rig: Rig) -> None:
    await rig.take(said("old number", 1, visitor="U1"))
    await rig.take(said("new number", 2, visitor="U2"))
    old, new = await rig.sessions()
    assert old.contact != new.contact
    await rig.take(event(IdentityChanged, "x", 3, visitor="U2", previous="U1"))
    _, linked = await rig.sessions()
    identity = await identity_of(rig, "U2")
    assert linked.contact == old.contact
    assert identity is not None
    assert identity.contact == old.contact
    assert [fact.type for fact in rig.bus.facts("contact.changed")] == ["contact.changed"]


async def test_a_new_number_told_before_the_first_message(rig: Rig) -> None:
    await rig.take(said("old number", 1, visitor="U1"))
    await rig.take(event(IdentityChanged, "x", 2, visitor="U2", previous="U1"))
    await rig.take(said("new number", 3, visitor="U2"))
    session = await rig.only()
    assert (session.visitor, session.inbound) == ("U2", 2)


async def test_facts_tell_what_happened_and_to_whom(rig: Rig) -> None:
    await rig.take(said("hi", 1), event(MessageDeleted, "x", 2, target="m-hi"))
    session = await rig.only()
    stored, removed = await rig.entries(session.id)
    told = [(f.type, f.actor, f.message, f.list, f.fact_id) for f in rig.bus.facts()]
    assert told == [
        ("session.created", "visitor", "", "bot_hosted", f"{session.id}:1:1"),
        ("message.stored", "visitor", stored.id, "bot_hosted", f"{session.id}:1:2"),
        ("message.changed", "visitor", removed.id, "bot_hosted", f"{session.id}:1:3"),
    ]


SENDERS = ["visitor", "agent", "bot", "automation", "system"]


async def mixed_session(rig: Rig) -> Session:
    """Make a session of 20 entries of every kind of sender."""
    await rig.take(*(said(f"v{n}", n) for n in range(8)))
    session = await rig.only()
    bot, hours = rig.machine("bot", "faq"), rig.machine("automation", "hours")
    rig.now = at(20)
    await rig.done(rig.send(session.id, bot, "bot answer", epoch=session.epoch))
    rig.now = at(21)
    taken = await rig.done(rig.send(session.id, "amy", "agent answer"))
    rig.now = at(22)
    await rig.done(rig.send(session.id, hours, "auto", epoch=taken.session.epoch))
    rig.now = at(23)
    await rig.done(rig.note(session.id, "amy", "a private note"))
    rig.now = at(24)
    await rig.done(rig.assign(session.id, "amy", "bob"))
    photo = MessageReceived(
        event_id="p",
        visitor="U1",
        occurred_at=at(26),
        message_id="m26",
        parts=(MediaPart(kind="image", media_id="77"), TextPart(text="look")),
        reply_to="m25",
    )
    await rig.take(
        event(MessageEchoed, "e", 25, message_id="m25", parts=(TextPart(text="elsewhere"),)),
        photo,
        event(ContactChanged, "f", 27, change="unfollow"),
        *(said(f"w{n}", 30 + n) for n in range(3)),
    )
    return await rig.only()


async def test_b02_everything_is_recorded_in_detail(rig: Rig) -> None:
    """20 entries of every kind of sender read back complete and in order."""
    session = await mixed_session(rig)
    timeline = await rig.timeline(session.id)
    assert len(timeline) == 20
    assert [entry.number for entry in timeline] == list(range(1, 21))
    entries = fold(timeline, [], session)
    assert [entry.text for entry in entries] == [
        *(f"v{n}" for n in range(8)),
        "bot answer",
        "assigned by Amy to Amy",
        "agent answer",
        "auto",
        "a private note",
        "assigned by Amy to Bob",
        "elsewhere",
        "look",
        "unfollowed or blocked the account",
        "w0",
        "w1",
        "w2",
    ]
    assert {entry.sender.kind for entry in entries} == set(SENDERS)
    assert [e.at for e in entries[:8]] == [at(n) for n in range(8)]
    shown = entries[15]
    assert (shown.provider_ids, shown.reply_to) == (("m26",), entries[14].id)
    assert (shown.received_at, shown.direction) == (at(26.5), "in")
    assert [part.__class__.__name__ for part in shown.parts] == ["MediaPart", "TextPart"]
    assert entries[10].status == "queued"


async def test_what_changes_an_entry_is_found_by_what_is_related(rig: Rig) -> None:
    await rig.take(
        event(ReactionChanged, "r", 9, target="m-hi", emoji="❤"),
        said("hi", 1),
        event(MessageEdited, "x", 5, target="m-hi", parts=(TextPart(text="hello"),)),
    )
    session = await rig.only()
    page = await rig.timeline(session.id)
    [entry] = fold(page, await rig.related(related(page)), session)
    assert (entry.text, entry.edited) == ("hello", True)
    # the reaction came before the session was there: it is found all the same
    assert [reaction.emoji for reaction in entry.reactions] == ["❤"]


async def test_the_session_document_stays_small(rig: Rig) -> None:
    """C8: messages are documents of their own; the session is below 64 kB always."""
    for start in range(0, 1000, 200):
        await rig.take(*(said("x" * 500 + str(n), n) for n in range(start, start + 200)))
    await rig.outbox.flush()
    session = await rig.only()
    assert session.inbound == 1000
    assert len(msgspec.json.encode(session)) < 8192
