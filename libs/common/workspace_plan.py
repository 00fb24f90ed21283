"""What an apply of a file would do: found by making the whole workspace as it would be.

Pure: everything is read before, see `workspace_state`, and written after, see `workspace_apply`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from libs.common import workspace_shown as shown
from libs.common.applied import Stamp, Step
from libs.common.documents import PolicyDocument
from libs.common.store.api import Document
from libs.common.termination import counted
from libs.common.workspace_diff import FieldChange, ObjectChange, changes, secret_changes
from libs.common.workspace_file import WorkspaceFile, settings_of
from libs.common.workspace_kinds import BY_PART, KINDS, Kind
from libs.common.workspace_made import Here
from libs.common.workspace_policy import document_of
from libs.common.workspace_shown import flat
from libs.common.workspace_state import State

PARTS = ("teams", "calendars", "rules")
"""Lists that are replaced whole where the file gives them: their order counts."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is going to happen.

    Attributes:
        after: The workspace as it will be.
        objects: Everything the file names, and what it leaves, with what becomes of it.
        steps: The documents to write, deletions first.
        deleted: By the kind's part, ids of what is to be deleted.
        stamp: What the file decides, for finding drift later.
        refs: Where its secrets were.
        not_compared: Secrets that could not be read here; they stay.
        fingerprint: The same as long as neither the file nor the workspace has changed.
    """

    workspace: str
    before: State
    after: State
    objects: tuple[ObjectChange, ...]
    steps: tuple[Step, ...]
    deleted: Mapping[str, tuple[str, ...]]
    stamp: Stamp
    refs: dict[str, str]
    not_compared: tuple[str, ...]
    fingerprint: str


class _Draft:
    """A plan in the making."""

    def __init__(self, file: WorkspaceFile, before: State, here: Here) -> None:
        self.file = file
        self.before = before
        self.after = before
        self.here = here
        self.objects: list[ObjectChange] = []
        self.puts: list[Step] = []
        self.deletes: list[Step] = []
        self.deleted: dict[str, tuple[str, ...]] = {}
        self.stamp: Stamp = {}
        self.seen: list[Any] = []
        """What the fingerprint is made of: what is there now of all that the file decides."""

    # --- one document, some parts of which are objects -----------------------------------------

    def workspace(self) -> None:
        """Plan the name and the switches."""
        file, found = self.file, self.before.workspace
        settings = counted(found.settings, settings_of(file) or found.settings, self.here.now)
        after = replace(found, name=file.name or found.name, settings=settings)
        self.after = replace(self.after, workspace=after)
        name = f"workspace:{file.workspace}"
        old, new = shown.workspace(found), shown.workspace(after)
        if file.settings is None:
            old.pop("settings"), new.pop("settings")
        if not file.name:
            old.pop("name"), new.pop("name")
        self._object(name, old if found.rev else {}, new, fresh=not found.rev)
        self._put("workspaces", found, after, (name,))

    def policy(self) -> None:
        """Plan teams, calendars and rules, each of them an object."""
        found = self.before.policy
        after = document_of(self.file, found, self.here.agent_id)
        self.after = replace(self.after, policy=after)
        for part in PARTS:
            if getattr(self.file, part) is not None:
                self._part(part, found, after)
        self._put("policies", found, after, (f"policy:{self.file.workspace}",))

    def _part(self, part: str, found: PolicyDocument, after: PolicyDocument) -> None:
        word = part.removesuffix("s")
        show = shown.rule if part == "rules" else shown.part
        name = self.here.agent_name
        old = {one.id: show(one, name) for one in getattr(found, part)}
        new = {one.id: show(one, name) for one in getattr(after, part)}
        for id_ in dict.fromkeys((*old, *new)):
            self._object(
                f"{word}:{id_}",
                old.get(id_, {}),
                new.get(id_, {}),
                fresh=id_ not in old,
                gone=id_ not in new,
            )
        orders = ({shown.ORDER: list(one)} for one in (old, new))
        self._object(part, *orders, fresh=False)

    # --- one document an object ----------------------------------------------------------------

    def kind(self, kind: Kind) -> None:
        """Plan everything of a kind that the file names."""
        held = kind.held(self.before)
        after = dict(held)
        named = set()
        for entry in kind.entries(self.file):
            found = held.get(kind.id_of(entry, self.before, self.here))
            document = kind.make(entry, found, self.here)
            after[document.id] = document
            named.add(document.id)
            self._document(kind, entry, found, document)
        self.after = replace(self.after, **{kind.part: after})
        if kind.is_given(self.file):
            self._unnamed(kind, [one for id_, one in held.items() if id_ not in named])

    def prune(self) -> None:
        """Turn what the file leaves into what is deleted, or disabled."""
        left = {one.object for one in self.objects if one.action == "leave"}
        self.objects = [one for one in self.objects if one.action != "leave"]
        for kind in KINDS:
            gone = [d for d in kind.held(self.before).values() if kind.name(d) in left]
            if kind.part == "agents":
                self._disable(kind, [agent for agent in gone if not agent.disabled])
            elif gone:
                self._delete(kind, gone)

    def _unnamed(self, kind: Kind, left: list[Any]) -> None:
        for document in left:
            if not getattr(document, "disabled", False):
                self.objects.append(ObjectChange(object=kind.name(document), action="leave"))
            self.seen.append(kind.name(document))

    def _disable(self, kind: Kind, agents: list[Any]) -> None:
        after = dict(self.after.agents)
        for agent in agents:
            after[agent.id] = replace(agent, disabled=True)
            field = FieldChange(field="disabled", before=False, after=True)
            change = ObjectChange(object=kind.name(agent), action="disable", fields=(field,))
            self.objects.append(change)
            self._put(kind.collection.name, agent, after[agent.id], (f"agent:{agent.id}",))
        self.after = replace(self.after, agents=after)

    def _delete(self, kind: Kind, gone: list[Any]) -> None:
        ids = tuple(document.id for document in gone)
        kept = {k: d for k, d in kind.held(self.after).items() if k not in ids}
        self.after = replace(self.after, **{kind.part: kept})
        self.deleted[kind.part] = ids
        for document in gone:
            self.objects.append(ObjectChange(object=kind.name(document), action="delete"))
            objects = (f"{kind.word}:{document.id}",)
            step = Step(collection=kind.collection.name, id=document.id, objects=objects)
            self.deletes.append(step)

    def _document(self, kind: Kind, entry: Any, found: Any, after: Any) -> None:
        name = self.here.agent_name
        old = kind.show(found, name) if found else {}
        new = kind.show(after, name)
        for field in entry.__struct_fields__:  # an agent's, that the file leaves as it is
            if getattr(entry, field) is None:
                old.pop(field, None), new.pop(field, None)
        secrets = secret_changes(kind.secrets(found) if found else {}, kind.secrets(after))
        taken = () if found is None else _taken_secrets(kind, found, after)
        self._object(kind.name(after), old, new, fresh=found is None, secrets=(*secrets, *taken))
        self._stamp_secrets(kind, after)
        self._put(kind.collection.name, found, after, (f"{kind.word}:{after.id}",))

    def _stamp_secrets(self, kind: Kind, after: Any) -> None:
        sealed = {f: s for f, s in kind.secrets(after).items() if f != "password"}
        self.stamp[kind.name(after)] |= {field: digest(text) for field, text in sealed.items()}

    # --- both ----------------------------------------------------------------------------------

    def _object(
        self,
        name: str,
        old: Mapping[str, Any],
        new: Mapping[str, Any],
        *,
        fresh: bool,
        gone: bool = False,
        secrets: tuple[FieldChange, ...] = (),
    ) -> None:
        fields = changes(old, new)
        touched = fields or any(one.secret != "same" for one in secrets)  # noqa: S105
        action: Literal["create", "delete", "update", "same"] = (
            "create" if fresh else "delete" if gone else "update" if touched else "same"
        )
        told = () if action in {"same", "delete"} else (*fields, *secrets)
        self.objects.append(ObjectChange(object=name, action=action, fields=told))
        self.seen.append((name, old, action, told))
        if not gone:
            self.stamp[name] = stamped(new)

    def _put(
        self, collection: str, found: Document | None, after: Document, objects: tuple[str, ...]
    ) -> None:
        if after == found and (after.rev or isinstance(after, PolicyDocument)):
            return  # a workspace without rules, teams and hours needs no document for them
        names = [name for name in after.__struct_fields__ if name not in {"id", "workspace", "rev"}]
        step = Step(
            collection=collection,
            id=after.id,
            objects=objects,
            fields=tuple(
                name
                for name in names
                if not after.rev or getattr(found, name) != getattr(after, name)
            ),
            document=msgspec.json.decode(msgspec.json.encode(after)),
        )
        self.puts.append(step)


def plan(file: WorkspaceFile, before: State, here: Here, *, prune: bool = False) -> Plan:
    """Return what an apply would do; checks by `workspace_check` are to follow.

    Raises:
        SettingsError: Something cannot be made, as a secret is absent; names the place.
    """
    draft = _Draft(file, before, here)
    draft.workspace()
    for part in ("agents", "accounts"):
        draft.kind(BY_PART[part])
    draft.policy()
    for kind in KINDS:
        if kind.part not in {"agents", "accounts"}:
            draft.kind(kind)
    if prune:
        draft.prune()
    return Plan(
        workspace=file.workspace,
        before=before,
        after=draft.after,
        objects=tuple(draft.objects),
        steps=(*draft.deletes, *draft.puts),
        deleted=draft.deleted,
        stamp=draft.stamp,
        refs=here.vault.refs,
        not_compared=tuple(here.vault.kept),
        fingerprint=_fingerprint(draft.seen, draft.deleted),
    )


def stamped(entry: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests of the leaves of an entry."""
    return {field: digest(value) for field, value in flat(entry).items() if field}


def digest(value: Any) -> str:
    """Return a short digest of a plain value."""
    raw = msgspec.json.encode(value, order="sorted")
    return hashlib.blake2b(raw, digest_size=8).hexdigest()


def _fingerprint(seen: list[Any], deleted: Mapping[str, tuple[str, ...]]) -> str:
    raw = msgspec.json.encode([seen, deleted], order="sorted")
    return hashlib.blake2b(raw, digest_size=12).hexdigest()


def _taken_secrets(kind: Kind, found: Any, after: Any) -> Iterator[FieldChange]:
    """Yield the secrets that a file leaves out of an account that it replaces whole."""
    for name in sorted(set(kind.secrets(found)) - set(kind.secrets(after))):
        yield FieldChange(field=name, secret="removed")  # noqa: S106
