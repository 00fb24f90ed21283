"""What a console needs to begin, in one answer."""

from __future__ import annotations

import asyncio

import msgspec

from libs.common.saved_filters import FilterValues
from services.desk.api.accounts import AccountView, shown_accounts
from services.desk.api.people import Unread, unread_now
from services.desk.api.route import Call, Reply
from services.desk.api.saved_filters import (
    FilterView,
    FirstShown,
    first_shown,
    shown_filters,
)
from services.desk.api.session_list import listed
from services.desk.api.sessions import Limit, SessionList, SessionQuery, wanted_by
from services.desk.inbox_choice import choice_of


class InboxQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows the first page has."""

    limit: Limit = 50


class InboxStart(msgspec.Struct, frozen=True, kw_only=True):
    """The console's first screen.

    Attributes:
        default: The filter that a login shows, and `filters`, those that the caller may use.
        sessions: The first page of what `default` means, with the counts of each filter's values.
        unread: The badge.
        accounts: The connected accounts that the caller sees, with their health.
    """

    default: FirstShown
    filters: tuple[FilterView, ...]
    sessions: SessionList
    unread: Unread
    accounts: tuple[AccountView, ...]


async def inbox(call: Call) -> Reply:
    """Return what a console needs to begin.

    Raises:
        RefusalError: 503, what is unread is still being counted.
    """
    choice = await choice_of(call.desk.store.port, call.who.workspace, call.who.agent)
    default = await first_shown(call, choice)
    query = query_of(default.query, call.query.limit)
    page, badge, filters, accounts = await asyncio.gather(
        listed(call, wanted_by(query, call.who), query),
        unread_now(call),
        shown_filters(call),
        shown_accounts(call),
    )
    return Reply(
        body=InboxStart(
            default=default, filters=filters, sessions=page, unread=badge, accounts=accounts
        )
    )


def query_of(values: FilterValues, limit: int) -> SessionQuery:
    """Return the query of `GET /sessions` that kept values are."""
    return SessionQuery(
        limit=limit,
        list=values.list,
        channel=values.channel,
        account=values.account,
        parties=values.parties,
        assignee=values.assignee,
        tag=values.tag,
        snoozed=values.snoozed,
    )
