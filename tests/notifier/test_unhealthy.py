"""An account that turns bad is told of once: whatever replicas, repeats, and however it flaps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from libs.common.bus.client import Bus, open_bus
from libs.common.channel import Account
from libs.common.errors import CredentialError, NotSentError
from libs.common.events import Fact
from libs.common.health import Seen, State
from libs.common.recorder import Recorder
from libs.common.simulate.stub import Scripted, running_stub
from libs.common.subjects import EVENTS, HEALTH_KV
from services.notifier.gates import Gates
from services.notifier.standing import Standings
from services.notifier.unhealthy import Turn, Unhealthy, telling
from tests.notifier.rig import notifying, staged, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOON = datetime.now(UTC).replace(minute=30, second=0, microsecond=0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    async with open_bus(nats_url, name="test-unhealthy") as opened:
        yield opened


async def told(bus: Bus, slug: str) -> list[Fact]:
    stored = await bus.read(EVENTS, f"ev.*.account.unhealthy.{slug}")
    return [msgspec.json.decode(message.data, type=Fact) for message in stored]


def minutes(count: float) -> datetime:
    return NOON + timedelta(minutes=count)


class Replica:
    """A process that judges the account *slug* by calls that the test makes up."""

    def __init__(self, bus: Bus, slug: str, clock: Callable[[], datetime]) -> None:
        self.account = Account(workspace="acme", slug=slug, channel="line", external_id="1")
        self.recorder = Recorder("notifier", clock)
        self.unhealthy = Unhealthy(bus, self.recorder.writer)
        self._bus = bus
        self.gates = Gates()
        self.standings = Standings(
            {slug: self.account}.get, self.gates, self.recorder, clock, self.unhealthy.turned
        )

    async def sees(self, what: str) -> None:
        self.standings.admit(self.account)
        slug = self.account.slug
        if what == "revoked":
            error = CredentialError("no", reason="credential")
            self.standings.failed(slug, error, None, final=True)
        elif what == "failing":
            for _ in range(5):
                self.standings.failed(slug, NotSentError("no"), None, final=True)
        else:
            self.standings.sent(slug, "push")

    async def writes(self) -> None:
        await self.recorder.write(self._bus)

    def close(self) -> None:
        self.gates.close()
        self.standings.close()


# What happens: (minute, replica, what it sees); and at which minutes what is told.
Story = tuple[list[tuple[float, int, str]], list[tuple[float, State]]]
STORIES: dict[str, Story] = {
    "it turns bad": ([(0, 0, "failing")], [(0, "failing")]),
    "it is well": ([(0, 0, "ok")], []),
    "two replicas judge so, one after the other": (
        [(0, 0, "revoked"), (2, 1, "revoked")],
        [(0, "revoked")],
    ),
    "a replica that starts later finds what the other has found": (
        [(0, 0, "revoked"), (150, 1, "revoked")],
        [(0, "revoked")],
    ),
    "a replica that sent well long ago finds what the other has found": (
        [(0, 1, "ok"), (5, 0, "failing"), (150, 1, "failing")],
        [(5, "failing")],
    ),
    "it comes and goes": (
        [(0, 0, "failing"), (5, 0, "ok"), (10, 0, "failing"), (15, 0, "ok"), (59, 0, "failing")],
        [(0, "failing")],
    ),
    "it comes back after an hour": (
        [(0, 0, "failing"), (5, 0, "ok"), (61, 0, "failing")],
        [(0, "failing"), (61, "failing")],
    ),
    "another state is told besides": (
        [(0, 0, "failing"), (5, 0, "revoked")],
        [(0, "failing"), (5, "revoked")],
    ),
}


@pytest.mark.parametrize(("steps", "expected"), STORIES.values(), ids=STORIES)
async def test_what_is_told_of_an_account(
    bus: Bus, steps: list[tuple[float, int, str]], expected: list[tuple[float, State]]
) -> None:
    slug = f"story-{list(STORIES.values()).index((steps, expected))}"
    clock = [NOON]
    replicas = [Replica(bus, slug, lambda: clock[0]) for _ in range(2)]
    async with AsyncExitStack() as opened:
        for replica in replicas:
            opened.callback(replica.close)
            await opened.enter_async_context(telling(replica.unhealthy))
        for minute, place, what in steps:
            clock[0] = minutes(minute)
            await replicas[place].sees(what)
            await asyncio.sleep(0.1)
            await replicas[place].writes()
    facts = await told(bus, slug)
    assert [(fact.at, fact.status) for fact in facts] == [
        (minutes(minute), state) for minute, state in expected
    ]
    for fact in facts:
        assert (fact.session, fact.workspace) == (slug, "acme")
        assert fact.detail == ("credential" if fact.status == "revoked" else "not_sent")


async def test_two_replicas_that_judge_in_the_same_moment_tell_it_once(bus: Bus) -> None:
    before = Seen(at=NOON)
    turn = Turn(
        workspace="acme", account="twins", state="failing", code="x", at=NOON, before=before
    )
    twins = [Unhealthy(bus, f"notifier.{n}") for n in range(2)]
    async with telling(twins[0]), telling(twins[1]):
        for twin in twins:
            twin.turned(turn)
        await asyncio.sleep(0.3)
    assert len(await told(bus, "twins")) == 1


async def test_who_is_well_again_before_it_could_be_told_is_not_told(bus: Bus) -> None:
    fresh = Unhealthy(bus, "notifier.x")
    base = {"workspace": "acme", "account": "brief", "code": "x", "at": NOON}
    for state in ("failing", "ok"):
        fresh.turned(msgspec.convert({**base, "state": state, "before": {"at": NOON}}, Turn))
    async with telling(fresh):
        await asyncio.sleep(0.2)
    assert await told(bus, "brief") == []


async def test_what_it_has_written_of_itself_does_not_keep_it_from_telling(bus: Bus) -> None:
    """As after the bus was away: the note may be written before the fact is told."""
    replica = Replica(bus, "own", lambda: NOON)
    await replica.sees("failing")
    await replica.writes()
    async with telling(replica.unhealthy):
        await asyncio.sleep(0.2)
    replica.close()
    assert len(await told(bus, "own")) == 1


async def test_what_a_dead_replica_left_behind_is_known(bus: Bus) -> None:
    left = Seen(at=NOON, state="revoked", state_at=NOON, failed_at=NOON)
    await bus.kv_put(HEALTH_KV, "left.notifier.gone", msgspec.json.encode(left))
    clock = minutes(600)
    replica = Replica(bus, "left", lambda: clock)
    async with telling(replica.unhealthy):
        await replica.sees("revoked")
        await asyncio.sleep(0.2)
    replica.close()
    assert await told(bus, "left") == []


async def test_a_running_notifier_tells_of_a_revoked_account_once(
    nats_url: str, tmp_path: Path, bus: Bus
) -> None:
    revoked = Scripted(status=401, taken=False, body={"error": {"code": 190}})
    async with running_stub() as stub, staged(nats_url, tmp_path, stub) as rig, notifying(rig):
        of = await rig.connect("messenger", "lapsed")
        stub.script(of.slug, *[revoked] * 20)
        for _ in range(3):
            await rig.report(of, await rig.send(of, "hi"))

        async def found() -> list[Fact]:
            return await told(bus, of.slug)

        [fact] = await until(found, "the fact")
    assert (fact.status, fact.detail, fact.workspace) == ("revoked", "credential", of.workspace)
