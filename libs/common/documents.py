"""The documents in the store, shared by every service that reads them.

Who writes what: the router alone writes sessions, messages, identities and contacts' channel
facts; desk writes workspaces, accounts, agents, tokens; the sender writes sends. Every document
has `id`, `workspace` and `rev` (raised by each `replace`). A tuple-valued indexed field is
multikey: equality means "contains". An indexed field that is None is left out of its indexes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from libs.common.alerts import ALERTING
from libs.common.applied import APPLIED
from libs.common.awaited import OFFLINE
from libs.common.channel import MessageTemplate
from libs.common.contact_documents import BESIDE_CONTACTS
from libs.common.erasures import ERASING
from libs.common.events import (
    ContentPart,
    Fact,
    InboundEvent,
    MediaKind,
    MediaPart,
    Profile,
    Referral,
    SendRequest,
    Thread,
    Timer,
    Way,
)
from libs.common.events import SendStatus as SendStatus  # noqa: PLC0414 (re-exported)
from libs.common.figures import FIGURES_OF, Asked, Course
from libs.common.jobs import JOBS_OF
from libs.common.later import LATER
from libs.common.ledger.page import LEDGERS
from libs.common.mails import MAILS
from libs.common.people import PEOPLE
from libs.common.policy import BotKind, Calendar, Case, Decision, Rule, Standing, Team
from libs.common.pushes import PUSHES
from libs.common.saved_filters import INBOXES
from libs.common.store.api import Collection, Document, Index
from libs.common.switches import ChannelSettings as ChannelSettings  # noqa: PLC0414 (re-exported)
from libs.common.switches import ListName as ListName  # noqa: PLC0414 (re-exported)
from libs.common.switches import Role as Role  # noqa: PLC0414 (re-exported)
from libs.common.switches import Settings as Settings  # noqa: PLC0414 (re-exported)
from libs.common.switches import Speaker
from libs.common.webhooks import WEBHOOKS_OUT

Direction = Literal["in", "out"]
SenderKind = Literal["visitor", "agent", "bot", "automation", "system"]

# --- conversations -----------------------------------------------------------------------------


class LastMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a list row shows of the newest message, as it stands after its edits.

    `excerpt` is at most 120 characters; empty once the message was unsent (`deleted`).
    """

    id: str
    at: datetime
    direction: Direction
    sender: SenderKind
    excerpt: str
    deleted: bool = False


class Alteration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What edits or an unsend made of the message with the provider id `target`.

    `version`, `at` and `sequence` are those of the change that holds.
    """

    target: str
    at: datetime
    sequence: int = 0
    version: int = 0
    deleted: bool = False
    excerpt: str = ""


class Moment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A place in display order: provider time, then stream sequence (0 for our own)."""

    at: datetime
    sequence: int = 0


class Assignee(msgspec.Struct, frozen=True, kw_only=True):
    """An agent on the session, since when; the first of the tuple is the owner."""

    agent: str
    since: datetime
    name: str = ""


class EndedFrom(msgspec.Struct, frozen=True, kw_only=True):
    """Where a session stood when it ended by itself, and until when that can be undone."""

    list: ListName
    until: datetime
    bot: bool = False
    bot_id: str = ""
    switched: bool | None = None
    assignees: tuple[Assignee, ...] = ()
    waiting_since: datetime | None = None


class Traced(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message of ours that was scheduled, by `origin`, and how it was last said to stand.

    `ids` are the provider's; `sent_at` is when the provider took it, as far as is known.
    """

    message: str
    origin: str
    session: str
    sent_at: datetime
    ids: tuple[str, ...] = ()
    status: SendStatus = "queued"


class Session(Document, kw_only=True):
    """One episode of conversation between a contact and an account.

    Attributes:
        open_key: `<account>|<visitor>` while open, else None: at most one open session each.
        epoch: Raised by each change of list, owner or bot switch.
        hushed: The epoch by which a person last took the word from a machine: what machines said
            under an earlier one, and has not gone out, is not sent.
        entries: Number of timeline entries applied so far; the next entry gets `entries + 1`.
        inbound: Number of visitor messages so far; unread of an agent = `inbound - reads[agent]`.
        recent: Hashes of the keys of the last 64 entries, newest last: shows a redelivery.
        newest: By field (`last_message`, `contact_name`, `reply_token`, `thread`, `blocked`, ...),
            the place of the entry that set it: an older one that arrives later never overwrites it.
        switched: What a person switched the bot to in this session, which wins over session hosting
            in `assigned`; None: nobody did.
        last_inbound_at: The provider's time of the visitor's newest message; `heard_at` by our own
            clock, when the newest came.
        window_at: The provider's time of the visitor's newest window-opening event; `brief_at` of
            the newest that opens only the brief window.
        window_sends: Messages of the provider's that we sent since `window_at`, where the channel
            limits their number. `window_sent` has the times of ours by message id, the newest
            only; `window_calls` how many each became, where not one.
        ad_at: When the visitor last came by a click on an ad.
        because: What put it where it is: of its list and owner. `opened_because`: what put it where
            it began.
        contact_name, contact_phone, contact_email, contact_language: What was told last.
        alias: The id besides `visitor` by which the channel names the person (their number).
        referral: The ad, link, code or page by which they came last, of whatever kind.
        blocked: The visitor unfollowed or opted out, and has not come back.
        standby: Another application holds the conversation.
        read_token, quote_token: Those of the visitor's newest message (LINE).
        private_replied: Comments that were answered privately: it works once each.
        waiting_since: When it last came into `unassigned`; None elsewhere. The queue is served by
            `queue_key`, which holds priority and waiting time as text; `queue_need` is the same for
            all who wait for the same agents.
        team, skill, wanted: Whom a rule asked for: a team, a skill, one agent.
        removed: Agents that were removed, and until when auto-assign leaves them out.
        bot_id: The bot that hosts it; `bot_state` is where its flow stands and what it knows;
            `bot_sent` counts the bot's messages.
        bot_asked: The visitor's message that a webhook bot was asked to answer and has not.
        said: What was said once and is not to be said again: `away`, `rule:<id>`.
        decision: Id of the newest `DecisionRecord`.
        returning, last_owner: The contact had a session before, and whose that was.
        awaiting_since: When the visitor wrote first of what no agent has answered; None in lists
            without an owner, and when all is answered.
        answered_at: When its owner last answered in it; None: not since they have it.
        due: By the kind of a timer, when it is due; a timer without its entry here does nothing,
            but `idle_end`, which acts by the policy.
        spoke: Who spoke last, here and not elsewhere; `idle_since` when, or when it was last moved
            or restored: from then on it is idle. `outside_at`: when an agent last answered
            elsewhere.
        snoozed_until: It is put aside until then, by the agent `snoozed_by`.
        held: Ids of what is scheduled and waits for the window to open; newest last.
        traced: What was scheduled and went out last, until it is read; newest last.
        ended_from: Of one that ended by itself: where it stood, for `RestoreSession`.
        course: What reports count of it. `survey`: that the visitor was asked how it was.
        last_ids: Our id and the provider's ids of `last_message`, by which changes name it.
        altered: The newest edits and unsends, one a message, which may come before their message.
        writes, facts, sends, records, timers: The outbox: timeline entries, facts, sends, records
            of decisions and timers to arm that were decided in this write and are perhaps not
            stored or published yet.
        wakes: Of the outbox: the queue is to be looked at. `reckons`: its figures are to be stored.
        outbox_since: When the outbox was filled; None when it is empty, so that the index holds
            only sessions with something to publish.
    """

    account: str
    channel: str
    visitor: str
    contact: str
    list: ListName
    open_key: str | None
    created_at: datetime
    updated_at: datetime
    bot: bool = False
    automation: bool = False
    switched: bool | None = None
    owner: str | None = None
    assignees: tuple[Assignee, ...] = ()
    assignee_ids: tuple[str, ...] = ()
    epoch: int = 0
    hushed: int = 0
    entries: int = 0
    inbound: int = 0
    reads: dict[str, int] = {}
    recent: tuple[str, ...] = ()
    newest: dict[str, Moment] = {}
    last_message: LastMessage | None = None
    last_ids: tuple[str, ...] = ()
    altered: tuple[Alteration, ...] = ()
    last_inbound_at: datetime | None = None
    heard_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str = ""
    because: str = ""
    opened_because: str = ""
    contact_name: str = ""
    contact_phone: str = ""
    contact_email: str = ""
    contact_language: str = ""
    alias: str = ""
    reply_token: str = ""
    reply_token_at: datetime | None = None
    read_token: str = ""
    quote_token: str = ""
    thread: Thread | None = None
    referral: Referral | None = None
    priority: int = 0
    waiting_since: datetime | None = None
    queue_key: str | None = None
    queue_need: str | None = None
    tags: tuple[str, ...] = ()
    team: str = ""
    skill: str = ""
    wanted: str = ""
    removed: dict[str, datetime] = {}
    bot_id: str = ""
    bot_state: dict[str, str] = {}
    bot_sent: int = 0
    bot_asked: str = ""
    said: tuple[str, ...] = ()
    decision: str = ""
    returning: bool = False
    last_owner: str = ""
    awaiting_since: datetime | None = None
    answered_at: datetime | None = None
    due: dict[str, datetime] = {}
    spoke: Speaker | None = None
    idle_since: datetime | None = None
    outside_at: datetime | None = None
    snoozed_until: datetime | None = None
    snoozed_by: str = ""
    held: tuple[str, ...] = ()
    traced: tuple[Traced, ...] = ()
    ended_from: EndedFrom | None = None
    window_at: datetime | None = None
    window_sends: int = 0
    window_sent: dict[str, datetime] = {}
    window_calls: dict[str, int] = {}
    brief_at: datetime | None = None
    ad_at: datetime | None = None
    blocked: bool = False
    standby: bool = False
    private_replied: tuple[str, ...] = ()
    course: Course = Course()
    survey: Asked | None = None
    read_up_to: datetime | None = None
    delivered_up_to: datetime | None = None
    writes: tuple[Message, ...] = ()
    facts: tuple[Fact, ...] = ()
    sends: tuple[SendRequest, ...] = ()
    records: tuple[DecisionRecord, ...] = ()
    timers: tuple[Timer, ...] = ()
    wakes: bool = False
    reckons: bool = False
    outbox_since: datetime | None = None


class Message(Document, kw_only=True):
    """One entry of the timeline.

    `kind` is `message` for content, `note` for a private note, `system` for what happened to the
    session, and `event` for a channel event that changes another entry (receipt, edit, reaction,
    unsend): those keep the event itself in `event` and point with `target` at the provider id of
    what they change. Reading folds them in, so state does not depend on arrival order.

    Attributes:
        key: Dedup key inside (workspace, account): the event id, or `cmd:<actor>:<key>`.
        number: Place in the session, from 1; 0 for an entry without a session.
        sequence: Stream sequence of its delivery; display order is (occurred_at, sequence).
        provider_ids: The channel's ids of this message.
        target: Of an `event`: provider ids, or our own message id, of what it changes.
        what: Of a `system` entry: its machine word (`assigned`, `bot_on`, `ended`, `follow`, ...);
            `parts` says the same for a person.
        ingest_id: The accepted webhook that brought it; empty for our own.
        origin: `scheduled:<id>` or `broadcast:<id>` of what was sent by one; else empty.
        words: What search finds it by, see `libs.common.words`.
    """

    account: str
    key: str
    session: str
    visitor: str
    kind: Literal["message", "note", "system", "event"]
    occurred_at: datetime
    received_at: datetime
    timeline: str | None = None
    """The session, for what its timeline shows; None for `event` entries.

    While a visitor has no session yet, what comes waits under a key of its own, see the router.
    """
    number: int = 0
    sequence: int = 0
    direction: Direction | None = None
    sender: SenderKind = "system"
    sender_id: str = ""
    sender_name: str = ""
    parts: tuple[ContentPart, ...] = ()
    provider_ids: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    what: str = ""
    event: InboundEvent | None = None
    status: SendStatus = ""
    status_at: datetime | None = None
    status_reason: str = ""
    provider_code: str = ""
    via: str = ""
    reply_to: str = ""
    thread: Thread | None = None
    way: Way = ""
    offline: Literal["", "email", "plugin"] = ""
    """Its author's choice how it reaches a web visitor who has left; empty: by the settings."""
    retry_of: str = ""
    origin: str = ""
    quote_token: str = ""
    ingest_id: str = ""
    words: tuple[str, ...] = ()
    digest: str = ""
    """Hash of the content, to tell a repeat from another content under the same key."""


class Identity(Document, kw_only=True):
    """A visitor on an account, and the contact it belongs to; id derived from both.

    `strays` tells that events came before the visitor's first session; they join it later.
    `became` is the visitor id that the same person has now on this account, since `became_at`;
    `was` are the ids that they had before this one.
    """

    account: str
    channel: str
    visitor: str
    contact: str
    profile: Profile = Profile()
    first_seen_at: datetime
    strays: bool = False
    became: str = ""
    became_at: datetime | None = None
    was: tuple[str, ...] = ()


Gender = Literal["", "female", "male", "other"]


class Contact(Document, kw_only=True):
    """A person; its identities may be merged. `newest` has the place of what told each fact.

    What is derived (`email_key`, `phone_key`, `words`) is set by `libs.common.contact_keys.keyed`
    in every write.

    Attributes:
        tags: Ids of `Tag`.
        fields: The workspace's own facts by name; as text, whatever their type.
        zone: An IANA time zone. `birthday`: `YYYY-MM-DD`, or `--MM-DD` without the year.
        ref: The workspace's own id of the person, as imports name it; one contact each.
        email_by: The agent who set `email`; then channels do not. `set_by`: the same for `name`,
            `phone` and `language`, by the field's name.
        email_key, phone_key: What an address, and a number, is found by, whatever its spelling.
        words: What search finds it by, see `libs.common.words`.
        merged_into: The contact that this one became part of; it is shown nowhere then.
        merging: The `ContactMerge` under way that it takes part in, and no other does until that
            is through; with `:given` behind it once it has what that gives.
        digest: Of one made by hand: hash of the request, to tell a repeat from another one.
    """

    name: str = ""
    phone: str = ""
    email: str = ""
    language: str = ""
    gender: Gender = ""
    birthday: str = ""
    tags: tuple[str, ...] = ()
    fields: dict[str, str] = {}
    zone: str = ""
    ref: str | None = None
    email_by: str = ""
    set_by: dict[str, str] = {}
    first_seen_at: datetime
    newest: dict[str, Moment] = {}
    email_key: str | None = None
    phone_key: str | None = None
    words: tuple[str, ...] = ()
    merged_into: str | None = None
    merging: str = ""
    digest: str = ""


class Tag(Document, kw_only=True):
    """A word that contacts are sorted by; they hold its id. `name_key` is the folded name.

    `deleted_since`: it is gone for people, and kept until no contact holds its id any more.
    `digest`: hash of the request that made it, to tell a repeat from another one.
    """

    name: str
    name_key: str
    color: str = ""
    deleted_since: datetime | None = None
    digest: str = ""


# --- workspace ---------------------------------------------------------------------------------


class Workspace(Document, kw_only=True):
    """A tenant. Its own document carries its id as `workspace`, like everything below it."""

    name: str = ""
    settings: Settings = Settings()


class AccountDocument(Document, kw_only=True):
    """A connected account; id is the slug. `sealed` holds the secrets by name, sealed.

    `secrets_at` says since when each is set, where that is known. `digest` tells a repeat of the
    request that made it.
    """

    channel: str
    external_id: str
    name: str = ""
    app: str = ""
    api_base: str = ""
    enabled: bool = True
    features: tuple[str, ...] = ()
    templates: tuple[MessageTemplate, ...] = ()
    sealed: dict[str, str] = {}
    secrets_at: dict[str, datetime] = {}
    digest: str = ""


class Agent(Document, kw_only=True):
    """A person who works here; `email_key` is the lower-case address.

    `channels` and `accounts` (slugs) limit what somebody below `admin` sees and does; empty: they
    do not. With `team_only` they see, of what a team is asked for, only their own teams'.
    """

    name: str
    email: str
    email_key: str
    role: Role
    password_hash: str = ""
    disabled: bool = False
    limit: int = 0
    teams: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    priority: int = 0
    channels: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    team_only: bool = False


class AccessToken(Document, kw_only=True):
    """A browser session or API token; `secret_hash` is SHA-256 of the secret part.

    `scopes` limit what it opens besides its agent's role; empty: they do not. `device` and
    `address` are the browser and the TCP peer that logged in, for agents to know their own by.
    """

    agent: str
    kind: Literal["session", "api"]
    name: str = ""
    secret_hash: str
    created_at: datetime
    expires_at: datetime | None = None
    scopes: tuple[str, ...] = ()
    last_used_at: datetime | None = None
    device: str = ""
    address: str = ""


class DirectoryEntry(Document, kw_only=True):
    """Installation-wide uniqueness, kept under the workspace `_system`.

    `id` is `<kind>:<name>` (`workspace:acme`, `account:acme-line`, `login:<email>`); `targets` are
    the workspaces it points to.
    """

    kind: str
    targets: tuple[str, ...] = ()


class SendAttempt(Document, kw_only=True):
    """The sender's mark that it began to send message `id`; written before the first call.

    A redelivery that finds `state` `started` cannot know what happened: with a retry key it
    repeats, without one the message is `unknown`. `waiting` tells that certainly nothing of it is
    out and that it will be tried again.
    """

    account: str
    session: str
    state: Literal["started", "waiting", "sent", "failed", "unknown"]
    started_at: datetime
    provider_ids: tuple[str, ...] = ()
    via: str = ""
    reason: str = ""
    provider_code: str = ""
    linked_visitor: str = ""
    tries: int = 0


class Attachment(Document, kw_only=True):
    """A file: what a visitor sent (`in`) or what we send (`out`); its bytes are in the file store.

    Attributes:
        message: The message it belongs to; empty for an upload that is not sent yet.
        part: Place of its `MediaPart` in the message's parts.
        state: `pending` until it is fetched, `stored`, or `failed` for good with a `reason`:
            `too_large`, `type_not_allowed`, `gone`, `refused`, `unreachable`.
        mime_type: Found in the content once stored; what the provider claimed before.
        owner: Who uploaded it, `agent:<id>` or `visitor:<id>`.
        fetch_at: When to try (again) to fetch it; None when there is nothing to fetch.
    """

    account: str = ""
    direction: Direction
    state: Literal["pending", "stored", "failed"]
    kind: MediaKind = "file"
    name: str = ""
    mime_type: str = ""
    size_bytes: int = 0
    sha256: str = ""
    duration_ms: int | None = None
    message: str = ""
    part: int = 0
    owner: str = ""
    reason: str = ""
    tries: int = 0
    created_at: datetime
    fetch_at: datetime | None = None
    fetch_before: datetime | None = None


class PolicyDocument(Document, kw_only=True):
    """A workspace's rules, teams and calendars; its id is the workspace, `rev` their version."""

    rules: tuple[Rule, ...] = ()
    teams: tuple[Team, ...] = ()
    calendars: tuple[Calendar, ...] = ()


class FaqEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Something visitors ask, in one language, and the answers, of which one is given at a time."""

    id: str
    questions: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    language: str = ""
    answers: tuple[str, ...]
    attachments: tuple[str, ...] = ()
    hand_off: bool = False


class FlowChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A button of a step, and where it leads."""

    title: str
    to: str


class FlowStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a flow.

    Attributes:
        say: Text with `{{variable}}` places; empty: says nothing.
        choices: Buttons; the visitor's tap, title or number chooses.
        ask: Name of the variable that the visitor's next message fills.
        to: The next step without a choice or question.
        when: Branches by a variable: (variable, value, step), the first that fits.
        hand_off, end: Give over to a human, or end the session, after this step.
        wait_s: Seconds to wait for an answer until `late_to` follows (empty: to a human).
    """

    id: str
    say: str = ""
    choices: tuple[FlowChoice, ...] = ()
    ask: str = ""
    to: str = ""
    when: tuple[tuple[str, str, str], ...] = ()
    hand_off: bool = False
    end: bool = False
    wait_s: int = 0
    late_to: str = ""


class Bot(Document, kw_only=True):
    """A bot: its content by kind. Of a webhook bot, `sealed` holds the signing secret.

    One that is `deleted` is as if it were not there, and soon is not: it has lost its content
    under the guard of `rev`, which deleting itself has none of.
    """

    name: str
    kind: BotKind
    enabled: bool = True
    deleted: bool = False
    channels: tuple[str, ...] = ()
    automation: bool = False
    faq: tuple[FaqEntry, ...] = ()
    fuzzy: int = 85
    """Least likeness, of 100, of a fuzzy match; 101: exact and keywords only."""
    misses: int = 1
    """Messages without an answer in a row until a human is asked."""
    start: str = ""
    steps: tuple[FlowStep, ...] = ()
    url: str = ""
    sealed: dict[str, str] = {}
    layout: dict[str, tuple[int, int]] = {}
    """Where a visual editor shows the steps of a flow, by id; without any effect."""
    files: dict[str, MediaPart] = {}
    """Of a bot as the router has loaded it: the files that its answers name; not stored."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A session that takes one place of an agent's limit.

    `rev` is the revision of the session whose write needs the place: whoever has seen that
    revision, and that it does not give the agent the session, may free it.
    """

    session: str
    since: datetime
    rev: int = 0


class Load(Document, kw_only=True):
    """The places of an agent (the id) that are taken.

    A place is reserved, under the guard of `rev`, before a session is given, so that no
    interleaving exceeds the limit. `idle_since` tells when it last got or lost a session, `turn` is
    the number of
    its last automatic one.
    """

    held: tuple[Held, ...] = ()
    idle_since: datetime
    turn: int = 0


class DecisionRecord(Document, kw_only=True):
    """A decision with all that it was made of: `decide` gives the same from it again."""

    session: str
    at: datetime
    case: Case
    standings: tuple[Standing, ...] = ()
    policy: str = ""
    """The part of the policy that counted, as JSON of `policy.Policy`."""
    decision: Decision


class AuditEntry(Document, kw_only=True):
    """Who changed what, when; before and after as JSON without secrets."""

    at: datetime
    actor: str
    action: str
    object: str
    before: str = ""
    after: str = ""


SYSTEM = "_system"
"""The workspace of installation-wide documents; no credential ever belongs to it."""

SESSIONS = Collection(
    "sessions",
    Session,
    (
        Index("open", ("open_key",), unique=True),
        Index("list", ("list", "updated_at", "id")),
        Index("updated", ("updated_at", "id")),
        Index("account", ("account", "updated_at", "id")),
        Index("channel", ("channel", "updated_at", "id")),
        Index("owner", ("owner", "updated_at", "id")),
        Index("assignee", ("assignee_ids", "updated_at", "id")),
        Index("contact", ("contact", "created_at", "id")),
        Index("visitor", ("account", "visitor", "created_at", "id")),
        Index("bot", ("bot", "updated_at", "id")),
        Index("outbox", ("outbox_since", "id")),
        Index("queue", ("queue_key", "id")),
        Index("need", ("queue_need", "queue_key", "id")),
        Index("snoozed", ("snoozed_until", "id")),
        Index("awaiting", ("awaiting_since", "id")),
        Index("tally", ("list", "account", "channel", "bot", "id")),  # counts read it alone
        Index("tag", ("tags", "updated_at", "id")),
        Index("team", ("list", "team", "account", "channel", "bot", "id")),  # of who sees few
    ),
)
MESSAGES = Collection(
    "messages",
    Message,
    (
        Index("key", ("account", "key"), unique=True),
        Index("timeline", ("timeline", "occurred_at", "sequence", "id")),
        Index("session", ("session", "number", "id")),
        Index("target", ("account", "target", "id")),
        Index("provider", ("account", "provider_ids", "id")),
        Index("ingest", ("ingest_id", "id")),
        Index("status", ("status", "received_at", "id")),
        Index("words", ("words", "occurred_at", "sequence", "id")),
        Index("at", ("occurred_at", "sequence", "id")),
    ),
)
IDENTITIES = Collection(
    "identities",
    Identity,
    (Index("contact", ("contact", "id")), Index("channel", ("channel", "contact", "id"))),
)
CONTACTS = Collection(
    "contacts",
    Contact,
    (
        Index("seen", ("first_seen_at", "id")),
        Index("id", ("id",)),
        Index("tag", ("tags", "id")),
        Index("tagged", ("tags", "first_seen_at", "id")),
        Index("email", ("email_key", "id")),
        Index("phone", ("phone_key", "id")),
        Index("ref", ("ref",), unique=True),
        Index("words", ("words", "first_seen_at", "id")),
        Index("merged", ("merged_into", "id")),
        Index("language", ("language", "id")),
    ),
)
TAGS = Collection(
    "tags",
    Tag,
    (Index("name", ("name_key",), unique=True), Index("deleted", ("deleted_since", "id"))),
)
WORKSPACES = Collection("workspaces", Workspace, ())
ACCOUNTS = Collection(
    "accounts", AccountDocument, (Index("external", ("channel", "external_id"), unique=True),)
)
AGENTS = Collection("agents", Agent, (Index("email", ("email_key",), unique=True),))
TOKENS = Collection(
    "tokens",
    AccessToken,
    (Index("agent", ("agent", "id")), Index("kind", ("kind", "agent", "id"))),
)
DIRECTORY = Collection("directory", DirectoryEntry, (Index("kind", ("kind", "id")),))
SENDS = Collection("sends", SendAttempt, (Index("state", ("state", "started_at", "id")),))
ATTACHMENTS = Collection(
    "attachments",
    Attachment,
    (
        Index("message", ("message", "part", "id")),
        Index("fetch", ("fetch_at", "id")),
        Index("expiring", ("state", "fetch_before", "id")),
        Index("created", ("created_at", "id")),
    ),
)
POLICIES = Collection("policies", PolicyDocument, ())
BOTS = Collection("bots", Bot, (Index("name", ("name", "id")),))
LOADS = Collection("loads", Load, ())
DECISIONS = Collection(
    "decisions",
    DecisionRecord,
    (Index("session", ("session", "at", "id")), Index("at", ("at", "id"))),
)
AUDIT = Collection(
    "audit",
    AuditEntry,
    (
        Index("at", ("at", "id")),
        Index("object", ("object", "at", "id")),
        Index("actor", ("actor", "at", "id")),
        Index("action", ("action", "at", "id")),
    ),
)

COLLECTIONS = (
    SESSIONS,
    MESSAGES,
    IDENTITIES,
    CONTACTS,
    WORKSPACES,
    ACCOUNTS,
    AGENTS,
    TOKENS,
    DIRECTORY,
    SENDS,
    ATTACHMENTS,
    POLICIES,
    BOTS,
    LOADS,
    DECISIONS,
    AUDIT,
    TAGS,
    *BESIDE_CONTACTS,
    *APPLIED,
    *FIGURES_OF,
    *JOBS_OF,
    *LATER,
    *ALERTING,
    *MAILS,
    *PEOPLE,
    *WEBHOOKS_OUT,
    *OFFLINE,
    *PUSHES,
    *INBOXES,
    *ERASING,
    LEDGERS,
)
