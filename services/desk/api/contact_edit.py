"""Changing what is known of a contact, and making one by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.common.contact_facts import FACTS, REF_MOST, TOLD, VALUE_MOST, fact, with_facts
from libs.common.contact_keys import keyed
from libs.common.documents import CONTACTS, Contact
from libs.common.errors import InvalidInputError, NotFoundError, UniqueConflictError
from libs.common.store.api import Page
from services.desk.api.contact_view import shown
from services.desk.api.problem import RefusalError
from services.desk.api.read import Plain
from services.desk.api.route import Call, Reply
from services.desk.api.tags import known_tags
from services.desk.api.visible import contact_of
from services.desk.audited import digest_of, entry, key_conflict, new_id, retried, write
from services.desk.contact_defined import checked_fields, defined_fields

MOST_FIELDS = 100
MOST_TAGS = 100

Line = Annotated[Plain, Meta(max_length=200)]
Number = Annotated[Plain, Meta(max_length=40)]
Address = Annotated[Plain, Meta(max_length=254)]
Short = Annotated[Plain, Meta(max_length=64)]
Ref = Annotated[Plain, Meta(max_length=REF_MOST)]
Kind = Literal["", "female", "male", "other"]
Value = Annotated[Plain, Meta(max_length=VALUE_MOST)]
Fields = Annotated[dict[str, Value | None], Meta(max_length=MOST_FIELDS)]


class ContactPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change; what is left out stays, and empty means: not known.

    What people set of `name`, `phone`, `email` and `language` is not changed by what channels
    tell; empty hands it back to them.

    Attributes:
        phone: With its country code it is kept as `+` and digits.
        birthday: `YYYY-MM-DD`, or `--MM-DD` without the year.
        zone: Time zone, a name of the IANA list; empty: the workspace's is taken.
        ref: Your own id of the person, of one contact only.
        fields: Facts of your own by name; null removes one, names not given stay. Values are text,
            checked where the field is defined.
    """

    name: Line | UnsetType = UNSET
    phone: Number | UnsetType = UNSET
    email: Address | UnsetType = UNSET
    gender: Kind | UnsetType = UNSET
    birthday: Short | UnsetType = UNSET
    language: Short | UnsetType = UNSET
    zone: Short | UnsetType = UNSET
    ref: Ref | UnsetType = UNSET
    fields: Fields | UnsetType = UNSET


class NewContact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A contact made by hand; of `name`, `phone`, `email` and `ref` at least one is needed.

    `tags` are ids. The rest is as in a change of a contact.
    """

    name: Line = ""
    phone: Number = ""
    email: Address = ""
    gender: Kind = ""
    birthday: Short = ""
    language: Short = ""
    zone: Short = ""
    ref: Ref = ""
    fields: Annotated[dict[str, Value], Meta(max_length=MOST_FIELDS)] = {}
    tags: Annotated[tuple[Short, ...], Meta(max_length=MOST_TAGS)] = ()


async def patch(call: Call) -> Reply:
    """Change what people know of a contact.

    Raises:
        NotFoundError: No such contact in this workspace.
        InvalidInputError: A value that cannot be; names the field.
        RefusalError: 412, `If-Match` names another version; 409 `too_many` fields, `ref_taken`,
            `merged`.
    """
    body: ContactPatch = call.body
    given = {name: value for name in FACTS if (value := getattr(body, name)) is not UNSET}
    facts = {name: fact(name, value) for name, value in given.items()}
    fields = {} if isinstance(body.fields, UnsetType) else body.fields
    if fields:
        fields = checked_fields(await _defined(call), fields)

    def edit(before: Contact) -> Contact:
        merged = {**before.fields, **fields}
        kept = {name: value for name, value in merged.items() if value is not None}
        if len(kept) > max(MOST_FIELDS, len(before.fields)):
            raise too_many("fields", f"at most {MOST_FIELDS} fields")
        return with_facts(msgspec.structs.replace(before, fields=kept), facts, call.who.agent)

    return await changed(call, "contact.patch", edit)


async def create(call: Call) -> Reply:
    """Make a contact; with an `Idempotency-Key` a repeat answers 200 with the one it made.

    Raises:
        InvalidInputError: A value that cannot be, or nothing to know them by.
        RefusalError: 409 `ref_taken`, `facts.id`; 409 `idempotency_conflict`.
    """
    body: NewContact = call.body
    facts = {name: kept for name in FACTS if (kept := fact(name, getattr(body, name)))}
    if not facts.keys() & {"name", "phone", "email", "ref"}:
        allowed = "at least one of name, phone, email, ref"
        raise InvalidInputError(f"name: needed is {allowed}.", field="name", allowed=allowed)
    await known_tags(call, body.tags, "tags")
    fields = checked_fields(await _defined(call), body.fields) if body.fields else {}
    made = Contact(
        id=new_id(call, "con"),
        workspace=call.who.workspace,
        first_seen_at=call.desk.now(),
        tags=tuple(dict.fromkeys(body.tags)),
        fields={name: value for name, value in fields.items() if value is not None},
        digest=digest_of(body),
    )
    before = await call.desk.store.port.get(CONTACTS, made.workspace, made.id)
    if before is None:
        made = keyed(with_facts(made, facts, call.who.agent))
        record = entry(call, "contact.create", f"contact:{made.id}", None, recorded(made))
        return await shown(call, await _written(call, made, record), 201)
    if before.digest != made.digest:
        key_conflict()
    reply = await shown(call, before)
    return msgspec.structs.replace(reply, headers={**reply.headers, "Idempotent-Replayed": "true"})


async def changed(call: Call, action: str, edit: Callable[[Contact], Contact]) -> Reply:
    """Change the contact; the router writes it, too, so whoever is second does it again.

    The record has what people set of a contact, not what is known of them otherwise.

    Raises:
        RefusalError: 409 `merged`, it is part of another: `facts.into`.
    """

    async def step(before: Contact) -> Contact:
        refuse_merged(before)
        after = keyed(edit(before))
        if after == before:
            return before
        record = entry(call, action, f"contact:{before.id}", recorded(before), recorded(after))
        return await _written(call, after, record)

    return await shown(call, await retried(call, lambda: contact_of(call), step))


def refuse_merged(found: Contact) -> None:
    """Refuse to change who is part of another contact.

    Raises:
        RefusalError: 409, `facts.into` is that one.
    """
    if found.merged_into is not None:
        text = "This contact was merged into another one; change that one."
        raise RefusalError(409, "merged", text, into=found.merged_into)


def recorded(found: Contact) -> dict[str, Any]:
    """Return of a contact what people set."""
    by: Mapping[str, str] = {**found.set_by, "email": found.email_by}
    told = {name: getattr(found, name) if by.get(name) else "" for name in TOLD}
    own = {name: getattr(found, name) for name in FACTS if name not in TOLD}
    return {**told, **own, "fields": found.fields, "tags": found.tags}


def too_many(field: str, allowed: str) -> RefusalError:
    """Return the refusal of more than there may be."""
    return RefusalError(409, "too_many", f"{field}: {allowed}.", field=field, allowed=allowed)


async def _defined(call: Call) -> Any:
    return await defined_fields(call.desk.store.port, call.who.workspace)


async def _seen(call: Call, contact_id: str) -> str:
    """Return the id where the caller sees that contact, else nothing."""
    try:
        return (await contact_of(call, contact_id)).id
    except NotFoundError:
        return ""


async def _written(call: Call, after: Contact, record: Any) -> Contact:
    """Write the contact with its record.

    Raises:
        RefusalError: 409 `ref_taken`.
        StaleRevisionError: Somebody changed it since it was read.
    """
    try:
        return await write(call, CONTACTS, after, record)
    except UniqueConflictError:
        page = Page(order="ref", limit=1)
        where = {"ref": after.ref or ""}
        found = await call.desk.store.port.find(CONTACTS, after.workspace, where, page)
        raise RefusalError(
            409,
            "ref_taken",
            "ref: another contact has this one.",
            field="ref",
            allowed="an id of yours that no other contact has",
            id=await _seen(call, found[0].id) if found else "",
        ) from None
