"""Doing what an apply has decided, to the end, by whoever comes by.

The journal (`ConfigRecord.steps`) is written before the first step. A step says what a document
is to be, so that doing it again, or twice at a time, changes nothing. A document is read, then the
journal is seen to be open still, then the document is written by its `rev`: who was held up and
comes late therefore writes nothing over what people have changed since.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from libs.common.applied import CONFIGS, ConfigRecord, Step
from libs.common.documents import (
    AUDIT,
    COLLECTIONS,
    AuditEntry,
    PolicyDocument,
)
from libs.common.errors import StaleRevisionError, UniqueConflictError
from libs.common.ids import derive_id
from libs.common.store.api import Collection, Document, Store

log = logging.getLogger(__name__)

_TRIES = 20
_BY_NAME: Mapping[str, Collection[Any]] = {one.name: one for one in COLLECTIONS}
_SECRET = frozenset({"password_hash", "sealed", "secrets"})


class _OverError(Exception):
    """Somebody else has finished the apply."""


async def finish(store: Store, workspace: str) -> bool:
    """Do what is left of an apply; tell whether one was under way.

    Raises:
        StoreUnavailableError: The rest is for who comes next.
    """
    record = await store.get(CONFIGS, workspace, workspace)
    if record is None or record.state != "applying":
        return False
    steps = msgspec.json.decode(record.steps, type=tuple[Step, ...])
    try:
        done = [await _done(store, record, step) for step in steps]
    except _OverError:
        return True
    left = tuple(
        f"{step.collection}:{step.id}" for step, ok in zip(steps, done, strict=True) if not ok
    )
    closed = replace(
        record,
        state="idle",
        steps="",
        next_stamp="",
        next_refs="",
        stamp=record.next_stamp,
        refs=record.next_refs,
        applied_at=record.began_at,
        left=left,
    )
    try:
        await store.replace(CONFIGS, closed)
    except StaleRevisionError:  # whoever else did it has closed it
        return True
    log.info("config.applied", extra={"workspace": workspace, "left": len(left)})
    return True


async def _done(store: Store, record: ConfigRecord, step: Step) -> bool:
    """Do one step; tell whether that could be done.

    Raises:
        _OverError: Somebody else has done all of them.
    """
    collection = _BY_NAME[step.collection]
    for _ in range(_TRIES):
        found = await store.get(collection, record.workspace, step.id)
        after = _after(collection, step, found)
        if after == found:
            return True
        if not await _is_open(store, record):
            raise _OverError
        entries = list(_records(record, step, found, after))
        await store.insert_many(AUDIT, entries)
        try:
            await _write(store, collection, record, step, after)
        except StaleRevisionError:
            pass
        except UniqueConflictError:
            if await store.get(collection, record.workspace, step.id) is None or found is not None:
                await _forget(store, entries)
                log.warning("config.name_taken", extra={"step": f"{step.collection}:{step.id}"})
                return False
        else:
            return True
        await _forget(store, entries)
    return False


async def _write(
    store: Store, collection: Collection[Any], record: ConfigRecord, step: Step, after: Any
) -> None:
    if after is None:
        await store.delete(collection, record.workspace, step.id)
    elif after.rev:
        await store.replace(collection, after)
    else:
        await store.insert(collection, after)


def _after(collection: Collection[Any], step: Step, found: Document | None) -> Document | None:
    """Return the document as it is to be; what the file does not decide is as it was found."""
    if step.document is None:
        return None
    made: Document = msgspec.convert({**step.document, "rev": 0}, collection.kind)
    if found is None:
        return made
    return replace(found, **{name: getattr(made, name) for name in step.fields})


async def _is_open(store: Store, record: ConfigRecord) -> bool:
    now = await store.get(CONFIGS, record.workspace, record.id)
    return now is not None and (now.state, now.apply) == ("applying", record.apply)


async def _forget(store: Store, entries: list[AuditEntry]) -> None:
    for entry in entries:
        await store.delete(AUDIT, entry.workspace, entry.id)


# --- the record of changes -------------------------------------------------------------------


def _records(
    record: ConfigRecord, step: Step, before: Document | None, after: Document | None
) -> Iterator[AuditEntry]:
    """Yield what the record of changes says; the same ids each time the step is done."""
    for name in step.objects:
        yield _record(record, name, before, after)
    if isinstance(after, PolicyDocument):
        old = before if isinstance(before, PolicyDocument) else PolicyDocument(id="", workspace="")
        for name, part_before, part_after in _changed_parts(old, after):
            yield _record(record, name, part_before, part_after)


def _changed_parts(
    before: PolicyDocument, after: PolicyDocument
) -> Iterator[tuple[str, msgspec.Struct | None, msgspec.Struct | None]]:
    """Yield each rule, team and calendar that differs, by the name that the API's records use."""
    for word in ("rule", "team", "calendar"):
        old = {part.id: part for part in getattr(before, f"{word}s")}
        new = {part.id: part for part in getattr(after, f"{word}s")}
        for part in dict.fromkeys((*old, *new)):
            if old.get(part) != new.get(part):
                yield f"{word}:{part}", old.get(part), new.get(part)


def _record(
    record: ConfigRecord,
    name: str,
    before: msgspec.Struct | None,
    after: msgspec.Struct | None,
) -> AuditEntry:
    at = record.began_at
    if at is None:
        raise LookupError("an apply that is under way has begun at some time")
    return AuditEntry(
        id=derive_id("aud", record.workspace, record.apply, name),
        workspace=record.workspace,
        at=at,
        actor=record.actor,
        action="config.apply",
        object=name,
        before=_json(before),
        after=_json(after),
    )


def _json(document: msgspec.Struct | None) -> str:
    """Return what the record says: without secrets, which the query of an address may hold."""
    if document is None:
        return ""
    shown: dict[str, Any] = msgspec.to_builtins(document)
    for name in _SECRET & shown.keys():
        del shown[name]
    if isinstance(shown.get("url"), str):
        shown["url"] = shown["url"].partition("?")[0]
    return msgspec.json.encode(shown).decode()
