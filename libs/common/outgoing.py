"""What every `send` needs: the message in pieces, credentials, provider answers as our failures."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import msgspec

from libs.common.channel import Account, Carried, Channel, HttpReply, Outbound, OutgoingFile
from libs.common.errors import (
    AmbiguousSendError,
    CredentialError,
    RejectedError,
    ThrottledError,
)
from libs.common.events import (
    ChoicesPart,
    ContactPart,
    ContentPart,
    LocationPart,
    MediaKind,
    MediaPart,
    TemplatePart,
    TextPart,
    Way,
)
from libs.common.files.api import ALLOWED
from libs.common.text import TextUnit, measure, split_text

ANY_LINK = "https://link.invalid/"
"""Stands for the link of a file before the message is sent, which is when the real one is made."""

_UNSENDABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_REQUEST_TIMEOUT = 408
_LONGEST_WAIT_S = 3600.0
_REASONS = {403: "permission", 413: "bad_content", 415: "bad_content"}

_MAP = "https://www.google.com/maps/search/?api=1&query={latitude:.6f},{longitude:.6f}"
"""Opens a place in any browser. Source: Google Maps URLs, "Search action" (read 2026-09)."""


_TYPES: Mapping[MediaKind, frozenset[str]] = {
    kind: frozenset(mime for found, mime in ALLOWED.values() if found == kind)
    for kind in ("image", "audio", "video")
}
"""What goes as each kind where a channel does not say; as `file` goes everything."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel can send: fields of `Channel` by the same names, and captions.

    `captions` has the longest caption by kind of media, in `text_unit`; a kind that is absent
    carries none.
    """

    text_limit: int
    text_unit: TextUnit = "characters"
    carries: frozenset[Carried] = frozenset({"text"})
    media_limits: Mapping[MediaKind, int] = {}
    media_types: Mapping[MediaKind, frozenset[str]] = {}
    needs_link: bool = False
    captions: Mapping[MediaKind, int] = {}


class MediaPiece(msgspec.Struct, frozen=True, kw_only=True):
    """A file to send as `kind`, which may be `file` where the part said more.

    `file` is None only for a sticker of the provider's own, named by `sticker_id`.
    """

    kind: MediaKind
    file: OutgoingFile | None = None
    sticker_id: str = ""
    sticker_set: str = ""
    caption: str = ""


Piece = TextPart | MediaPiece | LocationPart | ContactPart | ChoicesPart | TemplatePart
"""What goes out as one thing: a text within the limit, a file, or a part that is carried whole."""


def pieces(
    message: Outbound, rules: Rules, shows: Callable[[ChoicesPart], bool] = lambda _: True
) -> list[Piece]:
    """Return what *message* goes out as, in the order of its parts.

    Texts are cut at the limit; control characters are dropped and lone surrogates replaced, as no
    provider takes them. A text right behind a file is its caption where it fits. Choices that the
    channel cannot show, or of which *shows* says no, become text with numbered titles.

    Raises:
        RejectedError: `bad_content`: a part that the channel does not carry, or nothing to show at
            all; `file_missing`, `too_large`; `file_needs_link`: the provider fetches files, and
            this one has no link. Raised before any call: no message is sent by halves.
    """
    made: list[Piece] = []
    captioned = None
    for part in message.parts:
        caption = _caption(captioned, part, rules)
        captioned = None
        if caption is not None:
            made[-1] = caption
        elif isinstance(part, MediaPart):
            captioned = media_piece(message, part, rules)
            made.append(captioned)
        elif isinstance(part, TextPart):
            made += _texts(part.text, rules)
        elif isinstance(part, ChoicesPart):
            made += _choices(part, rules, shows)
        else:
            made.append(_whole(part, rules))
    if not made:
        raise RejectedError("nothing to send", reason="bad_content")
    return made


def media_piece(message: Outbound, part: MediaPart, rules: Rules) -> MediaPiece:
    """Return how a file goes out: as its own kind if type and size fit, else as `file`.

    Raises:
        RejectedError: As `pieces`.
    """
    if part.kind == "sticker" and part.sticker_id and "sticker" in rules.carries:
        return MediaPiece(kind="sticker", sticker_id=part.sticker_id, sticker_set=part.sticker_set)
    if not part.attachment:
        raise RejectedError(f"a {part.kind} without a file of ours", reason="bad_content")
    file = message.files.get(part.attachment)
    if file is None:
        raise RejectedError("a file that is not stored", reason="file_missing")
    kinds: tuple[MediaKind, ...] = (part.kind, "file")
    if part.kind == "sticker":
        kinds = ("sticker", "image", "file")
    taken = [kind for kind in kinds if _takes(file, kind, rules)]
    if not taken:
        raise RejectedError(f"{file.mime_type} cannot be sent", reason="bad_content")
    kind = next((kind for kind in taken if _has_room(file, kind, rules)), None)
    if kind is None:
        raise RejectedError(f"{file.size_bytes} bytes cannot be sent", reason="too_large")
    if rules.needs_link and not file.link:
        raise RejectedError("no public link to the file", reason="file_needs_link")
    return MediaPiece(kind=kind, file=file)


def calls_of(channel: Channel, parts: tuple[ContentPart, ...], way: Way = "") -> int:
    """Return how many messages of the provider's *parts* become; 1 where *channel* cannot say."""
    if channel.calls is None:
        return 1
    try:
        return channel.calls(preview(parts, way))
    except RejectedError:  # the send will say why
        return 1


def refuse_unfit(
    channel: Channel, parts: tuple[ContentPart, ...], *, linkable: bool = True
) -> None:
    """Return only if *channel* can carry *parts*; see `preview` for `linkable`.

    Raises:
        RejectedError: As `pieces`.
    """
    outbound = preview(parts, linkable=linkable)
    if channel.calls is not None:
        channel.calls(outbound)
        return
    unit: TextUnit = channel.text_unit  # type: ignore[assignment]  # each names one of them
    rules = Rules(
        text_limit=channel.text_limit,
        text_unit=unit,
        carries=channel.carries,
        media_limits=channel.media_limits,
        media_types=channel.media_types,
        needs_link=channel.needs_link,
    )
    pieces(outbound, rules)


def preview(parts: tuple[ContentPart, ...], way: Way = "", *, linkable: bool = True) -> Outbound:
    """Return *parts* as a channel would be given them, before anything is known but themselves.

    `linkable`: the installation has a public address, from which providers can fetch files.
    """
    media = [part for part in parts if isinstance(part, MediaPart) and part.attachment]
    files = {
        part.attachment: OutgoingFile(
            id=part.attachment,
            name=part.name,
            mime_type=part.mime_type,
            size_bytes=part.size_bytes or 0,
            link=ANY_LINK if linkable else "",
            duration_ms=part.duration_ms,
        )
        for part in media
    }
    return Outbound(message_id="", recipient="", parts=parts, files=files, way=way)


def choices_text(part: ChoicesPart) -> str:
    """Return choices as a text to read: their titles numbered below it, with what they open."""
    lines = [sendable(part.text)] if part.text.strip() else []
    for number, choice in enumerate(part.choices, start=1):
        known = (choice.title, choice.description, choice.url)
        lines.append(f"{number}. " + " - ".join(sendable(text) for text in known if text))
    return "\n".join(lines)


def place_text(part: LocationPart) -> str:
    """Return a place as a text to read: its name, its address, and a link that opens a map."""
    link = _MAP.format(latitude=part.latitude, longitude=part.longitude)
    return "\n".join((*filter(None, (sendable(part.name), sendable(part.address))), link))


def sendable(text: str) -> str:
    """Return *text* without control characters; lone surrogates become U+FFFD."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _UNSENDABLE.sub("", whole)


def credential(account: Account, name: str) -> str:
    """Return the secret that a call to the provider needs.

    Raises:
        CredentialError: The account has none, so the provider would refuse every call.
    """
    value = account.secrets.get(name, "")
    if not value:
        raise CredentialError(f"account {account.slug} has no {name}", reason="credential")
    return value


def raise_for_status(reply: HttpReply) -> None:
    """Return only for 2xx; a channel handles what its provider words differently before this.

    Raises:
        ThrottledError: 429; waits for what `Retry-After` says in seconds.
        AmbiguousSendError: 408 and 5xx: the provider may have carried it out all the same.
        CredentialError: 401.
        RejectedError: Everything else, redirects too.
    """
    status = reply.status
    if 200 <= status < 300:  # noqa: PLR2004  # what HTTP calls success
        return
    if status == 429:  # noqa: PLR2004
        wait_s = retry_after_s(reply)
        raise ThrottledError("HTTP 429", delay_s=1.0 if wait_s is None else wait_s)
    if status >= 500 or status == _REQUEST_TIMEOUT:  # noqa: PLR2004
        raise AmbiguousSendError(f"HTTP {status}")
    if status == 401:  # noqa: PLR2004
        raise CredentialError("HTTP 401", reason="credential", provider_code="401")
    raise RejectedError(
        f"HTTP {status}", reason=_REASONS.get(status, "rejected"), provider_code=str(status)
    )


def retry_after_s(reply: HttpReply) -> float | None:
    """Return what `Retry-After` says in seconds, an hour at most; None where it says nothing."""
    text = reply.headers.get("retry-after", "").strip()
    return min(float(text), _LONGEST_WAIT_S) if text.isdecimal() and text.isascii() else None


def _texts(text: str, rules: Rules) -> list[Piece]:
    cut = split_text(sendable(text), rules.text_limit, rules.text_unit)
    return [TextPart(text=piece) for piece in cut]


def _caption(media: MediaPiece | None, part: object, rules: Rules) -> MediaPiece | None:
    """Return *media* with *part* as its caption; None where it is none, or does not fit."""
    if media is None or not isinstance(part, TextPart):
        return None
    text = sendable(part.text)
    fits = measure(text, rules.text_unit) <= rules.captions.get(media.kind, 0)
    return msgspec.structs.replace(media, caption=text) if fits and text.strip() else None


def _choices(part: ChoicesPart, rules: Rules, shows: Callable[[ChoicesPart], bool]) -> list[Piece]:
    if "choices" in rules.carries and part.choices and shows(part):
        return [part]
    return _texts(choices_text(part), rules)


def _whole(part: object, rules: Rules) -> LocationPart | ContactPart | TemplatePart:
    if isinstance(part, LocationPart) and "location" in rules.carries:
        return part
    if isinstance(part, ContactPart) and "contact" in rules.carries:
        return part
    if isinstance(part, TemplatePart) and "template" in rules.carries:
        return part
    raise RejectedError(f"{type(part).__name__} cannot be sent", reason="bad_content")


def _takes(file: OutgoingFile, kind: MediaKind, rules: Rules) -> bool:
    types = rules.media_types.get(kind, _TYPES.get(kind))
    return kind in rules.carries and (types is None or file.mime_type in types)


def _has_room(file: OutgoingFile, kind: MediaKind, rules: Rules) -> bool:
    return file.size_bytes <= rules.media_limits.get(kind, file.size_bytes)
