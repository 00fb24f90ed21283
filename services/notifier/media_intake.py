"""From the facts of stored messages to the files that wait to be fetched."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from libs.common.bus.delivery import Ack, Bury, Delivery, Outcome, Retry
from libs.common.channel import Account, Channel
from libs.common.documents import ATTACHMENTS, MESSAGES, Attachment, Message
from libs.common.events import Fact, MediaPart
from libs.common.files.api import attachment_id
from libs.common.store.api import Store

log = logging.getLogger(__name__)

FILTER = "ev.*.message.stored.*"
_decode = msgspec.json.Decoder(Fact).decode
_LIFE_S = 7 * 24 * 3600.0


class Intake:
    """Notes each file of a visitor's message once, however often its fact comes.

    Args:
        store: Where messages are and files are noted.
        channels: By name; they tell how long a file can be fetched.
        account: Looks up a slug.
        now: UTC.
        noted: Told each workspace that has something new.
    """

    def __init__(
        self,
        store: Store,
        channels: Mapping[str, Channel],
        account: Callable[[str], Account | None],
        now: Callable[[], datetime],
        noted: Callable[[str], None],
    ) -> None:
        self._store = store
        self._channels = channels
        self._account = account
        self._now = now
        self._noted = noted

    async def handle(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """See `BatchHandler`."""
        outcomes: list[Outcome] = [Ack()] * len(deliveries)
        wanted: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for at, delivery in enumerate(deliveries):
            try:
                fact = _decode(delivery.data)
            except msgspec.DecodeError:
                outcomes[at] = Bury(code="malformed_payload", detail="no fact")
                continue
            if fact.media and fact.message:
                wanted[fact.workspace][fact.message] = at
        for workspace, messages in wanted.items():
            for at in await self._note(workspace, messages):
                outcomes[at] = Retry(code="not_stored")
        return outcomes

    async def _note(self, workspace: str, messages: Mapping[str, int]) -> list[int]:
        """Note the files of the messages; return the places of those that are not there."""
        found = await self._store.get_many(MESSAGES, workspace, list(messages))
        now = self._now()
        docs = [doc for message in found.values() for doc in self._files(message, now)]
        refused = await self._store.insert_many(ATTACHMENTS, docs) if docs else {}
        if len(refused) < len(docs):
            self._noted(workspace)
        return [at for message, at in messages.items() if message not in found]

    def _files(self, message: Message, now: datetime) -> list[Attachment]:
        account = self._account(message.account)
        channel = self._channels.get(account.channel) if account else None
        before = now + timedelta(seconds=channel.media_life_s if channel else _LIFE_S)
        return [
            Attachment(
                id=attachment_id(message.workspace, message.id, place),
                workspace=message.workspace,
                account=message.account,
                direction="in",
                state="pending",
                kind=part.kind,
                name=part.name,
                mime_type=part.mime_type,
                size_bytes=part.size_bytes or 0,
                duration_ms=part.duration_ms,
                message=message.id,
                part=place,
                owner=f"visitor:{message.visitor}",
                created_at=now,
                fetch_at=now,
                fetch_before=before,
            )
            for place, part in enumerate(message.parts)
            if isinstance(part, MediaPart) and is_away(message, place, part)
        ]


def is_away(message: Message, place: int, part: MediaPart) -> bool:
    """Tell whether a part's file is still at the provider.

    A web visitor's upload is in the storage already, under an id of its own; a sticker may be no
    more than a number.
    """
    stored = part.attachment not in {"", attachment_id(message.workspace, message.id, place)}
    return bool(part.url or part.media_id) and not stored
