"""What desk asks of the store; every method takes the caller's workspace: the wall."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime

from libs.common.documents import (
    ACCOUNTS,
    AGENTS,
    AUDIT,
    BOTS,
    CONTACTS,
    DIRECTORY,
    IDENTITIES,
    MESSAGES,
    POLICIES,
    SENDS,
    SESSIONS,
    SYSTEM,
    TOKENS,
    WORKSPACES,
    AccessToken,
    AccountDocument,
    Agent,
    AuditEntry,
    Bot,
    Contact,
    Identity,
    ListName,
    Message,
    PolicyDocument,
    SendAttempt,
    Session,
    Workspace,
)
from libs.common.errors import NotFoundError
from libs.common.store.api import (
    All,
    Collection,
    Cursor,
    D,
    In,
    Page,
    Range,
    Store,
    Value,
    Where,
    cursor,
)
from libs.common.timeline import Related
from services.desk.inbox import SCAN_LIMIT, Position
from services.desk.together import Together

CHUNK = 500
EVENTS_PER_TARGET = 1000
NEWEST = 50
CONVERSATION = 100
"""Sessions of one contact that are shown as one conversation."""


class DeskStore:
    """The queries of desk over the store port."""

    def __init__(self, store: Store) -> None:
        self.port = store
        self.together = Together(store)
        """For what is asked for again and again and may wait."""

    # --- sessions ------------------------------------------------------------------------------

    async def session(self, workspace: str, session_id: str) -> Session:
        """Return a session.

        Raises:
            NotFoundError: This workspace has no such session.
        """
        return await self._found(SESSIONS, workspace, session_id, "session")

    async def sessions(self, workspace: str, ids: Iterable[str]) -> dict[str, Session]:
        """Return those of the sessions that this workspace has."""
        return await self.port.get_many(SESSIONS, workspace, sorted(ids))

    async def open_sessions(self, workspace: str, lists: Iterable[ListName]) -> list[Session]:
        """Return the sessions of *lists*, at most `SCAN_LIMIT`, newest change first."""
        where = {"list": In(tuple(lists))}
        return await self._all(SESSIONS, workspace, where, "updated", descending=True)

    async def first_waiting(self, workspace: str) -> str:
        """Return the session (id) that is next in the queue; empty: none waits."""
        rows = await self.port.find(SESSIONS, workspace, {}, Page(order="queue", limit=1))
        return rows[0].id if rows else ""

    # --- messages ------------------------------------------------------------------------------

    async def timeline(
        self, workspace: str, session_id: str, *, after: Cursor | None, limit: int, descending: bool
    ) -> list[Message]:
        """Return entries of a session's timeline; *after* is (occurred_at, sequence, id)."""
        page = Page(
            order="timeline",
            descending=descending,
            after=None if after is None else (session_id, *after),
            limit=limit,
        )
        return await self.port.find(MESSAGES, workspace, {"timeline": session_id}, page)

    async def newest_of_visitor(self, session: Session) -> Message | None:
        """Return the visitor's newest message of the last few entries, or None."""
        page = Page(order="timeline", descending=True, limit=NEWEST)
        where = {"timeline": session.id}
        found = await self.port.find(MESSAGES, session.workspace, where, page)
        return next((m for m in found if m.kind == "message" and m.direction == "in"), None)

    async def touching(self, workspace: str, account: str, wanted: Related) -> list[Message]:
        """Return what else is needed to show a page: events about its messages, and echoes."""
        asked = [({"account": account, "target": target}, "target") for target in wanted.targets]
        asked += [
            ({"account": account, "provider_ids": provider_id}, "provider")
            for provider_id in wanted.provider_ids
        ]
        found = await asyncio.gather(
            *(
                self._all(MESSAGES, workspace, where, order, limit=EVENTS_PER_TARGET)
                for where, order in asked
            )
        )
        return [event for group in found for event in group]

    async def system_entries(self, workspace: str, session_id: str) -> tuple[list[Message], bool]:
        """Return what happened to a session, oldest first, and whether that is all of it.

        The newest `SCAN_LIMIT` timeline entries are looked at.
        """
        where = {"timeline": session_id}
        found = await self._all(MESSAGES, workspace, where, "timeline", descending=True)
        entries = [message for message in reversed(found) if message.kind == "system"]
        return entries, len(found) < SCAN_LIMIT

    async def traced(self, workspace: str, any_id: str, *, limit: int) -> list[Message]:
        """Return the entries that an ingest id, event id, provider id or message id names."""
        slugs = tuple(account.id for account in await self.accounts(workspace))
        by_id = await self.port.get(MESSAGES, workspace, any_id)
        found = [by_id] if by_id else []
        found += await self._page(MESSAGES, workspace, {"ingest_id": any_id}, "ingest", limit)
        for start in range(0, len(slugs), CHUNK):
            account = In(slugs[start : start + CHUNK])
            for field, order in (("key", "key"), ("provider_ids", "provider")):
                where: Where = {"account": account, field: any_id}
                found += await self._page(MESSAGES, workspace, where, order, limit)
        unique = {message.id: message for message in found}
        return sorted(unique.values(), key=lambda m: (m.received_at, m.sequence, m.id))[:limit]

    async def attempts(self, workspace: str, ids: Sequence[str]) -> dict[str, SendAttempt]:
        """Return what the sender wrote about these messages."""
        return await self.port.get_many(SENDS, workspace, ids)

    # --- people and places ---------------------------------------------------------------------

    async def contact(self, workspace: str, contact_id: str) -> Contact:
        """Return a contact.

        Raises:
            NotFoundError: This workspace has no such contact.
        """
        return await self._found(CONTACTS, workspace, contact_id, "contact")

    async def identities(self, workspace: str, contact_id: str) -> list[Identity]:
        """Return a contact's identities."""
        return await self._all(IDENTITIES, workspace, {"contact": contact_id}, "contact")

    async def sessions_of_contact(
        self, workspace: str, contact_id: str, *, limit: int
    ) -> list[Session]:
        """Return a contact's newest sessions."""
        where = {"contact": contact_id}
        return await self._page(SESSIONS, workspace, where, "contact", limit, descending=True)

    async def conversation(self, workspace: str, contact_id: str) -> list[Session]:
        """Return a contact's newest sessions on all its identities, at most `CONVERSATION`.

        Those that were opened before the identity joined the contact are found by the visitor.
        """
        found = await self.sessions_of_contact(workspace, contact_id, limit=CONVERSATION)
        for identity in await self.identities(workspace, contact_id):
            where = {"account": identity.account, "visitor": identity.visitor}
            found += await self._page(
                SESSIONS, workspace, where, "visitor", CONVERSATION, descending=True
            )
        unique = {session.id: session for session in found}
        newest = sorted(unique.values(), key=lambda s: (s.created_at, s.id), reverse=True)
        return newest[:CONVERSATION]

    async def accounts(self, workspace: str) -> list[AccountDocument]:
        """Return every connected account, by channel."""
        return await self._all(ACCOUNTS, workspace, {}, "external")

    async def account(self, workspace: str, slug: str) -> AccountDocument | None:
        """Return an account, or None."""
        return await self.port.get(ACCOUNTS, workspace, slug)

    async def accounts_by_slug(
        self, workspace: str, slugs: Iterable[str]
    ) -> dict[str, AccountDocument]:
        """Return those of the accounts that this workspace has."""
        return await self.port.get_many(ACCOUNTS, workspace, sorted(set(slugs)))

    async def account_by_slug(self, slug: str) -> AccountDocument | None:
        """Return the account of this slug anywhere: its visitors name no workspace."""
        entry = await self.port.get(DIRECTORY, SYSTEM, f"account:{slug}")
        return await self.account(entry.targets[0], slug) if entry and entry.targets else None

    async def workspace(self, workspace: str) -> Workspace:
        """Return the workspace's own document.

        Raises:
            NotFoundError: It is gone.
        """
        return await self._found(WORKSPACES, workspace, workspace, "workspace")

    async def policy(self, workspace: str) -> PolicyDocument:
        """Return the workspace's rules, teams and calendars; with `rev` 0 while it has none."""
        found = await self.port.get(POLICIES, workspace, workspace)
        return found or PolicyDocument(id=workspace, workspace=workspace)

    async def all_bots(self, workspace: str) -> list[Bot]:
        """Return every bot, by name."""
        return [bot for bot in await self._all(BOTS, workspace, {}, "name") if not bot.deleted]

    async def bot(self, workspace: str, bot_id: str) -> Bot | None:
        """Return a bot, or None."""
        found = await self.port.get(BOTS, workspace, bot_id)
        return None if found is None or found.deleted else found

    async def agent(self, workspace: str, agent_id: str) -> Agent | None:
        """Return an agent, or None."""
        return await self.port.get(AGENTS, workspace, agent_id)

    async def all_agents(self, workspace: str) -> list[Agent]:
        """Return every agent, by address."""
        return await self._all(AGENTS, workspace, {}, "email")

    async def agents(self, workspace: str, ids: Sequence[str]) -> dict[str, Agent]:
        """Return those of the agents that this workspace has."""
        return await self.port.get_many(AGENTS, workspace, ids)

    async def agent_by_email(self, workspace: str, email_key: str) -> Agent | None:
        """Return the agent with this address, or None."""
        found = await self._page(AGENTS, workspace, {"email_key": email_key}, "email", 1)
        return found[0] if found else None

    async def workspaces_of(self, email_key: str) -> tuple[str, ...]:
        """Return the workspaces in which this address may log in, sorted."""
        entry = await self.port.get(DIRECTORY, SYSTEM, f"login:{email_key}")
        return tuple(sorted(entry.targets)) if entry else ()

    # --- tokens, settings, audit ---------------------------------------------------------------

    async def token(self, workspace: str, token_id: str) -> AccessToken | None:
        """Return an access token, or None."""
        return await self.port.get(TOKENS, workspace, token_id)

    async def add_token(self, token: AccessToken) -> AccessToken:
        """Store a new access token."""
        return await self.port.insert(TOKENS, token)

    async def drop_expired_tokens(self, workspace: str, agent: str, now: datetime) -> None:
        """Delete tokens of *agent* that no longer open anything."""
        for token in await self._page(TOKENS, workspace, {"agent": agent}, "agent", CHUNK):
            if token.expires_at is not None and token.expires_at <= now:
                await self.port.delete(TOKENS, workspace, token.id)

    async def drop_tokens(self, workspace: str, agent: str) -> None:
        """Delete every login and API token of *agent*."""
        while found := await self._page(TOKENS, workspace, {"agent": agent}, "agent", CHUNK):
            for token in found:
                await self.port.delete(TOKENS, workspace, token.id)

    async def note_use(self, token: AccessToken) -> None:
        """Write what a token's use changes; when somebody was faster, theirs stands."""
        await self.port.replace_many(TOKENS, [token])

    async def remove_token(self, workspace: str, token_id: str) -> None:
        """Delete an access token; deleting an absent one is fine."""
        await self.port.delete(TOKENS, workspace, token_id)

    async def audit(  # noqa: PLR0913  # what a record is found by
        self,
        workspace: str,
        *,
        about: str = "",
        actor: str = "",
        action: str = "",
        within: Range | None = None,
        after: Position | None,
        limit: int,
    ) -> list[AuditEntry]:
        """Return audit entries, newest first: of one object, by one actor, of one action.

        The first of these that is given leads the walk over its index, in which what is left
        filters; *within* is of their times.
        """
        named = {"object": about, "actor": actor, "action": action}
        where: dict[str, Value | In | All | Range] = {k: v for k, v in named.items() if v}
        order = next(iter(where), "at")
        lead = (str(where[order]),) if where else ()
        if within is not None:
            where["at"] = within
        behind = None if after is None else (*lead, *after)
        page = Page(order=order, descending=True, after=behind, limit=limit)
        return await self.port.find(AUDIT, workspace, where, page)

    # --- reading -------------------------------------------------------------------------------

    async def _found(self, collection: Collection[D], workspace: str, doc_id: str, what: str) -> D:
        found = await self.port.get(collection, workspace, doc_id)
        if found is None:
            raise NotFoundError(f"There is no such {what}.")
        return found

    async def _page(
        self,
        collection: Collection[D],
        workspace: str,
        where: Where,
        order: str,
        limit: int,
        *,
        descending: bool = False,
    ) -> list[D]:
        page = Page(order=order, descending=descending, limit=limit)
        return await self.port.find(collection, workspace, where, page)

    async def _all(
        self,
        collection: Collection[D],
        workspace: str,
        where: Where,
        order: str,
        *,
        descending: bool = False,
        limit: int = SCAN_LIMIT,
    ) -> list[D]:
        """Return matching documents, page by page, at most *limit*."""
        rows: list[D] = []
        after: Cursor | None = None
        while len(rows) < limit:
            page = Page(order=order, descending=descending, after=after, limit=CHUNK)
            found = await self.port.find(collection, workspace, where, page)
            rows += found
            if len(found) < CHUNK:
                break
            after = cursor(collection, order, found[-1])
        return rows[:limit]
