"""What may be sent to a visitor now, until when, and why not. Pure, and the same for everybody.

The desk shows it, the router refuses by it, the sender looks again before the call. All times are
aware; a window ends at its last instant: at the very moment of `until` it is closed. The rules of
each channel are `Channel.window`, from the providers' own documents.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from libs.common.channel import Account, Channel, MessageTemplate, WindowRule
from libs.common.documents import Session
from libs.common.events import ContentPart, TemplatePart, Thread, Way
from libs.common.openings import Opening, later, opening
from libs.common.outgoing import calls_of

Reason = Literal[
    "",
    "window_closed",
    "no_window",
    "count_used_up",
    "blocked",
    "standby",
    "account_unavailable",
]

RefusalCode = Literal[
    "window_closed",
    "no_window",
    "count_used_up",
    "blocked",
    "standby",
    "account_unavailable",
    "template_unknown",
    "template_values",
    "private_reply_used",
    "private_reply_closed",
    "private_reply_impossible",
]

PERSON = "agent"
"""The kind of actor that is a person; the longer window of `human_agent` is for people only."""

_PLACE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_MEDIA_HEADERS = frozenset({"image", "video", "file"})


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What may be sent in a session at one moment.

    Attributes:
        can_free_text: Anything may be sent that the channel carries.
        can_free_text_until: When that ends, or when it ended; None with `can_free_text`: never.
        sends_left: How many of the provider's messages may be sent until then; None: no limit, or
            no window.
        can_human_agent: A person, not a machine, may write in the longer window for people.
        can_reply_privately: The comment that the session stands at may be answered privately.
        allowed_templates: What may be sent at any time, each as `name/language`.
        reason: Why `can_free_text` is not, or `standby`, which is a warning to a person.
        detail: The same in plain words; empty where `reason` is.
        carries: What the channel can send, see `Channel.carries`.
        standby: Another application holds the conversation: a person may still write, a machine
            may not.
    """

    can_free_text: bool
    can_free_text_until: datetime | None = None
    sends_left: int | None = None
    can_human_agent: bool = False
    human_agent_until: datetime | None = None
    can_reply_privately: bool = False
    private_reply_until: datetime | None = None
    allowed_templates: tuple[str, ...] = ()
    reason: Reason = ""
    detail: str = ""
    carries: tuple[str, ...] = ()
    standby: bool = False


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    """A comment that may be answered, and when it was written."""

    thread: Thread
    at: datetime


class Permit(msgspec.Struct, frozen=True, kw_only=True):
    """The message may go out, in this way, until `open_until` (None: whenever)."""

    way: Way = ""
    human_agent: bool = False
    open_until: datetime | None = None


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The message may not go out; `detail` is fit for a person, `facts` for a machine."""

    code: RefusalCode
    detail: str
    facts: dict[str, str] = {}


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A message that somebody wants to send. `comment` is the one it answers, if any."""

    parts: Sequence[ContentPart]
    actor_kind: str
    way: Way = ""
    comment: Comment | None = None


def capabilities(
    session: Session,
    channel: Channel,
    account: Account | None,
    now: datetime,
    comment: Comment | None = None,
) -> Capabilities:
    """Return what may be sent in *session* at *now*.

    *comment* is what a private reply would answer, by default the comment that the session stands
    at. An *account* that is not known (None) refuses nothing: the provider decides.
    """
    carries = tuple(sorted(channel.carries))
    dead = _dead(session, account)
    if dead:
        return Capabilities(
            can_free_text=False, reason=dead, detail=_DETAILS[dead], carries=carries
        )
    rule = channel.window if account is not None else WindowRule()
    free = opening(session, rule, now)
    reason = _closed(free, rule, now)
    human_until = _human_agent_until(session, rule, account)
    comment = comment or comment_of(session)
    private_until = _private_until(comment, channel.window)
    shown: Reason = reason or ("standby" if session.standby else "")
    return Capabilities(
        can_free_text=not reason,
        can_free_text_until=free.until,
        sends_left=free.left if reason in {"", "count_used_up"} else None,
        can_human_agent=human_until is not None and now < human_until,
        human_agent_until=human_until,
        can_reply_privately=_is_unanswered(session, comment)
        and private_until is not None
        and now < private_until,
        private_reply_until=private_until,
        allowed_templates=_names(account.templates) if account and rule.templates else (),
        reason=shown,
        detail=_DETAILS[shown],
        carries=carries,
        standby=session.standby,
    )


def permitted(
    session: Session, channel: Channel, account: Account | None, wish: Wish, now: datetime
) -> Permit | Refusal:
    """Return how *wish* may go out at *now*, or why it may not."""
    can = capabilities(session, channel, account, now, wish.comment)
    refusal = _absolutely(can, wish.actor_kind) or _template_wrong(channel, account, wish.parts)
    if refusal is not None:
        return refusal
    if wish.way == "private":
        return _privately(session, can, wish.comment or comment_of(session))
    calls = calls_of(channel, tuple(wish.parts), wish.way)
    if can.can_free_text and can.sends_left is not None and calls > can.sends_left:
        free = opening(session, channel.window, now, calls)
        if free.left is None or calls > free.left:
            return _too_many(calls, can)
        can = msgspec.structs.replace(can, can_free_text_until=free.until)
    return _openly(can, wish)


def comment_of(session: Session) -> Comment | None:
    """Return the comment that the session stands at; None where it is none."""
    stood = session.newest.get("thread")
    if session.thread is None or not session.thread.comment or stood is None:
        return None
    return Comment(thread=session.thread, at=stood.at)


def values_of(template: MessageTemplate) -> int | None:
    """Return how many values the body takes; None where its text is not known."""
    return len(set(_PLACE.findall(template.body))) if template.body else None


# --- what the session allows -------------------------------------------------------------------

_DETAILS: dict[Reason, str] = {
    "": "",
    "window_closed": "the time in which one may answer is over; "
    "it begins anew when the visitor writes",
    "no_window": "the visitor has not written yet, and only then one may answer",
    "count_used_up": "no more messages may be sent until the visitor writes again",
    "blocked": "the visitor has blocked or left the account",
    "standby": "another application has the conversation; what you write may not get through",
    "account_unavailable": "the account is switched off",
}


def _dead(session: Session, account: Account | None) -> Reason:
    """Return why nothing at all can be sent; empty when something can."""
    if account is not None and not account.enabled:
        return "account_unavailable"
    return "blocked" if session.blocked else ""


def _closed(free: Opening, rule: WindowRule, now: datetime) -> Reason:
    if rule.free_s is None:
        return ""
    if free.until is None:
        return "no_window"
    if now >= free.until:
        return "window_closed"
    return "count_used_up" if free.left == 0 else ""


def _human_agent_until(
    session: Session, rule: WindowRule, account: Account | None
) -> datetime | None:
    if account is None or "human_agent" not in account.features:
        return None
    return later(session.window_at, rule.human_agent_s)


def _private_until(comment: Comment | None, rule: WindowRule) -> datetime | None:
    return later(comment.at, rule.private_reply_s) if comment else None


def _is_unanswered(session: Session, comment: Comment | None) -> bool:
    return comment is not None and comment.thread.comment not in session.private_replied


def _names(templates: Iterable[MessageTemplate]) -> tuple[str, ...]:
    return tuple(sorted(f"{t.name}/{t.language}" for t in templates if t.approved))


# --- whether one message may go ----------------------------------------------------------------


def _absolutely(can: Capabilities, actor_kind: str) -> Refusal | None:
    if can.reason in {"account_unavailable", "blocked"}:
        return _refuse(can.reason, can)
    if can.standby and actor_kind != PERSON:
        return Refusal(
            code="standby",
            detail="another application has the conversation; only a person may write into it",
        )
    return None


def _openly(can: Capabilities, wish: Wish) -> Permit | Refusal:
    """A message into the conversation, or below the comment."""
    if can.allowed_templates and all(isinstance(part, TemplatePart) for part in wish.parts):
        return Permit(way=wish.way)
    if can.can_free_text:
        return Permit(way=wish.way, open_until=can.can_free_text_until)
    if can.can_human_agent and wish.actor_kind == PERSON:
        return Permit(way=wish.way, human_agent=True, open_until=can.human_agent_until)
    return _refuse(can.reason, can)


def _privately(session: Session, can: Capabilities, comment: Comment | None) -> Permit | Refusal:
    """A message to the author of a comment: once, and in time."""
    until = can.private_reply_until
    if comment is None or until is None:
        return Refusal(
            code="private_reply_impossible", detail="there is no comment to answer privately"
        )
    facts = {"comment": comment.thread.comment, "until": until.isoformat()}
    if not _is_unanswered(session, comment):
        detail = "the comment has had its one private reply, or takes none"
        return Refusal(code="private_reply_used", detail=detail, facts=facts)
    if not can.can_reply_privately:
        detail = "the comment is too old to be answered privately"
        return Refusal(code="private_reply_closed", detail=detail, facts=facts)
    return Permit(way="private", open_until=until)


def _template_wrong(
    channel: Channel, account: Account | None, parts: Iterable[ContentPart]
) -> Refusal | None:
    """Return what is wrong with the first template that cannot go out as asked."""
    wanted = [part for part in parts if isinstance(part, TemplatePart)]
    if not wanted or account is None:
        return None
    if not channel.window.templates:
        return Refusal(code="template_unknown", detail="this channel has no templates")
    known = {(t.name, t.language): t for t in account.templates if t.approved}
    for part in wanted:
        template = known.get((part.name, part.language))
        if template is None:
            return Refusal(
                code="template_unknown",
                detail="the account has no such approved template in this language",
                facts={"templates": ",".join(_names(account.templates))},
            )
        wrong = _values_wrong(template, part)
        if wrong:
            return Refusal(code="template_values", detail=wrong)
    return None


def _values_wrong(template: MessageTemplate, part: TemplatePart) -> str:
    """Return in plain words which value is missing or too many; empty when all are right."""
    wanted = values_of(template)
    if wanted is not None and len(part.body) != wanted:
        return f"the template takes {wanted} values in its text and {len(part.body)} were given"
    if template.header in _MEDIA_HEADERS and part.header_media is None:
        return f"the template needs a file of kind {template.header} as its header"
    if template.header not in _MEDIA_HEADERS and part.header_media is not None:
        return "the template takes no file as its header"
    return ""


def _too_many(calls: int, can: Capabilities) -> Refusal:
    """Refuse a message of which the provider would take only the beginning."""
    detail = (
        f"the message goes out as {calls} messages of the channel, and {can.sends_left} more may "
        "be sent until the visitor writes again"
    )
    facts = {**_facts(can), "messages": str(calls), "left": str(can.sends_left)}
    return Refusal(code="count_used_up", detail=detail, facts=facts)


def _refuse(reason: Reason, can: Capabilities) -> Refusal:
    code: RefusalCode = reason if reason != "" else "window_closed"
    return Refusal(code=code, detail=_DETAILS[reason], facts=_facts(can))


def _facts(can: Capabilities) -> dict[str, str]:
    """Return until when it was open, and what may be sent all the same."""
    facts = {
        "until": can.can_free_text_until.isoformat() if can.can_free_text_until else "",
        "human_agent_until": can.human_agent_until.isoformat() if can.can_human_agent else "",  # type: ignore[union-attr]
        "templates": ",".join(can.allowed_templates),
    }
    return {name: value for name, value in facts.items() if value}
