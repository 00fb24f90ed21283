"""The marks in the store: who began what, and which outcome holds. Real SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from libs.common.documents import SENDS, SendAttempt
from libs.common.errors import StoreUnavailableError
from libs.common.events import SendRequest
from libs.common.store.api import Store
from libs.common.store.open import open_store
from services.notifier.ledger import Ledger, LostError
from services.notifier.outcome import Result

NOW = datetime(2026, 11, 22, 8, 0, 0, 123456, tzinfo=UTC)
REQUEST = SendRequest(
    message_id="msg_1",
    workspace="acme",
    channel="line",
    account="acme-line",
    session="ses_1",
    visitor="U1",
    parts=(),
    queued_at=NOW,
    sender="agent:ada",
)


class Shaky:
    """A store whose named operation fails as if unanswered: before or after it took effect."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.failures: dict[str, list[str]] = {}

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any) -> Any:
            fault = self.failures[name].pop(0) if self.failures.get(name) else ""
            if fault == "before":
                raise StoreUnavailableError("no answer")
            answer = await getattr(self._store, name)(*args)
            if fault == "after":
                raise StoreUnavailableError("no answer")
            return answer

        return call


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Shaky]:
    async with open_store(f"sqlite:///{tmp_path / 'x.db'}", [SENDS]) as found:
        yield Shaky(found)


def ledger(store: Shaky, at: datetime = NOW, *, stopping: bool = False) -> Ledger:
    return Ledger(store, now=lambda: at, stopping=lambda: stopping)  # type: ignore[arg-type]


async def mark(store: Shaky) -> SendAttempt:
    found: SendAttempt | None = await store.get(SENDS, "acme", "msg_1")
    assert found is not None
    return found


async def test_the_first_mark_is_ours_and_the_second_finds_it(store: Shaky) -> None:
    attempt, first = await ledger(store).open(REQUEST)
    assert (attempt.state, attempt.tries, first) == ("started", 0, True)
    found, first = await ledger(store, NOW + timedelta(seconds=9)).open(REQUEST)
    assert (found, first) == (attempt, False)


async def test_a_mark_whose_confirmation_was_lost_is_known_as_our_own(store: Shaky) -> None:
    store.failures["insert"] = ["after"]
    _, first = await ledger(store).open(REQUEST)
    assert first, "else a message that nobody began would be unknown"


async def test_a_mark_that_was_not_written_is_written_again(store: Shaky) -> None:
    store.failures["insert"] = ["before", "before"]
    _, first = await ledger(store).open(REQUEST)
    assert first


async def test_nobody_waits_for_the_store_when_the_service_stops(store: Shaky) -> None:
    store.failures["insert"] = ["before"]
    with pytest.raises(StoreUnavailableError):
        await ledger(store, stopping=True).open(REQUEST)


async def test_waiting_and_started_again_keep_the_tries(store: Shaky) -> None:
    book = ledger(store)
    attempt, _ = await book.open(REQUEST)
    store.failures["replace"] = ["after", "before"]  # the second write finds the first
    waiting = await book.wait(attempt, tries=2)
    assert ((await mark(store)).state, (await mark(store)).tries) == ("waiting", 2)
    later = ledger(store, NOW + timedelta(seconds=60))
    started = await later.restart(waiting)
    assert (started.state, started.tries) == ("started", 2)
    assert started.started_at - attempt.started_at == timedelta(seconds=60)


async def test_who_lost_the_mark_to_another_does_not_go_on(store: Shaky) -> None:
    mine, _ = await ledger(store).open(REQUEST)
    waiting = await ledger(store).wait(mine, tries=1)
    await ledger(store, NOW + timedelta(seconds=5)).restart(waiting)
    with pytest.raises(LostError):
        await ledger(store).restart(waiting)


OUTRANKS = {
    "sent stands above unknown": ("unknown", "sent", "sent"),
    "a refusal stands above unknown": ("unknown", "failed", "failed"),
    "unknown does not overwrite sent": ("sent", "unknown", "sent"),
    "failed does not overwrite sent": ("sent", "failed", "sent"),
    "the first unknown holds": ("unknown", "unknown", "unknown"),
}


@pytest.mark.parametrize(("theirs", "ours", "holds"), OUTRANKS.values(), ids=OUTRANKS)
async def test_two_that_finish_agree_on_one_outcome(
    store: Shaky, theirs: Any, ours: Any, holds: str
) -> None:
    mine, _ = await ledger(store).open(REQUEST)
    other, _ = await ledger(store).open(REQUEST)
    await ledger(store).finish(other, Result(status=theirs))
    found = await ledger(store).finish(mine, Result(status=ours, reason="mine"))
    assert (found.status, (await mark(store)).state) == (holds, holds)


async def test_an_outcome_is_written_through_every_failure(store: Shaky) -> None:
    attempt, _ = await ledger(store).open(REQUEST)
    store.failures["replace"] = ["before", "after"]
    result = Result(status="sent", provider_ids=("p1",), via="push")
    assert await ledger(store, stopping=True).finish(attempt, result) == result
    assert (await mark(store)).provider_ids == ("p1",)


async def test_a_message_that_brings_files_waits_until_it_begins_at_its_own_time(
    store: Shaky,
) -> None:
    waiting, first = await ledger(store).open(REQUEST, "waiting")
    assert first
    assert (await mark(store)).state == "waiting"
    later = ledger(store, NOW + timedelta(seconds=9))
    begun = await later.begin(waiting)
    assert (begun.state, begun.started_at) == ("started", waiting.started_at)
    other = later.renewed(waiting)
    with pytest.raises(LostError):
        await later.begin(other)
