"""What the caller may see of what a request names: the rest is answered like an unknown id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from libs.common.documents import (
    ACCOUNTS,
    MESSAGES,
    SESSIONS,
    Attachment,
    Contact,
    Identity,
    Session,
)
from libs.common.errors import NotFoundError
from libs.common.later import Audience
from libs.common.merged import present
from services.desk.api.route import Call


async def session_of(call: Call, session_id: str = "") -> Session:
    """Return the session that the path, or else *session_id*, names.

    Raises:
        NotFoundError: This workspace has none, or it is out of the caller's scope.
    """
    wanted = session_id or call.params["id"]
    found = await call.desk.store.session(call.who.workspace, wanted)
    if not call.who.scope.session(found):
        raise NotFoundError("There is no such session.")
    return found


async def contact_of(call: Call, contact_id: str = "") -> Contact:
    """Return the contact that the path, or else *contact_id*, names.

    Raises:
        NotFoundError: This workspace has none, or it is out of the caller's scope.
    """
    wanted = contact_id or call.params["id"]
    found = await call.desk.store.contact(call.who.workspace, wanted)
    if not limits_places(call):
        return found
    now = await present(call.desk.store.port, found)  # where somebody is who became part of another
    places = places_of(await call.desk.store.identities(call.who.workspace, now.id))
    if not call.who.scope.contact(places):
        raise NotFoundError("There is no such contact.")
    return found


async def sessions_seen(call: Call, ids: Iterable[str]) -> frozenset[str]:
    """Return which of the sessions *ids* the caller sees; one that is gone is seen by all."""
    wanted = list(dict.fromkeys(ids))
    if call.who.scope.whole or not wanted:
        return frozenset(wanted)
    found = await call.desk.store.port.get_many(SESSIONS, call.who.workspace, wanted)
    see = call.who.scope.session
    return frozenset(id_ for id_ in wanted if id_ not in found or see(found[id_]))


def limits_places(call: Call) -> bool:
    """Tell whether the caller sees only some channels or accounts."""
    return bool(call.who.scope.channels or call.who.scope.accounts)


def places_of(identities: Sequence[Identity]) -> list[tuple[str, str]]:
    """Return where somebody is, as (channel, account), for `Scope.contact`."""
    return [(identity.channel, identity.account) for identity in identities]


async def channels_by_slug(call: Call) -> Mapping[str, str]:
    """Return the kind of channel of each account of the workspace, by slug."""
    found = await call.desk.store.accounts(call.who.workspace)
    return {account.id: account.channel for account in found}


async def sees_file(call: Call, file: Attachment) -> bool:
    """Tell whether a file is in scope: one's own, of a message that is, or nobody's yet."""
    if call.who.scope.whole or file.owner == f"agent:{call.who.agent}":
        return True
    port, workspace = call.desk.store.port, call.who.workspace
    if file.account:
        account = await port.get(ACCOUNTS, workspace, file.account)
        if account is None or not call.who.scope.account(account.channel, account.id):
            return False
    message = await port.get(MESSAGES, workspace, file.message) if file.message else None
    if message is None:
        return True
    session = await port.get(SESSIONS, workspace, message.session)
    return session is None or call.who.scope.session(session)


async def sees_audience(call: Call, audience: Audience) -> bool:
    """Tell whether everybody whom *audience* may ever reach is in the caller's scope."""
    scope = call.who.scope
    if not limits_places(call):
        return True
    if audience.accounts:
        channels = await channels_by_slug(call)
        return all(scope.account(channels.get(slug, ""), slug) for slug in audience.accounts)
    named = bool(audience.channels) and not scope.accounts
    return named and all(channel in scope.channels for channel in audience.channels)
