"""A rig on which rules decide: policies in a few words, every decision made again at the end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from libs.common.commands import HandOff, RemoveAssignees, SetBot, TagSession
from libs.common.documents import BOTS, DECISIONS, Bot, DecisionRecord, Session
from libs.common.policy import Decision, Policy
from libs.common.rules.decide import decide
from libs.common.store.api import Page
from libs.common.switches import Settings
from tests.router.rig import ACCOUNT, WORKSPACE, Rig, arrived, at, said

DAY = {
    "id": "day",
    "spans": [{"days": [0, 1, 2, 3, 4, 5, 6], "opens": "09:00", "closes": "11:00"}],
    "away_text": "We are closed.",
}
"""Hours in which the story, which is told at noon, finds the desk closed."""


def policy(**parts: Any) -> Policy:
    """Return a policy of plain values; agents without a limit have 2 places."""
    parts["members"] = [
        {"limit": 2, "name": one["id"].title()} | one for one in parts.get("members", [])
    ]
    parts["rules"] = [
        {"id": f"r{number}"} | rule for number, rule in enumerate(parts.get("rules", []))
    ]
    return msgspec.convert(parts, Policy)


def agents(*names: str, **more: Any) -> list[dict[str, Any]]:
    """Return members of a policy."""
    return [{"id": name} | more for name in names]


class Stage:
    """What a story does; whoever is `online` is so from the beginning."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._said = 0

    def set(self, policy: Policy, *online: str) -> None:
        """Let *policy* hold from now on."""
        self.rig.policy, self.rig.settings = policy, policy.settings
        self.rig.present = dict.fromkeys(online, "online")

    def switch(self, **switches: Any) -> None:
        """Change some switches of the policy."""
        settings = msgspec.convert(msgspec.to_builtins(self.rig.settings) | switches, Settings)
        self.rig.settings = settings

    async def write(self, text: str = "hello", **how: Any) -> Session:
        """Let the visitor write; return their newest session."""
        channel, account = how.pop("channel", "line"), how.pop("account", ACCOUNT)
        self._said += 1
        self.rig.now += timedelta(seconds=1)
        seconds = (self.rig.now - at(0)).total_seconds()
        event = said(text, seconds, key=f"k{self._said}", **how)
        await self.rig.take(arrived(event, channel=channel, account=account))
        return (await self.rig.sessions())[-1]

    async def session(self) -> Session:
        """Return the newest session."""
        return (await self.rig.sessions())[-1]

    def remove(self, session: str, agent: str, *agents: str, key: str = "") -> RemoveAssignees:
        return RemoveAssignees(**self.rig.head(session, agent, key), agents=agents)

    def hand_off(self, session: str, who: Any, because: str, **more: Any) -> HandOff:
        return HandOff(**self.rig.head(session, who, more.pop("key", "")), because=because, **more)

    def label(self, session: str, agent: str, add: Any = (), take: Any = ()) -> TagSession:
        return TagSession(**self.rig.head(session, agent), add=tuple(add), take=tuple(take))

    def turn(self, session: str, agent: str, *, on: bool, bot: str = "") -> SetBot:
        return SetBot(**self.rig.head(session, agent), on=on, bot=bot)

    async def bot(self, name: str, **content: Any) -> None:
        """Store a bot that knows what to answer to "hello" and "please"."""
        faq = [{"id": "greeting", "keywords": ["hello", "please"], "answers": [f"I am {name}."]}]
        head = {"id": name, "workspace": WORKSPACE, "name": name}
        found = head | {"kind": "faq", "faq": faq} | content
        await self.rig.store.insert_many(BOTS, [msgspec.convert(found, Bot)])

    async def lines(self, session: str) -> list[str]:
        """Return what the timeline says, in display order."""
        return [
            part.text
            for entry in await self.rig.timeline(session)
            for part in entry.parts
            if hasattr(part, "text")
        ]

    async def records(self) -> list[DecisionRecord]:
        """Return every decision, the oldest first."""
        found = await self.rig.store.find(DECISIONS, WORKSPACE, {}, Page(order="at", limit=1000))
        return sorted(found, key=lambda record: (record.at, record.id))

    async def because(self) -> list[str]:
        """Return in one word each why what was decided, the oldest first."""
        return [record.decision.because for record in await self.records()]

    async def check(self) -> None:
        """D04: every decision is made again from what was kept of it."""
        for record in await self.records():
            assert again(record) == record.decision


def again(record: DecisionRecord) -> Decision:
    """Make a decision again from its record alone."""
    kept = msgspec.json.decode(record.policy, type=Policy)
    return decide(record.case, kept, record.standings, record.at)
