"""People take sessions from replying bots: two routers, real NATS, one store (D03, B12)."""

from __future__ import annotations

import asyncio
import random
import shutil
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from libs.common import subjects
from libs.common.bus.client import Bus, open_bus
from libs.common.bus.delivery import Ack
from libs.common.commands import Answer, Command, Done, FireTimer, Refused
from libs.common.documents import (
    BOTS,
    COLLECTIONS,
    DIRECTORY,
    SESSIONS,
    SYSTEM,
    Bot,
    DirectoryEntry,
    FaqEntry,
    Session,
)
from libs.common.policy import Policy
from libs.common.store.api import Page
from libs.common.store.open import open_store
from tests.nats_server import NatsProcess
from tests.router.bot_stage import flow_bot, ref_of, webhook_bot
from tests.router.rig import HOSTED, WORKSPACE, MemoryBus, Rig, arrived, delivery, said

ROUNDS = 1000
AT_ONCE = 25
REPLIES = 3
KINDS = {"faq": "line", "flow": "telegram", "webhook": "web"}
"""Each kind of bot hosts a channel of its own."""
WAYS = ("reply", "claim", "off", "off and on")

_answer: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


class Site:
    """Two routers in this process, each with its own connections, that answer commands by NATS."""

    def __init__(self, routers: Sequence[Rig], bus: Bus) -> None:
        self.routers = routers
        self.bus = bus
        self.chance = random.Random(4)  # noqa: S311 (jitter)
        self.run = uuid.uuid4().hex[:8]
        self.sequence = 0
        self.codes: Counter[str] = Counter()

    async def ask(self, command: Command) -> Answer:
        """Ask as desk, the notifier and the scheduler do; either router answers."""
        subject = subjects.command(0, WORKSPACE, str(command.__struct_config__.tag))
        data = await self.bus.request(subject, msgspec.json.encode(command), timeout_s=30)
        return _answer.decode(data)

    async def write(self, text: str, *visitors: int) -> None:
        """Let visitors write, in one batch; either router gets it."""
        batch = []
        for number in visitors:
            self.sequence += 1
            event = said(text, visitor=f"V{number}", key=f"{self.run}-{number}-{text}")
            inbound = arrived(event, channel=KINDS[kind_of(number)], account=account_of(number))
            batch.append(delivery(inbound, self.sequence))
        router = self.chance.choice(self.routers)
        assert await router.deliver(batch) == [Ack()] * len(batch)

    async def pause(self) -> None:
        await asyncio.sleep(self.chance.uniform(0, 0.02))


def kind_of(number: int) -> str:
    """Return the kind of bot that hosts this visitor."""
    return list(KINDS)[number % 3]


def account_of(number: int) -> str:
    return f"acme-{kind_of(number)}"


def bots() -> list[Bot]:
    """Return a bot of each kind, which always has something to say."""
    entry = FaqEntry(id="any", keywords=("hi",), answers=("Hello.",))
    loop = msgspec.structs.replace(
        flow_bot().steps[0], wait_s=5, late_to=flow_bot().steps[0].id, when=()
    )
    steps = (loop, *flow_bot().steps[1:])
    return [
        Bot(
            id="faq",
            workspace=WORKSPACE,
            name="Faq",
            kind="faq",
            faq=(entry,),
            channels=(KINDS["faq"],),
        ),
        flow_bot(steps=steps, channels=(KINDS["flow"],)),
        webhook_bot(channels=(KINDS["webhook"],)),
    ]


@pytest.fixture
async def site(nats_process: NatsProcess, empty_store: Path, tmp_path: Path) -> AsyncIterator[Site]:
    path = tmp_path / "store.db"
    shutil.copy(empty_store, path)
    async with AsyncExitStack() as opened:
        routers = []
        for number in range(2):
            bus = await opened.enter_async_context(open_bus(nats_process.url, name=f"r{number}"))
            store = await opened.enter_async_context(open_store(f"sqlite:///{path}", COLLECTIONS))
            rig = Rig(store, MemoryBus(), HOSTED)
            rig.says = bus
            rig.policy = Policy(settings=HOSTED, bots=tuple(map(ref_of, bots())))
            rig.restart()
            opened.push_async_callback(
                await bus.serve(subjects.COMMANDS, queue="router", handle=rig.executor.handle)
            )
            routers.append(rig)
        store = routers[0].store
        known = DirectoryEntry(
            id=f"workspace:{WORKSPACE}", workspace=SYSTEM, kind="workspace", targets=(WORKSPACE,)
        )
        await store.insert_many(DIRECTORY, [known])
        await store.insert_many(BOTS, bots())
        bus = await opened.enter_async_context(open_bus(nats_process.url, name="test"))
        yield Site(routers, bus)


async def replying(site: Site, number: int, session: Session) -> None:
    """Let the bot of the session reply as often as it is asked to."""
    for turn in range(REPLIES):
        await site.pause()
        if kind_of(number) == "faq":
            await site.write(f"hi no. {turn}", number)
            continue
        rig = site.routers[0]
        if kind_of(number) == "webhook":
            bot = rig.machine("bot", "hook")
            command: Command = rig.send(session.id, bot, f"Reply {turn}", epoch=session.epoch)
        else:
            head = rig.head(session.id, rig.machine("schedule", "timer"))
            command = FireTimer(**head, kind="flow_wait", due=rig.now)
        answer = await site.ask(command)
        site.codes[answer.code if isinstance(answer, Refused) else "done"] += 1


async def taking(site: Site, way: str, session: Session) -> None:
    """Let a person take the session from the bot."""
    await site.pause()
    await site.pause()
    rig = site.routers[0]
    commands = {
        "reply": rig.send(session.id, "amy", "I take over."),
        "claim": rig.claim(session.id, "amy"),
        "off": rig.bot(session.id, "amy", on=False),
    }
    if way == "off and on":
        assert isinstance(await site.ask(commands["off"]), Done)
        await site.pause()
        commands[way] = rig.bot(session.id, "amy", on=True)
    assert isinstance(await site.ask(commands[way]), Done)


async def takeover(site: Site, number: int) -> tuple[int, int]:
    """Play one round; return how often the bot spoke, before the takeover and after it."""
    way = WAYS[number // 3 % len(WAYS)]
    if kind_of(number) != "webhook" and way == "off and on":
        way = "off"  # the others answer anew once they are on again, and may
    rig = site.routers[0]
    page = Page(order="open", limit=2)
    where = {"open_key": f"{account_of(number)}|V{number}"}
    [session] = await rig.store.find(SESSIONS, WORKSPACE, where, page)
    host = {"webhook": "hook"}.get(kind_of(number), kind_of(number))
    assert (session.list, session.bot_id) == ("bot_hosted", host)
    await asyncio.gather(replying(site, number, session), taking(site, way, session))
    entries = await rig.entries(session.id)
    taken = min(entry.number for entry in entries if entry.what in {"assigned", "bot_off"})
    spoken = [entry.number for entry in entries if entry.sender == "bot" and entry.parts]
    return sum(n < taken for n in spoken), sum(n > taken for n in spoken)


async def test_d03_b12_no_bot_speaks_after_a_takeover(site: Site) -> None:
    before = after = 0
    for start in range(0, ROUNDS, AT_ONCE):
        numbers = range(start, start + AT_ONCE)
        await site.write("hi", *numbers)
        for router in site.routers:
            router.now += timedelta(seconds=10)  # so that the flows' time is over
        rounds = (takeover(site, number) for number in numbers)
        for earlier, later in await asyncio.gather(*rounds):
            before, after = before + earlier, after + later
    assert after == 0
    assert before > ROUNDS  # they do speak until then
    assert site.codes["stale_epoch"] > ROUNDS // 20  # and were caught in the middle of it
    assert set(site.codes) == {"done", "stale_epoch"}
