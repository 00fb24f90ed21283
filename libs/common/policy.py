"""What a workspace decides by: its people, hours, rules and bots, as one value.

Desk writes the parts to the store and publishes the whole under the workspace's name in the bucket
`policy`; the router watches it. Everything in it is plain data, so that a decision can be kept
with what it was made of and made again from that.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from libs.common.switches import ListName, Role, Settings

Slug = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,47}$")]
Clock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")]
Words = Annotated[str, Meta(min_length=1, max_length=200)]


class _Frozen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One form for all that follows."""


class _Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The form of what people write and read back: every field is written, defaults too."""


# --- hours -------------------------------------------------------------------------------------


class Span(_Shown, frozen=True, kw_only=True):
    """Open on these days (0 is Monday); until past midnight where `closes` is before `opens`."""

    days: tuple[Annotated[int, Meta(ge=0, le=6)], ...]
    opens: Clock
    closes: Clock


class Holiday(_Shown, frozen=True, kw_only=True):
    """A date (`2026-12-25`) with hours of its own; none: closed."""

    date: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    name: str = ""
    spans: tuple[Span, ...] = ()


class Calendar(_Shown, frozen=True, kw_only=True):
    """Business hours in a zone. `away_text` is said once per session to who writes outside them."""

    id: Slug
    name: str = ""
    zone: str = "UTC"
    spans: tuple[Span, ...] = ()
    holidays: tuple[Holiday, ...] = ()
    away_text: str = ""


# --- people ------------------------------------------------------------------------------------


class Team(_Shown, frozen=True, kw_only=True):
    """People who answer for the same things, in the hours of `calendar`, or the workspace's."""

    id: Slug
    name: str = ""
    calendar: str = ""


class Member(_Frozen, frozen=True, kw_only=True):
    """An agent as the rules see it. `limit`: most sessions assigned automatically; 0: none.

    `channels`, `accounts` and `team_only` are as of `Agent`: what somebody below admin sees.
    """

    id: str
    name: str = ""
    role: Role = "agent"
    limit: Annotated[int, Meta(ge=0, le=1000)] = 0
    teams: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    priority: int = 0
    """Higher is preferred by the strategy `priority`."""
    channels: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    team_only: bool = False

    def covers(self, channel: str, account: str) -> bool:
        """Tell whether the member sees what is on this account (slug) of this channel."""
        if self.role in {"owner", "admin"}:
            return True
        return (not self.channels or channel in self.channels) and (
            not self.accounts or account in self.accounts
        )


# --- rules -------------------------------------------------------------------------------------


class Condition(msgspec.Struct, frozen=True, kw_only=True, tag_field="if"):
    """One thing that must hold; `negate` turns it round."""

    negate: bool = False


class ChannelIs(Condition, tag="channel", frozen=True, kw_only=True):
    """The session's channel is one of these."""

    any_of: tuple[str, ...]


class AccountIs(Condition, tag="account", frozen=True, kw_only=True):
    """The session's account is one of these slugs."""

    any_of: tuple[str, ...]


class ListIs(Condition, tag="list", frozen=True, kw_only=True):
    """The session is in one of these lists now; a new one is in none."""

    any_of: tuple[ListName, ...]


class TextHas(Condition, tag="words", frozen=True, kw_only=True):
    """The message has any (or all) of these words, folded; whole words where there are words."""

    words: tuple[Words, ...]
    all_of: bool = False


class TextMatches(Condition, tag="regex", frozen=True, kw_only=True):
    """The message matches; a pattern of RE2, which needs linear time."""

    pattern: Annotated[str, Meta(min_length=1, max_length=500)]


class LanguageIs(Condition, tag="language", frozen=True, kw_only=True):
    """The contact's language, as a prefix: `en` holds for `en-GB`."""

    any_of: tuple[str, ...]


class TagIs(Condition, tag="tag", frozen=True, kw_only=True):
    """The contact or session has one of these tags."""

    any_of: tuple[str, ...]


class FieldIs(Condition, tag="field", frozen=True, kw_only=True):
    """A field of the contact compared with a value."""

    field: str
    op: Literal["is", "is_not", "has", "starts", "set", "unset", "above", "below"] = "is"
    value: str = ""


class HoursAre(Condition, tag="hours", frozen=True, kw_only=True):
    """Now lies inside (or outside) the calendar's hours; empty: the workspace's."""

    calendar: str = ""
    open: bool = True


class ContactIs(Condition, tag="contact", frozen=True, kw_only=True):
    """The contact writes for the first time, or had a session before."""

    kind: Literal["new", "returning"]


class ReferralIs(Condition, tag="referral", frozen=True, kw_only=True):
    """The visitor came by an ad, link or code: its source, or a part of its `ref`."""

    sources: tuple[str, ...] = ()
    ref_has: str = ""


AnyCondition = (
    ChannelIs
    | AccountIs
    | ListIs
    | TextHas
    | TextMatches
    | LanguageIs
    | TagIs
    | FieldIs
    | HoursAre
    | ContactIs
    | ReferralIs
)


class Action(msgspec.Struct, frozen=True, kw_only=True, tag_field="do"):
    """One thing to do."""


class HostWithBot(Action, tag="bot", frozen=True, kw_only=True):
    """Put the session into `bot_hosted` with this bot."""

    bot: str


class AssignToTeam(Action, tag="team", frozen=True, kw_only=True):
    """Let only members of the team (and with the skill) have it; it waits until one can."""

    team: str
    skill: str = ""


class AssignToAgent(Action, tag="agent", frozen=True, kw_only=True):
    """Give it to this agent; while that one cannot, it waits, or with `else_team` goes there."""

    agent: str
    else_team: str = ""


class AddTag(Action, tag="tag", frozen=True, kw_only=True):
    """Tag the session."""

    tag: str


class ReplyWith(Action, tag="reply", frozen=True, kw_only=True):
    """Answer once per session, as automation."""

    text: Annotated[str, Meta(min_length=1, max_length=4000)]


class SetPriority(Action, tag="priority", frozen=True, kw_only=True):
    """Let it be served before those of lower priority; 0 is normal."""

    priority: Annotated[int, Meta(ge=-10, le=10)]


class EndIt(Action, tag="end", frozen=True, kw_only=True):
    """End the session, silently."""

    reason: str = "ended_by_rule"


class Notify(Action, tag="notify", frozen=True, kw_only=True):
    """Alert these agents or a team."""

    agents: tuple[str, ...] = ()
    team: str = ""


AnyAction = (
    HostWithBot | AssignToTeam | AssignToAgent | AddTag | ReplyWith | SetPriority | EndIt | Notify
)

Trigger = Literal["opened", "message", "handoff"]


class Rule(_Shown, frozen=True, kw_only=True):
    """Where all conditions hold, all actions follow. Rules are tried in order; `stop` ends it."""

    id: Slug
    name: str = ""
    on: Trigger = "opened"
    enabled: bool = True
    conditions: tuple[AnyCondition, ...] = ()
    actions: tuple[AnyAction, ...]
    stop: bool = True


# --- bots --------------------------------------------------------------------------------------


BotKind = Literal["faq", "flow", "webhook"]


class BotRef(_Frozen, frozen=True, kw_only=True):
    """A bot as the rules see it; its content is its document `Bot`, of revision `rev`."""

    id: str
    name: str = ""
    kind: BotKind
    rev: int = 0
    channels: tuple[str, ...] = ()
    """Channels it hosts by default, without a rule; empty: all that have no other."""
    enabled: bool = True
    automation: bool = False
    """Whether it answers in `assigned` too, while session hosting is on (FAQ and flow only)."""


# --- all of it ---------------------------------------------------------------------------------


class Policy(_Frozen, frozen=True, kw_only=True, weakref=True):
    """The whole. `version` rises with each change of any part."""

    version: int = 0
    settings: Settings = Settings()
    members: tuple[Member, ...] = ()
    teams: tuple[Team, ...] = ()
    calendars: tuple[Calendar, ...] = ()
    rules: tuple[Rule, ...] = ()
    bots: tuple[BotRef, ...] = ()


class Present(_Frozen, frozen=True, kw_only=True):
    """What the bucket `presence` says under `<workspace>.<agent>`; the entry lapses after 60 s.

    `offline` is a person's own word while a page of theirs is still open; it counts as absent.
    """

    state: Literal["online", "away", "offline"] = "online"
    since: datetime


# --- what a decision is made of ----------------------------------------------------------------


class Case(_Frozen, frozen=True, kw_only=True):
    """A session that needs a decision, as far as rules may look.

    Attributes:
        trigger: `opened` by a visitor's first message, `message` by a further one, `handoff` when
            a human is asked for, `queued` when an unassigned session is offered to agents.
        list: Where it is; empty when it is being opened.
        removed: Agents that were removed lately, and until when they do not get it back.
        last_owner: Who had the contact's session before.
        team, skill, agent: Whom a rule has asked for earlier.
        tags: Of contact and session.
        fields: Of the contact: `name`, `email`, `phone`, and its custom ones.
        said: What was said once in the session and is not said again: `away`, `rule:<id>`.
        behind: Others wait already, and are served before it.
        owner: Who has it; answered_at: when they last answered in it.
    """

    trigger: Literal["opened", "message", "handoff", "queued"]
    session: str
    channel: str
    account: str
    list: str = ""
    text: str = ""
    language: str = ""
    tags: tuple[str, ...] = ()
    fields: dict[str, str] = {}
    returning: bool = False
    last_owner: str = ""
    referral_source: str = ""
    referral_ref: str = ""
    standby: bool = False
    removed: dict[str, datetime] = {}
    team: str = ""
    skill: str = ""
    agent: str = ""
    said: tuple[str, ...] = ()
    behind: bool = False
    owner: str = ""
    answered_at: datetime | None = None


class Standing(_Frozen, frozen=True, kw_only=True):
    """An agent at the moment of a decision. `idle_since`: when it last got or lost a session."""

    id: str
    online: bool
    load: int
    idle_since: datetime
    turn: int = 0
    """Of the strategy `round_robin`: the number of its last automatic assignment."""
    away: bool = False
    """Signed in, but takes nothing now."""


class Candidate(_Frozen, frozen=True, kw_only=True):
    """An agent that was looked at, and why it could not be chosen; empty: it could.

    `excluded` is the first of `read_only`, `limit_0`, `not_in_team`, `no_skill`,
    `out_of_scope`, `removed`, `offline`, `away`, `full` and `out_of_hours` that is true.
    """

    agent: str
    name: str = ""
    load: int = 0
    limit: int = 0
    excluded: str = ""


class Decision(_Frozen, frozen=True, kw_only=True):
    """What follows, and why.

    Attributes:
        list: Where the session goes; empty: it stays.
        because: Stable code of what decided: `rule`, `auto_hosting`, `auto_hosting_of_channel`,
            `auto_hosting_of_account`, `auto_hosting_off`, `standby`, `auto_assign`, `nobody_free`,
            `others_first`, `reopened_to_owner`, `reopened_to_queue`, `reopened_to_bot`, `handoff`,
            `auto_assign_off`, `has_owner`, `no_rule`, `no_bot`.
        automation: It is assigned where session hosting is on; what a person switched in the
            session wins over that.
        rules: Ids of the rules that fired, in order.
        says: What `replies` say, for `Session.said`: `away`, `rule:<id>`.
        candidates: Everybody who was looked at for an assignment.
    """

    because: str
    list: Literal["", "bot_hosted", "unassigned", "assigned", "ended"] = ""
    bot: str = ""
    owner: str = ""
    team: str = ""
    skill: str = ""
    agent: str = ""
    automation: bool = False
    rules: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    replies: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    priority: int | None = None
    notify: tuple[str, ...] = ()
    end_reason: str = ""
    candidates: tuple[Candidate, ...] = ()
