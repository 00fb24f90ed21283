"""What a channel is: a name, three pure functions, and what its shell must know."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from libs.common.errors import BadSignatureError
from libs.common.events import ContentPart, InboundEvent, MediaKind, MediaPart, Thread, Way


class MessageTemplate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A template that the provider has approved for an account.

    `body` is its text with `{{1}}`, `{{2}}`, ... for the values; `header` says what stands above;
    `buttons` are the kinds of its buttons in order, where they differ from `url`.
    """

    name: str
    language: str
    body: str = ""
    category: Literal["marketing", "utility", "authentication"] = "utility"
    header: Literal["", "text", "image", "video", "file"] = ""
    buttons: tuple[Literal["url", "quick_reply", "copy_code"], ...] = ()
    approved: bool = True


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One connected page, LINE channel, phone number, official account or web plugin.

    Attributes:
        slug: Unique in the whole installation; names the account in URLs and subjects.
        external_id: The provider's id of the account (page, phone number, bot user, `gh_…`).
        app: For the Meta family, the app whose URL and secret it shares; else empty.
        api_base: Replaces the provider's host for this account (tests, simulation); empty: real.
        secrets: Opened secrets by name, see `Channel.secrets`. Never shown in `repr`.
        features: What the provider has granted to the account: `human_agent`.
        templates: Message templates that may be sent outside the window.
    """

    workspace: str
    slug: str
    channel: str
    external_id: str
    name: str = ""
    app: str = ""
    api_base: str = ""
    enabled: bool = True
    secrets: Mapping[str, str] = {}
    features: tuple[str, ...] = ()
    templates: tuple[MessageTemplate, ...] = ()

    def __repr__(self) -> str:
        """Name the account only."""
        return f"Account({self.workspace}/{self.slug} {self.channel})"

    def secret(self, name: str) -> str:
        """Return a secret.

        Raises:
            BadSignatureError: It is absent or empty: an account without its secret refuses
                everything, it never accepts everything.
        """
        value = self.secrets.get(name, "")
        if not value:
            raise BadSignatureError(f"account {self.slug} has no {name}")
        return value


class WebhookRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the provider sent it; `headers` has lower-case names, `query` first values.

    `received_at` is when it came in: channels judge the age of a signature by it. None where that
    does not matter, as in a replay of what was accepted before.
    """

    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    received_at: datetime | None = None


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """What one body says about one account, in the provider's order.

    `ignored` counts items that are known and carry nothing to keep (likes, empty standby).
    """

    events: tuple[InboundEvent, ...] = ()
    ignored: int = 0


# --- sending -----------------------------------------------------------------------------------


class OutgoingFile(msgspec.Struct, frozen=True, kw_only=True):
    """A stored file as a channel may send it.

    `link` is a signed https address that the provider can fetch for some hours; empty where the
    installation has no public address. `mime_type` was found in the content, not believed.
    """

    id: str
    name: str
    mime_type: str
    size_bytes: int
    link: str = ""
    preview_link: str = ""
    duration_ms: int | None = None


class Outbound(msgspec.Struct, frozen=True, kw_only=True):
    """One message to send; `message_id` is ours, and every retry key is derived from it.

    `access_token` is filled by the shell for channels that have a `token` function, and is empty
    elsewhere. `reply_token_age_s` is the age of `reply_token` in seconds. `files` has every
    `MediaPart.attachment` of the parts. `way` and `human_agent`: see `events.SendRequest`.
    """

    message_id: str
    recipient: str
    parts: tuple[ContentPart, ...]
    reply_to: str = ""
    reply_token: str = ""
    reply_token_age_s: float = 0.0
    quote_token: str = ""
    thread: Thread | None = None
    way: Way = ""
    human_agent: bool = False
    files: Mapping[str, OutgoingFile] = {}
    access_token: str = ""

    def __repr__(self) -> str:
        """Name the message only: content and tokens stay out of logs."""
        return f"Outbound({self.message_id})"


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A multipart/form-data body: plain fields, then the stored file, which the shell streams."""

    file: OutgoingFile
    field: str
    fields: Mapping[str, str] = {}


class HttpCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that a channel wants made.

    `idempotent`: it has a retry key, so may be repeated. `harmless`: it shows the visitor nothing
    (an upload, a lookup), so it may be repeated and is no part of the message. `upload` stands in
    place of `body`.
    """

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = {}
    body: bytes = b""
    upload: Upload | None = None
    idempotent: bool = False
    harmless: bool = False

    def __repr__(self) -> str:
        """Name the host only: path, query, headers and body may hold tokens and text."""
        place = self.url.partition("//")[2].partition("?")[0].partition("/")[0]
        return f"HttpCall({self.method} {place.rpartition('@')[2]})"


class HttpReply(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider answered; `headers` has lower-case names, `body` is capped."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """The provider took the message.

    `provider_ids` are the ids it gave, in order of the parts (empty where it gives none).
    `via` tells the way (`reply`, `push`, `comment`, ...). `linked_visitor` is another visitor id
    of the same person that the answer revealed (a comment's private reply gives the PSID).
    """

    provider_ids: tuple[str, ...] = ()
    via: str = ""
    linked_visitor: str = ""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A fetched access token and the seconds it lives."""

    value: str
    expires_in_s: int

    def __repr__(self) -> str:
        """Hide the value."""
        return f"Token(expires_in_s={self.expires_in_s})"


Exchange = Generator[HttpCall, HttpReply, Sent]
"""The calls a send wants, one at a time; it is told each reply and returns `Sent`.

Raises from inside: `ThrottledError`, `NotSentError`, `AmbiguousSendError`, `RejectedError`,
`CredentialError`. The shell raises network failures *into* it where the call was made.
"""

TokenExchange = Generator[HttpCall, HttpReply, Token]

MediaExchange = Generator[HttpCall, HttpReply, HttpCall]
"""The calls that lead to a file at the provider; returns the call whose answer is its content.

Raises from inside: as `Exchange`; `NotSentError` also where the file is not ready yet.
"""


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """Something small that is shown to the visitor now or never: `typing`, or `seen`.

    `message_id` is the provider's id of the visitor's newest message, `read_token` what came with
    it.
    """

    kind: Literal["typing", "seen"]
    recipient: str
    message_id: str = ""
    read_token: str = ""
    access_token: str = ""


SignalExchange = Generator[HttpCall, HttpReply, None]

Verify = Callable[[Account, WebhookRequest], None]
Parse = Callable[[Account, WebhookRequest], Parsed]
Send = Callable[[Account, Outbound], Exchange]
CountCalls = Callable[[Outbound], int]
FetchMedia = Callable[[Account, MediaPart, str], MediaExchange]
SendSignal = Callable[[Account, Signal], SignalExchange]
FetchToken = Callable[[Account], TokenExchange]
Challenge = Callable[[Sequence[Account], WebhookRequest], bytes]


Carried = Literal[
    "text",
    "image",
    "audio",
    "video",
    "file",
    "sticker",
    "location",
    "contact",
    "choices",
    "template",
    "quote",
    "private_reply",
    "typing",
    "seen",
]


class WindowRule(msgspec.Struct, frozen=True, kw_only=True):
    """When a channel lets us write.

    Attributes:
        free_s: Seconds after the visitor's last window-opening event in which anything may be
            sent; None: always.
        human_agent_s: Seconds in which a person may still write, with the account's feature.
        templates: Whether an approved template may be sent at any time.
        private_reply_s: Seconds after a comment in which it may be answered privately, once.
        most_sends: Messages of the provider's per window-opening event (see `Channel.calls`);
            None: no limit.
        brief_s: Seconds after an event that is `brief`, in which `brief_sends` messages may be
            sent; None: such an event opens nothing.
        free_entry_s: The longer window that a click on an ad opens.
    """

    free_s: float | None = None
    human_agent_s: float | None = None
    templates: bool = False
    private_reply_s: float | None = None
    most_sends: int | None = None
    brief_s: float | None = None
    brief_sends: int | None = None
    free_entry_s: float | None = None


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast one account may call: `per_second` on average, `burst` at once."""

    per_second: float
    burst: int


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A channel as a value.

    Attributes:
        endpoint: First path segment below `/webhooks/`: `meta`, `line`, `wechat`, `web`.
        secrets: Names of the secrets an account must have, first the one that proves a webhook;
            `optional_secrets` may have.
        verify: Returns only if the provider signed exactly this request; raises
            `BadSignatureError`. Runs before anything is decoded.
        parse: Turns a verified request into events of *this* account, leaving out entries for
            others. Raises `MalformedPayloadError` when nothing at all can be read; one bad item
            becomes `Unparsed`.
        send: See `Exchange`.
        token: Fetches the access token of channels that need one fetched, else None.
        challenge: Answers the GET handshake, given the accounts that the URL names; raises
            `BadSignatureError`. None where the provider has no handshake.
        addressees: For endpoints shared by many accounts: `(channel, external_id)` pairs that a
            verified body speaks of. None where the URL names the account.
        accepted: Body of the 200 answer; `accepted_type` its content type.
        text_limit: Longest text of one outgoing message, counted in `text_unit`.
        carries: What it can send; `send` refuses the rest with `bad_content`.
        media_limits: Largest outgoing file in bytes, by `MediaKind`.
        media_types: Outgoing content types by `MediaKind`; a kind that is absent takes all that
            `files.ALLOWED` has for it. What does not fit goes as `file` where that is carried.
        needs_link: The provider fetches files from a link; it takes no upload.
        calls: Tells how many messages of the provider's an `Outbound` becomes, or why it cannot be
            sent: raises as `send` before its first call. None where nobody needs to know before.
        window: See `WindowRule`.
        pace: See `Pace`.
        media: Leads to a visitor's file; None: `MediaPart.url` is it.
        media_life_s: Seconds in which a visitor's file must have been fetched.
        signal: Shows typing and reading; None where the provider has neither.
    """

    name: str
    endpoint: str
    secrets: tuple[str, ...]
    verify: Verify
    parse: Parse
    send: Send
    optional_secrets: tuple[str, ...] = ()
    token: FetchToken | None = None
    challenge: Challenge | None = None
    addressees: Callable[[WebhookRequest], frozenset[tuple[str, str]]] | None = None
    accepted: bytes = b""
    accepted_type: str = "text/plain"
    text_limit: int = 2000
    text_unit: str = "characters"
    carries: frozenset[Carried] = frozenset({"text"})
    media_limits: Mapping[MediaKind, int] = {}
    media_types: Mapping[MediaKind, frozenset[str]] = {}
    needs_link: bool = False
    calls: CountCalls | None = None
    window: WindowRule = WindowRule()
    pace: Pace = Pace(per_second=20, burst=40)
    media: FetchMedia | None = None
    media_life_s: float = 7 * 24 * 3600.0
    signal: SendSignal | None = None


def age_s(token_at: datetime | None, now: datetime) -> float:
    """Return the age of a reply token in seconds; infinite when there is none."""
    return (now - token_at).total_seconds() if token_at else float("inf")
