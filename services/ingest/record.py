"""What ingest has to store durably: messages for the bus, whole or not at all per webhook."""

from __future__ import annotations

import msgspec


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One message for JetStream; the same `msg_id` again changes nothing."""

    subject: str
    msg_id: str
    headers: dict[str, str]
    data: bytes
