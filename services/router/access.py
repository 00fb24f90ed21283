"""What a channel event tells about whether, and until when, the visitor may be written to. Pure.

Everything here is a maximum, or is set by the newest event that speaks of it, so that the order of
arrival changes nothing. What a new session takes over from the visitor's last one is here too: a
window belongs to a visitor and an account, not to an episode.
"""

from __future__ import annotations

from datetime import datetime

from libs.common.documents import Message, Moment, Session
from libs.common.events import (
    InboundEvent,
    InteractionReceived,
    MessageReceived,
    ReactionChanged,
    Referral,
    ThreadControlChanged,
)
from libs.common.openings import sent_since
from libs.common.strays import blocking
from services.router.contacts import FACTS
from services.router.draft import Draft

SENT_KEPT = 20
"""Times of our own sends that a session keeps, the newest; no channel allows more at once."""

ANSWERED_KEPT = 100
"""Comments that a session remembers as answered privately; the provider knows the older ones."""

_HANDS = {"taken": True, "passed": False}
_INHERITED = ("blocked", "standby", *(f"contact_{fact}" for fact in FACTS))


def learn(draft: Draft, entry: Message, event: InboundEvent | None) -> None:
    """Note what *event*, kept as *entry*, tells about writing to the visitor."""
    _block(draft, entry, event)
    if event is not None and (event.brief or opens_window(event)):
        _open(draft.session, entry.occurred_at, brief=event.brief)
        if draft.session.held:
            draft.release(entry.received_at)
    referral = getattr(event, "referral", None)
    if referral is not None and draft.is_newest("referral", entry):
        draft.session.referral = referral
    if is_ad(referral):
        session = draft.session
        session.ad_at = max(session.ad_at or entry.occurred_at, entry.occurred_at)
    held = _held_elsewhere(event)
    if held is not None and draft.is_newest("standby", entry):
        draft.session.standby = held


def opens_window(event: InboundEvent) -> bool:
    """Tell whether *event* lets us write freely from its time on.

    A message, a tap, a comment; a reaction; a call of theirs; a link into an existing thread.
    Never what the account itself said or did.
    """
    if isinstance(event, MessageReceived):
        return True
    if isinstance(event, ReactionChanged):
        return bool(event.emoji) and event.author in {"", event.visitor}
    if isinstance(event, InteractionReceived):
        return event.kind == "referral" or (event.kind == "call" and _is_theirs(event.data))
    return False


def is_ad(referral: Referral | None) -> bool:
    """Tell whether the visitor came by an ad."""
    return referral is not None and (
        bool(referral.ad_id) or referral.source.lower() in {"ad", "ads"}
    )


def settle(draft: Draft, ours: Message) -> None:
    """Note what became of a message of ours: what failed uses nothing up."""
    session = draft.session
    failed = ours.status == "failed"
    if failed and ours.status_reason != "partly_sent" and ours.id in session.window_sent:
        sent = session.window_sent
        session.window_sent = {id_: at for id_, at in sent.items() if id_ != ours.id}
        _count(session)
    if ours.way == "private" and ours.thread is not None:
        possible = ours.status_reason != "not_answerable"
        answer_privately(session, ours.thread.comment, taken_back=failed and possible)


def answer_privately(session: Session, comment: str, *, taken_back: bool = False) -> None:
    """Note that *comment* has, or after all has not, had its one private reply."""
    answered = session.private_replied
    if taken_back:
        session.private_replied = tuple(one for one in answered if one != comment)
    elif comment not in answered:
        session.private_replied = (*answered, comment)[-ANSWERED_KEPT:]


def count_send(session: Session, entry_id: str, at: datetime, calls: int = 1) -> None:
    """Note that the message *entry_id* uses up so many of the window's sends."""
    sent = {**session.window_sent, entry_id: at}
    newest = sorted(sent, key=lambda id_: (sent[id_], id_))[-SENT_KEPT:]
    session.window_sent = {id_: sent[id_] for id_ in newest}
    session.window_calls = {**session.window_calls, entry_id: calls}
    _count(session)


def inherit(session: Session, last: Session) -> None:
    """Give a new *session* what the visitor's *last* one knew of them."""
    session.returning = last.returning or last.inbound > 0
    session.held = last.held
    session.traced = last.traced
    session.last_owner = last.owner or last.last_owner
    session.window_at = last.window_at
    session.brief_at = last.brief_at
    session.window_sent = dict(last.window_sent)
    session.window_calls = dict(last.window_calls)
    session.ad_at = last.ad_at
    session.blocked = last.blocked
    session.standby = last.standby
    session.private_replied = last.private_replied
    for fact in FACTS:
        setattr(session, f"contact_{fact}", getattr(last, f"contact_{fact}"))
    session.alias = last.alias
    kept = {name: last.newest[name] for name in _INHERITED if name in last.newest}
    session.newest = {**session.newest, **kept}
    _count(session)


def _open(session: Session, at: datetime, *, brief: bool) -> None:
    """Note that one may write from *at* on; neither kind of window touches the other."""
    if brief:
        session.brief_at = max(session.brief_at or at, at)
    else:
        session.window_at = max(session.window_at or at, at)
        _count(session)
    block = session.newest.get("blocked")
    if session.blocked and _is_over(block, at):
        session.blocked = False  # whoever writes has come back


def _block(draft: Draft, entry: Message, event: InboundEvent | None) -> None:
    """Follow the newest word on it."""
    blocked = blocking(event)
    if blocked is not None and draft.is_newest("blocked", entry):
        session = draft.session
        block = session.newest["blocked"]
        wrote = (at for at in (session.window_at, session.brief_at) if at is not None)
        session.blocked = blocked and not any(_is_over(block, at) for at in wrote)


def _is_over(block: Moment | None, wrote_at: datetime) -> bool:
    return block is None or wrote_at >= block.at


def _held_elsewhere(event: InboundEvent | None) -> bool | None:
    """Tell whether another application has the conversation; None where *event* does not say."""
    if event is None:
        return None
    if isinstance(event, ThreadControlChanged):
        return _HANDS.get(event.change)
    if event.standby:
        return True
    return False if isinstance(event, MessageReceived) else None


def _is_theirs(call: dict[str, str]) -> bool:
    """Tell whether the visitor began the call, by its beginning alone."""
    ours = call.get("direction", "").upper().startswith("BUSINESS")
    return not ours and call.get("event", "connect") == "connect"


def _count(session: Session) -> None:
    calls = session.window_calls
    kept = session.window_sent
    session.window_calls = {id_: calls[id_] for id_ in kept if calls.get(id_, 1) != 1}
    session.window_sends = sent_since(session, session.window_at)
