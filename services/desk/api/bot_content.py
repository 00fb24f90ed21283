"""A bot as it is to be: what a body may hold, and whether it may be used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from libs.common.bots.check import problems
from libs.common.documents import Bot, FaqEntry, FlowChoice, FlowStep
from libs.common.errors import ForbiddenError, InvalidInputError
from libs.common.policy import BotKind
from services.desk.api.route import RANK, Call

SHOWN_PROBLEMS = 20
FAR = 1_000_000
"""Farthest place of a step in an editor."""
_NUMBER = re.compile(r"\[(\d+)\]")


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is misspelt is refused, not passed over."""


class FaqEntryBody(FaqEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something visitors ask, and the answers, of which one is given at a time.

    Attributes:
        questions: As visitors ask it: compared whole, or by likeness.
        keywords: Any of them in a message is enough.
        language: A tag such as `en` or `pt-BR`; empty: for everybody.
        attachments: Ids of uploaded files to send behind the answer.
        hand_off: A human goes on from here.
    """


class FlowChoiceBody(FlowChoice, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A button of a step, and the id of the step that it leads to."""


class FlowStepBody(FlowStep, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of a flow; see docs/bots.md for how steps follow each other."""

    choices: tuple[FlowChoiceBody, ...] = ()


class BotContent(_Strict, frozen=True, kw_only=True):
    """A bot as it is to be. What belongs to another kind of bot must be left out.

    Attributes:
        channels: Channels it hosts by default, without a rule; none: all that have no other.
        automation: It answers in `assigned`, too, while session hosting is on (faq and flow).
        faq, fuzzy, misses: Of kind `faq`: the entries, the least likeness of 100 (101: none), and
            how many messages in a row may go unanswered.
        start, steps, layout: Of kind `flow`: the first step, the steps, and where an editor shows
            each of them, as x and y by the step's id.
        url: Of kind `webhook`: where it is called.
    """

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]*$")]
    kind: BotKind
    enabled: bool = True
    channels: tuple[str, ...] = ()
    automation: bool = False
    faq: tuple[FaqEntryBody, ...] = ()
    fuzzy: int = 85
    misses: int = 1
    start: str = ""
    steps: tuple[FlowStepBody, ...] = ()
    layout: dict[
        str, tuple[Annotated[int, Meta(ge=-FAR, le=FAR)], Annotated[int, Meta(ge=-FAR, le=FAR)]]
    ] = {}
    url: str = ""


_OF_KIND: Mapping[BotKind, tuple[str, ...]] = {
    "faq": ("faq", "fuzzy", "misses"),
    "flow": ("start", "steps", "layout"),
    "webhook": ("url",),
}


async def with_content(call: Call, before: Bot, content: BotContent) -> Bot:
    """Return the bot with *content*, checked.

    Raises:
        InvalidInputError: Names the place of the first problem; `facts.problems` has more.
        ForbiddenError: A webhook bot takes an admin.
    """
    check_rank(call, content.kind)
    defaults = BotContent(name="x", kind=content.kind)
    for kind, fields in _OF_KIND.items():
        for name in fields if kind != content.kind else ():
            if getattr(content, name) != getattr(defaults, name):
                raise InvalidInputError(
                    f"{name}: is of bots of the kind {kind}; leave it out.",
                    field=name,
                    allowed=", ".join(_OF_KIND[content.kind]),
                )
    # plain values, so that what is stored compares with what was read
    plain = msgspec.to_builtins(content)
    known = {"id": before.id, "workspace": before.workspace, "rev": before.rev}
    made = msgspec.convert({**plain, **known, "sealed": before.sealed}, Bot)
    found = [*problems(made, local=call.desk.settings.local_bots), *_layout_problems(made)]
    found += await _file_problems(call, made)
    if found:
        raise refused(found)
    return made


def refused(found: list[str]) -> InvalidInputError:
    """Return the 422 for problems that begin with their places."""
    told = [_dotted(problem) for problem in found[:SHOWN_PROBLEMS]]
    place, _, text = told[0].partition(": ")
    return InvalidInputError(f"{told[0]}.", field=place, allowed=text, problems="\n".join(told))


def _dotted(problem: str) -> str:
    """Return the problem with its place as fields are named everywhere: `faq.0.answers.1`."""
    place, _, text = problem.partition(": ")
    dotted = _NUMBER.sub(r".\1", place)
    return f"{dotted}: {text}"


def _layout_problems(made: Bot) -> list[str]:
    steps = {one.id for one in made.steps}
    return [
        f"layout.{name[:50]}: there is no such step; the id of a step is allowed"
        for name in made.layout
        if name not in steps
    ]


async def _file_problems(call: Call, made: Bot) -> list[str]:
    """Return which attachments are no files that people of this workspace uploaded."""
    named = [
        (f"faq[{at}].attachments[{number}]", file)
        for at, entry in enumerate(made.faq)
        for number, file in enumerate(entry.attachments)
    ]
    ids = sorted({file for _, file in named})
    known = await call.desk.attachments.sendable(call.who.workspace, ids) if ids else {}
    return [
        f"{place}: there is no such file; the id of an upload is allowed"
        for place, file in named
        if file not in known
    ]


async def keep_files(call: Call, made: Bot) -> list[Any]:
    """Note that the bot sends its files, so that they are not swept as unsent uploads."""
    ids = sorted({file for entry in made.faq for file in entry.attachments})
    if not ids:
        return []
    files = await call.desk.attachments.sendable(call.who.workspace, ids)
    return await call.desk.attachments.claim(files.values(), f"bot:{made.id}")


def check_rank(call: Call, kind: BotKind) -> None:
    if kind == "webhook" and RANK[call.who.role] < RANK["admin"]:
        raise ForbiddenError(
            "A webhook bot gets what visitors write, so it takes the role admin.", role="admin"
        )
