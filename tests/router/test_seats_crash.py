"""A router that dies at any step of giving or freeing a session: places come right again.

Every command to the store and every publish is a step; the process is killed before or after it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import NamedTuple

import pytest

from libs.common.bus.delivery import Ack, Delivery
from libs.common.documents import LOADS, SESSIONS
from libs.common.errors import StoreUnavailableError
from libs.common.policy import Policy
from libs.common.store.api import Collection, Store
from libs.common.switches import Settings
from services.router.seats import LEASE
from tests.router.faulty import Crashed, D, FaultyBus, FaultyStore, Steps, When
from tests.router.floor import team_of
from tests.router.rig import WORKSPACE, Rig, rig_on, said

AGENTS = ("amy", "bob", "cem", "lead")
AUTO = Settings(auto_hosting=False, auto_assign=True)
LIMITS = {"amy": 1, "bob": 0, "lead": 0}

Work = Callable[[Rig], Awaitable[object]]


async def places(store: Store) -> dict[str, set[str]]:
    """Return for which sessions each agent's places are taken."""
    found = await store.get_many(LOADS, WORKSPACE, list(AGENTS))
    return {a: {held.session for held in load.held} for a, load in found.items() if load.held}


async def owned(rig: Rig) -> dict[str, set[str]]:
    """Return which sessions each agent owns."""
    found: dict[str, set[str]] = {}
    for session in await rig.sessions("assigned"):
        found.setdefault(session.owner or "", set()).add(session.id)
    return found


def open_floor(rig: Rig) -> None:
    rig.settings = AUTO
    rig.policy = Policy(settings=AUTO, members=team_of(**LIMITS))
    rig.present["amy"] = "online"


class Story(NamedTuple):
    """What was before, what is cut short, and who owns what in the end, by visitor."""

    before: Work
    deed: Work
    owners: dict[str, str]


def message(visitor: str, sequence: int) -> Callable[[Rig], list[Delivery]]:
    def made(rig: Rig) -> list[Delivery]:
        rig.sequence = sequence
        return rig.number([said(f"hi {visitor}", visitor=visitor)])

    return made


async def nothing(_rig: Rig) -> None:
    """Nobody has written yet."""


async def one_opens(rig: Rig) -> None:
    assert await rig.deliver(message("U1", 1)(rig)) == [Ack()]


async def one_waits(rig: Rig) -> None:
    rig.present["amy"] = "away"
    await one_opens(rig)
    rig.present["amy"] = "online"


async def two_open(rig: Rig) -> None:
    await one_opens(rig)
    assert await rig.deliver(message("U2", 2)(rig)) == [Ack()]


async def queue(rig: Rig) -> None:
    await rig.assigner.look(WORKSPACE)


async def of(rig: Rig, visitor: str) -> str:
    return next(session.id for session in await rig.sessions() if session.visitor == visitor)


async def ends(rig: Rig) -> None:
    await rig.done(rig.end(await of(rig, "U1"), "lead", key="end"))


async def moves(rig: Rig) -> None:
    await rig.done(rig.assign(await of(rig, "U1"), "lead", "bob", key="move"))


async def claims(rig: Rig) -> None:
    await rig.done(rig.claim(await of(rig, "U2"), "bob", key="claim"))


STORIES: dict[str, Story] = {
    "a message opens a session for an agent": Story(nothing, one_opens, {"U1": "amy"}),
    "the queue gives a session": Story(one_waits, queue, {"U1": "amy"}),
    "an end frees a place for who waits": Story(two_open, ends, {"U1": "", "U2": "amy"}),
    "a lead moves a session": Story(two_open, moves, {"U1": "bob", "U2": "amy"}),
    "an agent claims above the limit": Story(two_open, claims, {"U1": "amy", "U2": "bob"}),
}


async def heal(rig: Rig) -> None:
    """Start again later, as the router does: sweep, mend, serve the queue."""
    rig.now += LEASE + timedelta(seconds=1)
    rig.restart()
    await rig.outbox.sweep()
    await rig.seats.repair(WORKSPACE, AGENTS)
    await rig.assigner.look(WORKSPACE)
    await rig.outbox.sweep()


async def cut_short(url: str, story: Story, steps: Steps) -> bool:
    """Tell the story, cut short at a step; see that all is right in the end, and whether it was."""
    crashed = False
    async with rig_on(url, AUTO) as rig:
        open_floor(rig)
        await story.before(rig)
        doomed = rig.process(FaultyStore(rig.store, steps), FaultyBus(rig.bus, steps))
        doomed.restart()
        try:
            await story.deed(doomed)
        except Crashed:
            crashed = True
        await heal(rig)
        await story.deed(rig)  # whoever asked asks again, the server delivers again
        await heal(rig)
        assert await places(rig.store) == await owned(rig), steps.names
        owners = {
            session.visitor: session.owner if session.list == "assigned" else ""
            for session in await rig.sessions()
        }
        assert owners == story.owners, steps.names
    return crashed


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
async def test_killed_at_any_step_while(
    fresh_url: Callable[[], str], story: Story, moment: When
) -> None:
    crashes = 0
    while await cut_short(fresh_url(), story, Steps(crashes + 1, moment)):
        crashes += 1
    assert crashes >= 5


class Unsure(FaultyStore):
    """A store whose answer to the writes of sessions is lost, done or not, while it is `away`."""

    def __init__(self, store: Store, *, done: bool) -> None:
        super().__init__(store, Steps())
        self._done = done
        self.away = True

    async def replace(self, collection: Collection[D], doc: D) -> D:
        lost = self.away and collection.name == SESSIONS.name
        if not lost or self._done:
            doc = await super().replace(collection, doc)
        if lost:
            raise StoreUnavailableError("no answer")
        return doc


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
async def test_a_write_whose_answer_is_lost_leaves_no_place_behind(rig: Rig, done: bool) -> None:
    """The process lives on, and nobody is full: it looks once it can know."""
    open_floor(rig)
    rig.policy = Policy(settings=AUTO, members=team_of(amy=5))
    await one_waits(rig)
    store = Unsure(rig.store, done=done)
    doomed = rig.process(store, rig.bus)
    with pytest.raises(StoreUnavailableError):
        await queue(doomed)
    assert set(await places(rig.store)) == {"amy"}
    doomed.now += LEASE
    store.away = False
    await doomed.seats.settle()
    assert await places(rig.store) == await owned(rig)
    assert len(await rig.sessions("assigned")) == int(done)
