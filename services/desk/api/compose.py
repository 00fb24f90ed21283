"""What a message is made of: the body that a caller sends, checked against what the channel takes.

Pure. It refuses before any command is sent, and names the field and what is allowed there. What
time and consent allow (windows, blocked visitors, one private reply) is the router's to judge.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from libs.common.attached import part_of
from libs.common.channel import Account, Channel, MessageTemplate, Outbound, OutgoingFile
from libs.common.documents import Attachment
from libs.common.errors import InvalidInputError, NotFoundError, RejectedError
from libs.common.events import (
    Choice,
    ChoicesPart,
    ContentPart,
    LocationPart,
    MediaPart,
    TemplatePart,
    TextPart,
    Way,
)
from libs.common.outgoing import ANY_LINK, Rules, media_piece, preview
from libs.common.reasons import reason
from libs.common.text import TextUnit
from libs.common.windows import values_of
from services.desk.api.problem import RefusalError
from services.desk.api.read import Plain

TEXT_LIMIT = 10_000
"""Characters of one message; a channel with a smaller limit gets it in pieces."""
MOST_FILES = 10
MOST_CHOICES = 20
MOST_VALUES = 30

_STATUS = {"too_large": 413, "bad_content": 415}
_CODE = {"bad_content": "type_not_allowed"}
_URL = re.compile(r"https?://[^\s<>\"]+")

Name = Annotated[Plain, Meta(min_length=1, max_length=512)]
Short = Annotated[Plain, Meta(max_length=1000)]
Id = Annotated[Plain, Meta(min_length=1, max_length=100)]


class FileBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An uploaded file by its id, with the words that belong to it."""

    id: Id
    caption: Short = ""


class ChoiceBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something to tap: `payload` comes back; a `url` is opened instead."""

    title: Name
    payload: Short = ""
    url: Annotated[Plain, Meta(max_length=2000)] = ""
    description: Short = ""


class ChoicesBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Things to tap below the message's `text`; `label` opens a `list`.

    A channel that cannot show them sends the text with the titles numbered below it.
    """

    choices: Annotated[tuple[ChoiceBody, ...], Meta(min_length=1, max_length=MOST_CHOICES)]
    style: Literal["quick_reply", "button", "list"] = "quick_reply"
    label: Short = ""


class TemplateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An approved template of the account, with its values in the order of the place-holders.

    `header_attachment` is the id of an uploaded file, for a header that is one.
    """

    name: Name
    language: Annotated[Plain, Meta(min_length=1, max_length=20)]
    body: Annotated[tuple[Short, ...], Meta(max_length=MOST_VALUES)] = ()
    header: Short = ""
    header_attachment: Annotated[Plain, Meta(max_length=100)] = ""
    buttons: Annotated[tuple[Short, ...], Meta(max_length=MOST_VALUES)] = ()


class LocationBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place, in degrees."""

    latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude: Annotated[float, Meta(ge=-180, le=180)]
    name: Short = ""
    address: Short = ""


class NewMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to send: text, uploaded files, a place, or several of these; or one template.

    Files come first, so that the text is the last one's caption where the channel has captions.
    `reply_to` is the id of an entry of this session. `way` tells how a comment is answered, and
    `offline` how it reaches a visitor of the web chat who has left: by `email`, or waiting in the
    `plugin`; without it, as the workspace has it. A `private` message is a note that the visitor
    never sees; it has text alone. `standard_message` is the id of the one that it was taken from,
    whose uses are counted; one that is gone meanwhile counts nothing.
    """

    text: Annotated[Plain, Meta(max_length=TEXT_LIMIT)] = ""
    attachments: Annotated[tuple[Id | FileBody, ...], Meta(max_length=MOST_FILES)] = ()
    choices: ChoicesBody | None = None
    template: TemplateBody | None = None
    location: LocationBody | None = None
    reply_to: Annotated[Plain, Meta(max_length=100)] = ""
    way: Way = ""
    offline: Literal["", "email", "plugin"] = ""
    private: bool = False
    standard_message: Annotated[Plain, Meta(max_length=100)] = ""

    def files(self) -> tuple[str, ...]:
        """Return the ids of the files that it names."""
        ids = [given if isinstance(given, str) else given.id for given in self.attachments]
        if self.template is not None and self.template.header_attachment:
            ids.append(self.template.header_attachment)
        return tuple(dict.fromkeys(ids))


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a message is checked against.

    `files` has the uploads of the workspace that may be sent, by id. `linkable`: the installation
    has a public address, from which providers can fetch files.
    """

    channel: Channel
    account: Account | None
    files: Mapping[str, Attachment]
    linkable: bool


def check_note(body: NewMessage) -> None:
    """Refuse a note that is more than text.

    Raises:
        InvalidInputError: Names the field.
    """
    named = {
        "attachments": body.attachments,
        "choices": body.choices,
        "template": body.template,
        "location": body.location,
        "reply_to": body.reply_to,
        "way": body.way,
        "offline": body.offline,
        "standard_message": body.standard_message,
    }
    for field, value in named.items():
        if value:
            raise _wrong(field, "a private note has text alone", "nothing in a private note")
    if not body.text.strip():
        raise _wrong("text", "must not be blank", "some text")


def check_offline(body: NewMessage, channel: str, address: str) -> None:
    """Refuse a way to who has left, where the channel has none, or no *address* is known.

    Raises:
        InvalidInputError: Names the field.
    """
    if body.offline and channel != "web":
        words = "only visitors of the web chat leave it; other channels keep what is sent"
        raise _wrong("offline", words, f"nothing on {channel}")
    if body.offline == "email" and not address:
        words = (
            "no email address of this visitor is known; ask for it, as the chat's form does, "
            "or set it by PATCH /contacts/{id}. Without one the message waits in the plugin"
        )
        raise _wrong("offline", words, "plugin, or nothing")


def compose(body: NewMessage, given: Given) -> tuple[ContentPart, ...]:
    """Return the parts of the message.

    Raises:
        InvalidInputError: A field is wrong, or the channel carries no such thing.
        RefusalError: 413 or 415: the channel does not take such a file; 409: nor any file from
            an installation without a public address.
        NotFoundError: There is no such uploaded file.
    """
    if body.way and "private_reply" not in given.channel.carries:
        raise _wrong("way", "only a comment is answered in one way or the other", "nothing here")
    if body.template is not None:
        return (_template(body, body.template, given),)
    parts: list[ContentPart] = []
    for place, file in enumerate(body.attachments):
        named = FileBody(id=file) if isinstance(file, str) else file
        parts.append(_media(named.id, f"attachments.{place}", given))
        if named.caption.strip():
            _carried("text", "attachments", given.channel)
            parts.append(TextPart(text=named.caption))
    if body.location is not None:
        _carried("location", "location", given.channel)
        parts.append(msgspec.convert(msgspec.structs.asdict(body.location), LocationPart))
    parts += _words(body, given.channel, alone=not parts)
    _laid_out(tuple(parts), body, given)
    return tuple(parts)


def _laid_out(parts: tuple[ContentPart, ...], body: NewMessage, given: Given) -> None:
    """Refuse what fits part by part, and not as the message that the channel makes of it."""
    channel = given.channel
    if channel.calls is None:
        return
    try:
        channel.calls(preview(parts, body.way, linkable=given.linkable))
    except RejectedError as error:
        field = "text" if body.text.strip() else "attachments"
        if error.reason == "bad_content":
            raise _wrong(field, error.detail, error.detail) from None
        found = reason(error.reason)
        refusal = RefusalError(409, found.code, f"{field}: {found.text} {found.advice}")
        refusal.facts = {"field": field, "reason": found.code}
        raise refusal from None


def _words(body: NewMessage, channel: Channel, *, alone: bool) -> tuple[ContentPart, ...]:
    if not body.text.strip():
        if alone or body.choices is not None:
            raise _wrong("text", "must not be blank", "some text")
        return ()
    _carried("text", "text", channel)
    if body.choices is None:
        return (TextPart(text=body.text),)
    choices = tuple(_choice(*pair) for pair in enumerate(body.choices.choices))
    style, label = body.choices.style, body.choices.label
    return (ChoicesPart(text=body.text, choices=choices, style=style, label=label),)


def _choice(place: int, given: ChoiceBody) -> Choice:
    if given.url and not _URL.fullmatch(given.url):
        raise _wrong(f"choices.choices.{place}.url", "this is no web address", "https://...")
    return Choice(
        title=given.title, payload=given.payload, url=given.url, description=given.description
    )


def _carried(what: str, field: str, channel: Channel) -> None:
    if what not in channel.carries:
        allowed = ", ".join(sorted(channel.carries))
        raise _wrong(field, f"{channel.name} carries no {what}; it carries: {allowed}", allowed)


def _media(file_id: str, field: str, given: Given) -> MediaPart:
    file = given.files.get(file_id)
    if file is None:
        raise NotFoundError("There is no such attachment; upload it first.", field=field)
    part = part_of(file)
    try:
        media_piece(_as_sent(file, given), part, rules_of(given.channel))
    except RejectedError as error:
        raise _untaken(error, field, file, given.channel) from None
    return part


def _as_sent(file: Attachment, given: Given) -> Outbound:
    """Return the file as the channel would see it."""
    outgoing = OutgoingFile(
        id=file.id,
        name=file.name,
        mime_type=file.mime_type,
        size_bytes=file.size_bytes,
        link=ANY_LINK if given.linkable else "",
    )
    return Outbound(message_id="", recipient="", parts=(), files={file.id: outgoing})


def rules_of(channel: Channel) -> Rules:
    """Return what the channel takes, as the laying out of messages asks for it."""
    unit: TextUnit = channel.text_unit  # type: ignore[assignment]  # each names one of them
    return Rules(
        text_limit=channel.text_limit,
        text_unit=unit,
        carries=channel.carries,
        media_limits=channel.media_limits,
        media_types=channel.media_types,
        needs_link=channel.needs_link,
    )


def _untaken(error: RejectedError, field: str, file: Attachment, channel: Channel) -> RefusalError:
    kinds = sorted(channel.carries & {"image", "audio", "video", "file", "sticker"})
    code = _CODE.get(error.reason, error.reason)
    found = reason(code)
    facts = {"field": field, "reason": code, "allowed": ", ".join(kinds) or "no files"}
    limit = max((channel.media_limits.get(kind, 0) for kind in (file.kind, "file")), default=0)
    if code == "too_large":
        facts["limit_bytes"] = str(limit)
    detail = f"{field}: {channel.name} does not take it. {found.text} {found.advice}"
    refusal = RefusalError(_STATUS.get(error.reason, 409), code, detail)
    refusal.facts = facts
    return refusal


def _template(body: NewMessage, wanted: TemplateBody, given: Given) -> TemplatePart:
    for field in ("text", "attachments", "choices", "location"):
        if getattr(body, field):
            raise _wrong(field, "a template goes alone", "nothing beside a template")
    _carried("template", "template", given.channel)
    known = _template_of(wanted, given.account)
    takes = values_of(known)
    if takes is not None and takes != len(wanted.body):
        words = f"the template takes {takes} values and {len(wanted.body)} were given"
        raise _wrong("template.body", words, f"{takes} values")
    return TemplatePart(
        name=wanted.name,
        language=wanted.language,
        body=wanted.body,
        header=wanted.header,
        header_media=_header(wanted, known, given),
        buttons=wanted.buttons,
        text=filled(known.body, wanted.body),
    )


def _template_of(wanted: TemplateBody, account: Account | None) -> MessageTemplate:
    approved = [t for t in (account.templates if account else ()) if t.approved]
    for found in approved:
        if (found.name, found.language) == (wanted.name, wanted.language):
            return found
    allowed = ", ".join(sorted(f"{t.name}/{t.language}" for t in approved)) or "none"
    words = "the account has no such approved template in this language"
    raise _wrong("template.name", f"{words}; it has: {allowed}", allowed)


def _header(wanted: TemplateBody, known: MessageTemplate, given: Given) -> MediaPart | None:
    if known.header in {"", "text"}:
        if wanted.header_attachment:
            raise _wrong("template.header_attachment", "the header is no file", "nothing here")
        return None
    field = "template.header_attachment"
    if not wanted.header_attachment:
        raise _wrong(field, f"the template needs a file of kind {known.header}", known.header)
    part = _media(wanted.header_attachment, field, given)
    if known.header not in {part.kind, "file"}:
        raise _wrong(field, f"the template needs a file of kind {known.header}", known.header)
    return part


def filled(text: str, values: tuple[str, ...]) -> str:
    """Return a template's text with `{{1}}`, `{{2}}`, ... replaced; other names in their order."""
    names = list(dict.fromkeys(re.findall(r"\{\{\s*(\w+)\s*\}\}", text)))
    if names and all(name.isdecimal() for name in names):
        names.sort(key=int)
    by_name = dict(zip(names, values, strict=False))
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda at: by_name.get(at[1], at[0]), text)


def _wrong(field: str, words: str, allowed: str) -> InvalidInputError:
    return InvalidInputError(f"{field}: {words}.", field=field, allowed=allowed)
