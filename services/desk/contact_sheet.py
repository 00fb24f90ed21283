"""Contacts as rows of a table: what its columns are, and what a row wants of a contact. Pure.

The columns are those of an export, so that what was exported can be imported again.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from libs.common.contact_documents import ContactField
from libs.common.contact_facts import (
    FACTS,
    VALUE_MOST,
    check_field_name,
    fact,
    field_value,
    with_facts,
)
from libs.common.contact_keys import email_key, keyed, phone_key
from libs.common.documents import Contact
from libs.common.errors import InvalidInputError
from services.desk.tagging import name_key

Key = Literal["email", "phone", "ref"]
TAGS = "tags"
FIELD = "fields."
"""Begins a column of one of the workspace's own facts."""
OTHERS = "other_fields"
"""The column of facts that are not defined, as a JSON object of texts."""
SHOWN = ("id", "channels", "first_seen_at")
PASSED_OVER = frozenset({*SHOWN, "row", "column", "reason"})
"""Columns of exports, and of refused rows, that say nothing of a contact that can be set."""
NO_COLUMN = "-"
MOST_TAGS = 100
MOST_FIELDS = 100
_UNKEPT = re.compile(r"[\x00\ud800-\udfff]")
"""What no store keeps."""


class Said(msgspec.Struct, frozen=True):
    """What a cell says, and how that is kept; a contact that has either already has it."""

    raw: str
    kept: str

    def new_to(self, now: str) -> bool:
        """Tell whether what is now says something else."""
        return now.strip() not in {self.raw, self.kept}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How rows are to be understood.

    Attributes:
        columns: What each column sets; empty: nothing.
        key: By which column a row finds its contact.
        clear: A blank cell clears; else it changes nothing.
        tags: Ids of tags by folded name; `add`: ids that every contact of a row gets.
        defined: The workspace's own fields by name.
        agent: Who sets all this.
    """

    columns: tuple[str, ...]
    key: Key
    clear: bool = False
    tags: Mapping[str, str]
    add: tuple[str, ...] = ()
    defined: Mapping[str, ContactField]
    agent: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a row wants: facts, tags and fields by name; `wrong` says of some why they cannot be.

    `key` is what the contact is found by, empty where that is wrong, and `by` its column.
    """

    number: int
    cells: tuple[str, ...]
    by: str = ""
    key: str = ""
    facts: dict[str, Said] = {}
    tags: tuple[str, ...] = ()
    fields: dict[str, Said] = {}
    wrong: dict[str, str] = {}


def columns_of(
    head: Sequence[str], renamed: Mapping[str, str], defined: Mapping[str, ContactField]
) -> tuple[str, ...]:
    """Return what each column sets, empty for those that set nothing.

    Args:
        head: The first row.
        renamed: What a column of another name means, or `-`: nothing.
        defined: The workspace's own fields.

    Raises:
        InvalidInputError: A column is not known, or stands twice.
    """
    for name in renamed:
        if name not in head:
            raise _wrong("map", f"there is no column {name[:60]!r}", "columns of the first row")
    by_name = {name.casefold(): FIELD + name for name in defined}
    by_label = {field.label.casefold(): FIELD + field.name for field in defined.values()}
    known = {**by_label, **by_name, **{name: name for name in (*FACTS, TAGS, OTHERS)}}
    found = [_column(name, renamed.get(name, name), known) for name in head]
    for place, column in enumerate(found):
        if column and column in found[:place]:
            raise _wrong("file", f"the column {column[:60]} stands twice", "each column once")
    return tuple(found)


def _column(shown: str, name: str, known: Mapping[str, str]) -> str:
    name = name.strip()
    folded = name.casefold()
    if not name or name == NO_COLUMN or folded in PASSED_OVER:
        return ""
    if folded.startswith(FIELD):
        own = name[len(FIELD) :].strip()
        check_field_name(own, f"file: {shown[:60]}")
        return FIELD + own
    if folded not in known:
        raise _wrong(
            "file",
            f"the column {shown[:60]!r} is not known: name it so, or say what it is by `map`",
            ", ".join((*FACTS, TAGS, "fields.<name>, or the name of a defined field")),
        )
    return known[folded]


# --- reading a row -----------------------------------------------------------------------------


def wanted(number: int, cells: Sequence[str], plan: Plan) -> Wanted:
    """Return what a row wants; cells are stripped of what is blank around them."""
    row = _Row(plan)
    for place, column in enumerate(plan.columns):
        value = cells[place].strip() if place < len(cells) else ""
        if column and (value or plan.clear):
            row.take(column, value)
    key = _key(plan.key, row.facts[plan.key].kept) if plan.key in row.facts else ""
    if not key:
        row.wrong.setdefault(plan.key, "it is empty, and the contact is found by it")
    return Wanted(
        number=number,
        cells=tuple(cells),
        by=plan.key,
        key=key,
        facts=row.facts,
        tags=tuple(dict.fromkeys((*row.tags, *plan.add))),
        fields=row.fields,
        wrong=row.wrong,
    )


def _key(column: Key, value: str) -> str:
    found = {"email": email_key, "phone": phone_key}.get(column, str)(value)
    return found or ""


class _Row:
    """A row while it is read."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.facts: dict[str, Said] = {}
        self.fields: dict[str, Said] = {}
        self.tags: list[str] = []
        self.wrong: dict[str, str] = {}

    def take(self, column: str, value: str) -> None:
        """Take the value of a column."""
        if column == TAGS:
            self._tags(value)
        elif column == OTHERS:
            self._others(value)
        elif column.startswith(FIELD):
            self._field(column[len(FIELD) :], value)
        else:
            self._fact(column, value)

    def _fact(self, column: str, value: str) -> None:
        try:
            kept = fact(column, value)
        except InvalidInputError as error:
            kept = value
            self.wrong[column] = error.facts["allowed"]
        self.facts[column] = Said(value, kept)

    def _field(self, name: str, value: str) -> None:
        kept = value
        try:
            if len(value) > VALUE_MOST or _UNKEPT.search(value):
                self.wrong[FIELD + name] = f"up to {VALUE_MOST} characters"
            elif value:
                kept = field_value(self._plan.defined.get(name), name, value)
        except InvalidInputError as error:
            self.wrong[FIELD + name] = error.facts["allowed"]
        self.fields[name] = Said(value, kept)

    def _others(self, value: str) -> None:
        if not value:
            return
        try:
            for name, text in msgspec.json.decode(value, type=dict[str, str]).items():
                check_field_name(name)
                self._field(name, text.strip())
        except (ValueError, RecursionError):
            self.wrong[OTHERS] = "a JSON object of texts"
        except InvalidInputError as error:
            self.wrong[OTHERS] = error.facts["allowed"]

    def _tags(self, value: str) -> None:
        for name in tag_names(value):
            tag = self._plan.tags.get(name_key(name))
            if tag is None:
                self.wrong[TAGS] = f"there is no tag {name[:60]!r}"
                return
            self.tags.append(tag)


def tag_names(cell: str) -> list[str]:
    """Return the names in a cell, separated by commas; one with a comma in it is quoted."""
    names = next(csv.reader([cell.replace("\r", " ").replace("\n", " ")], skipinitialspace=True))
    return [name.strip() for name in names if name.strip()]


def tag_cell(names: Sequence[str]) -> str:
    """Return what `tag_names` reads as these names."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(names)
    return text.getvalue() if names else ""


# --- what becomes of a contact -----------------------------------------------------------------


def faults(row: Wanted, before: Contact | None) -> dict[str, str]:
    """Return what is wrong with the row; what a contact has already is not."""
    if before is None:
        return row.wrong
    return {name: reason for name, reason in row.wrong.items() if not _has(before, row, name)}


def edited(before: Contact, row: Wanted, agent: str) -> Contact:
    """Return the contact as the row wants it; itself where nothing is to change.

    Raises:
        InvalidInputError: It would have too many tags or fields.
    """
    facts = {
        name: said.kept
        for name, said in row.facts.items()
        if said.new_to(_now(before, name)) and not (name == row.by and _now(before, name))
    }  # by what a contact was found is theirs, however it is written
    fields = dict(before.fields)
    for name, said in row.fields.items():
        if said.new_to(fields.get(name, "")):
            fields[name] = said.kept
            if not said.kept:
                del fields[name]
    tags = tuple(dict.fromkeys((*before.tags, *row.tags)))
    if len(tags) > max(MOST_TAGS, len(before.tags)):
        raise _wrong(TAGS, "these would be too many", f"at most {MOST_TAGS}")
    if len(fields) > max(MOST_FIELDS, len(before.fields)):
        raise _wrong(OTHERS, "these would be too many", f"at most {MOST_FIELDS}")
    if not facts and fields == before.fields and tags == before.tags:
        return before
    after = msgspec.structs.replace(before, fields=fields, tags=tags)
    return keyed(with_facts(after, facts, agent))


def _now(contact: Contact, name: str) -> str:
    """Return a fact as a cell can say it."""
    return str(getattr(contact, name) or "").strip()


def _has(contact: Contact, row: Wanted, name: str) -> bool:
    """Tell whether the contact says the same of a column already."""
    if name in row.facts:
        return not row.facts[name].new_to(_now(contact, name))
    own = name.removeprefix(FIELD)
    return own in row.fields and not row.fields[own].new_to(contact.fields.get(own, ""))


def made(row: Wanted, contact_id: str, workspace: str, at: datetime, agent: str) -> Contact:
    """Return the new contact of a row that found none.

    Raises:
        InvalidInputError: It would have too many tags or fields.
    """
    return edited(Contact(id=contact_id, workspace=workspace, first_seen_at=at), row, agent)


# --- writing a row -----------------------------------------------------------------------------


def head(defined: Sequence[ContactField]) -> tuple[str, ...]:
    """Return the first row of an export."""
    return (*SHOWN[:1], *FACTS, TAGS, *(FIELD + f.name for f in defined), OTHERS, *SHOWN[1:])


def cells(
    contact: Contact,
    channels: Sequence[str],
    tags: Mapping[str, str],
    defined: Sequence[ContactField],
) -> tuple[str, ...]:
    """Return a contact as a row below `head`; *tags* are names by id."""
    own = {field.name for field in defined}
    others = {name: value for name, value in contact.fields.items() if name not in own}
    return (
        contact.id,
        *(getattr(contact, name) or "" for name in FACTS),
        tag_cell([tags[one] for one in contact.tags if one in tags]),
        *(contact.fields.get(field.name, "") for field in defined),
        msgspec.json.encode(others).decode() if others else "",
        ", ".join(sorted(set(channels))),
        contact.first_seen_at.isoformat(),
    )


def _wrong(field: str, what: str, allowed: str) -> InvalidInputError:
    return InvalidInputError(f"{field}: {what}; {allowed}.", field=field, allowed=allowed)
