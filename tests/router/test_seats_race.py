"""Many routers at once: no interleaving exceeds a limit, and at rest places are owned sessions."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.commands import Done, Refused
from libs.common.policy import Policy
from libs.common.switches import Settings, Strategy
from services.router.seats import LEASE
from tests.router.floor import team_of
from tests.router.rig import T0, WORKSPACE, Rig, rig_on, said
from tests.router.test_seats_crash import owned, places

LIMITS = {"amy": 3, "bob": 2, "cem": 1, "lead": 0}
ROUTERS = 3
VISITORS = 12
ROUNDS = 30


class Watch:
    """Looks at who owns how many, again and again, while others work."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._done = False
        self.most: Counter[str] = Counter()

    async def run(self) -> None:
        while not self._done:
            for agent, sessions in (await owned(self._rig)).items():
                self.most[agent] = max(self.most[agent], len(sessions))
            await asyncio.sleep(0.002)

    def stop(self) -> None:
        self._done = True


class Story:
    """One process of three, doing what people and visitors do, by chance."""

    def __init__(self, rig: Rig, chance: random.Random) -> None:
        self._rig = rig
        self._chance = chance

    async def run(self) -> None:
        for _ in range(ROUNDS):
            deed = self._chance.choice(
                (self.write, self.write, self.end, self.end, self.drop, self.coming, self.claim)
            )
            await deed()
            await asyncio.sleep(self._chance.random() * 0.004)

    async def write(self) -> None:
        number = self._chance.randrange(VISITORS)
        events = [
            said(f"{self._chance.random()}", visitor=f"U{(number + n) % VISITORS}")
            for n in range(self._chance.randrange(1, 5))
        ]
        self._rig.sequence += 1000
        await self._rig.deliver(self._rig.number(events))

    async def end(self) -> None:
        await self._on_one("assigned", lambda session: self._rig.end(session, "lead"))

    async def drop(self) -> None:
        await self._on_one("assigned", lambda session: self._rig.assign(session, "lead"))

    async def claim(self) -> None:
        """The lead has no limit to exceed, so that whoever is above one got it automatically."""
        await self._on_one("unassigned", lambda session: self._rig.claim(session, "lead"))

    async def coming(self) -> None:
        agent = self._chance.choice(("amy", "bob", "cem"))
        self._rig.present[agent] = self._chance.choice(("online", "online", "away", ""))
        self._rig.assigner.wake(WORKSPACE)

    async def _on_one(self, where: str, command: Callable[[str], object]) -> None:
        found = await self._rig.sessions(where)
        if found:
            session = self._chance.choice(found).id
            answer = await self._rig.ask(command(session))  # type: ignore[arg-type]
            assert isinstance(answer, Done | Refused)
            assert not isinstance(answer, Refused) or answer.status < 500, answer


STRATEGIES: tuple[Strategy, ...] = ("least_loaded", "round_robin", "priority", "sticky")


@pytest.mark.parametrize("seed", range(4))
async def test_limits_hold_whatever_three_routers_do(ready_url: str, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 (a story that can be told again)
    settings = Settings(
        auto_hosting=False,
        auto_assign=True,
        strategy=STRATEGIES[seed],
        reopen=("owner", "queue")[seed % 2],
        removed_for_s=0,
    )
    async with rig_on(ready_url, settings) as rig:
        rig.policy = Policy(settings=settings, members=team_of(**LIMITS))
        rig.present |= dict.fromkeys(("amy", "bob", "cem"), "online")
        rig.serves_queue = True
        ticking(rig)
        routers = [rig.twin() for _ in range(ROUTERS)]
        for router in routers:
            ticking(router)
            router.restart()
        watch = Watch(rig)
        looking = asyncio.create_task(watch.run())
        try:
            await asyncio.gather(*(Story(router, chance).run() for router in routers))
            rig.present |= dict.fromkeys(("amy", "bob", "cem"), "online")
            for router in routers:
                router.assigner.wake(WORKSPACE)
            await until_at_rest(rig)
        finally:
            watch.stop()
            await looking
            for router in routers:
                await router.assigner.stop()
    assert {a: watch.most[a] for a in ("amy", "bob", "cem")} == {"amy": 3, "bob": 2, "cem": 1}


def ticking(rig: Rig) -> None:
    """Let the clock run, as leases and turns need."""
    start = datetime.now(UTC)
    rig.patience = timedelta(seconds=60)  # a busy machine is slower than an agent's patience
    rig._clock = lambda: T0 + timedelta(seconds=60) + (datetime.now(UTC) - start)  # type: ignore[method-assign]


async def until_at_rest(rig: Rig) -> None:
    """Wait until nobody waits for whom there is room, and places are the sessions owned."""
    tries = int(LEASE.total_seconds() / 0.05) + 100
    while True:
        have, waiting = await owned(rig), await rig.sessions("unassigned")
        taken = await places(rig.store)
        full = all(len(have.get(agent, ())) >= LIMITS[agent] for agent in ("amy", "bob", "cem"))
        if (full or not waiting) and taken == have:
            return
        tries -= 1
        assert tries, (taken, have, len(waiting))
        await asyncio.sleep(0.05)
