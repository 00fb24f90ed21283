"""The start of a router: every queue is served, whatever is wrong in one workspace."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from libs.common.documents import SYSTEM, DirectoryEntry
from libs.common.errors import StoreUnavailableError
from libs.common.policy import Member, Policy
from libs.common.store.api import Collection, Page, Where
from services.router import app
from services.router.app import look_at_all

NAMES = ("acme", "bell", "cord")
POLICY = Policy(members=(Member(id="amy", limit=2), Member(id="cem", limit=0)))


class Stage:
    """Store, directory, places and queues of a router, as far as its start uses them."""

    def __init__(self, faults: dict[str, list[Exception]]) -> None:
        self.faults = faults
        self.woken: list[str] = []
        self.mended: list[tuple[str, list[str]]] = []
        self.seats = self.assigner = self

    def _fail(self, name: str) -> None:
        if self.faults.get(name):
            raise self.faults[name].pop(0)

    async def find(
        self, _collection: Collection[Any], _workspace: str, _where: Where, _page: Page
    ) -> list[DirectoryEntry]:
        self._fail("store")
        ids = [f"workspace:{name}" for name in NAMES]
        return [DirectoryEntry(id=id_, workspace=SYSTEM, kind="workspace") for id_ in ids]

    def policy(self, _workspace: str) -> Policy:
        return POLICY

    def wake(self, workspace: str) -> None:
        self.woken.append(workspace)

    async def repair(self, workspace: str, agents: list[str]) -> None:
        self._fail(workspace)
        self.mended.append((workspace, agents))


STARTS: dict[str, tuple[dict[str, list[Exception]], tuple[str, ...]]] = {
    "nothing is wrong": ({}, NAMES),
    "a bug in one workspace": ({"bell": [ValueError("bad")]}, ("acme", "cord")),
    "the store is away for one": (
        {"acme": [StoreUnavailableError("away")]},
        ("bell", "cord", "acme"),
    ),
    "the store is away at all": ({"store": [StoreUnavailableError("away")]}, NAMES),
    "a bug before the first": ({"store": [ValueError("bad")]}, NAMES),
}


@pytest.mark.parametrize(("faults", "mended"), STARTS.values(), ids=STARTS)
async def test_every_queue_is_served_at_the_start(
    faults: dict[str, list[Exception]], mended: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "RETRY_S", 0.001)
    stage: Any = Stage({name: list(errors) for name, errors in faults.items()})
    await asyncio.wait_for(look_at_all(stage, stage, stage), 30)
    assert sorted(set(stage.woken)) == sorted(NAMES)
    assert stage.mended == [(name, ["amy"]) for name in mended]
