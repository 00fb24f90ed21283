"""What an email to a visitor who has left is made of, read from the store and the directory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from libs.common.awaited import Awaited, Letter
from libs.common.channel import Account
from libs.common.channels.web.wire import mint_return
from libs.common.documents import CONTACTS, MESSAGES, Message, Session
from libs.common.errors import BadSignatureError
from libs.common.mails import Mail
from libs.common.reached import address_of
from libs.common.store.api import Page, Store
from libs.common.switches import Settings
from libs.common.unsubscribe import link, visitor_wish
from services.notifier.offline_mail import Envelope, mail_of

CHAT_PATH = "/chat/"
"""Where ingest serves the page that shows a conversation again."""
_LOOKED_BACK = 50
"""Entries before our replies among which the visitor's last message is looked for."""
_UTC = ZoneInfo("UTC")


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """An email that can go out; `by_machines`: no person has answered, bots and rules alone."""

    mail: Mail
    by_machines: bool


class Cases:
    """Reads what is needed for an email.

    Args:
        store: Has sessions, messages and contacts open.
        account: Looks up a slug.
        settings: Looks up a workspace's.
        public_url: Address of the installation; empty: there are no links.
        stop_keys: See `unsubscribe.unsubscribe_keys`.
    """

    def __init__(
        self,
        store: Store,
        account: Callable[[str], Account | None],
        settings: Callable[[str], Settings],
        public_url: str,
        stop_keys: Sequence[bytes],
    ) -> None:
        self._store = store
        self._account = account
        self._settings = settings
        self._public_url = public_url.rstrip("/")
        self._stop_keys = stop_keys

    async def address(self, session: Session) -> str:
        """Return where the visitor reads email, or ""; see `address_of`."""
        contact = await self._store.get(CONTACTS, session.workspace, session.contact)
        return address_of(session, contact)

    async def mail(self, doc: Awaited, letter: Letter) -> Ready | None:
        """Return the email; None where account or messages are gone.

        What the visitor wrote is quoted behind a person's answer alone: nobody has machines mail
        their own words to an address of their choice.
        """
        account = self._account(doc.account)
        found = await self._store.get_many(MESSAGES, doc.workspace, letter.replies)
        replies = [found[each] for each in letter.replies if each in found]
        if account is None or not replies:
            return None
        settings = self._settings(doc.workspace)
        wish = visitor_wish(doc.workspace, letter.to)
        envelope = Envelope(
            key=letter.key,
            workspace=doc.workspace,
            session=doc.id,
            to=letter.to,
            name=account.name,
            zone=_zone(settings.zone),
            return_url=self._return_url(account, doc, letter.at),
            stop_url=link(self._public_url, self._stop_keys, wish),
            brand_url=None if settings.remove_branding.email else self._public_url,
        )
        by_machines = not any(_is_a_persons(reply) for reply in replies)
        asked = None if by_machines else await self._asked(doc, replies[0].occurred_at)
        return Ready(mail=mail_of(envelope, asked, replies), by_machines=by_machines)

    async def _asked(self, doc: Awaited, before: datetime) -> Message | None:
        """Return what the visitor wrote last before our replies."""
        page = Page(order="timeline", descending=True, limit=_LOOKED_BACK)
        entries = await self._store.find(MESSAGES, doc.workspace, {"timeline": doc.id}, page)
        return next(
            (e for e in entries if _is_theirs(e) and e.occurred_at <= before),
            None,
        )

    def _return_url(self, account: Account, doc: Awaited, at: datetime) -> str:
        """Return the link back; its token stands where no server and no log sees it."""
        if not self._public_url:
            return ""
        try:
            token = mint_return(account, doc.visitor, doc.id, int(at.timestamp()))
        except (BadSignatureError, ValueError):
            return ""
        return f"{self._public_url}{CHAT_PATH}{account.slug}#t={token}"


def _is_theirs(entry: Message) -> bool:
    return entry.kind == "message" and entry.direction == "in"


def _is_a_persons(reply: Message) -> bool:
    """Tell whether a person wrote it, if only beforehand, to be sent at its time."""
    return reply.sender == "agent" or bool(reply.origin)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return _UTC
