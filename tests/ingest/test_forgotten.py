"""What ingest keeps of visitors who were erased: nothing that is late, and no link of theirs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from libs.common.bus.delivery import KvEntry
from libs.common.erased import Erased, Tombstone, tombstone_key
from libs.common.events import Inbound, MessageReceived, TextPart
from services.ingest.forgotten import kept
from services.ingest.record import Record
from services.ingest.spool import open_spool
from services.ingest.spool_format import scan
from tests.ingest.harness import Here, account
from tests.ingest.test_return import back, link

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KEY = b"k" * 32


def erased(account_: str, visitor: str, before: datetime) -> Erased:
    found = Erased((KEY,))
    key = tombstone_key(KEY, "acme", account_, visitor)
    value = msgspec.json.encode(Tombstone(before=before))
    found.see(KvEntry(key=key, value=value, revision=1))
    return found


def webhook(*visitors: str, at: datetime = NOW) -> list[Record]:
    records = [Record("raw.acme.line.line", "raw", {}, b"{}")]
    for visitor in visitors:
        inbound = Inbound(
            workspace="acme", channel="line", account="line", ingest_id="i", received_at=at,
            event=MessageReceived(
                event_id=visitor, visitor=visitor, occurred_at=at, message_id=visitor,
                parts=(TextPart(text="x"),),
            ),
        )  # fmt: skip
        records.append(Record("in.1.acme.line.line", visitor, {}, msgspec.json.encode(inbound)))
    return records


def test_d15_a_late_webhook_goes_with_its_raw_body_and_others_events_stay() -> None:
    gone = erased("line", "U1", NOW + timedelta(seconds=1))
    assert [one.msg_id for one in kept(gone, webhook("U1", "U2"))] == ["U2"]
    assert kept(gone, webhook("U1")) == []
    for left in (webhook("U2"), webhook("U1", at=NOW + timedelta(seconds=2))):
        assert kept(gone, left) == left


async def test_d15_what_was_set_aside_is_written_anew_without_them(tmp_path: Path) -> None:
    async with open_spool(tmp_path, 10_000_000) as spool:
        for record in (*webhook("U1")[1:], *webhook("U2")[1:]):
            await spool.set_aside(record)
        gone = erased("line", "U1", NOW + timedelta(seconds=1))
        await spool.sift(lambda records: kept(gone, records))
    data = (tmp_path / "refused").read_bytes()
    assert [found.records[0].msg_id for found in scan(data) if found.records] == ["U2"]
    assert b"U1" not in data


async def test_d15_links_from_before_do_not_work_and_later_ones_do(here: Here) -> None:
    shop = account("web")
    here.connect(shop)
    key = tombstone_key(KEY, shop.workspace, shop.slug, "visitor-1")
    gone = Erased((KEY,))
    value = msgspec.json.encode(Tombstone(before=datetime.now(UTC) - timedelta(minutes=1)))
    gone.see(KvEntry(key=key, value=value, revision=1))
    here.reach.erased = gone
    assert (await back(here, shop, link(shop, "visitor-1", age_s=120)))[0] == 410
    assert (await back(here, shop, link(shop, "visitor-1")))[0] == 200
    assert (await back(here, shop, link(shop, "visitor-2", age_s=120)))[0] == 200
