"""What may be sent in a session now, for its row and its page."""

from __future__ import annotations

from collections.abc import Iterable

from libs.common.channel import Account
from libs.common.documents import AccountDocument, Session
from libs.common.windows import Capabilities, capabilities
from services.desk.api.route import Call, Desk


def plain_account(found: AccountDocument) -> Account:
    """Return an account without its secrets."""
    return Account(
        workspace=found.workspace,
        slug=found.id,
        channel=found.channel,
        external_id=found.external_id,
        name=found.name,
        app=found.app,
        api_base=found.api_base,
        enabled=found.enabled,
        features=found.features,
        templates=found.templates,
    )


async def able(call: Call, sessions: Iterable[Session]) -> dict[str, Capabilities]:
    """Return what may be sent in each of the caller's *sessions*, by session id."""
    return await able_in(call.desk, call.who.workspace, sessions)


async def able_in(
    desk: Desk, workspace: str, sessions: Iterable[Session]
) -> dict[str, Capabilities]:
    """Return what may be sent in each of the *sessions* of *workspace*, by session id.

    A session whose channel this version does not know has none.
    """
    rows = tuple(sessions)
    slugs = {session.account for session in rows}
    found = await desk.store.accounts_by_slug(workspace, slugs) if slugs else {}
    accounts = {slug: plain_account(account) for slug, account in found.items()}
    now = desk.now()
    return {
        session.id: capabilities(session, channel, accounts.get(session.account), now)
        for session in rows
        if (channel := desk.channels.get(session.channel)) is not None
    }
