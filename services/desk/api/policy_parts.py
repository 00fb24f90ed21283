"""Teams, calendars and rules alike: parts with an id of one document, listed, put and deleted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta

from libs.common.documents import PolicyDocument
from libs.common.errors import CommandError, InvalidInputError, NotFoundError
from libs.common.policy import Calendar, Rule, Team
from libs.common.rules.finding import Finding
from services.desk.api.problem import RefusalError
from services.desk.api.route import Call
from services.desk.policy_store import Change, Changed, changed
from services.desk.policy_whole import Whole

P = TypeVar("P", bound=Team | Calendar | Rule)

Name = Annotated[str, Meta(max_length=200)]
"""A name for people; the id is what others refer to."""
TEXT_MAX = 4_000
VALUES_MAX = 500
SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")


class Kind(msgspec.Struct, Generic[P], frozen=True, kw_only=True):
    """A kind of part: the word for one, the document's field of all, and how many there may be."""

    word: str
    field: str
    most: int

    def of(self, document: PolicyDocument) -> tuple[P, ...]:
        """Return all parts of this kind."""
        parts: tuple[P, ...] = getattr(document, self.field)
        return parts

    def one(self, document: PolicyDocument, part_id: str) -> P | None:
        """Return the part of this id, or None."""
        return next((part for part in self.of(document) if part.id == part_id), None)

    def holding(self, document: PolicyDocument, parts: Sequence[P]) -> PolicyDocument:
        """Return the document with these parts instead.

        Raises:
            InvalidInputError: They are too many.
        """
        if len(parts) > self.most:
            allowed = f"at most {self.most} {self.field}"
            raise InvalidInputError(f"There may be {allowed}.", field=self.field, allowed=allowed)
        return msgspec.structs.replace(document, **{self.field: tuple(parts)})


async def found(call: Call, kind: Kind[P]) -> tuple[P, PolicyDocument]:
    """Return the part that the path names, and the document it is in.

    Raises:
        NotFoundError: There is none.
    """
    document = await call.desk.store.policy(call.who.workspace)
    part = kind.one(document, call.params["id"])
    if part is None:
        raise _absent(kind)
    return part, document


async def put(call: Call, kind: Kind[P], part: P) -> Changed[PolicyDocument]:
    """Create the part, behind the others, or put it in the place of the one with its id.

    Raises:
        CommandError: See `changed`; a text is not for keeping, or there are too many.
    """
    check_texts(part)

    def edit(_whole: Whole, before: PolicyDocument) -> PolicyDocument:
        if kind.one(before, part.id) is None:
            return kind.holding(before, [*kind.of(before), part])
        kept = [part if old.id == part.id else old for old in kind.of(before)]
        return kind.holding(before, kept)

    return await changed(
        call,
        Change(
            action=f"{kind.word}.put",
            object=f"{kind.word}:{part.id}",
            own=f"{kind.field}[{part.id}]",
            pick=lambda whole: whole.parts,
            edit=edit,
            shown=lambda document: kind.one(document, part.id),
        ),
    )


async def delete(call: Call, kind: Kind[P]) -> Changed[PolicyDocument]:
    """Delete the part that the path names.

    Raises:
        NotFoundError: There is none.
        CommandError: 409 `in_use`, something refers to it; see `changed`.
    """
    part_id = call.params["id"]

    def edit(_whole: Whole, before: PolicyDocument) -> PolicyDocument:
        if kind.one(before, part_id) is None:
            raise _absent(kind)
        return kind.holding(before, [old for old in kind.of(before) if old.id != part_id])

    return await changed(
        call,
        Change(
            action=f"{kind.word}.delete",
            object=f"{kind.word}:{part_id}",
            own="",
            pick=lambda whole: whole.parts,
            edit=edit,
            shown=lambda document: kind.one(document, part_id),
            refuse=lambda problems: _in_use(kind.word, problems),
        ),
    )


def created(kind: Kind[P], done: Changed[PolicyDocument], part_id: str) -> int:
    """Return the status that says whether the part is new."""
    return 201 if kind.one(done.before, part_id) is None else 200


def part_id_of(call: Call, given: str = "") -> str:
    """Return the id in the path, which one in the body must repeat.

    Raises:
        InvalidInputError: It is no id, or the body names another.
    """
    part_id = call.params["id"]
    if not SLUG.fullmatch(part_id):
        allowed = "1 to 48 small letters, digits and hyphens, no hyphen first"
        raise InvalidInputError(f"The id in the path takes {allowed}.", field="id", allowed=allowed)
    if given not in {"", part_id}:
        raise InvalidInputError(
            "id: it differs from the one in the path; leave it out.", field="id", allowed=part_id
        )
    return part_id


def check_texts(part: msgspec.Struct, place: str = "") -> None:
    """Refuse what no store keeps and nobody needs.

    Raises:
        InvalidInputError: Text with U+0000 or above 4,000 characters, a list above 500 values.
    """
    for where, allowed in _unfit(msgspec.to_builtins(part), place):
        raise InvalidInputError(f"{where}: {allowed} is expected.", field=where, allowed=allowed)


def _unfit(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield from ((place, allowed) for allowed in _unfit_text(value))
        return
    if isinstance(value, list | tuple) and len(value) > VALUES_MAX:
        yield place, f"a list of at most {VALUES_MAX}"
    for name, item in _inside(value):
        yield from _unfit(item, f"{place}.{name}" if place else str(name))


def _unfit_text(text: str) -> Iterator[str]:
    if "\0" in text:
        yield "text without U+0000"
    if len(text) > TEXT_MAX:
        yield f"text of at most {TEXT_MAX} characters"


def _inside(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return value.items()
    return enumerate(value) if isinstance(value, list | tuple) else ()


def _absent(kind: Kind[P]) -> NotFoundError:
    return NotFoundError(f"There is no such {kind.word}.")


def _in_use(word: str, problems: Sequence[Finding]) -> CommandError:
    places = ", ".join(dict.fromkeys(found.place for found in problems))
    return RefusalError(
        409, "in_use", f"The {word} is named by {places}; change that first.", used_by=places
    )
