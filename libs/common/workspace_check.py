"""Refusing a plan that would not hold together, or would take away what is in use."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any

from libs.common import variables
from libs.common.bots.check import problems as bot_problems
from libs.common.bots.check import url_problems
from libs.common.channels import CHANNELS
from libs.common.contact_documents import ContactField
from libs.common.contact_facts import check_field_name
from libs.common.documents import CONTACTS, SESSIONS, Bot, Tag
from libs.common.errors import InvalidInputError, SettingsError
from libs.common.later import BROADCASTS, Folder, StandardMessage
from libs.common.policies import read_all
from libs.common.rules.folding import fold
from libs.common.saved_filters import SavedFilter
from libs.common.store.api import Store
from libs.common.webhooks import MOST_ENDPOINTS, WebhookEndpoint
from libs.common.workspace_file import WorkspaceFile
from libs.common.workspace_kinds import KINDS, Kind
from libs.common.workspace_plan import Plan
from libs.common.workspace_policy import check_policy
from libs.common.workspace_state import State

LONGEST_TITLE = 100
LONGEST_TEXT = 10_000
LONGEST_TAG = 60
MOST_PER_S = 1000
MOST = {
    "tags": 1000,
    "standard_messages": 5000,
    "webhook_endpoints": MOST_ENDPOINTS,
    "contact_fields": 100,
}
"""Of a workspace."""
_COLOR = re.compile(r"(#[0-9a-f]{6})?")
_BY_NAME = ("tags", "contact_fields")
"""Parts whose ids are ours; the file has names."""
_OVER = ("done", "cancelled")


async def check(file: WorkspaceFile, plan: Plan, store: Store) -> None:
    """Refuse what may not be.

    Raises:
        SettingsError: Names the place and what is allowed there, or what still needs a thing.
    """
    check_policy(file, plan.before, plan.after)
    for problem in _problems(plan.before, plan.after):
        raise SettingsError(problem)
    async for problem in _in_use(plan, store):
        raise SettingsError(f"{problem}; nothing was changed")


def _problems(before: State, after: State) -> Iterator[str]:
    for kind in KINDS:
        yield from _count_problems(kind, before, after)
        yield from _twins(kind, before, after)
        for id_, document in kind.held(after).items():
            if kind.held(before).get(id_) != document:
                yield from _document_problems(_place(kind, document), document, after)
    yield from _owner_problems(before, after)


def _place(kind: Kind, document: Any) -> str:
    """Return where a document stands, by what the file calls it: not all have an id of its."""
    if kind.part in _BY_NAME:
        return f"{kind.part}[{document.name}]"
    return f"{kind.part}[{getattr(document, 'email', document.id)}]"


def _count_problems(kind: Kind, before: State, after: State) -> Iterator[str]:
    most, count = MOST.get(kind.part, 10**9), len(kind.held(after))
    if count > most and count > len(kind.held(before)):
        yield f"{kind.part}: there would be {count}; allowed: at most {most}"


def _twins(kind: Kind, before: State, after: State) -> Iterator[str]:
    """Yield names that two would have, and such as one takes from another in the same apply.

    Steps are written one after another, so that a name must be free before it is taken.
    """
    if not kind.unique:
        return
    unchanged_last = sorted(
        kind.held(after).items(), key=lambda pair: kind.held(before).get(pair[0]) == pair[1]
    )
    taken = {_key(kind, document): id_ for id_, document in unchanged_last}
    stays = {
        _key(kind, document): id_
        for id_, document in kind.held(before).items()
        if id_ in kind.held(after)
    }
    for id_, document in kind.held(after).items():
        if kind.held(before).get(id_) == document:
            continue
        key = _key(kind, document)
        other = taken[key] if taken[key] != id_ else stays.get(key, id_)
        if other != id_:
            name = getattr(document, "name", id_)
            yield (
                f"{_place(kind, document)}: {name!r} is what {other} is called, or known by; "
                "allowed: one that is free (to exchange two, apply twice)"
            )


def _key(kind: Kind, document: Any) -> tuple[Any, ...]:
    return tuple(getattr(document, name) for name in kind.unique)


def _document_problems(where: str, document: Any, after: State) -> Iterator[str]:
    found = _CHECKS.get(type(document))
    return found(where, document, after) if found else iter(())


def _bot_problems(where: str, bot: Bot, _after: State) -> Iterator[str]:
    yield from (f"{where}.{one}" for one in bot_problems(bot, local=True))
    yield from _unknown(f"{where}.channels", bot.channels, CHANNELS)


def _endpoint_problems(where: str, endpoint: WebhookEndpoint, after: State) -> Iterator[str]:
    yield from (f"{where}.{one}" for one in url_problems(endpoint.url, local=True))
    yield from _unknown(f"{where}.channels", endpoint.channels, CHANNELS)
    yield from _unknown(f"{where}.accounts", endpoint.accounts, after.accounts)
    if not 0 <= endpoint.per_s <= MOST_PER_S:
        yield f"{where}.per_s: {endpoint.per_s} is out of range; allowed: 0 to {MOST_PER_S}"


def _filter_problems(where: str, saved: SavedFilter, after: State) -> Iterator[str]:
    yield from _name_problems(f"{where}.name", saved.name)
    yield from _unknown(f"{where}.query.channel", saved.query.channel, CHANNELS)
    yield from _unknown(f"{where}.query.account", saved.query.account, after.accounts)


def _tag_problems(where: str, tag: Tag, _after: State) -> Iterator[str]:
    if not fold(tag.name) or len(tag.name) > LONGEST_TAG or not tag.name.isprintable():
        yield f"{where}.name: {tag.name[:70]!r} is no name; allowed: 1 to {LONGEST_TAG} characters"
    if not _COLOR.fullmatch(tag.color):
        yield f"{where}.color: {tag.color[:20]!r} is no colour; allowed: one such as #1e90ff"


def _folder_problems(where: str, folder: Folder, after: State) -> Iterator[str]:
    yield from _name_problems(f"{where}.name", folder.name)
    yield from _unknown(f"{where}.channels", folder.channels, CHANNELS)
    yield from _unknown(f"{where}.teams", folder.teams, {team.id for team in after.policy.teams})
    yield from _unknown(f"{where}.users", folder.users, after.agents)


def _standard_problems(where: str, message: StandardMessage, after: State) -> Iterator[str]:
    yield from _name_problems(f"{where}.title", message.title)
    if not message.parts:
        yield f"{where}.text: must not be blank; allowed: some text, or attachments"
    if any(len(getattr(part, "text", "")) > LONGEST_TEXT for part in message.parts):
        yield f"{where}.text: is too long; allowed: at most {LONGEST_TEXT} characters"
    for text in variables.broken(message.parts):
        yield f"{where}.text: {text!r} is no variable; allowed: {{{{name|fallback}}}}"
    for name in variables.unknown(message.parts):
        yield f"{where}.text: {{{{{name[:60]}}}}} is no variable; allowed: {variables.ALLOWED}"
    if message.folder:
        yield from _unknown(f"{where}.folder", (message.folder,), after.folders)


def _field_problems(where: str, field: ContactField, _after: State) -> Iterator[str]:
    try:
        check_field_name(field.name)
    except InvalidInputError as error:
        yield f"{where}.name: {error.detail}"
    if bool(field.choices) != (field.type == "choice"):
        yield f"{where}.choices: belong to the type choice, which needs some; allowed: one or more"


def _name_problems(where: str, name: str) -> Iterator[str]:
    if not name.strip() or len(name) > LONGEST_TITLE or not name.isprintable():
        yield f"{where}: {name[:110]!r} is no name; allowed: 1 to {LONGEST_TITLE} characters"


def _unknown(where: str, given: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    names = sorted(known)
    for name in given:
        if name not in names:
            yield f"{where}: {name!r} is not there; allowed: {', '.join(names[:50]) or 'none'}"


_CHECKS: Mapping[type, Callable[[str, Any, State], Iterator[str]]] = {
    Bot: _bot_problems,
    Tag: _tag_problems,
    Folder: _folder_problems,
    StandardMessage: _standard_problems,
    WebhookEndpoint: _endpoint_problems,
    ContactField: _field_problems,
    SavedFilter: _filter_problems,
}


def _owner_problems(before: State, after: State) -> Iterator[str]:
    def owned(state: State) -> bool:
        return any(one.role == "owner" and not one.disabled for one in state.agents.values())

    if owned(before) and not owned(after):
        yield "agents: nobody would be left who may do everything; name another owner"


async def _in_use(plan: Plan, store: Store) -> AsyncIterator[str]:
    """Yield what is to be deleted, and what needs it."""
    gone = {part: set(ids) for part, ids in plan.deleted.items()}
    async for problem in _accounts_in_use(plan, store, gone.get("accounts", set())):
        yield problem
    async for problem in _tags_in_use(plan, store, gone.get("tags", set())):
        yield problem
    for problem in pointing(plan.after, gone):
        yield problem


async def _accounts_in_use(plan: Plan, store: Store, slugs: set[str]) -> AsyncIterator[str]:
    for slug in sorted(slugs):
        if await store.count(SESSIONS, plan.workspace, {"account": slug}, limit=1):
            yield f"account:{slug} has sessions and cannot be deleted; set enabled: false instead"


async def _tags_in_use(plan: Plan, store: Store, tags: set[str]) -> AsyncIterator[str]:
    for tag in sorted(tags):
        if await store.count(CONTACTS, plan.workspace, {"tags": tag}, limit=1):
            yield f"tag:{tag} is held by contacts and cannot be deleted"
    found = await read_all(store, BROADCASTS, plan.workspace, "created") if tags else []
    for broadcast in found:
        chosen = {*broadcast.audience.tags, *broadcast.audience.without} & tags
        if chosen and broadcast.state not in _OVER:
            yield f"tag:{min(chosen)} chooses the recipients of broadcast {broadcast.id}"


def pointing(after: State, gone: dict[str, set[str]]) -> Iterator[str]:
    """Yield what would still name something that is gone, by parts of a file."""
    for message in after.standard_messages.values():
        if message.folder in gone.get("folders", ()):
            yield f"folder:{message.folder} has the standard message {message.id}"
    for endpoint in after.webhook_endpoints.values():
        for slug in sorted(set(endpoint.accounts) & gone.get("accounts", set())):
            yield f"account:{slug} is named by webhook_endpoint:{endpoint.id}"
    for agent in after.agents.values():
        for slug in sorted(set(agent.accounts) & gone.get("accounts", set())):
            yield f"account:{slug} is what {agent.email} is limited to"
