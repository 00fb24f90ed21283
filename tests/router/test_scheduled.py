"""What is scheduled goes out into the session as it is: what it may, and what it never changes."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import pytest

from libs.common.documents import CONTACTS, SESSIONS, Contact, Settings
from libs.common.events import ContactChanged, TextPart
from libs.common.timeline import Sender, fold
from services.router.store import unanswered
from tests.router.planned import (
    DAY,
    HELLO,
    NEVER,
    TEMPLATE,
    due,
    on,
    place,
    wrote,
)
from tests.router.rig import HOSTED, WORKSPACE, Rig, arrived, at, event, said

# --- where it goes -----------------------------------------------------------------------------


async def _bot_hosted(rig: Rig) -> str:
    rig.settings = HOSTED
    return (await wrote(rig, "line", "hello", 1)).id


async def _unassigned(rig: Rig) -> str:
    return (await wrote(rig, "line", "hello", 1)).id


async def _assigned(rig: Rig) -> str:
    rig.settings = Settings(auto_hosting=False, silent_owner_s=600)
    session = await wrote(rig, "line", "hello", 1)
    await rig.done(rig.claim(session.id, "ann"))
    await wrote(rig, "line", "are you there?", 20)
    return session.id


async def _answered(rig: Rig) -> str:
    session = await _assigned(rig)
    await rig.done(rig.send(session, "ann", "yes"))
    return session


async def _ended(rig: Rig) -> str:
    session = await _assigned(rig)
    await rig.done(rig.end(session, "ann"))
    return session


LISTS = {
    "where a bot hosts it": _bot_hosted,
    "where it waits in the queue": _unassigned,
    "where its owner has not answered yet": _assigned,
    "where its owner has answered": _answered,
    "where it has ended": _ended,
}


@pytest.mark.parametrize("begin", LISTS.values(), ids=LISTS)
async def test_b25_it_goes_out_and_moves_nothing(rig: Rig, begin: Any) -> None:
    on(rig, "line")
    session = await begin(rig)
    before = await rig.only()
    rig.now = at(100)
    over = before.list == "ended"
    done = await rig.done(due(rig, session, over=over))
    after = await rig.only()
    assert place(after) == place(before)
    assert (after.ended_at, after.open_key) == (before.ended_at, before.open_key)
    assert after.updated_at == (before.updated_at if over else at(100))
    assert after.last_message is not None
    assert after.last_message.excerpt == "your parcel"
    [request] = [one for one in rig.bus.sends() if one.parts == (TextPart(text="your parcel"),)]
    assert (request.sender, request.sender_name, request.epoch) == ("automation", "Ann", None)
    assert (request.reply_token, request.bulk, request.session) == ("", False, session)
    message = done.message
    assert message is not None
    assert (message.sender_id, message.origin) == ("sch1", "scheduled:sch1")
    [shown] = [one for one in fold(await rig.timeline(session), [], after) if one.id == message.id]
    assert shown.sender == Sender(kind="automation", id="sch1", name="Ann")
    assert (shown.text, shown.status, shown.origin) == ("your parcel", "queued", "scheduled:sch1")
    moved = {fact.type for fact in rig.bus.facts() if fact.rev == after.rev}
    assert moved == {"message.stored"}


async def test_b25_of_a_broadcast_it_is_bulk(rig: Rig) -> None:
    on(rig, "line")
    session = await wrote(rig, "line", "hello", 1)
    done = await rig.done(due(rig, session.id, bulk=True, origin="broadcast:b1"))
    assert rig.bus.sends()[-1].bulk
    assert done.message is not None
    assert done.message.origin == "broadcast:b1"


async def test_b25_the_reply_token_is_left_to_who_answers(rig: Rig) -> None:
    on(rig, "line")
    await rig.take(said("hello", 1, reply_token="token"))
    session = (await rig.only()).id
    await rig.done(due(rig, session))
    await rig.done(rig.send(session, "ann", "yes"))
    assert [request.reply_token for request in rig.bus.sends()] == ["", "token"]


# --- when it does not go -----------------------------------------------------------------------


class Refusal(NamedTuple):
    code: str
    asked: dict[str, Any] = {}
    channel: str = "messenger"
    account: dict[str, Any] = {}
    now: float = 100
    ended: bool = False
    taken: bool = False
    status: int = 409


REFUSED = {
    "b25 without content": Refusal("invalid_input", {"parts": ()}, status=422),
    "b25 into a session that has ended, not being told of it": Refusal("session_over", ended=True),
    "b25 because the visitor wrote since": Refusal("replied", {"since": at(0.5)}),
    "d03 because the session changed hands since": Refusal("stale_epoch", {"epoch": 0}, taken=True),
    "d08 a second after the window closed": Refusal("window_closed", now=DAY + 2),
    "d08 in the longer window of people, which is not for it": Refusal(
        "window_closed", account={"features": ("human_agent",)}, now=2 * DAY
    ),
    "d08 behind the window of an ended session": Refusal(
        "window_closed", {"over": True}, ended=True, now=2 * DAY
    ),
    "d08 with a template that the account does not have": Refusal(
        "template_unknown", {"template": TEMPLATE}, channel="whatsapp", now=2 * DAY
    ),
    "d08 where the account is switched off, held or not": Refusal(
        "account_unavailable", {"hold": True}, account={"enabled": False}
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
async def test_it_is_refused(rig: Rig, case: Refusal) -> None:
    on(rig, case.channel, **case.account)
    session = await wrote(rig, case.channel, "hello", 1)
    if case.taken or case.ended:
        await rig.done(rig.claim(session.id, "ann"))
    if case.ended:
        await rig.done(rig.end(session.id, "ann"))
    rig.now = at(case.now)
    before = await rig.everything()
    refused = await rig.refused(due(rig, session.id, channel=case.channel, **case.asked))
    assert (refused.code, refused.status) == (case.code, case.status)
    assert await rig.everything() == before
    assert rig.bus.sends() == []


class Sent(NamedTuple):
    asked: dict[str, Any]
    channel: str = "messenger"
    now: float = 100
    text: str = "your parcel"


SENT = {
    "b25 when the visitor wrote before it was scheduled": Sent({"since": at(2)}),
    "d03 when nobody took the session since, and then goes by its epoch": Sent({"epoch": 0}),
    "d08 in the window's last second": Sent({}, now=DAY + 0.9),
    "d08 as a template behind the window": Sent(
        {"template": TEMPLATE}, channel="whatsapp", now=2 * DAY, text=TEMPLATE.text
    ),
    "d08 as it was written inside the window, though it has a template": Sent(
        {"template": TEMPLATE}, channel="whatsapp"
    ),
    "d08 inside the window though it might be held": Sent({"hold": True}),
}


@pytest.mark.parametrize("case", SENT.values(), ids=SENT)
async def test_it_goes_out(rig: Rig, case: Sent) -> None:
    on(rig, case.channel, templates=(HELLO,))
    session = await wrote(rig, case.channel, "hello", 1)
    rig.now = at(case.now)
    done = await rig.done(due(rig, session.id, channel=case.channel, **case.asked))
    assert done.message is not None
    [request] = rig.bus.sends()
    assert [part.text for part in request.parts if hasattr(part, "text")] == [case.text]
    assert request.epoch == case.asked.get("epoch")
    assert (await rig.only()).held == ()


class Reply(NamedTuple):
    """The provider's time and ours of what the visitor wrote, in seconds; scheduled at 1.4."""

    theirs: float
    ours: float
    fate: str


REPLIES = {
    "after it, by a clock that is cut to the second": Reply(1, 1.7, "replied"),
    "after it, by a clock that is behind": Reply(-60, 1.7, "replied"),
    "before it, by a clock that is ahead": Reply(1.9, 1.3, "sent"),
}


@pytest.mark.parametrize("ended", [True, False], ids=["in a new session", "in the same session"])
@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
async def test_d08_a_reply_is_one_that_came_to_us_since(
    rig: Rig, reply: Reply, *, ended: bool
) -> None:
    on(rig, "line")
    session = (await wrote(rig, "line", "hello", 0)).id
    if ended:
        await rig.done(rig.claim(session, "ann"))
        await rig.done(rig.end(session, "ann"))
    again = said("again", reply.theirs, key="again")
    await rig.take(arrived(again, received_at=at(reply.ours)))
    session = (await rig.sessions())[-1].id
    rig.now = at(100)
    command = due(rig, session, since=at(1.4))
    if reply.fate == "sent":
        assert (await rig.done(command)).message is not None
    else:
        assert (await rig.refused(command)).code == reply.fate


async def test_d08_who_had_no_session_has_replied_with_their_first_message(rig: Rig) -> None:
    on(rig, "line")
    await rig.take(arrived(said("hello", 1), received_at=at(1.7)))
    session = (await rig.only()).id
    assert (await rig.refused(due(rig, session, since=at(1.4)))).code == "replied"


async def test_d08_of_a_session_from_before_that_was_kept_the_providers_time_counts(
    rig: Rig,
) -> None:
    on(rig, "line")
    session = await wrote(rig, "line", "hello", 1)
    await rig.store.replace(SESSIONS, msgspec.structs.replace(session, heard_at=None))
    assert (await rig.done(due(rig, session.id, since=at(1.2)))).message is not None
    refused = await rig.refused(due(rig, session.id, ref="sch2", since=at(0.5)))
    assert refused.code == "replied"


# --- who never had a session -------------------------------------------------------------------


async def test_b25_who_never_had_a_session_gets_one_that_is_over(rig: Rig) -> None:
    on(rig, "line")
    await rig.take(event(ContactChanged, "f1", 1, change="follow"))
    rig.now = at(100)
    done = await rig.done(due(rig, NEVER))
    made = await rig.only()
    assert done.message is not None
    assert (made.id, made.list, made.open_key, made.owner) == (NEVER, "ended", None, None)
    assert (made.contact, made.visitor, made.created_at) == ("con1", "U1", at(100))
    assert [entry.number for entry in await rig.entries(NEVER)] == [1]
    assert len(rig.bus.sends()) == 1
    assert [fact.type for fact in rig.bus.facts() if fact.session == NEVER] == ["message.stored"]


CHANGES: dict[str, tuple[tuple[str, ...], str]] = {
    "follows": (("follow",), "sent"),
    "has blocked us": (("follow", "unfollow"), "blocked"),
    "has come back": (("follow", "unfollow", "follow"), "sent"),
}


@pytest.mark.parametrize(("changes", "fate"), CHANGES.values(), ids=CHANGES)
async def test_d08_who_never_wrote_and_has_blocked_us_is_sent_nothing(
    rig: Rig, changes: tuple[str, ...], fate: str
) -> None:
    on(rig, "line")
    told = [event(ContactChanged, f"f{n}", n, change=one) for n, one in enumerate(changes)]
    await rig.take(*reversed(told))  # in whatever order they come
    command = due(rig, NEVER, hold=True)
    if fate == "sent":
        assert (await rig.done(command)).message is not None
        return
    assert (await rig.refused(command)).code == fate
    assert (await rig.sessions(), rig.bus.sends()) == ([], [])


async def test_b25_the_session_made_for_it_has_the_contacts_name(rig: Rig) -> None:
    on(rig, "line")
    known = Contact(id="con1", workspace=WORKSPACE, name="Vera", first_seen_at=at(0))
    await rig.store.insert_many(CONTACTS, [known])
    await rig.done(due(rig, NEVER))
    assert (await rig.only()).contact_name == "Vera"
    opened = await wrote(rig, "line", "hello", 61)
    assert opened.contact == "con1"  # though no event ever told who the visitor is


async def test_b25_the_first_message_then_opens_a_session_as_for_a_newcomer(rig: Rig) -> None:
    on(rig, "line")
    await rig.take(event(ContactChanged, "f1", 1, change="follow"))
    await rig.done(due(rig, NEVER))
    rig.now = at(200)
    opened = await wrote(rig, "line", "who is this?", 199)
    assert opened.id != NEVER
    assert (opened.list, opened.returning, opened.last_owner) == ("unassigned", False, "")
    shown = [entry.what or "said" for entry in await rig.timeline(opened.id)]
    assert shown == [
        "follow",
        "said",
    ]  # what came before the first session is in the first real one
    again = await rig.done(due(rig, opened.id, ref="sch2"))
    assert again.session.id == opened.id
    assert {session.id for session in await rig.sessions("ended")} == {NEVER}


async def test_b25_who_comes_back_after_that_is_returning(rig: Rig) -> None:
    on(rig, "line")
    await rig.done(due(rig, NEVER))
    opened = await wrote(rig, "line", "hello", 61)
    await rig.done(rig.end(opened.id, "ann"))
    await rig.done(due(rig, opened.id, ref="sch2", over=True))
    assert (await wrote(rig, "line", "again", 70)).returning


async def test_d08_who_never_wrote_can_be_sent_a_template(rig: Rig) -> None:
    on(rig, "whatsapp", templates=(HELLO,))
    refused = await rig.refused(due(rig, NEVER, channel="whatsapp"))
    assert refused.code == "no_window"
    assert await rig.sessions() == []
    await rig.done(due(rig, NEVER, channel="whatsapp", template=TEMPLATE))
    assert [request.parts for request in rig.bus.sends()] == [(TEMPLATE,)]


async def _opened_meanwhile(rig: Rig) -> str:
    await wrote(rig, "line", "hello", 1)
    return NEVER


async def _ended_meanwhile(rig: Rig) -> str:
    session = await wrote(rig, "line", "hello", 1)
    await rig.done(rig.end(session.id, "ann"))
    return NEVER


async def _came_back(rig: Rig) -> str:
    session = await wrote(rig, "line", "hello", 1)
    await rig.done(rig.end(session.id, "ann"))
    await wrote(rig, "line", "again", 70)
    return session.id


ELSEWHERE = {
    "opened their first session": _opened_meanwhile,
    "had their first session and ended it": _ended_meanwhile,
    "opened another session": _came_back,
}


@pytest.mark.parametrize("begin", ELSEWHERE.values(), ids=ELSEWHERE)
async def test_b25_it_is_to_be_looked_for_again_when_the_visitor(rig: Rig, begin: Any) -> None:
    on(rig, "line")
    asked = await begin(rig)
    before = await rig.everything()
    refused = await rig.refused(due(rig, asked, over=True))
    assert (refused.code, refused.status) == ("session_over", 409)
    assert await rig.everything() == before


# --- what it is no answer to -------------------------------------------------------------------


async def test_b25_a_bot_that_is_turned_on_still_answers_the_visitor(rig: Rig) -> None:
    """What was scheduled came in between, and answers nobody."""
    on(rig, "line")
    session = await wrote(rig, "line", "hello", 1)
    await rig.done(due(rig, session.id))
    waits = await unanswered(rig.store, await rig.only())
    assert waits is not None
    assert waits.parts == (TextPart(text="hello"),)


async def test_d08_it_counts_among_what_the_channel_lets_us_send(rig: Rig) -> None:
    on(rig, "wechat")
    session = await wrote(rig, "wechat", "hello", 1)
    for number in range(5):
        await rig.done(due(rig, session.id, ref=f"sch{number}", channel="wechat"))
    refused = await rig.refused(due(rig, session.id, ref="sch9", channel="wechat"))
    assert refused.code == "count_used_up"
