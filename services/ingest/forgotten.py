"""What ingest does not pass on: late webhooks of visitors who were erased since."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from libs.common.erased import Erased
from libs.common.events import Inbound
from services.ingest import metrics
from services.ingest.record import Record

_inbound = msgspec.json.Decoder(Inbound)


def kept(erased: Erased | None, records: Sequence[Record]) -> Sequence[Record]:
    """Return what of one webhook's *records* may be stored.

    Where an event of it is dropped, so is the webhook as it came: it says the same.
    """
    if not erased:
        return records
    events = [one for one in records if one.subject.startswith("in.")]
    wanted = [one for one in events if not _drops(erased, one.data)]
    if len(wanted) == len(events):
        return records
    metrics.ERASED.inc(len(events) - len(wanted))
    return wanted


def _drops(erased: Erased, data: bytes) -> bool:
    try:
        return erased.drops(_inbound.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
