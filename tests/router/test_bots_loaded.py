"""The bots that a router knows: what the policy names, loaded once for each revision."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from libs.common.documents import ATTACHMENTS, BOTS, Attachment, Bot, FaqEntry
from libs.common.errors import StoreUnavailableError
from libs.common.policy import BotRef, Policy
from services.router.bots import Bots
from tests.router.faulty import FaultyStore, Steps
from tests.router.rig import WORKSPACE, Rig, at


def bot(id_: str, **more: Any) -> Bot:
    return Bot(id=id_, workspace=WORKSPACE, **{"name": id_.title(), "kind": "faq", **more})


def ref(id_: str, rev: int = 1, **more: Any) -> BotRef:
    return BotRef(id=id_, kind="faq", rev=rev, **more)


@pytest.fixture
async def stored(rig: Rig) -> Rig:
    """A store with two bots."""
    await rig.store.insert_many(BOTS, [bot("one"), bot("two")])
    return rig


async def test_what_is_known_is_not_looked_for_again(stored: Rig) -> None:
    steps = Steps()
    bots = Bots(FaultyStore(stored.store, steps))
    policy = Policy(bots=(ref("one"), ref("two")))
    assert list(await bots.of(WORKSPACE, policy)) == ["one", "two"]
    for same in (policy, msgspec.structs.replace(policy, version=2)):
        await bots.of(WORKSPACE, same)
    assert steps.names == ["get_many bots"]


async def test_only_what_changed_is_loaded(stored: Rig) -> None:
    bots = Bots(stored.store)
    before = await bots.of(WORKSPACE, Policy(bots=(ref("one"), ref("two"))))
    await stored.store.replace(BOTS, bot("two", rev=1, fuzzy=101))
    after = await bots.of(WORKSPACE, Policy(bots=(ref("one"), ref("two", 2))))
    assert after["one"] is before["one"]
    assert (before["two"].fuzzy, after["two"].fuzzy) == (85, 101)


GONE: dict[str, tuple[BotRef, ...]] = {
    "a_bot_that_the_policy_disables": (ref("one"), ref("two", enabled=False)),
    "a_bot_that_is_not_stored": (ref("one"), ref("three")),
    "a_bot_that_the_policy_does_not_name": (ref("one"),),
}


@pytest.mark.parametrize("refs", GONE.values(), ids=GONE)
async def test_left_out(stored: Rig, refs: tuple[BotRef, ...]) -> None:
    assert list(await Bots(stored.store).of(WORKSPACE, Policy(bots=refs))) == ["one"]


async def test_a_bot_that_was_disabled_since_is_left_out(stored: Rig) -> None:
    await stored.store.replace(BOTS, bot("two", rev=1, enabled=False))
    found = await Bots(stored.store).of(WORKSPACE, Policy(bots=(ref("one"), ref("two"))))
    assert list(found) == ["one"]


async def test_a_workspace_without_bots_costs_nothing(stored: Rig) -> None:
    steps = Steps()
    assert await Bots(FaultyStore(stored.store, steps)).of(WORKSPACE, Policy()) == {}
    assert steps.names == []


async def test_each_workspace_has_its_own(stored: Rig) -> None:
    bots = Bots(stored.store)
    policy = Policy(bots=(ref("one"),))
    assert list(await bots.of("other", policy)) == []
    assert list(await bots.of(WORKSPACE, policy)) == ["one"]


async def test_a_store_that_is_away_is_asked_again(stored: Rig) -> None:
    steps = Steps(1, "before", StoreUnavailableError)
    bots = Bots(FaultyStore(stored.store, steps))
    policy = Policy(bots=(ref("one"),))
    with pytest.raises(StoreUnavailableError):
        await bots.of(WORKSPACE, policy)
    assert list(await bots.of(WORKSPACE, policy)) == ["one"]


async def test_stored_files_come_with_the_answers_that_name_them(rig: Rig) -> None:
    def file(id_: str, **more: Any) -> Attachment:
        given = {"direction": "out", "state": "stored", "kind": "image", "name": f"{id_}.png"}
        return Attachment(id=id_, workspace=WORKSPACE, created_at=at(0), **{**given, **more})

    entry = FaqEntry(id="e", keywords=("x",), answers=("X",), attachments=("a", "b", "gone"))
    await rig.store.insert_many(BOTS, [bot("one", faq=(entry,))])
    await rig.store.insert_many(ATTACHMENTS, [file("a"), file("b", state="failed")])
    found = await Bots(rig.store).of(WORKSPACE, Policy(bots=(ref("one"),)))
    [(id_, part)] = found["one"].files.items()
    assert (id_, part.attachment, part.kind, part.name) == ("a", "a", "image", "a.png")


class Slow:
    """A store that answers when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def get_many(self, _kind: Any, _workspace: str, ids: list[str]) -> dict[str, Bot]:
        await self.go.wait()
        return {id_: bot(id_) for id_ in ids}


async def test_a_bot_may_go_while_others_are_loaded() -> None:
    store: Any = Slow()
    bots = Bots(store)
    store.go.set()
    await bots.of(WORKSPACE, Policy(bots=(ref("one"),)))
    store.go.clear()
    first = asyncio.create_task(bots.of(WORKSPACE, Policy(bots=(ref("one"), ref("two")))))
    await asyncio.sleep(0)
    off = ref("two", enabled=False)
    assert await bots.of(WORKSPACE, Policy(bots=(off,))) == {}
    store.go.set()
    assert list(await first) == ["one", "two"]
