"""Making and changing a scheduled message: content, time and conditions, all checked (D08)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from libs.common.documents import Attachment
from libs.common.events import ContentPart, TemplatePart
from libs.common.later import ScheduledMessage, WhenClosed
from libs.common.reasons import reason
from libs.common.switches import QuietHours
from libs.common.wallclock import after_quiet, local_time, quiet_problem
from libs.common.windows import Refusal, Wish, capabilities, permitted
from services.desk.addressee import Addressee, zone_of
from services.desk.api.compose import Given, NewMessage, TemplateBody, compose
from services.desk.api.problem import RefusalError
from services.desk.api.route import Call
from services.desk.api.scheduled_body import CONTENT, NewScheduled, QuietBody, ScheduledPatch
from services.desk.api.standard_messages import as_message, picked
from services.desk.scheduling import (
    CLOSED,
    NEVER,
    Moment,
    check_ahead,
    check_variables,
    moment,
    outlook,
    renamed,
    too_many,
    wrong,
)

QUIET = "quiet_hours"
_TIME = ("at", "zone", "quiet_hours")
_CLOSING = ("when_closed", "fallback_template", "hold_until")
_BOTH = (*_TIME, *_CLOSING)
_FIELDS = {"blocked": "session", "account_unavailable": "account"}


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What is to go out, and the files in it by id."""

    parts: tuple[ContentPart, ...]
    files: Mapping[str, Attachment]
    standard_message: str = ""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A scheduled message as it is to be written, and the files in it."""

    doc: ScheduledMessage
    files: tuple[Attachment, ...]


async def made(call: Call, whom: Addressee, body: NewScheduled, id_: str, digest: str) -> Made:
    """Return what *body* asks for.

    Raises:
        CommandError: A field is wrong, or it could never go out; names the field.
    """
    now = call.desk.now()
    content = await content_of(call, whom, body)
    zone = await zone_of(call, body.zone, whom.contact)
    quiet = await quiet_of(call, body.quiet_hours)
    wanted = moment(body.at, zone)
    check_ahead(wanted.at, now)
    when = "fail" if body.when_closed is UNSET else body.when_closed
    fallback, files = await _fallback(call, whom, body.fallback_template)
    doc = ScheduledMessage(
        id=id_,
        workspace=call.who.workspace,
        name=body.name.strip(),
        contact=whom.contact_id,
        account=whom.account.slug,
        channel=whom.channel.name,
        visitor=whom.visitor,
        session=whom.session,
        author=call.who.agent,
        author_name=call.who.name,
        parts=content.parts,
        standard_message=content.standard_message,
        local=wanted.local,
        zone=zone,
        due_at=wanted.at,
        only_if_no_reply=body.only_if_no_reply,
        unless_moved=body.unless_moved,
        epoch=_epoch(whom, body.session or whom.session) if body.unless_moved else None,
        when_closed=when,
        template=fallback,
        hold_until=_hold_until(body.hold_until, zone),
        created_at=now,
        updated_at=now,
        digest=digest,
    )
    doc = _timed(doc, wanted, quiet, now)
    _check_closing(doc, now)
    check(call, whom, doc, said=body.when_closed is not UNSET)
    return Made(doc=doc, files=(*content.files.values(), *files))


async def edited(
    call: Call, whom: Addressee, before: ScheduledMessage, patch: ScheduledPatch
) -> Made:
    """Return *before* as *patch* wants it.

    What is held and is to go at another time, or under other conditions, is no longer held: it
    comes due anew.

    Raises:
        CommandError: As `made`.
    """
    now = call.desk.now()
    given = {name for name in patch.__struct_fields__ if getattr(patch, name) is not UNSET}
    doc, files = before, tuple[Attachment, ...]()
    if patch.name is not UNSET:
        doc = replace(doc, name=patch.name.strip())
    if given & {*CONTENT, "standard_message"}:
        named = {name: getattr(patch, name) for name in given & {*CONTENT, "standard_message"}}
        body = NewScheduled(name="-", at="-", **named)
        content = await content_of(call, whom, body)
        doc = replace(doc, parts=content.parts, standard_message=content.standard_message)
        files = (*content.files.values(),)
    doc = _conditions(whom, doc, patch)
    if given & {*_TIME}:
        doc = await _moved(call, whom, doc, patch)
    if given & {*_CLOSING}:
        doc, more = await _closing(call, whom, doc, patch)
        files = (*files, *more)
    if given & {*_BOTH, "only_if_no_reply"}:
        _check_closing(doc, now)
    if given & {*_BOTH} and doc != before:
        doc = replace(_let_go(doc), fires_at=doc.due_at)
    if given - {"name"}:
        said = patch.when_closed is not UNSET or doc.when_closed != "fail"
        known = outlook(whom.newest, whom.channel, whom.account, before, now) in CLOSED
        check(call, whom, doc, said=said or known)
    return Made(doc=doc if doc == before else replace(doc, updated_at=now), files=files)


def _let_go(doc: ScheduledMessage) -> ScheduledMessage:
    return replace(doc, held=False, reason="", detail="") if doc.held else doc


# --- content -----------------------------------------------------------------------------------


async def content_of(call: Call, whom: Addressee, body: NewScheduled) -> Content:
    """Return the content that *body* names, as this channel takes it.

    Raises:
        CommandError: Names the field.
    """
    if not body.standard_message:
        own = NewMessage(
            text=body.text,
            attachments=body.attachments,
            choices=body.choices,
            location=body.location,
            template=body.template,
        )
        return await _composed(call, whom, own)
    for field in CONTENT:
        if getattr(body, field):
            words = "a standard message is content of its own"
            raise wrong(field, words, "nothing beside a standard message")
    standard = await picked(call, body.standard_message, whom.channel.name)
    with renamed("", "standard_message"):
        content = await _composed(call, whom, as_message(standard.parts))
    return msgspec.structs.replace(content, standard_message=standard.id)


async def _composed(call: Call, whom: Addressee, own: NewMessage) -> Content:
    files = await call.desk.attachments.sendable(call.who.workspace, own.files())
    given = Given(
        channel=whom.channel,
        account=whom.account,
        files=files,
        linkable=bool(call.desk.settings.public_url),
    )
    parts = compose(own, given)
    check_variables(parts, "template.body" if own.template is not None else "text")
    return Content(parts=parts, files=files)


async def _fallback(
    call: Call, whom: Addressee, wanted: TemplateBody | None
) -> tuple[TemplatePart | None, tuple[Attachment, ...]]:
    if wanted is None:
        return None, ()
    with renamed("template", "fallback_template"):
        content = await _composed(call, whom, NewMessage(template=wanted))
    [part] = content.parts
    return (part if isinstance(part, TemplatePart) else None), (*content.files.values(),)


# --- time --------------------------------------------------------------------------------------


async def quiet_of(call: Call, wanted: QuietBody | UnsetType | None) -> QuietHours | None:
    """Return the quiet hours that hold; left out: the workspace's.

    Raises:
        InvalidInputError: Names the field.
    """
    if wanted is UNSET:
        return (await call.desk.store.workspace(call.who.workspace)).settings.quiet_hours
    if wanted is None:
        return None
    problem = quiet_problem(wanted)
    if problem:
        allowed = "HH:MM from 00:00 to 24:00, and two that differ"
        raise wrong(f"quiet_hours.{problem}", "this is no such time", allowed)
    return QuietHours(start=wanted.start, end=wanted.end)


def _timed(
    doc: ScheduledMessage, wanted: Moment, quiet: QuietHours | None, now: datetime
) -> ScheduledMessage:
    at = max(wanted.at, now)
    due = after_quiet(at, doc.zone, quiet)
    shown = local_time(due, doc.zone).replace("T", " ")[:16]
    detail = f"Moved to {shown} ({doc.zone}), when the quiet hours are over."
    return replace(
        doc,
        local=wanted.local,
        wanted_at=at,
        shifted=wanted.shifted,
        due_at=due,
        quiet_hours=quiet,
        held=False,
        reason=QUIET if due > at else "",
        detail=detail if due > at else "",
        fires_at=due,
    )


async def _moved(
    call: Call, whom: Addressee, doc: ScheduledMessage, patch: ScheduledPatch
) -> ScheduledMessage:
    """Return *doc* at the time that *patch* gives it, or with other quiet hours."""
    now = call.desk.now()
    wanted = Moment(doc.local, doc.wanted_at or doc.due_at, doc.shifted)
    if patch.zone is not UNSET:
        doc = replace(doc, zone=await zone_of(call, patch.zone, whom.contact))
    if patch.at is not UNSET or patch.zone is not UNSET:
        wanted = moment(doc.local if patch.at is UNSET else patch.at, doc.zone)
        check_ahead(wanted.at, now, "zone" if patch.at is UNSET else "at")
    quiet = doc.quiet_hours
    if patch.quiet_hours is not UNSET:
        quiet = await quiet_of(call, patch.quiet_hours)
    after = _timed(doc, wanted, quiet, now)
    keys = ("local", "zone", "wanted_at", "quiet_hours")
    same = all(getattr(after, key) == getattr(doc, key) for key in keys)
    return doc if same and patch.zone is UNSET else after


# --- conditions --------------------------------------------------------------------------------


def _conditions(whom: Addressee, doc: ScheduledMessage, patch: ScheduledPatch) -> ScheduledMessage:
    if patch.only_if_no_reply is not UNSET:
        doc = replace(doc, only_if_no_reply=patch.only_if_no_reply)
    if patch.unless_moved is UNSET or patch.unless_moved == doc.unless_moved:
        return doc
    epoch = _epoch(whom, doc.session) if patch.unless_moved else None
    return replace(doc, unless_moved=patch.unless_moved, epoch=epoch)


def _epoch(whom: Addressee, session: str) -> int:
    """Return the epoch of the session that must not change hands.

    Raises:
        InvalidInputError: The visitor has another one by now, or none.
    """
    if not session or whom.newest.id != session:
        words = "this is not the visitor's newest session, to which it would go"
        raise wrong("unless_moved", words, "false, or the newest session")
    return whom.newest.epoch


async def _closing(
    call: Call, whom: Addressee, doc: ScheduledMessage, patch: ScheduledPatch
) -> tuple[ScheduledMessage, tuple[Attachment, ...]]:
    """Return *doc* with what *patch* says is to be done where the window is closed."""
    files: tuple[Attachment, ...] = ()
    if patch.when_closed is not UNSET and patch.when_closed != doc.when_closed:
        doc = replace(doc, when_closed=patch.when_closed, template=None, hold_until=None)
    if patch.fallback_template is not UNSET:
        template, files = await _fallback(call, whom, patch.fallback_template)
        doc = replace(doc, template=template)
    if patch.hold_until is not UNSET:
        doc = replace(doc, hold_until=_hold_until(patch.hold_until, doc.zone))
    return doc, files


def _hold_until(text: str, zone: str) -> datetime | None:
    return moment(text, zone, "hold_until").at if text else None


def _check_closing(doc: ScheduledMessage, now: datetime) -> None:
    """Refuse a fallback or an end that nothing asks for, or that is missing or too early."""
    if doc.when_closed == "hold" and doc.only_if_no_reply:
        words = "what is held goes out when the visitor writes, and then they have replied"
        raise wrong("only_if_no_reply", words, "false, or `when_closed` other than `hold`")
    if doc.when_closed == "template" and doc.template is None:
        raise wrong("fallback_template", "`when_closed` is `template`", "the template to send")
    if doc.when_closed != "template" and doc.template is not None:
        words = f"`when_closed` is `{doc.when_closed}`"
        raise wrong("fallback_template", words, "nothing, or `when_closed` `template`")
    if doc.hold_until is None:
        return
    if doc.when_closed != "hold":
        words = f"`when_closed` is `{doc.when_closed}`"
        raise wrong("hold_until", words, "nothing, or `when_closed` `hold`")
    if doc.hold_until <= doc.due_at:
        raise wrong("hold_until", "it ends before it begins", "a time behind `at`")
    check_ahead(doc.hold_until, now, "hold_until")


# --- whether it can go -------------------------------------------------------------------------


def check(call: Call, whom: Addressee, doc: ScheduledMessage, *, said: bool) -> None:
    """Refuse what could never go, and what is known not to go unless that was *said* to be right.

    Raises:
        RefusalError: 422 with the code of `windows.permitted`, or `window_closes_first`.
        InvalidInputError: It is longer than the channel's window takes at all.
    """
    now = call.desk.now()
    for parts in (doc.parts, (doc.template,) if doc.template is not None else ()):
        wish = Wish(parts=parts, actor_kind="schedule")
        found = permitted(whom.newest, whom.channel, whom.account, wish, now)
        if isinstance(found, Refusal) and found.code in NEVER:
            field = _FIELDS.get(
                found.code, "template" if parts is doc.parts else "fallback_template"
            )
            raise RefusalError(422, found.code, _sentence(found.detail), field=field)
    most = too_many(whom.channel, doc)
    if most is not None:
        words = "it becomes more messages of the channel than may be sent"
        raise wrong("text", words, f"what makes at most {most}")
    look = outlook(whom.newest, whom.channel, whom.account, doc, now)
    if look in CLOSED and not said:
        raise _closes_first(whom, doc, look)


def _closes_first(whom: Addressee, doc: ScheduledMessage, code: str) -> RefusalError:
    can = capabilities(whom.newest, whom.channel, whom.account, doc.due_at)
    choices: list[WhenClosed] = ["fail", "hold"]
    if can.allowed_templates:
        choices.append("template")
    until = can.can_free_text_until
    closes = f"closes at {until.isoformat()}" if until else "is closed"
    return RefusalError(
        422,
        "window_closes_first",
        f"The channel's window {closes}, before this is due at {doc.due_at.isoformat()}. Say in "
        f"`when_closed` what to do then: {', '.join(choices)}.",
        field="when_closed",
        reason=code,
        until=until.isoformat() if until else "",
        choices=",".join(choices),
        templates=",".join(can.allowed_templates),
        explained=reason(code).text,
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
