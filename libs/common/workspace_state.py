"""All of a workspace that a file may say, as the store has it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from libs.common.contact_documents import CONTACT_FIELDS, ContactField
from libs.common.documents import (
    ACCOUNTS,
    AGENTS,
    ATTACHMENTS,
    BOTS,
    POLICIES,
    TAGS,
    WORKSPACES,
    AccountDocument,
    Agent,
    Attachment,
    Bot,
    PolicyDocument,
    Tag,
    Workspace,
)
from libs.common.later import FOLDERS, STANDARD_MESSAGES, Folder, StandardMessage
from libs.common.policies import bot_ref, member, read_all
from libs.common.policy import Policy
from libs.common.saved_filters import SAVED_FILTERS, SavedFilter
from libs.common.store.api import D, Store
from libs.common.webhooks import ENDPOINTS, WebhookEndpoint

_MOST_IDS = 500


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The documents of a workspace by id; what is deleted is not in it.

    `files` are those that somebody asked for, by id: the file of a workspace only names them.
    """

    workspace: Workspace
    policy: PolicyDocument
    accounts: dict[str, AccountDocument] = {}
    agents: dict[str, Agent] = {}
    bots: dict[str, Bot] = {}
    tags: dict[str, Tag] = {}
    folders: dict[str, Folder] = {}
    standard_messages: dict[str, StandardMessage] = {}
    webhook_endpoints: dict[str, WebhookEndpoint] = {}
    contact_fields: dict[str, ContactField] = {}
    shared_filters: dict[str, SavedFilter] = {}
    files: dict[str, Attachment] = {}

    def rules_see(self) -> Policy:
        """Return it as one policy, for checking; a rule may go on naming who is disabled."""
        return Policy(
            settings=self.workspace.settings,
            members=tuple(map(member, self.agents.values())),
            teams=self.policy.teams,
            calendars=self.policy.calendars,
            rules=self.policy.rules,
            bots=tuple(bot_ref(bot) for bot in self.bots.values()),
        )


async def read_state(store: Store, workspace: str, files: Iterable[str] = ()) -> State:
    """Read a workspace; one that is not there is empty, with `rev` 0.

    It is read document by document: the caller looks whether an apply came between, see
    `libs.common.applied.standing`.
    """
    document, policy, accounts, agents, bots, tags = await asyncio.gather(
        store.get(WORKSPACES, workspace, workspace),
        store.get(POLICIES, workspace, workspace),
        read_all(store, ACCOUNTS, workspace, "external"),
        read_all(store, AGENTS, workspace, "email"),
        read_all(store, BOTS, workspace, "name"),
        read_all(store, TAGS, workspace, "name"),
    )
    folders, standards, endpoints, fields, filters = await asyncio.gather(
        read_all(store, FOLDERS, workspace, "name"),
        read_all(store, STANDARD_MESSAGES, workspace, "title"),
        read_all(store, ENDPOINTS, workspace, "created"),
        read_all(store, CONTACT_FIELDS, workspace, "name"),
        read_all(store, SAVED_FILTERS, workspace, "place"),
    )
    return State(
        workspace=document or Workspace(id=workspace, workspace=workspace),
        policy=policy or PolicyDocument(id=workspace, workspace=workspace),
        accounts=_by_id(accounts),
        agents=_by_id(agents),
        bots=_by_id(bot for bot in bots if not bot.deleted),
        tags=_by_id(tag for tag in tags if tag.deleted_since is None),
        folders=_by_id(folders),
        standard_messages=_by_id(standards),
        webhook_endpoints=_by_id(endpoints),
        contact_fields=_by_id(fields),
        shared_filters=_by_id(one for one in filters if not one.place),
        files=await _files(store, workspace, sorted(set(files))),
    )


async def _files(store: Store, workspace: str, ids: list[str]) -> dict[str, Attachment]:
    found: dict[str, Attachment] = {}
    for start in range(0, len(ids), _MOST_IDS):
        part = ids[start : start + _MOST_IDS]
        found |= await store.get_many(ATTACHMENTS, workspace, part)
    return found


def _by_id(documents: Iterable[D]) -> dict[str, D]:
    return {document.id: document for document in documents}
