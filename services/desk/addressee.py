"""Whom something scheduled is for: a session's visitor, or a contact by one of their accounts."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

import msgspec

from libs.common.channel import Account, Channel
from libs.common.documents import CONTACTS, Contact, Session
from libs.common.later import ScheduledMessage
from libs.common.reasons import reason
from libs.common.strays import Place, blocked_strangers
from libs.common.visitor_sessions import current_session
from libs.common.wallclock import zone_named
from services.desk.api.able import plain_account
from services.desk.api.problem import RefusalError
from services.desk.api.route import Call
from services.desk.api.visible import contact_of, session_of
from services.desk.scheduling import renamed, wrong


class Addressee(msgspec.Struct, frozen=True, kw_only=True):
    """The visitor that it is for.

    Attributes:
        contact: None where it is gone.
        newest: Their open session, else their newest; of somebody who never had one a blank one,
            whose id is empty: it says what the channel allows to strangers.
        session: The session that was named, else that of `newest`.
    """

    contact_id: str
    contact: Contact | None
    account: Account
    channel: Channel
    visitor: str
    newest: Session
    session: str


async def addressee(call: Call, session: str, contact: str, account: str) -> Addressee:
    """Return whom a body names.

    Raises:
        NotFoundError: No such session or contact in this workspace.
        InvalidInputError: Neither or both are named, or they are not reached by this account.
        RefusalError: 422: the account is gone.
    """
    if bool(session) == bool(contact):
        raise wrong("session", "name either a session or a contact", "one of both")
    if session:
        if account:
            raise wrong("account", "the session has one", "nothing beside a session")
        with renamed("", "session"):
            named = await session_of(call, session)
        return await _at(call, named.contact, named.account, named.visitor, named)
    with renamed("", "contact"):
        await contact_of(call, contact)
    found = await call.desk.store.identities(call.who.workspace, contact)
    reached = [
        identity
        for identity in found
        if not identity.became and call.who.scope.account(identity.channel, identity.account)
    ]
    here = [identity for identity in reached if identity.account == account]
    if not here:
        allowed = ", ".join(sorted({identity.account for identity in reached})) or "none"
        raise wrong("account", "the contact is not reached by it", allowed)
    port, workspace = call.desk.store.port, call.who.workspace
    tried = [
        (one.visitor, await current_session(port, workspace, account, one.visitor)) for one in here
    ]
    visitor, last = max(tried, key=lambda one: (one[1] is not None, one[1] and one[1].updated_at))
    return await _at(call, contact, account, visitor, last)


async def again(call: Call, doc: ScheduledMessage) -> Addressee:
    """Return whom *doc* is for, as things stand now; *doc* keeps the session it names.

    Raises:
        RefusalError: 422: the account is gone.
    """
    found = await _at(call, doc.contact, doc.account, doc.visitor, None)
    return msgspec.structs.replace(found, session=doc.session)


async def newest_of(
    call: Call, docs: Iterable[ScheduledMessage]
) -> Mapping[tuple[str, str], Session]:
    """Return the newest session of each visitor, by account and visitor, that has one."""
    port, workspace = call.desk.store.port, call.who.workspace
    wanted = {(doc.account, doc.visitor) for doc in docs}
    known = await call.desk.store.sessions(workspace, {doc.session for doc in docs if doc.session})
    found = {(s.account, s.visitor): s for s in known.values() if s.list != "ended"}
    lacking = sorted(wanted - found.keys())
    rest = await asyncio.gather(*(current_session(port, workspace, *pair) for pair in lacking))
    return found | {pair: s for pair, s in zip(lacking, rest, strict=True) if s is not None}


def stranger(where: Mapping[str, str], now: datetime, *, blocked: bool = False) -> Session:
    """Return a blank session of somebody who never had one, and may have *blocked* us all the same.

    *where* has `workspace`, `account`, `channel`, `visitor` and `contact`.
    """
    blank = {"id": "", "list": "ended", "open_key": None, "blocked": blocked}
    times = {"created_at": now, "updated_at": now}
    return msgspec.convert({**blank, **where, **times}, Session)


async def blocked_here(call: Call, places: Collection[Place]) -> set[Place]:
    """Return which of *places*, where there never was a session, have blocked the account."""
    return await blocked_strangers(call.desk.store.port, call.who.workspace, places)


async def zone_of(call: Call, zone: str, contact: Contact | None) -> str:
    """Return the IANA zone that *zone* names; `contact`: theirs, else the workspace's.

    Raises:
        InvalidInputError: There is no such zone.
    """
    if zone not in {"", "contact"}:
        if zone_named(zone) is None:
            raise wrong(
                "zone", f"{zone[:60]!r} is not a zone of the IANA list", "`contact`, Europe/Berlin"
            )
        return zone
    workspace = await call.desk.store.workspace(call.who.workspace)
    known = (contact.zone if contact else "", workspace.settings.zone)
    return next((one for one in known if zone_named(one) is not None), "UTC")


async def _at(
    call: Call, contact: str, account: str, visitor: str, named: Session | None
) -> Addressee:
    port, workspace, now = call.desk.store.port, call.who.workspace, call.desk.now()
    found = await call.desk.store.account(workspace, account)
    channel = call.desk.channels.get(found.channel) if found is not None else None
    if found is None or channel is None:
        text = reason("account_unavailable").text
        raise RefusalError(422, "account_unavailable", text, field="account")
    last = await current_session(port, workspace, account, visitor)
    where = {
        "workspace": workspace,
        "account": account,
        "channel": found.channel,
        "visitor": visitor,
        "contact": contact,
    }
    known = last or named
    if known is None:
        blocked = bool(await blocked_here(call, [(account, visitor)]))
        known = stranger(where, now, blocked=blocked)
    return Addressee(
        contact_id=contact,
        contact=await port.get(CONTACTS, workspace, contact) if contact else None,
        account=plain_account(found),
        channel=channel,
        visitor=visitor,
        newest=known,
        session=(named or known).id,
    )
