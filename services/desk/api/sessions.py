"""Sessions as they are shown: rows of a list, one session, and the filters of the list."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from libs.common.channels import CHANNELS
from libs.common.documents import LastMessage, ListName, Session
from libs.common.errors import InvalidInputError
from libs.common.events import Referral, Thread
from libs.common.windows import Capabilities
from services.desk.api.able import able
from services.desk.api.login import AgentName
from services.desk.api.read import Plain
from services.desk.api.route import Call, Principal, Reply
from services.desk.api.survey_view import SurveyView, survey_of
from services.desk.api.visible import session_of
from services.desk.filters import ME, OPEN, Party, SessionFilter, Snoozed
from services.desk.named import named

Name = Annotated[str, Meta(max_length=100, pattern=r"^[^\x00]*$")]
TagName = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00]*$")]
CHANNEL_NAMES = tuple(sorted(CHANNELS))
Limit = Annotated[int, Meta(ge=1, le=200, description="Rows of one page")]
Cursor = Annotated[str, Meta(description="The `next` of the page before")]


class SessionFilterQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Filters compose by AND, the values of one by OR. Without `list`: the open sessions.

    What is not known here is refused: a filter that is ignored would show too much.
    """

    list: Annotated[
        tuple[ListName, ...], Meta(description="Lists; without it the three open ones")
    ] = ()
    channel: Annotated[tuple[Name, ...], Meta(description="Kinds of channel")] = ()
    account: Annotated[tuple[Name, ...], Meta(description="Slugs of accounts")] = ()
    parties: Annotated[
        tuple[Party, ...],
        Meta(description="`bot`: in bot_hosted or with the bot on; `agent`: the rest"),
    ] = msgspec.field(name="with", default=())
    assignee: Annotated[
        tuple[Name, ...],
        Meta(description="`me`, `new` (unassigned), `others` (taken, not by me), or agent ids"),
    ] = ()
    tag: Annotated[tuple[TagName, ...], Meta(description="Words the session is tagged with")] = ()
    snoozed: Annotated[
        Snoozed,
        Meta(
            description="`false` leaves out what is put aside; `true`: only that, by when it wakes"
        ),
    ] = "false"


class SessionQuery(SessionFilterQuery, frozen=True, kw_only=True):
    """One page of the sessions that the filters mean, of those that `q` finds.

    `q` finds by what is said, edited or noted there now, and by what the contact is known by: see
    `/search`. It looks at the newest 500 messages and at 500 contacts; `complete` tells whether
    that was all.
    """

    q: Annotated[
        Plain,
        Meta(max_length=500, description="Words, all in one message, or of the contact"),
    ] = ""

    cursor: Cursor = ""
    limit: Limit = 50
    counts: Annotated[bool, Meta(description="false leaves the counts out")] = True


class AssigneeView(msgspec.Struct, frozen=True, kw_only=True):
    """An agent on the session, since when; exactly one is the owner."""

    id: str
    name: str
    since: datetime
    owner: bool


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One session as a list shows it, for the calling agent.

    Attributes:
        bot: The bot is switched on; `bot_id` names it, where one is set up.
        automation: Auto-replies stay active while an agent has it.
        priority: Higher is served before lower; 0 is normal.
        team: Whose turn it is, where a rule said so.
        waiting_since: When it came into `unassigned`; null elsewhere.
        unread: Visitor messages that the caller has not read.
        rev: Raised by every change: of two states of a row, the higher one is the newer.
        epoch: Raised by each change of list, owner or bot switch.
        snoozed_until: It is put aside until then, by the agent `snoozed_by`; null: it is not.
        because: The rule or action that put it where it is, see `/sessions/{id}/why`.
        capabilities: What may be sent now, until when, and why not; null for an unknown channel.
    """

    id: str
    list: ListName
    owner: AgentName | None
    assignees: tuple[AssigneeView, ...]
    bot: bool
    bot_id: str
    automation: bool
    tags: tuple[str, ...]
    priority: int
    team: str
    waiting_since: datetime | None
    channel: str
    account: str
    contact: AgentName
    last_message: LastMessage | None
    unread: int
    rev: int
    epoch: int
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    snoozed_until: datetime | None
    snoozed_by: str
    because: str
    capabilities: Capabilities | None


class SessionDetail(SessionRow, frozen=True, kw_only=True):
    """A session with what its page shows besides.

    Attributes:
        skill, wanted: The skill, and the agent, that a rule asked for.
        removed: Agents that were taken off, and until when auto-assign leaves them out.
        returning: The contact had a session before; `last_owner` had it last.
        visitor: The channel's id of the person, or of the group.
        entries: Timeline entries so far.
        inbound: Visitor messages so far; `up_to` of `PUT .../read` counts them.
        referral: The ad, link, code or page by which the visitor came last.
        survey: How the visitor found it; null: they were not asked.
    """

    skill: str
    wanted: str
    removed: dict[str, datetime]
    returning: bool
    last_owner: str
    visitor: str
    entries: int
    inbound: int
    last_inbound_at: datetime | None
    end_reason: str
    thread: Thread | None
    referral: Referral | None
    visitor_read_up_to: datetime | None
    visitor_delivered_up_to: datetime | None
    survey: SurveyView | None


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many sessions each value of a filter would show under the *other* filters.

    Each stops at 1,000, which means "1,000 or more". `tags` has the hundred most frequent.
    """

    lists: dict[str, int]
    parties: dict[str, int] = msgspec.field(name="with")
    assignee: dict[str, int]
    channels: dict[str, int]
    accounts: dict[str, int]
    tags: dict[str, int]


class SessionList(msgspec.Struct, frozen=True, kw_only=True):
    """Newest change first, snoozed ones by when they wake; `counts` null: not asked for.

    Not `complete`: `q` is found in more messages or contacts than were looked at.
    """

    items: tuple[SessionRow, ...]
    next: str | None
    counts: Counts | None
    complete: bool = True


async def session(call: Call) -> Reply:
    """Show one session.

    Raises:
        NotFoundError: No such session in this workspace.
    """
    found = await session_of(call)
    can = await able(call, [found])
    [shown] = await named(call.desk.store.port, call.who.workspace, [found])
    return Reply(body=detail(shown, call.who.agent, can.get(found.id)))


def check_channels(names: Iterable[str], field: str) -> None:
    """Refuse a kind of channel that there is not.

    Raises:
        InvalidInputError: Names the first of them.
    """
    for name in names:
        if name not in CHANNEL_NAMES:
            allowed = ", ".join(CHANNEL_NAMES)
            raise InvalidInputError(
                f"{field}: {name!r} is not one of {allowed}.", field=field, allowed=allowed
            )


def wanted_by(query: SessionFilterQuery, who: Principal) -> SessionFilter:
    """Return the filter that a query string of *who* means: never more than they see.

    Raises:
        InvalidInputError: An unknown kind of channel.
    """
    check_channels(query.channel, "channel")
    me = who.agent
    return SessionFilter(
        me=me,
        lists=query.list or OPEN,
        channels=query.channel,
        accounts=query.account,
        parties=query.parties,
        assignees=tuple(ME if name == me else name for name in query.assignee),
        tags=query.tag,
        snoozed=query.snoozed,
        scope=who.scope,
    )


def row(session: Session, me: str, can: Capabilities | None) -> SessionRow:
    """Return a session as the agent *me* sees it in a list."""
    return SessionRow(**_row_fields(session, me), capabilities=can)


def detail(session: Session, me: str, can: Capabilities | None) -> SessionDetail:
    """Return a session as the agent *me* sees it on its page."""
    return SessionDetail(
        **_row_fields(session, me),
        capabilities=can,
        skill=session.skill,
        wanted=session.wanted,
        removed=session.removed,
        returning=session.returning,
        last_owner=session.last_owner,
        visitor=session.visitor,
        entries=session.entries,
        inbound=session.inbound,
        last_inbound_at=session.last_inbound_at,
        end_reason=session.end_reason,
        thread=session.thread,
        referral=session.referral,
        visitor_read_up_to=session.read_up_to,
        visitor_delivered_up_to=session.delivered_up_to,
        survey=survey_of(session),
    )


def owner_of(session: Session) -> AgentName | None:
    """Return the owner with the name the session knows them by."""
    if session.owner is None:
        return None
    names = {assignee.agent: assignee.name for assignee in session.assignees}
    return AgentName(id=session.owner, name=names.get(session.owner, ""))


def _row_fields(session: Session, me: str) -> dict[str, Any]:
    return {
        "id": session.id,
        "list": session.list,
        "owner": owner_of(session),
        "assignees": tuple(
            AssigneeView(
                id=assignee.agent,
                name=assignee.name,
                since=assignee.since,
                owner=assignee.agent == session.owner,
            )
            for assignee in session.assignees
        ),
        "bot": session.bot,
        "bot_id": session.bot_id,
        "automation": session.automation,
        "tags": session.tags,
        "priority": session.priority,
        "team": session.team,
        "waiting_since": session.waiting_since,
        "channel": session.channel,
        "account": session.account,
        "contact": AgentName(id=session.contact, name=session.contact_name),
        "last_message": session.last_message,
        "unread": max(0, session.inbound - session.reads.get(me, 0)),
        "rev": session.rev,
        "epoch": session.epoch,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
        "ended_at": session.ended_at,
        "snoozed_until": session.snoozed_until,
        "snoozed_by": session.snoozed_by,
        "because": session.because,
    }
