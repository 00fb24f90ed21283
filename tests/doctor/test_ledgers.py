"""What doctor and `relaydesk ledger` say of missing events, and what writing them off does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from libs.common.cli.ledger import told, write_off
from libs.common.doctor.ledgers import look_at_ledgers, read_ledgers, words_of
from libs.common.documents import AUDIT, COLLECTIONS, SYSTEM
from libs.common.errors import NotFoundError
from libs.common.ledger.page import LEDGERS, MOST_MISSING, Ledger, Missed, missing_of
from libs.common.store.api import Page, Store
from libs.common.store.open import open_store

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def missed(number: int, **more: str) -> Missed:
    named = {"workspace": "acme", "account": "acme-line", "event": f"e{number}"} | more
    return Missed(
        sequence=number,
        made="2026-01-01T00:00:00Z",
        subject="in.3.acme.line.acme-line",
        channel="line",
        stored_at=AT,
        found_at=AT,
        **named,
    )


def ledger(*missing: Missed, stream: str = "INBOUND", **more: int) -> Ledger:
    return Ledger(
        id=stream,
        workspace=SYSTEM,
        made="2026-01-01T00:00:00Z",
        sequence=1_000,
        passed={"line": 10 + len(missing)},
        outcomes={"line": {"stored": 8, "duplicate": 2}},
        missing=missing,
        **more,
    )


WORDS: dict[str, tuple[Ledger, str, tuple[str, ...]]] = {
    "all is there": (ledger(), "ok", ("10 passed, none is missing",)),
    "places were empty": (ledger(expired=3), "ok", ("3 places were empty",)),
    "one is missing, by name, with the repair": (
        ledger(missed(7)),
        "wrong",
        ("1 of 11 ", "e7", "acme-line", "2026-03-01T12:00:00", "relaydesk replay --event ID"),
    ),
    "one that nobody can read": (
        ledger(missed(7, event="", workspace="", account="")),
        "wrong",
        ("unreadable, in.3.acme.line.acme-line", "sequence 7"),
    ),
    "many are not all named": (
        ledger(*(missed(number) for number in range(7))),
        "wrong",
        ("and 2 more, see `relaydesk ledger`",),
    ),
    "a full list stands still": (
        ledger(*(missed(number) for number in range(MOST_MISSING))),
        "wrong",
        ("stands still",),
    ),
    "a message out": (
        ledger(missed(7), stream="OUTBOUND"),
        "wrong",
        ("send again from the session",),
    ),
}


@pytest.mark.parametrize(("one", "grade", "words"), WORDS.values(), ids=WORDS)
def test_d01_doctor_says_what_is_missing(one: Ledger, grade: str, words: tuple[str, ...]) -> None:
    [check] = [check for check in look_at_ledgers([one]) if "not begun" not in check.words]
    assert check.grade == grade
    for word in words:
        assert word in check.words


def test_d01_a_ledger_that_has_not_begun_is_no_fault() -> None:
    assert [check.grade for check in look_at_ledgers([])] == ["note", "note"]


def test_d01_the_ledger_is_printed_as_an_equation() -> None:
    assert list(told(ledger(missed(7)))) == [
        "INBOUND: 11 passed, up to sequence 1000",
        "  line: 11 = duplicate 2 + stored 8 + missing 1",
        f"  missing  {words_of(missed(7))}",
    ]
    assert words_of(missed(7)).startswith("e7  workspace acme  account acme-line  taken 2026-03-01")


@pytest.fixture
async def store(ready_url: str) -> AsyncIterator[Store]:
    async with open_store(ready_url, COLLECTIONS) as opened:
        yield opened


OFF: dict[str, tuple[list[str] | None, list[str]]] = {
    "one by name": (["e1"], ["e2"]),
    "all": (None, []),
    "none of that name": (["e9"], ["e1", "e2"]),
}


@pytest.mark.parametrize(("events", "left"), OFF.values(), ids=OFF)
async def test_d01_what_is_written_off_is_counted_so(
    store: Store, events: list[str] | None, left: list[str]
) -> None:
    await store.insert(LEDGERS, ledger(missed(1), missed(2)))
    gone = await write_off(store, "INBOUND", events)
    [after] = await read_ledgers(store)
    assert [one.event for one in after.missing] == left
    assert gone == 2 - len(left) == after.outcomes["line"].get("written_off", 0)
    assert after.passed["line"] == sum(after.outcomes["line"].values()) + missing_of(after)["line"]
    noted = await store.find(AUDIT, SYSTEM, {}, Page(order="at"))
    assert [one.action for one in noted] == ["ledger.write_off"] * bool(gone)


async def test_d01_there_is_nothing_to_write_off_without_a_ledger(store: Store) -> None:
    with pytest.raises(NotFoundError, match="no ledger of INBOUND"):
        await write_off(store, "INBOUND", None)
