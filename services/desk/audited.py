"""Writing a document of people's with the record of who changed it: never one without the other."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, NamedTuple, NoReturn

import msgspec

from libs.common.documents import AUDIT, AuditEntry
from libs.common.errors import StaleRevisionError, UniqueConflictError
from libs.common.ids import derive_id
from libs.common.store.api import Collection, D
from services.desk.api.problem import RefusalError
from services.desk.api.read import checked_key
from services.desk.api.route import Call
from services.desk.policy_store import expected_version

TRIES = 8
REPLAYED = {"Idempotent-Replayed": "true"}
"""The header of an answer about what an earlier request with the same key made."""


def entry(call: Call, action: str, about: str, before: Any = None, after: Any = None) -> AuditEntry:
    """Return the record of a change; *before* and *after* as people see them, without secrets."""
    who = By(call.who.workspace, f"agent:{call.who.agent}", call.desk.now())
    return entry_by(who, action, about, before, after)


class By(NamedTuple):
    """Who changes something, in which workspace, when: `agent:<id>`, or another word of ours."""

    workspace: str
    actor: str
    at: datetime


def entry_by(who: By, action: str, about: str, before: Any = None, after: Any = None) -> AuditEntry:
    """Return the record of a change where the request has no caller, see `entry`."""
    return AuditEntry(
        id=derive_id("aud", who.workspace, uuid.uuid4().hex),
        workspace=who.workspace,
        at=who.at,
        actor=who.actor,
        action=action,
        object=about,
        before=_json(before),
        after=_json(after),
    )


async def write(call: Call, collection: Collection[D], doc: D, record: AuditEntry) -> D:
    """Insert a *doc* that has no revision yet, else replace it; with its record.

    Raises:
        StaleRevisionError: Somebody changed it since it was read; no record is left.
        UniqueConflictError: Its id or a unique key is taken; no record is left.
    """
    port = call.desk.store.port
    await port.insert(AUDIT, record)
    try:
        return await (port.replace(collection, doc) if doc.rev else port.insert(collection, doc))
    except (StaleRevisionError, UniqueConflictError):
        await port.delete(AUDIT, record.workspace, record.id)
        raise


async def remove(call: Call, collection: Collection[D], doc: D, record: AuditEntry) -> None:
    """Delete *doc*; the record comes first, so that nothing vanishes without one."""
    await call.desk.store.port.insert(AUDIT, record)
    await call.desk.store.port.delete(collection, doc.workspace, doc.id)


async def retried(
    call: Call, read: Callable[[], Awaitable[D]], step: Callable[[D], Awaitable[D]]
) -> D:
    """Read and change until nobody else was faster; with `If-Match` that version only.

    Raises:
        RefusalError: 412, `If-Match` names another version; 409, others change it all the time.
    """
    expected = expected_version(call)
    for _ in range(TRIES):
        before = await read()
        if expected is not None and before.rev != expected:
            raise RefusalError(412, "changed_meanwhile", "It was changed since; read it again.")
        try:
            return await step(before)
        except StaleRevisionError:
            continue
    raise RefusalError(409, "changed_meanwhile", "Others make changes right now; try again.")


def new_id(call: Call, kind: str) -> str:
    """Return the id of what the request makes; the same for a repeat of its `Idempotency-Key`.

    Raises:
        InvalidInputError: The key is too long or no visible ASCII.
    """
    given = call.headers.get("idempotency-key", "")
    if not given:
        return derive_id(kind, call.who.workspace, secrets.token_hex(16))
    return derive_id(kind, call.who.workspace, call.who.agent, "key", checked_key(given))


def digest_of(*request: Any) -> str:
    """Return what tells a repeat of *request*, its body and what else matters, from another one.

    What is made keeps it as `digest`: the thing itself may be changed until the repeat comes.
    """
    return hashlib.blake2b(msgspec.json.encode(request), digest_size=16).hexdigest()


def key_conflict() -> NoReturn:
    """Refuse a key that made something else.

    Raises:
        RefusalError: 409.
    """
    raise RefusalError(409, "idempotency_conflict", "The key was used for something else.")


def _json(shown: Any) -> str:
    return "" if shown is None else msgspec.json.encode(shown).decode()
