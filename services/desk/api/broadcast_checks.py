"""What a broadcast must be before it is kept: its audience can be reached, its content is carried.

The same checks hold when it is made, changed and started: what was right may be wrong by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from libs.common.audience import places_of
from libs.common.broadcasts import CONTACT_ZONE
from libs.common.channel import Account
from libs.common.documents import Attachment
from libs.common.events import (
    ChoicesPart,
    ContentPart,
    LocationPart,
    MediaPart,
    TemplatePart,
    TextPart,
)
from libs.common.later import Audience
from libs.common.outgoing import calls_of
from libs.common.switches import QuietHours
from libs.common.wallclock import instant, quiet_problem, zone_named
from services.desk.api.able import plain_account
from services.desk.api.compose import (
    ChoiceBody,
    ChoicesBody,
    FileBody,
    Given,
    LocationBody,
    NewMessage,
    TemplateBody,
    compose,
)
from services.desk.api.route import Call
from services.desk.api.sessions import CHANNEL_NAMES
from services.desk.api.tags import known_tags
from services.desk.api.visible import sees_audience
from services.desk.scheduling import check_ahead, check_variables, moment, renamed, wrong

LAST_ZONE = "Etc/GMT+12"
"""Where a wall-clock time comes last in the world (UTC-12)."""


class Content(msgspec.Struct, frozen=True):
    """What is sent, as parts, and the uploaded files in it."""

    parts: tuple[ContentPart, ...]
    files: Mapping[str, Attachment]


async def places(call: Call, audience: Audience) -> list[Account]:
    """Return the accounts by which the audience is reached.

    Raises:
        InvalidInputError: A tag, channel or account is not known, or no account is left.
    """
    await known_tags(call, audience.tags, "audience.tags")
    await known_tags(call, audience.without, "audience.without")
    if not await sees_audience(call, audience):
        raise wrong(
            "audience.accounts",
            "this reaches accounts that you do not see",
            "accounts of your own `accounts` and `channels`, named one by one",
        )
    stored = await call.desk.store.accounts(call.who.workspace)
    slugs = [account.id for account in stored]
    _check_known("audience.channels", audience.channels, CHANNEL_NAMES)
    _check_known("audience.accounts", audience.accounts, slugs)
    enabled = {account.id: account.channel for account in stored if account.enabled}
    allowed = places_of(audience, enabled)
    found = [plain_account(account) for account in stored if account.id in allowed]
    found = [account for account in found if account.channel in call.desk.channels]
    if not found:
        raise wrong("audience", "no account reaches it", f"one of {_named(enabled)}")
    return found


async def content(call: Call, body: NewMessage, accounts: Sequence[Account]) -> Content:
    """Return what *body* makes, which every one of the *accounts* carries.

    Raises:
        InvalidInputError: A field is wrong; names it, and the channel that does not carry it.
        NotFoundError: There is no such uploaded file.
        RefusalError: A channel does not take a file.
    """
    files = await call.desk.attachments.sendable(call.who.workspace, body.files())
    parts: tuple[ContentPart, ...] = ()
    for account in _told_apart(accounts, one_each=body.template is None):
        channel = call.desk.channels[account.channel]
        linkable = bool(call.desk.settings.public_url)
        given = Given(channel=channel, account=account, files=files, linkable=linkable)
        made = compose(body, given)
        parts = parts or made
        most = channel.window.most_sends
        if most is not None and calls_of(channel, made) > most:
            words = f"{channel.name} takes {most} messages at a time, and this becomes more"
            raise wrong("text", words, f"a shorter text, or fewer files: {most} messages")
    _check_places(parts)
    return Content(parts, files)


async def fallback(
    call: Call, wanted: TemplateBody, accounts: Sequence[Account]
) -> tuple[TemplatePart, Mapping[str, Attachment]]:
    """Return the template that goes out where the window is closed.

    Raises:
        InvalidInputError: No account has templates, or one has not this one.
    """
    able = [one for one in accounts if call.desk.channels[one.channel].window.templates]
    if not able:
        words = "no account of the audience sends templates"
        raise wrong("fallback_template", words, "null, or an audience on WhatsApp")
    with renamed("template", "fallback_template"):
        made = await content(call, NewMessage(template=wanted), able)
    [part] = (part for part in made.parts if isinstance(part, TemplatePart))
    return part, made.files


def check_quiet(quiet: QuietHours | None) -> None:
    """Refuse quiet hours that are none.

    Raises:
        InvalidInputError: Names the field.
    """
    problem = quiet_problem(quiet) if quiet is not None else ""
    if problem:
        allowed = "HH:MM, the end another than the start"
        raise wrong(f"quiet_hours.{problem}", "these are no hours", allowed)


def check_pace(per_minute: int | None, accounts: Iterable[Account], call: Call) -> None:
    """Refuse a pace that one of the channels cannot keep.

    Raises:
        InvalidInputError: Names the slowest channel, and what it takes.
    """
    paces = {
        one.channel: int(call.desk.channels[one.channel].pace.per_second * 60) for one in accounts
    }
    if per_minute is None or not paces:
        return
    slowest = min(paces, key=lambda name: (paces[name], name))
    if per_minute > paces[slowest]:
        words = f"{slowest} takes {paces[slowest]} messages in a minute"
        allowed = f"1 to {paces[slowest]}, null, or an `audience.channels` without {slowest}"
        raise wrong("per_minute", words, allowed)


def local_of(at: str, zone: str, now: datetime) -> str:
    """Return the wall-clock time that *at* means in *zone*.

    Raises:
        InvalidInputError: One of both is none, or the time has passed everywhere.
    """
    if zone != CONTACT_ZONE and zone_named(zone) is None:
        words = f"{zone[:60]!r} is not a zone of the IANA list"
        raise wrong("zone", words, "`contact`, or a name such as Europe/Berlin")
    if not at:
        return ""
    if zone == CONTACT_ZONE:
        check_ahead(instant(at, LAST_ZONE).at, now)
        return at
    found = moment(at, zone)
    check_ahead(found.at, now)
    return found.local


def body_of(parts: Sequence[ContentPart]) -> NewMessage:
    """Return what a person would send for *parts*, so that they can be checked anew."""
    found: dict[str, Any] = {}
    files: list[FileBody] = []
    for place, part in enumerate(parts):
        last = place + 1 == len(parts)
        if isinstance(part, MediaPart):
            files.append(FileBody(id=part.attachment))
        elif isinstance(part, TextPart) and files and not last:
            files[-1] = FileBody(id=files[-1].id, caption=part.text)
        else:
            found |= _fields_of(part)
    return NewMessage(attachments=tuple(files), **found)


def template_body(part: TemplatePart) -> TemplateBody:
    """Return what a person would ask for to get *part*."""
    return TemplateBody(
        name=part.name,
        language=part.language,
        body=part.body,
        header=part.header,
        header_attachment=part.header_media.attachment if part.header_media else "",
        buttons=part.buttons,
    )


def _fields_of(part: ContentPart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"text": part.text}
    if isinstance(part, ChoicesPart):
        choices = tuple(ChoiceBody(**msgspec.structs.asdict(choice)) for choice in part.choices)
        body = ChoicesBody(choices=choices, style=part.style, label=part.label)
        return {"text": part.text, "choices": body}
    if isinstance(part, LocationPart):
        return {"location": msgspec.convert(msgspec.structs.asdict(part), LocationBody)}
    return {"template": template_body(part)} if isinstance(part, TemplatePart) else {}


def _told_apart(accounts: Sequence[Account], *, one_each: bool) -> list[Account]:
    """Return one account of each channel, or all: templates are of an account."""
    return list({one.channel: one for one in accounts}.values()) if one_each else list(accounts)


def _check_places(parts: Sequence[ContentPart]) -> None:
    field = "template" if any(isinstance(part, TemplatePart) for part in parts) else "text"
    check_variables(parts, field)


def _check_known(field: str, given: Sequence[str], known: Sequence[str]) -> None:
    for place, name in enumerate(given):
        if name not in known:
            allowed = _named(known)
            raise wrong(f"{field}.{place}", f"{name[:60]!r} is not known", allowed)


def _named(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:50]) or "none"
