"""Every message on the bus, as frozen structs: the contract between the services.

Times are aware UTC datetimes. A channel's `parse` yields `InboundEvent`s; ingest wraps each in
an `Inbound` and publishes it on INBOUND. The router writes facts (`Fact`) to EVENTS and
`SendRequest`s to OUTBOUND; the sender answers with `SendReported` on INBOUND.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import msgspec
from msgspec import Meta

# --- content parts -----------------------------------------------------------------------------

MediaKind = Literal["image", "audio", "video", "file", "sticker"]


class Part(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """One piece of a message's content."""


class TextPart(Part, tag="text", frozen=True, kw_only=True):
    """Plain text, never markup; at most the channel's own limit."""

    text: str


class MediaPart(Part, tag="media", frozen=True, kw_only=True):
    """A picture, sound, film, file or sticker that stays at the provider until it is fetched.

    `url` expires; `media_id` is what the provider's download call takes. Sizes are bytes.
    A caption is a `TextPart` behind this part. `attachment` is the id of a stored file: of what we
    send it is always set, of what a visitor sent it is `files.attachment_id` of its place.
    """

    kind: MediaKind
    url: str = ""
    media_id: str = ""
    mime_type: str = ""
    name: str = ""
    sha256: str = ""
    size_bytes: int | None = None
    duration_ms: int | None = None
    sticker_id: str = ""
    sticker_set: str = ""
    album: str = ""
    attachment: str = ""


class LocationPart(Part, tag="location", frozen=True, kw_only=True):
    """A place, in degrees."""

    latitude: float
    longitude: float
    name: str = ""
    address: str = ""


class ContactPart(Part, tag="contact", frozen=True, kw_only=True):
    """A business card that the visitor shared."""

    name: str = ""
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()


class ActionPart(Part, tag="action", frozen=True, kw_only=True):
    """A tapped button, menu entry, list row or filled form; `title` is what the visitor saw."""

    title: str = ""
    payload: str = ""


class SharePart(Part, tag="share", frozen=True, kw_only=True):
    """A shared link, post, reel, product or template."""

    title: str = ""
    url: str = ""
    description: str = ""


class OrderPart(Part, tag="order", frozen=True, kw_only=True):
    """A cart that the visitor sent; each item is `(product, quantity, price, currency)`."""

    catalog: str = ""
    note: str = ""
    items: tuple[tuple[str, str, str, str], ...] = ()


class Choice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing to tap: `payload` comes back as an `ActionPart`; a `url` is opened instead."""

    title: str
    payload: str = ""
    url: str = ""
    description: str = ""


class ChoicesPart(Part, tag="choices", frozen=True, kw_only=True):
    """A text of ours with things to tap.

    A `quick_reply` vanishes once one is used; `button` and `list` stay. A channel that cannot show
    them so sends the text with the titles numbered below it.
    """

    text: str
    choices: tuple[Choice, ...]
    style: Literal["quick_reply", "button", "list"] = "quick_reply"
    label: str = ""
    """What opens a `list`."""


class TemplatePart(Part, tag="template", frozen=True, kw_only=True):
    """A message template that the provider has approved; values in the order of its place-holders.

    `text` is what the template says with the values filled in, for the timeline.
    """

    name: str
    language: str
    body: tuple[str, ...] = ()
    header: str = ""
    header_media: MediaPart | None = None
    buttons: tuple[str, ...] = ()
    text: str = ""


class UnsupportedPart(Part, tag="unsupported", frozen=True, kw_only=True):
    """Content that the provider could not or would not pass on; `what` is its own word for it."""

    what: str = ""


ContentPart = (
    TextPart
    | MediaPart
    | LocationPart
    | ContactPart
    | ActionPart
    | SharePart
    | OrderPart
    | ChoicesPart
    | TemplatePart
    | UnsupportedPart
)

# --- what a channel reports --------------------------------------------------------------------


class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the webhook itself tells about a person; empty where it is silent."""

    name: str = ""
    username: str = ""
    phone: str = ""
    language: str = ""
    email: str = ""


class Thread(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a post comment stands. `parent` is the post, or the comment that is answered."""

    post: str
    comment: str
    parent: str = ""
    permalink: str = ""


class Referral(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The ad, link or code that brought the visitor."""

    source: str = ""
    ref: str = ""
    ad_id: str = ""
    headline: str = ""
    url: str = ""


BELOW = "comment:"
"""Begins the `visitor` of what happened to, or below, a comment by somebody who is not named.

The id of the comment follows; the router finds out who wrote it.
"""


class InboundBase(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """What every normalised event has.

    Attributes:
        event_id: The dedup key inside (workspace, account): unique for an occurrence, equal for
            its redelivery. Printable, at most 256 characters.
        visitor: The conversation's key on this account: the person, or the group or room.
            Empty only for events about the account itself.
        occurred_at: The provider's time; the epoch (1970) where it gave none.
        standby: Another application holds the conversation: store, never answer.
        brief: It lets us write, but only in the channel's brief window (`WindowRule.brief_s`).
        alias: Another id by which the channel names the same visitor, where both are told (the
            phone number beside WhatsApp's user id); empty where there is none.
    """

    event_id: str
    visitor: str
    occurred_at: datetime
    standby: bool = False
    brief: bool = False
    alias: str = ""


class MessageReceived(InboundBase, tag="message.received", frozen=True, kw_only=True):
    """A visitor wrote, tapped or sent something. `message_id` is the provider's id."""

    message_id: str
    parts: tuple[ContentPart, ...]
    author: str = ""
    """Who wrote inside a group; empty where the visitor is the author."""
    group: str = ""
    """The title of the group, where it is told; in a group, the profile is the author's."""
    profile: Profile = Profile()
    reply_to: str = ""
    reply_token: str = ""
    read_token: str = ""
    """What marks it as read at the provider (LINE)."""
    quote_token: str = ""
    """What quotes it in an answer (LINE)."""
    thread: Thread | None = None
    referral: Referral | None = None
    forwarded: bool = False


class MessageEchoed(InboundBase, tag="message.echoed", frozen=True, kw_only=True):
    """The account itself sent a message: ours (matched by id or `metadata`), or typed elsewhere.

    `metadata` returns what `Outbound.message_id` put into the send, where the channel carries it.
    """

    message_id: str
    parts: tuple[ContentPart, ...]
    app_id: str = ""
    metadata: str = ""
    thread: Thread | None = None


class MessageEdited(InboundBase, tag="message.edited", frozen=True, kw_only=True):
    """New content of message `target`; the highest `(version, occurred_at)` wins."""

    target: str
    parts: tuple[ContentPart, ...]
    version: int = 0
    reply_token: str = ""


class MessageDeleted(InboundBase, tag="message.deleted", frozen=True, kw_only=True):
    """Message `target` was unsent, revoked or removed; wins over everything else about it."""

    target: str


class MessageHidden(InboundBase, tag="message.hidden", frozen=True, kw_only=True):
    """A comment was hidden from, or shown again to, the public."""

    target: str
    hidden: bool


class ReactionChanged(InboundBase, tag="reaction.changed", frozen=True, kw_only=True):
    """Someone reacted to message `target`; an empty `emoji` takes the reaction back."""

    target: str
    emoji: str = ""
    author: str = ""


SendStatus = Literal["", "queued", "sent", "delivered", "read", "failed", "unknown"]
"""How far a message of ours has come; empty: it is not to be sent."""

DeliveryStatus = Literal["sent", "delivered", "read", "played", "failed"]


class DeliveryReported(InboundBase, tag="delivery.reported", frozen=True, kw_only=True):
    """A receipt for messages of ours: by `targets`, or for all sent up to `watermark`.

    `metadata` returns our message id where the channel carries it (it settles ambiguous sends).
    """

    status: DeliveryStatus
    targets: tuple[str, ...] = ()
    watermark: datetime | None = None
    metadata: str = ""
    reason: str = ""
    provider_code: str = ""


ContactChange = Literal[
    "follow", "unfollow", "join", "leave", "member_joined", "member_left", "opt_in", "opt_out"
]


class ContactChanged(InboundBase, tag="contact.changed", frozen=True, kw_only=True):
    """The visitor followed, blocked, joined, left, or changed a consent."""

    change: ContactChange
    detail: str = ""
    profile: Profile = Profile()
    reply_token: str = ""
    referral: Referral | None = None


class IdentityChanged(InboundBase, tag="identity.changed", frozen=True, kw_only=True):
    """`visitor` was known as `previous` (a new number or user id): the same person."""

    previous: str
    detail: str = ""
    profile: Profile = Profile()


class ThreadControlChanged(InboundBase, tag="thread_control.changed", frozen=True, kw_only=True):
    """Another application took, passed or asked for the conversation (handover, standby)."""

    change: Literal["taken", "passed", "requested", "roles", "opened", "closed"]
    owner: str = ""
    previous: str = ""


class InteractionReceived(InboundBase, tag="interaction.received", frozen=True, kw_only=True):
    """Something the visitor did that is not a message: referral, beacon, feedback, scan, call."""

    kind: str
    data: dict[str, str] = {}
    referral: Referral | None = None
    reply_token: str = ""


class AccountNoticed(InboundBase, tag="account.noticed", frozen=True, kw_only=True):
    """News about the account itself: policy, quality, template or capability."""

    kind: str
    data: dict[str, str] = {}


class Unparsed(InboundBase, tag="unparsed", frozen=True, kw_only=True):
    """Kept as it came: a kind we do not know, or an item that does not decode.

    `raw` is the item's JSON or XML text, cut at 64 KiB; the whole body is in WEBHOOKS.
    """

    reason: Literal["unknown_kind", "malformed_item", "malformed_body"]
    raw: str = ""


class SendReported(InboundBase, tag="send.reported", frozen=True, kw_only=True):
    """The sender's outcome for our message `message_id`; only moves the status forward.

    `settled` tells that the outcome came from the provider's answer; an `unknown` is settled
    later by an echo or a receipt. `provider_ids` are in the order of the parts sent.
    """

    message_id: str
    status: Literal["sent", "failed", "unknown"]
    provider_ids: tuple[str, ...] = ()
    via: str = ""
    reason: str = ""
    provider_code: str = ""
    linked_visitor: str = ""


InboundEvent = (
    MessageReceived
    | MessageEchoed
    | MessageEdited
    | MessageDeleted
    | MessageHidden
    | ReactionChanged
    | DeliveryReported
    | ContactChanged
    | IdentityChanged
    | ThreadControlChanged
    | InteractionReceived
    | AccountNoticed
    | Unparsed
    | SendReported
)


class Inbound(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The envelope on INBOUND. `ingest_id` names the accepted webhook, empty for own reports."""

    workspace: str
    channel: str
    account: str
    ingest_id: str
    received_at: datetime
    event: InboundEvent


# --- what the router says ----------------------------------------------------------------------

FactType = Literal[
    "session.created",
    "session.moved",
    "session.assigned",
    "session.ended",
    "session.bot",
    "session.read",
    "session.handoff",
    "session.tagged",
    "session.notice",
    "message.stored",
    "message.status",
    "message.changed",
    "contact.changed",
    "bot.asked",
    "session.snoozed",
    "session.mention",
    "scheduled.status",
    "account.unhealthy",
    "import.finished",
    "webhook.disabled",
]
"""The last three are of a workspace and no session: their `session` is the slug of the account, or
the id of the import or endpoint."""

if TYPE_CHECKING:
    _FactType = FactType
else:  # whatever it says: stored in a session, and of a newer version, it would hide all of that
    _FactType = Annotated[str, Meta(examples=list(get_args(FactType)))]


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened to a session, on `ev.<workspace>.<type>.<session>`.

    `fact_id` is `<session>:<rev>:<n>`, the message id on the stream: said twice, stored once.
    """

    fact_id: str
    type: _FactType
    workspace: str
    session: str
    at: datetime
    actor: str = ""
    """`agent:<id>`, `bot:<id>`, `visitor`, `system`."""
    because: str = ""
    message: str = ""
    list: str = ""
    previous_list: str = ""
    owner: str = ""
    previous_owner: str = ""
    assignees: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    """Of `session.assigned`: the assignees that were none before."""
    team: str = ""
    previous_team: str | None = None
    """Which team had it before, where that has changed."""
    left: tuple[str, ...] = ()
    """Those who were assignees before, and are none now."""
    bot: bool | None = None
    status: str = ""
    media: int = 0
    """Of `message.stored`: how many files of a visitor it has that are still at the provider."""
    inbound: int = 0
    """Of `message.stored` by the visitor: which of theirs in the session it is, from 1."""
    notify: tuple[str, ...] = ()
    """Of `session.notice` and `session.handoff`: the agents that a rule alerts. Of
    `session.mention`: who is mentioned in the note `message`. Of `import.finished`: whose it is."""
    bot_id: str = ""
    due: datetime | None = None
    """Of `bot.asked`: until when the bot must have answered `message`."""
    detail: str = ""
    """Of `session.handoff`: the `detail` of its `commands.HandOff`. Of `scheduled.status`: why."""
    counts: dict[str, int] = {}
    """Of `import.finished`: rows `created`, `updated`, `failed`."""
    origin: str = ""
    """Of `scheduled.status`: the `Message.origin` of `message`, whose `status` is new."""
    channel: str = ""
    """Of `account.unhealthy`: the account's kind of channel."""
    epoch: int = 0
    rev: int = 0


Way = Literal["", "public", "private"]
"""How a comment is answered: below it, or in a message to its author; empty elsewhere."""


class SendRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message to send through its channel, on `out.<partition>.<account>.<session>`."""

    message_id: str
    workspace: str
    channel: str
    account: str
    session: str
    visitor: str
    parts: tuple[ContentPart, ...]
    queued_at: datetime
    sender: str
    sender_name: str = ""
    reply_to: str = ""
    reply_token: str = ""
    reply_token_at: datetime | None = None
    quote_token: str = ""
    thread: Thread | None = None
    way: Way = ""
    human_agent: bool = False
    """The free window is over and a person writes inside the longer one for people."""
    open_until: datetime | None = None
    """When the window closes that the message was accepted under; None: never."""
    epoch: int | None = None
    """Of what a machine says: the session's when it said so; once a person has taken over since
    (`Session.hushed`), it is not sent. None: a person's message."""
    offline: Literal["", "email", "plugin"] = ""
    """How it reaches a web visitor who has left, where its author chose; empty: by the settings."""
    bulk: bool = False
    """One of a broadcast's: at its account it goes behind everything that is none."""


SessionTimer = Literal["silent_owner", "bot_deadline", "flow_wait", "idle_end", "snooze"]
"""Timers that the router arms, of which a session has one each."""

NotifierTimer = Literal["attention", "offline", "webhook"]
"""Timers that the notifier arms and takes itself, by the document `ref`: the attention or the
waiting replies of a session, and a delivery to an endpoint."""

TimerKind = Literal[SessionTimer, NotifierTimer, "scheduled", "broadcast", "idle_pass", "hours"]
"""`scheduled` and `broadcast` are of the document `ref`; `idle_pass` and `hours` of a workspace."""

if TYPE_CHECKING:
    _TimerKind = TimerKind
else:  # whatever it says, as a fact's type
    _TimerKind = Annotated[str, Meta(examples=list(get_args(TimerKind)))]


class Timer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something due later: on TIMERS as `timer.<kind>.<key>`, and when due as `due.*.<kind>.<key>`.

    `key` is the session's id, or else `ref`, so that arming again replaces. What is due is decided
    by what the document says then, not by this. `rev` is the revision of the document's write
    that armed it: an older write that is published once more is recognised, and replaces nothing.
    """

    kind: _TimerKind
    workspace: str
    session: str = ""
    due: datetime
    rev: int = 0
    ref: str = ""
    slot: bool = False
    """Of `idle_end`: `due` is its place in the pace of ends, so that it needs none again."""

    @property
    def key(self) -> str:
        """The last token of its subjects: one timer of a kind for a session or document."""
        return self.session or self.ref


class VisitorSignal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Show the visitor that we type or have read, on `signal.<workspace>.<account>`: now or never.

    `message_id` is the provider's id of the visitor's newest message, `read_token` what came with
    it.
    """

    workspace: str
    channel: str
    account: str
    session: str
    visitor: str
    kind: Literal["typing", "seen"]
    message_id: str = ""
    read_token: str = ""
