"""What a workspace remembers of its files: the one being applied, and the last that was.

A workspace lies in many documents, and no engine writes two of them at once. So an apply first
writes down all that it is going to do, in one document and under the guard of its `rev`; from then
on it *is* applied: whoever comes by does what is left of it, and nobody reads the workspace before
that is done, see `libs.common.workspace_apply`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from libs.common.store.api import Collection, Document, Store


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One document of an apply, as it is to be; doing it again changes nothing.

    Attributes:
        collection: Its name; `id` is the document's.
        objects: What the file calls what is in it, for the record.
        fields: Those of `document` that the file decides; the others stay as they are.
        document: As plain values; None: it is to be deleted.
    """

    collection: str
    id: str
    objects: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    document: dict[str, Any] | None = None


Stamp = dict[str, dict[str, str]]
"""By object and field: a digest of the value that was applied."""


class ConfigRecord(Document, kw_only=True):
    """The one of a workspace; its id is the workspace.

    Attributes:
        state: `checking`: somebody is about to apply a file, and has done nothing; another may
            take their place. `applying`: it stands, and what is left of it is being done.
        apply: Id of the newest apply, by `actor`, since `began_at`.
        steps: What is being applied, as JSON of `Step`s; empty otherwise.
        next_stamp, next_refs: What `stamp` and `refs` will be.
        stamp: What the last file made, as JSON of `Stamp`; `refs` where its secrets were, by place.
        fingerprint: Of the plan that was applied at `applied_at`.
        left: Steps that could not be done, as somebody else took a name meanwhile.
    """

    state: Literal["idle", "checking", "applying"] = "idle"
    apply: str = ""
    actor: str = ""
    began_at: datetime | None = None
    steps: str = ""
    next_stamp: str = ""
    next_refs: str = ""
    stamp: str = ""
    refs: str = ""
    fingerprint: str = ""
    applied_at: datetime | None = None
    left: tuple[str, ...] = ()


CONFIGS = Collection("configs", ConfigRecord, ())

APPLIED = (CONFIGS,)


async def standing(store: Store, workspace: str) -> int | None:
    """Return the number of the workspace's state between two applies; None: one is under way.

    Whoever reads several documents and finds the same number before and after has read either all
    of an apply or nothing of it.
    """
    record = await store.get(CONFIGS, workspace, workspace)
    if record is None:
        return 0
    return None if record.state == "applying" else record.rev
