"""Changing what a workspace decides by: read the whole, change a part, check, write, publish.

Every part refers to others: rules to teams, agents to teams, settings to calendars. They lie in
several documents, and no engine writes two of them at once. So a change is checked against the
whole before it is written and once more after: of two changes that do not go together at least one
sees the other and is taken back.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic

import msgspec

from libs.common import policies
from libs.common.documents import (
    AGENTS,
    AUDIT,
    BOTS,
    POLICIES,
    WORKSPACES,
    Agent,
    AuditEntry,
    Bot,
    PolicyDocument,
    Workspace,
)
from libs.common.errors import (
    BusUnavailableError,
    CommandError,
    InvalidInputError,
    PermanentError,
    StaleRevisionError,
    UniqueConflictError,
)
from libs.common.ids import derive_id
from libs.common.rules.finding import Finding
from libs.common.store.api import Collection, D, Document, Store
from services.desk.api.problem import RefusalError, unavailable
from services.desk.api.route import Call
from services.desk.policy_whole import (
    Whole,
    problems,
    seen_from,
    warnings_of,
    whole_of,
    with_document,
)
from services.desk.store import DeskStore

log = logging.getLogger(__name__)

TRIES = 8
SHOWN_PROBLEMS = 20
_ETAG = re.compile(r'(?:W/)?"(\d{1,18})"')
_COLLECTIONS: Mapping[type[Document], Collection[Any]] = {
    Workspace: WORKSPACES,
    PolicyDocument: POLICIES,
    Agent: AGENTS,
    Bot: BOTS,
}


def refusal(problems: Sequence[Finding]) -> CommandError:
    """Return the 422 that names each place, and what is allowed there."""
    first = problems[0]
    return InvalidInputError(
        f"{first}.",
        field=first.place,
        allowed=_allowed(first.text),
        problems="\n".join(map(str, problems[:SHOWN_PROBLEMS])),
    )


def _allowed(text: str) -> str:
    """Return what may stand there: the part of a sentence behind what is wrong."""
    _, named, allowed = text.rpartition("allowed: ")
    return allowed if named else text.rpartition("; ")[2]


class Change(msgspec.Struct, Generic[D], frozen=True, kw_only=True):
    """One change of one document.

    Attributes:
        action: A word for the record, such as `rule.put`; `object` is what it is about.
        own: Place of what is changed, as `rules[vip]`, from which its problems are named.
        pick: Returns the document to change.
        edit: Returns the document as it is to be; raises CommandError to refuse.
        shown: What the record says of the document; None: it was not there. No secrets.
        refuse: Returns what to raise for problems.
    """

    action: str
    object: str
    own: str
    pick: Callable[[Whole], D]
    edit: Callable[[Whole, D], D]
    shown: Callable[[D], Any]
    refuse: Callable[[Sequence[Finding]], CommandError] = refusal


class Changed(msgspec.Struct, Generic[D], frozen=True, kw_only=True):
    """The document as it stands now, and what is allowed but hardly meant about `own`."""

    before: D
    document: D
    warnings: tuple[str, ...]


async def changed(call: Call, change: Change[D]) -> Changed[D]:
    """Make a change: audited, checked, and published.

    A change that changes nothing is not written, but published: it may repeat one that only the
    store took, whose caller was answered 503. With `If-Match` it is made to that version only;
    without it to the newest, so that of two at once both stand.

    Raises:
        RefusalError: 412, `If-Match` names another version; 409, too many changes at once; 503,
            it is stored and takes effect a little later.
        CommandError: What `edit` or `refuse` says.
    """
    store, workspace = call.desk.store, call.who.workspace
    expected = expected_version(call)
    for _ in range(TRIES):
        whole = await whole_of(store, workspace)
        before = change.pick(whole)
        if expected is not None and before.rev != expected:
            raise RefusalError(412, "changed_meanwhile", "It was changed since; read it again.")
        after = change.edit(whole, before)
        warnings = _checked(change, whole, with_document(whole, after))
        if after == before:
            await publish(call)
            return Changed(before=before, document=before, warnings=warnings)
        entry = _entry(call, change, before, after)
        try:
            stored = await _written(store.port, after, entry)
        except StaleRevisionError:
            continue
        if await _stands(store, before, entry):
            await publish(call)
            return Changed(before=before, document=stored, warnings=warnings)
        await _take_back(store.port, before, stored, entry)
    raise RefusalError(409, "changed_meanwhile", "Others make changes right now; try again.")


def expected_version(call: Call) -> int | None:
    """Return the version that `If-Match` names; None: any.

    Raises:
        InvalidInputError: 422, it is no ETag of ours.
    """
    given = call.headers.get("if-match", "").strip()
    if given in {"", "*"}:
        return None
    found = _ETAG.fullmatch(given)
    if found is None:
        allowed = "the ETag of an answer, or *"
        raise InvalidInputError(f"If-Match takes {allowed}.", field="If-Match", allowed=allowed)
    return int(found[1])


def etag(document: Document) -> dict[str, str]:
    """Return the header that names the version of a document."""
    return {"ETag": f'"{document.rev}"'}


async def publish(call: Call) -> None:
    """Tell ingest, router and notifier; a failure is healed by the reconciler soon after.

    Raises:
        RefusalError: 503: it is stored, and takes effect a little later.
    """
    told = (call.desk.store.port, call.desk.bus, call.who.workspace)
    try:
        try:
            await policies.publish_policy(*told)
        except BusUnavailableError:  # one slow answer of a busy server is not an outage
            await policies.publish_policy(*told)
    except (BusUnavailableError, PermanentError) as error:
        log.warning("desk.policy_unpublished", extra={"code": error.code, "reason": error.detail})
        raise unavailable(
            "The change is stored and takes effect within a minute.", retry_after_s=30
        ) from None


# --- inside --------------------------------------------------------------------------------------


def _checked(change: Change[D], before: Whole, after: Whole) -> tuple[str, ...]:
    """Return the warnings.

    Raises:
        CommandError: The change breaks something, or makes the policy too large to publish.
    """
    found = problems(after, before)
    if found:
        raise change.refuse([seen_from(change.own, one) for one in found])
    too_large = policies.too_large(after.policy())
    if too_large and not policies.too_large(before.policy()):
        raise InvalidInputError(f"{too_large}.", field="body", allowed=too_large)
    return warnings_of(after, change.own)


async def _written(port: Store, after: D, entry: AuditEntry) -> D:
    """Write by `rev`, never without the audit entry that tells of it.

    Raises:
        StaleRevisionError: Somebody changed it since it was read; no entry is left.
    """
    collection: Collection[D] = _COLLECTIONS[type(after)]
    await port.insert(AUDIT, entry)
    try:
        if after.rev:
            return await port.replace(collection, after)
        return await port.insert(collection, after)
    except (StaleRevisionError, UniqueConflictError) as error:
        await port.delete(AUDIT, entry.workspace, entry.id)
        raise StaleRevisionError(f"{collection.name} was changed by another") from error


async def _stands(store: DeskStore, before: D, entry: AuditEntry) -> bool:
    """Tell whether what was written goes together with all that others wrote meanwhile."""
    now = await whole_of(store, entry.workspace)
    return not problems(now, with_document(now, before))


async def _take_back(port: Store, before: D, stored: D, entry: AuditEntry) -> None:
    """Undo a change; where somebody built on it already, it stays with its entry."""
    collection: Collection[D] = _COLLECTIONS[type(stored)]
    try:
        await port.replace(collection, msgspec.structs.replace(before, rev=stored.rev))
    except StaleRevisionError:
        log.warning("desk.policy_contradicts", extra={"object": entry.object})
        return
    await port.delete(AUDIT, entry.workspace, entry.id)


def _entry(call: Call, change: Change[D], before: D, after: D) -> AuditEntry:
    return AuditEntry(
        id=derive_id("aud", call.who.workspace, uuid.uuid4().hex),
        workspace=call.who.workspace,
        at=call.desk.now(),
        actor=f"agent:{call.who.agent}",
        action=change.action,
        object=change.object,
        before=_json(change.shown(before)),
        after=_json(change.shown(after)),
    )


def _json(shown: Any) -> str:
    return "" if shown is None else msgspec.json.encode(shown).decode()
