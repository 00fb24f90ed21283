"""Which filters an agent may use, and which one a fresh login shows."""

from __future__ import annotations

from libs.common.saved_filters import (
    INBOX_CHOICES,
    SAVED_FILTERS,
    WITH_AGENT,
    FilterValues,
    InboxChoice,
    SavedFilter,
)
from libs.common.store.api import Page, Store
from services.desk.scope import Scope

SHARED = ""
"""`SavedFilter.place` of what everybody sees."""
MOST = 100
"""Filters that one agent may have, and that may be shared."""


async def filters_of(store: Store, workspace: str, agent: str, scope: Scope) -> list[SavedFilter]:
    """Return the agent's own filters, then the shared ones that concern them, by name."""
    found: list[SavedFilter] = []
    for place in (agent, SHARED):
        page = Page(order="place", limit=MOST)
        found += await store.find(SAVED_FILTERS, workspace, {"place": place}, page)
    return [one for one in found if sees(one, agent, scope)]


def sees(saved: SavedFilter, agent: str, scope: Scope) -> bool:
    """Tell whether the agent may use it: their own, or shared and not of places unknown to them."""
    if saved.place == agent:
        return True
    if saved.place != SHARED:
        return False
    known = not scope.channels or set(saved.query.channel) <= set(scope.channels)
    return known and (not scope.accounts or set(saved.query.account) <= set(scope.accounts))


async def choice_of(store: Store, workspace: str, agent: str) -> InboxChoice:
    """Return what the agent chose to be shown at login; with `rev` 0 while they chose nothing."""
    found = await store.get(INBOX_CHOICES, workspace, agent)
    return found or InboxChoice(id=agent, workspace=workspace)


async def shown_first(
    store: Store, workspace: str, agent: str, scope: Scope, choice: InboxChoice
) -> tuple[str, FilterValues]:
    """Return the saved filter (id) and the values that *choice* means; what is gone means nothing.

    An agent who chose nothing is shown the conversations that agents answer (B23).
    """
    if choice.query is not None:
        return "", choice.query
    if choice.filter:
        found = await store.get(SAVED_FILTERS, workspace, choice.filter)
        if found is not None and sees(found, agent, scope):
            return found.id, found.query
    return "", WITH_AGENT
