"""The switches of a workspace, and the words they are made of."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from libs.common.plugin import Plugin

ListName = Literal["bot_hosted", "unassigned", "assigned", "ended"]
Role = Literal["owner", "admin", "lead", "agent", "read_only"]


class ChannelSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a channel overrides; None keeps the workspace's value."""

    auto_hosting: bool | None = None
    auto_assign: bool | None = None
    session_hosting: bool | None = None
    auto_termination: bool | None = None


Speaker = Literal["visitor", "agent", "bot", "automation"]
"""Who said something in a session; an agent who answered elsewhere (an echo) is none of them."""


class IdleRule(msgspec.Struct, frozen=True, kw_only=True):
    """Where, and after how long without a message, a session ends by itself.

    Attributes:
        channels, lists: Where it holds; no channel: all of them.
        last: Who must have spoken last. Where an agent did, the visitor's turn never ends by
            default.
        idle_s: Seconds without a message.
        farewell: What the visitor is told; empty: nothing.
    """

    channels: tuple[str, ...] = ()
    lists: tuple[ListName, ...] = ("bot_hosted", "unassigned")
    last: tuple[Speaker, ...] = ("visitor", "bot", "automation")
    idle_s: int = 24 * 3600
    farewell: str = ""


class Termination(msgspec.Struct, frozen=True, kw_only=True):
    """How sessions end by themselves where `auto_termination` is on; the first rule that fits.

    Attributes:
        per_minute: Most sessions that end so in a minute.
        undo_s: How long such an end can be undone.
        since: When it was last switched on or tightened, set by us: idle time before does not
            count. None: not known yet, and nothing ends; the scheduler says so where it is on.
    """

    rules: tuple[IdleRule, ...] = (IdleRule(channels=("messenger", "fb_comment")),)
    per_minute: int = 60
    undo_s: int = 24 * 3600
    since: datetime | None = None


class QuietHours(msgspec.Struct, frozen=True, kw_only=True):
    """Hours of rest, `HH:MM` of the recipient's wall clock: nothing scheduled goes out.

    `end` may be before `start`: over midnight. What falls inside waits for `end`.
    """

    start: str
    end: str


AlertTrigger = Literal[
    "bot_hosted.message",
    "unassigned.message",
    "assigned.message",
    "handoff.requested",
    "assigned.to_me",
    "mention",
    "notice",
    "session.ended_automatically",
    "send.failed",
    "account.unhealthy",
    "import.finished",
]
"""What an agent may be alerted of. `notice`: a rule, a silent owner, or a snooze that is over."""
AlertMethod = Literal["browser", "email", "webhook"]
"""How. `browser` reaches an open page, and by Web Push one that is closed; `webhook` the
workspace's endpoints that ask for `alert.raised`."""


class AlertDefault(msgspec.Struct, frozen=True, kw_only=True):
    """How agents are alerted of a trigger who chose nothing, or where they cannot (`locked`)."""

    methods: tuple[AlertMethod, ...] = ()
    locked: bool = False


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """A rung of the escalation ladder: what happens when nobody has reacted.

    Attributes:
        after_s: Seconds since the first alert of the burst in which no agent has read, claimed,
            answered or ended the session.
        to: Who is alerted (again): the `same` agents, all of the session's `team` (or everybody,
            where it has none), the `leads`, or `everyone`.
        methods: How, besides what they chose; empty: as they chose.
    """

    after_s: int
    to: Literal["same", "team", "leads", "everyone"] = "same"
    methods: tuple[AlertMethod, ...] = ()


class Alerting(msgspec.Struct, frozen=True, kw_only=True):
    """How a workspace alerts its agents.

    Attributes:
        triggers: Defaults by trigger; what is not named has ours (`alerts.DEFAULTS`).
        window_s: So long after an alert the same session does not alert the same agent again; what
            comes meanwhile only raises the count that is shown.
        email_after_s: An alert goes out by email when the session has been quiet, and unseen by the
            agent, for so long; `email_within_s` after the burst began at the latest.
        escalation: Rungs by rising `after_s`; none: no escalation.
        storm_per_minute: Most separate alerts of an agent in a minute; beyond, one summary of the
            rest a minute.
        stale_s: What is older is told nobody any more who comes back.
    """

    triggers: dict[AlertTrigger, AlertDefault] = {}
    window_s: int = 60
    email_after_s: int = 120
    email_within_s: int = 600
    escalation: tuple[Rung, ...] = (
        Rung(after_s=180),
        Rung(after_s=600, to="leads", methods=("browser", "email")),
    )
    storm_per_minute: int = 30
    stale_s: int = 900


class OfflineVisitors(msgspec.Struct, frozen=True, kw_only=True):
    """How a reply reaches a visitor of the web chat who has left.

    Attributes:
        method: `email`, where an address is known, or `plugin`: it waits for their return.
        after_s: Seconds without a sign of life after which a visitor is offline.
        quiet_s: Replies are collected into one email until so long after the newest.
    """

    method: Literal["email", "plugin"] = "email"
    after_s: int = 60
    quiet_s: int = 60


class RemoveBranding(msgspec.Struct, frozen=True, kw_only=True):
    """Where our name is not shown to visitors and readers."""

    widget: bool = False
    email: bool = False


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """Whether visitors are asked how it was, after an agent has ended their session.

    Attributes:
        channels: Kinds of channel on which they are asked; none: nobody is.
        question: What they are asked; they answer 1 to 5.
        thanks: What they are told once they have; empty: nothing.
        within_s: So long an answer is taken for one.
    """

    channels: tuple[str, ...] = ()
    question: str = "How was our service? Please answer from 1 (bad) to 5 (very good)."
    thanks: str = "Thank you!"
    within_s: int = 24 * 3600


Strategy = Literal["least_loaded", "round_robin", "sticky", "priority"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The workspace's switches. `auto_hosting` is on for a fresh workspace (B09).

    Attributes:
        channels, accounts: What a channel, or an account by slug, overrides; the account wins.
        strategy, strategy_returning: Whom auto-assign takes; the second for returning contacts.
        reopen: Where a returning contact's new session goes: to its last `owner` if online, else
            on as any other; to the `queue`; or to the `bot`.
        removed_for_s: How long auto-assign gives a session not back to who was removed from it.
        calendar: Business hours of the workspace; empty: always open.
        handoff_words: What a visitor says to get a human, compared as a whole message, whatever
            its case and punctuation.
        show_read: Visitors are shown that an assignee has read what they wrote.
        termination: What `auto_termination` does.
        zone: The workspace's time zone (IANA), for those whose own is not known.
        quiet_hours: When nothing scheduled goes out; None: it goes at any time.
        alerts: How agents are alerted.
        offline_visitors: How who has left the web chat gets the reply.
        remove_branding: Where our name is not shown.
        survey: Who is asked how it was.
        plugin: The web chat's window on a customer's pages.
        plugins: Of an account by slug, which then has nothing of `plugin`.
        silent_owner_s: Seconds without an answer of the owner until `silent_owner`; 0: never.
    """

    auto_hosting: bool = True
    auto_assign: bool = False
    session_hosting: bool = False
    auto_termination: bool = False
    end_session_confirm: bool = False
    show_read: bool = True
    strategy: Strategy = "least_loaded"
    strategy_returning: Strategy | None = None
    reopen: Literal["owner", "queue", "bot"] = "owner"
    removed_for_s: int = 600
    calendar: str = ""
    handoff_words: tuple[str, ...] = ("agent", "human", "operator")
    silent_owner_s: int = 0
    silent_owner: Literal["remind", "reassign", "queue", "alert_lead"] = "remind"
    bot_messages: int = 30
    """Most messages a bot may send in one session."""
    bot_deadline_s: int = 30
    termination: Termination = Termination()
    zone: str = "UTC"
    quiet_hours: QuietHours | None = None
    alerts: Alerting = Alerting()
    offline_visitors: OfflineVisitors = OfflineVisitors()
    remove_branding: RemoveBranding = RemoveBranding()
    survey: Survey = Survey()
    plugin: Plugin = Plugin()
    plugins: dict[str, Plugin] = {}
    channels: dict[str, ChannelSettings] = {}
    accounts: dict[str, ChannelSettings] = {}
