"""What a service stands on while its store comes and goes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from types import ModuleType
from typing import Any

import pytest

from libs.common import parts
from libs.common.errors import StoreUnavailableError
from services.desk import app as desk

OPENERS: dict[str, tuple[ModuleType, Callable[[AsyncExitStack], Any]]] = {
    "router and scheduler": (parts, lambda opened: parts.store_when_there(opened, "x", ())),
    "desk": (desk, lambda opened: desk._open_store(opened, "x")),
}


@pytest.mark.parametrize(("module", "opens"), OPENERS.values(), ids=OPENERS)
async def test_a_store_that_goes_away_again_is_closed_at_once(
    module: ModuleType,
    opens: Callable[[AsyncExitStack], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened_now: list[int] = []
    tries: list[int] = []

    @asynccontextmanager
    async def opening(*_where: object) -> AsyncIterator[int]:
        tries.append(len(tries))
        opened_now.append(tries[-1])
        try:
            yield tries[-1]
        finally:
            opened_now.remove(tries[-1])

    async def checked(store: int) -> None:
        if store < 2:
            raise StoreUnavailableError("away again")

    monkeypatch.setattr(module, "open_store", opening)
    monkeypatch.setattr(module, "check_schema", checked)
    monkeypatch.setattr(module, "OPEN_AGAIN_S", 0.0)
    async with AsyncExitStack() as opened:
        assert await opens(opened) == 2
        assert opened_now == [2]
    assert opened_now == []
