"""The workspace's own fields of contacts: their names, types and order."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.common.contact_documents import CONTACT_FIELDS, ContactField, FieldType
from libs.common.contact_facts import FIELD_NAME_MOST, check_field_name
from libs.common.errors import InvalidInputError, NotFoundError, UniqueConflictError
from libs.common.store.api import Page
from services.desk.api.problem import RefusalError
from services.desk.api.read import Plain
from services.desk.api.route import Call, Reply
from services.desk.audited import (
    digest_of,
    entry,
    key_conflict,
    new_id,
    remove,
    retried,
    write,
)
from services.desk.contact_defined import MOST_DEFINED, defined_fields
from services.desk.policy_store import etag

MOST_CHOICES = 100

Choice = Annotated[str, Meta(pattern=r"^[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*$", max_length=100)]
Choices = Annotated[tuple[Choice, ...], Meta(max_length=MOST_CHOICES)]
Label = Annotated[Plain, Meta(max_length=100)]
Order = Annotated[int, Meta(ge=0, le=10_000)]


class NewContactField(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A field; its `name` is what contacts and `{{contact.field.NAME}}` know it by, for good.

    `label` is what people read, empty: the name. `choices` are needed for the type `choice`.
    """

    name: Annotated[Plain, Meta(min_length=1, max_length=FIELD_NAME_MOST)]
    label: Label = ""
    type: FieldType = "text"
    choices: Choices = ()
    order: Order = 0


class ContactFieldPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change; what is left out stays. Values that contacts have are left as they are."""

    label: Label | UnsetType = UNSET
    type: FieldType | UnsetType = UNSET
    choices: Choices | UnsetType = UNSET
    order: Order | UnsetType = UNSET


class ContactFieldView(msgspec.Struct, frozen=True, kw_only=True):
    """A field of contacts."""

    id: str
    name: str
    label: str
    type: FieldType
    choices: tuple[str, ...]
    order: int


class ContactFieldList(msgspec.Struct, frozen=True, kw_only=True):
    """Every field, by `order`, then by name."""

    items: tuple[ContactFieldView, ...]
    next: str | None = None


async def fields(call: Call) -> Reply:
    """List the fields."""
    found = await defined_fields(call.desk.store.port, call.who.workspace)
    return Reply(body=ContactFieldList(items=tuple(map(view, found))))


async def field(call: Call) -> Reply:
    """Show a field; `ETag` names its version.

    Raises:
        NotFoundError: No such field in this workspace.
    """
    found = await _field(call)
    return Reply(body=view(found), headers=etag(found))


async def create(call: Call) -> Reply:
    """Define a field; with an `Idempotency-Key` a repeat answers 200 with the one it made.

    Raises:
        InvalidInputError: A name that cannot be one, or choices that do not fit the type.
        RefusalError: 409 `name_taken`, `facts.id`; `too_many`; `idempotency_conflict`.
    """
    body: NewContactField = call.body
    check_field_name(body.name, "name")
    _check_choices(body.type, body.choices)
    made = ContactField(
        id=new_id(call, "cfd"),
        workspace=call.who.workspace,
        name=body.name,
        label=body.label.strip(),
        type=body.type,
        choices=_tidy(body.choices),
        order=body.order,
        digest=digest_of(body),
    )
    before = await call.desk.store.port.get(CONTACT_FIELDS, made.workspace, made.id)
    if before is not None:
        if before.digest != made.digest:
            key_conflict()
        headers = {**etag(before), "Idempotent-Replayed": "true"}
        return Reply(body=view(before), headers=headers)
    if len(await defined_fields(call.desk.store.port, made.workspace)) >= MOST_DEFINED:
        allowed = f"at most {MOST_DEFINED} fields"
        raise RefusalError(409, "too_many", f"There may be {allowed}.", allowed=allowed)
    record = entry(call, "contact_field.create", f"contact_field:{made.id}", None, view(made))
    try:
        made = await write(call, CONTACT_FIELDS, made, record)
    except UniqueConflictError:
        raise await _taken(call, made.name) from None
    return Reply(body=view(made), status=201, headers=etag(made))


async def patch(call: Call) -> Reply:
    """Change a field's label, type, choices or order; its name stays.

    Raises:
        NotFoundError: No such field in this workspace.
        InvalidInputError: Choices that do not fit the type.
        RefusalError: 412, `If-Match` names another version; 409, others change it all the time.
    """
    body: ContactFieldPatch = call.body
    given = {
        name: value
        for name in ("label", "type", "choices", "order")
        if (value := getattr(body, name)) is not UNSET
    }
    if "choices" in given:
        given["choices"] = _tidy(given["choices"])

    async def step(before: ContactField) -> ContactField:
        after = msgspec.structs.replace(before, **given)
        _check_choices(after.type, after.choices)
        if after == before:
            return before
        about = f"contact_field:{before.id}"
        record = entry(call, "contact_field.patch", about, view(before), view(after))
        return await write(call, CONTACT_FIELDS, after, record)

    after = await retried(call, lambda: _field(call), step)
    return Reply(body=view(after), headers=etag(after))


async def delete(call: Call) -> Reply:
    """Take a definition away; the values that contacts have stay, as any text.

    Raises:
        NotFoundError: No such field in this workspace.
        RefusalError: 412, `If-Match` names another version.
    """

    async def step(before: ContactField) -> ContactField:
        about = f"contact_field:{before.id}"
        record = entry(call, "contact_field.delete", about, view(before))
        await remove(call, CONTACT_FIELDS, before, record)
        return before

    await retried(call, lambda: _field(call), step)
    return Reply(status=204)


def view(found: ContactField) -> ContactFieldView:
    """Return a field as it is shown."""
    return msgspec.convert(found, ContactFieldView, from_attributes=True)


async def _field(call: Call) -> ContactField:
    port = call.desk.store.port
    found = await port.get(CONTACT_FIELDS, call.who.workspace, call.params["id"])
    if found is None:
        raise NotFoundError("There is no such field.")
    return found


async def _taken(call: Call, name: str) -> RefusalError:
    page = Page(order="name", limit=1)
    port = call.desk.store.port
    found = await port.find(CONTACT_FIELDS, call.who.workspace, {"name": name}, page)
    return RefusalError(
        409,
        "name_taken",
        "name: another field has this name.",
        field="name",
        allowed="a name that no other field has",
        id=found[0].id if found else "",
    )


def _tidy(choices: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(choice.strip() for choice in choices)


def _check_choices(kind: FieldType, choices: tuple[str, ...]) -> None:
    """Refuse a choice without choices, choices of another type, and one that stands twice.

    Raises:
        InvalidInputError: Names `choices`.
    """
    words = [choice.strip().casefold() for choice in choices]
    if kind == "choice":
        right, allowed = bool(words), f"1 to {MOST_CHOICES} choices"
    else:
        right, allowed = not words, "none, for a type other than `choice`"
    if right and len(set(words)) != len(words):
        right, allowed = False, "each choice once, whatever its case"
    if not right:
        raise InvalidInputError(f"choices: allowed: {allowed}.", field="choices", allowed=allowed)
