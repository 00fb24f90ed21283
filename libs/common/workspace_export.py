"""A workspace as a file again: so that a plan of it is empty, and no secret is in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import yaml

from libs.common import workspace_shown as shown
from libs.common.workspace_kinds import KINDS, Kind
from libs.common.workspace_plan import PARTS
from libs.common.workspace_state import State

_UNFIT = re.compile(r"[^A-Z0-9]+")
_ODD = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
"""Line ends that YAML folds, and what it takes for none: both are only safe as escapes."""


class _Dumper(yaml.SafeDumper):
    """Writes texts so that they are read as they were."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _ODD.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def placeholder(*words: str) -> str:
    """Return the environment variable that stands for a secret whose place is not known.

    `RELAYDESK_<SLUG>_<SECRET>`, in capitals, anything else than letters and digits as `_`.
    """
    return "_".join(("RELAYDESK", *(_UNFIT.sub("_", word.upper()).strip("_") for word in words)))


def exported(state: State, refs: Mapping[str, str]) -> dict[str, Any]:
    """Return the whole workspace as a file says it.

    Args:
        state: What is there.
        refs: Where the secrets of the last applied file were, by place, as `env:NAME`.
    """
    emails = {agent.id: agent.email for agent in state.agents.values()}

    def name(id_: str) -> str:
        return emails.get(id_, id_)

    own = shown.workspace(state.workspace)
    found: dict[str, Any] = {"workspace": state.workspace.id, **own}
    for part in PARTS:
        show = shown.rule if part == "rules" else shown.part
        found[part] = [show(one, name) for one in getattr(state.policy, part)]
    for kind in KINDS:
        documents = sorted(kind.held(state).values(), key=lambda one: (_place(one), kind.name(one)))
        found[kind.part] = [
            {**kind.show(one, name), **_secrets(kind, one, refs)} for one in documents
        ]
    return found


def text_of(found: Mapping[str, Any], note: str = "") -> str:
    """Return the YAML text of a file, its parts in the order in which they are given."""
    body = yaml.dump(
        dict(found),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=100,
        default_flow_style=False,
    )
    head = "".join(f"# {line}\n" for line in note.splitlines())
    return f"{head}{body}"


def _place(document: Any) -> int:
    return int(getattr(document, "place", 0) or 0) if hasattr(document, "name_key") else 0


def _secrets(kind: Kind, document: Any, refs: Mapping[str, str]) -> dict[str, Any]:
    """Return the references of a document's secrets; passwords only where one is known."""
    if kind.part == "accounts":
        named = {
            name: _ref(refs, f"accounts[{document.id}].secrets.{name}", document.id, name)
            for name in document.sealed
        }
        return {"secrets": named} if named else {}
    if kind.part == "agents":
        known = refs.get(f"agents[{document.email}].password", "")
        return {"password": _as_entry(known)} if known and document.password_hash else {}
    if not kind.secrets(document):
        return {}
    return {"secret": _ref(refs, f"{kind.part}[{document.id}].secret", document.id, "secret")}


def _ref(refs: Mapping[str, str], place: str, *words: str) -> dict[str, str]:
    known = refs.get(place, "")
    return _as_entry(known) if known else {"env": placeholder(*words)}


def _as_entry(ref: str) -> dict[str, str]:
    source, _, where = ref.partition(":")
    return {source: where}


def read_refs(text: str) -> dict[str, str]:
    """Return the references that a `ConfigRecord` remembers."""
    return msgspec.json.decode(text, type=dict[str, str]) if text else {}
