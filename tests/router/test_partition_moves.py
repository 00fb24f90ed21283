"""Partitions go to another router in mid-conversation, while a bot answers and people are busy."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import msgspec

from libs.common.documents import BOTS, MESSAGES, Bot, FaqEntry, Message
from libs.common.events import SendRequest
from libs.common.policy import BotRef
from libs.common.store.api import Page
from libs.common.subjects import OUTBOUND
from libs.common.switches import Settings
from tests.nats_server import NatsProcess
from tests.router.bot_stage import text_of
from tests.router.floor import ACCOUNT, Floor, Watch, floor_on, router, team_of

LIMITS = {"amy": 3, "bob": 2, "cem": 1}
VISITORS = tuple(f"v{n}" for n in range(12))
QUESTIONS = 4
"""Fewer than as many quick ones as let the router take a visitor for a machine."""
OPEN = "From 9 to 17."
SAID = [*(f"hours {n}?" for n in range(QUESTIONS)), "human", "still there?"]


async def host_with_faq(floor: Floor) -> None:
    """Let a bot that knows the hours have every new session, and people what it gives up."""
    entry = FaqEntry(id="hours", keywords=("hours",), answers=(OPEN,))
    bot = Bot(id="faq", workspace=floor.workspace, name="Answers", kind="faq", faq=(entry,))
    await floor.store.insert(BOTS, bot)
    stored = await floor.store.get(BOTS, floor.workspace, bot.id)
    assert stored is not None
    await floor.change(
        settings=Settings(auto_hosting=True, auto_assign=True),
        members=team_of(**LIMITS),
        bots=(BotRef(id=bot.id, name=bot.name, kind="faq", rev=stored.rev),),
    )
    await floor.present(*LIMITS)
    await asyncio.sleep(0.3)


async def talk(floor: Floor) -> None:
    """Let every visitor say it all, two texts at once, each further on than the one before.

    So at any moment some are at their first question, and others with a person already.
    """
    pairs = [SAID[n : n + 2] for n in range(0, len(SAID), 2)]

    async def say(visitor: str, texts: list[str]) -> None:
        for text in texts:
            await floor.write(visitor, text=text)

    for turn in range(len(VISITORS) + len(pairs) - 1):
        await asyncio.gather(
            *(
                say(visitor, pairs[turn - place])
                for place, visitor in enumerate(VISITORS)
                if 0 <= turn - place < len(pairs)
            )
        )
        await asyncio.sleep(0.15)


async def heard(floor: Floor) -> int:
    """Return how many of the visitors' messages are counted."""
    return sum(session.inbound for session in (await floor.sessions()).values())


async def talks(floor: Floor) -> dict[str, list[Message]]:
    """Return what was said in each session, by visitor, in the order the router took it."""
    found: dict[str, list[Message]] = {}
    for visitor, session in (await floor.sessions()).items():
        page = Page(order="session", limit=100)
        entries = await floor.store.find(MESSAGES, floor.workspace, {"session": session.id}, page)
        found[visitor] = [entry for entry in entries if entry.kind == "message"]
    return found


async def sends(floor: Floor) -> Counter[str]:
    """Return how many messages are to go out to each visitor."""
    found = await floor.bus.read(OUTBOUND, f"out.*.{ACCOUNT}.*", limit=1000)
    requests = [msgspec.json.decode(message.data, type=SendRequest) for message in found]
    return Counter(one.visitor for one in requests if one.workspace == floor.workspace)


async def test_i9_i17_partitions_that_move_in_mid_conversation_lose_double_and_mix_nothing(
    nats_process: NatsProcess, ready_url: str
) -> None:
    """One router serves alone, another comes, the first leaves: visitors go on writing."""
    async with AsyncExitStack() as opened:
        floor = await opened.enter_async_context(floor_on(nats_process.url, ready_url, routers=0))
        leaving = await opened.enter_async_context(AsyncExitStack())
        await leaving.enter_async_context(router(nats_process.url, ready_url))
        await host_with_faq(floor)
        watch = Watch(floor)
        watching = asyncio.create_task(watch.run())
        talking = asyncio.create_task(talk(floor))
        await floor.until(lambda: _at_least(floor, 12), "the first router is in the middle")
        await opened.enter_async_context(router(nats_process.url, ready_url))
        await asyncio.sleep(0.3)
        await leaving.aclose()
        left_at = await heard(floor)
        assert 12 <= left_at < len(VISITORS) * len(SAID)
        assert not talking.done()
        await talking
        everything = len(VISITORS) * len(SAID)
        await floor.until(lambda: _at_least(floor, everything), "all is heard")
        await _until_shared_out(floor)
        watch.stop.set()
        await watching

        expected = [
            line for n in range(QUESTIONS) for line in (("in", f"hours {n}?"), ("out", OPEN))
        ]
        expected += [("in", "human"), ("in", "still there?")]
        for visitor, entries in (await talks(floor)).items():
            assert [(e.direction, text_of(e.parts)) for e in entries] == expected, visitor
        assert await sends(floor) == dict.fromkeys(VISITORS, QUESTIONS)
        assert {a: n for a, n in watch.most.items() if n > LIMITS[a]} == {}


async def _at_least(floor: Floor, number: int) -> bool:
    return await heard(floor) >= number


async def _until_shared_out(floor: Floor) -> None:
    """Wait until agents have as many as they may, by places and by sessions, and the rest waits."""
    free = len(VISITORS) - sum(LIMITS.values())

    async def so() -> bool:
        return Counter((await floor.owners()).values()) == {**LIMITS, "": free}

    await floor.until(so, "everybody has what they may")
    await floor.until_at_rest(list(LIMITS))
