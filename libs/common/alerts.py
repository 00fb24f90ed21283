"""Alerts: what an agent is told, how they want to be, and what is remembered of it.

The notifier alone writes `Attention` and publishes `Alert`s; desk writes `Preferences`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from libs.common.store.api import Collection, Document, Index
from libs.common.switches import AlertDefault, Alerting, AlertMethod, AlertTrigger, QuietHours

Sink = Literal["browser", "push", "email", "webhook"]
"""Where an alert goes. The method `browser` is both of the first: a page that is open, and one that
is not."""

SOUNDS = ("chime", "bell", "knock", "pop", "none")
"""Ids of the sounds that the console has; `none` is silence."""

DEFAULTS: Mapping[AlertTrigger, AlertDefault] = {
    "bot_hosted.message": AlertDefault(),
    "unassigned.message": AlertDefault(methods=("browser",)),
    "assigned.message": AlertDefault(methods=("browser", "email")),
    "handoff.requested": AlertDefault(methods=("browser", "email")),
    "assigned.to_me": AlertDefault(methods=("browser", "email")),
    "mention": AlertDefault(methods=("browser", "email")),
    "notice": AlertDefault(methods=("browser", "email")),
    "session.ended_automatically": AlertDefault(),
    "send.failed": AlertDefault(methods=("browser",)),
    "account.unhealthy": AlertDefault(methods=("browser", "email")),
    "import.finished": AlertDefault(methods=("browser",)),
}


class Preferences(Document, kw_only=True):
    """How an agent (the id) wants to be alerted; what they never chose is as the workspace has it.

    Attributes:
        triggers: Methods by trigger; empty: not at all. A locked trigger is as the workspace has
            it, whatever stands here.
        sound: Of the browser's alerts, one of `SOUNDS`; `sounds` by trigger. `volume` is 0 to 100.
        muted: No sound and no push; `muted_until`: so until then only.
        quiet_hours: By the wall clock of `zone` (IANA; empty: the workspace's): no sound, no push;
            email waits for their end.
        absent: Whether an agent who is not there is alerted of what concerns everybody (a list, a
            request for a human) although others are there: `always`, or only `if_nobody` is.
        lock_screen: What a push may show: `generic` words, the `contact`'s name, or an `excerpt`,
            too.
    """

    triggers: dict[AlertTrigger, tuple[AlertMethod, ...]] = {}
    sound: str = "chime"
    sounds: dict[AlertTrigger, str] = {}
    volume: Annotated[int, Meta(ge=0, le=100)] = 70
    muted: bool = False
    muted_until: datetime | None = None
    quiet_hours: QuietHours | None = None
    zone: str = ""
    absent: Literal["always", "if_nobody"] = "if_nobody"
    lock_screen: Literal["generic", "contact", "excerpt"] = "generic"


NOBODY_REACTED = "nobody_reacted"


class Alert(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that one agent is told, on ALERTS and, as `event: alert`, on `/alerts/stream`.

    Attributes:
        id: The same for every sink and repeat of one alert: `<session>:<burst>:<agent>`; a page
            shows one notification for an id.
        kind: It was `raised`; what is shown of it has changed, without a sound (`updated`); or it
            is to be taken away (`cleared`).
        n: Counts what is said of this alert, so that each has a message id of its own.
        session: Empty where it is about no session (an account, an import, a summary).
        excerpt: What the visitor said last, if nobody has spoken since; of a `mention` who mentions
            the agent and what the note says; of no session what is known of the trouble.
        list: Where the session stands, which a click opens.
        count: Messages that wait for the agent in this burst; of a summary: sessions.
        rung: 0, or which rung of the ladder raised it again.
        sound: Id of the sound to play; None: none. `volume` is 0 to 100.
        url: Leads there, below the installation's address.
        at: When it happened; of what time alone brings (the end of a window, an email, a rung) now.
        since: Since when it waits for the agent: when its burst began; None: as `at`.
        expires_at: What is told later is not worth telling.
        because: Of `cleared`: `seen`, `claimed`, `ended`, `answered`, `moved`; `renewed`, where
            another alert of the session takes its place. Else `NOBODY_REACTED`, where a rung
            alone tells the agent of it; empty otherwise.
    """

    id: str
    kind: Literal["raised", "updated", "cleared"] = "raised"
    n: int = 0
    workspace: str
    agent: str
    trigger: AlertTrigger
    at: datetime
    since: datetime | None = None
    expires_at: datetime
    session: str = ""
    list: str = ""
    channel: str = ""
    account: str = ""
    contact_name: str = ""
    excerpt: str = ""
    count: int = 1
    summary: bool = False
    rung: int = 0
    sound: str | None = None
    volume: int = 0
    url: str = "/"
    because: str = ""
    counts: dict[str, int] = {}


class Apart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an alert is about besides a session, as `Alert` has it: something else, or a note."""

    url: str = "/"
    account: str = ""
    excerpt: str = ""
    counts: dict[str, int] = {}


class Watch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An agent whom a session waits for, in one burst; gone once they, or anybody, reacted.

    Attributes:
        alert: Id of the alert.
        since: When the burst began; `last` when its newest fact happened.
        seen: The number of the visitor's messages up to which the agent had read when it began.
        before: How many of the visitor's messages came before it.
        methods: Those chosen when it was raised.
        told: By sink, when it was told last; a sink that is not here was not.
        email_at: When it is to go out by email; None: not, or it has.
        rung: Rungs climbed.
        n: The last `Alert.n`.
        held: The storm breaker kept it back: it is part of a summary; `held_at` when.
        unmailed_at: When the storm breaker kept its email back: it is part of a mailed summary.
        escalated: A rung alone concerns the agent: it goes when anybody reacts.
        beside: What stands beside `trigger`, which has the words as it is newer: beside a call that
            waits for no answer (a notice, a mention, a failed send) what the visitor waits for, and
            the other way round. `called_at` is when that call came last.
        late: It was too old to be told at once: it is mailed, and the ladder may call.
        apart: What it is about, where that is no session; of a mention the note.
    """

    agent: str
    alert: str
    trigger: AlertTrigger
    since: datetime
    last: datetime
    seen: int = 0
    before: int = 0
    count: int = 1
    methods: tuple[AlertMethod, ...] = ()
    told: dict[Sink, datetime] = {}
    email_at: datetime | None = None
    rung: int = 0
    n: int = 0
    held: bool = False
    held_at: datetime | None = None
    unmailed_at: datetime | None = None
    escalated: bool = False
    beside: AlertTrigger | None = None
    called_at: datetime | None = None
    late: bool = False
    apart: Apart | None = None


class Attention(Document, kw_only=True):
    """Whom a session (the id) waits for. The one place in which alerts are decided, under `rev`.

    Attributes:
        burst: Counts the bursts; part of the alerts' ids.
        began_at: From when on nobody has reacted; None: nothing waits.
        raised: By agent, when an alert of the session was raised last, also if it is gone;
            `called` likewise, of what was more than a message, `mentioned` of mentions. Kept for a
            window.
        facts: Ids of the facts that were applied last, newest last: a redelivery changes nothing.
        outbox: What this write told, by sink; published after it, and once more by who gets the
            fact again. What comes next drops one that is long.
        due_at: When it is to be looked at again; its timer `attention` is armed for it.
    """

    burst: int = 0
    began_at: datetime | None = None
    watches: tuple[Watch, ...] = ()
    raised: dict[str, datetime] = {}
    called: dict[str, datetime] = {}
    mentioned: dict[str, datetime] = {}
    facts: tuple[str, ...] = ()
    outbox: tuple[tuple[Sink, Alert], ...] = ()
    due_at: datetime | None = None
    updated_at: datetime


def methods_of(
    settings: Alerting, chosen: Preferences | None, trigger: AlertTrigger
) -> tuple[AlertMethod, ...]:
    """Return how an agent with these preferences is alerted of *trigger*; empty: not at all."""
    default = settings.triggers.get(trigger) or DEFAULTS[trigger]
    if default.locked or chosen is None or trigger not in chosen.triggers:
        return default.methods
    return chosen.triggers[trigger]


PREFERENCES = Collection("alert_preferences", Preferences, ())
ATTENTION = Collection(
    "attention",
    Attention,
    (Index("updated", ("updated_at", "id")), Index("due", ("due_at", "id"))),
)

ALERTING = (PREFERENCES, ATTENTION)
