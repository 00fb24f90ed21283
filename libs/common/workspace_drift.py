"""What has become of what the last file said: by people, by the API, by us."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from libs.common import workspace_shown as shown
from libs.common.applied import CONFIGS, Stamp
from libs.common.store.api import Store
from libs.common.workspace_kinds import KINDS
from libs.common.workspace_plan import PARTS, digest, stamped
from libs.common.workspace_state import State, read_state


class Drifted(msgspec.Struct, frozen=True, kw_only=True):
    """A thing that is not as the last file said; no `fields`: it is gone."""

    object: str
    fields: tuple[str, ...] = ()


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """How a workspace differs from its last file; `applied_at` None: there was none."""

    workspace: str
    applied_at: datetime | None = None
    fingerprint: str = ""
    objects: tuple[Drifted, ...] = ()


async def drift_of(store: Store, workspace: str) -> Drift:
    """Compare a workspace with the last file that was applied to it.

    Things that the file did not name are not looked at, nor passwords, which people change.
    """
    record = await store.get(CONFIGS, workspace, workspace)
    if record is None or record.applied_at is None:
        return Drift(workspace=workspace)
    stamp = msgspec.json.decode(record.stamp or "{}", type=Stamp)
    now = stamp_of(await read_state(store, workspace))
    return Drift(
        workspace=workspace,
        applied_at=record.applied_at,
        fingerprint=record.fingerprint,
        objects=tuple(_drifted(stamp, now)),
    )


def stamp_of(state: State) -> Stamp:
    """Return the digests of everything in a workspace."""
    emails = {agent.id: agent.email for agent in state.agents.values()}

    def name(id_: str) -> str:
        return emails.get(id_, id_)

    found: Stamp = {f"workspace:{state.workspace.id}": stamped(shown.workspace(state.workspace))}
    for part in PARTS:
        show = shown.rule if part == "rules" else shown.part
        for one in getattr(state.policy, part):
            found[f"{part.removesuffix('s')}:{one.id}"] = stamped(show(one, name))
        found[part] = stamped({shown.ORDER: [one.id for one in getattr(state.policy, part)]})
    for kind in KINDS:
        for document in kind.held(state).values():
            sealed = {field: digest(text) for field, text in kind.secrets(document).items()}
            found[kind.name(document)] = stamped(kind.show(document, name)) | sealed
    return found


def _drifted(was: Stamp, now: Stamp) -> list[Drifted]:
    found = []
    for name, fields in was.items():
        if name not in now:
            found.append(Drifted(object=name))
            continue
        differing = _differing(fields, now[name])
        if differing:
            found.append(Drifted(object=name, fields=tuple(differing)))
    return found


def _differing(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the fields that differ; new ones inside of a list show in its order."""
    return [field for field, value in was.items() if now.get(field) != value]
