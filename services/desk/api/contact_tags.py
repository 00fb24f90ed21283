"""Tags of many contacts at once: each contact for itself, answered one by one."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common.contact_keys import keyed
from libs.common.documents import AUDIT, CONTACTS, Contact
from libs.common.errors import CommandError, NotFoundError
from services.desk.api.act import check_tags
from services.desk.api.contact_edit import refuse_merged
from services.desk.api.contact_view import Id
from services.desk.api.contacts import TAGGED, retagged
from services.desk.api.problem import Problem, RefusalError, problem_of
from services.desk.api.route import Call, Reply
from services.desk.api.tags import known_tags
from services.desk.api.visible import limits_places, places_of
from services.desk.audited import TRIES, entry
from services.desk.contact_list import identities_of

MOST = 500
MOST_TAGS = 20

Ids = Annotated[tuple[Id, ...], Meta(min_length=1, max_length=MOST)]
TagIds = Annotated[tuple[Id, ...], Meta(max_length=MOST_TAGS)]


class ContactTags(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tags (ids) to add and to take; what is there, or not there, already stays so."""

    contacts: Ids
    add: TagIds = ()
    take: TagIds = ()


class ContactTagged(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one contact."""

    id: str
    done: bool
    problem: Problem | None = None


class ContactsTagged(msgspec.Struct, frozen=True, kw_only=True):
    """One item an id, in the order of the ids; `changed` counts those that were not so before."""

    items: tuple[ContactTagged, ...]
    done: int
    changed: int


async def tag_contacts(call: Call) -> Reply:
    """Add and take tags of many contacts; a repeat changes nothing.

    Raises:
        InvalidInputError: A tag is not known, or both added and taken.
    """
    body: ContactTags = call.body
    check_tags(body.add, body.take)
    await known_tags(call, body.add, "add")
    await known_tags(call, body.take, "take")
    waiting = set(body.contacts)
    problems: dict[str, CommandError] = {}
    changed, recorded = set[str](), False
    for _ in range(TRIES):
        if not waiting:
            break
        found = await _seen(call, waiting)
        problems |= {
            one: NotFoundError("There is no such contact.") for one in waiting - set(found)
        }
        after = _retagged(list(found.values()), body, problems)
        fresh = [one for one in after if one.tags != found[one.id].tags]
        if fresh and not recorded:  # one record of all, and it comes first
            await call.desk.store.port.insert(AUDIT, entry(call, TAGGED, "contacts", None, body))
            recorded = True
        refused = await call.desk.store.port.replace_many(CONTACTS, fresh) if fresh else {}
        changed |= {one.id for one in fresh} - set(refused)
        waiting = set(refused)
    busy = RefusalError(409, "changed_meanwhile", "Others make changes right now; try again.")
    problems |= dict.fromkeys(waiting, busy)
    items = tuple(_item(one, problems.get(one)) for one in dict.fromkeys(body.contacts))
    done = sum(item.done for item in items)
    return Reply(body=ContactsTagged(items=items, done=done, changed=len(changed)))


async def _seen(call: Call, ids: set[str]) -> dict[str, Contact]:
    """Return those of the contacts that the caller sees, by id."""
    port, workspace = call.desk.store.port, call.who.workspace
    found = await port.get_many(CONTACTS, workspace, sorted(ids))
    if not limits_places(call):
        return found
    known = await identities_of(port, workspace, list(found.values()))
    scope = call.who.scope
    return {id_: one for id_, one in found.items() if scope.contact(places_of(known.get(id_, ())))}


def _retagged(
    found: list[Contact], body: ContactTags, problems: dict[str, CommandError]
) -> list[Contact]:
    after = []
    for one in found:
        try:
            refuse_merged(one)
            after.append(keyed(retagged(one, body.add, body.take)))
        except RefusalError as error:
            problems[one.id] = error
    return after


def _item(contact: str, error: CommandError | None) -> ContactTagged:
    problem = problem_of(error) if error else None
    return ContactTagged(id=contact, done=error is None, problem=problem)
