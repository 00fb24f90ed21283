"""A session, and visitors' messages one by one, for the pure parts of bots."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from libs.common.documents import Bot, FaqEntry, FlowChoice, FlowStep, Message, Session
from libs.common.events import (
    ActionPart,
    ChoicesPart,
    ContentPart,
    Inbound,
    MediaPart,
    MessageReceived,
    TextPart,
)
from libs.common.ids import derive_id
from libs.common.policy import BotRef, Policy
from libs.common.switches import Settings
from services.router.botting import converse, late
from services.router.draft import Draft, cleared
from services.router.entry import Arrival, entry_of
from services.router.fold import absorb
from services.router.room import Room

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PICTURE = MediaPart(kind="image", media_id="at-the-provider")


def faq_bot(id_: str = "faq", **more: Any) -> Bot:
    """Return a bot that knows opening hours, in two languages, and prices with a price list."""
    entries = (
        FaqEntry(
            id="hours",
            questions=("When are you open?",),
            keywords=("hours",),
            language="en",
            answers=("From 9 to 17.",),
        ),
        FaqEntry(
            id="zeiten",
            questions=("Wann offen?",),
            keywords=("hours",),
            language="de",
            answers=("Von 9 bis 17.",),
        ),
        FaqEntry(id="prices", keywords=("price",), answers=("See here.",), attachments=("att-1",)),
        FaqEntry(id="person", keywords=("refund",), answers=("A colleague looks.",), hand_off=True),
    )
    files = {"att-1": MediaPart(kind="file", name="prices.pdf", attachment="att-1", size_bytes=9)}
    given = {"name": "Answers", "faq": entries, "files": files, **more}
    return Bot(id=id_, workspace="acme", kind="faq", **given)


def flow_bot(id_: str = "flow", **more: Any) -> Bot:
    """Return a bot that asks what it is about, and then for a number."""
    steps = (
        FlowStep(
            id="begin",
            say="Hello {{contact.name}}! What is it about?",
            choices=(
                FlowChoice(title="Order", to="number"),
                FlowChoice(title="Person", to="human"),
                FlowChoice(title="Nothing", to="bye"),
            ),
            wait_s=60,
            late_to="nudge",
        ),
        FlowStep(id="nudge", say="Still there?", to="begin"),
        FlowStep(id="number", say="Which number?", ask="number", to="sorting", wait_s=30),
        FlowStep(id="sorting", when=(("number", "0", "human"),), to="thanks"),
        FlowStep(id="thanks", say="Order {{number}} is on its way."),
        FlowStep(id="human", say="A colleague comes.", hand_off=True),
        FlowStep(id="bye", say="Goodbye.", end=True),
    )
    return Bot(id=id_, workspace="acme", kind="flow", **{"name": "Guide", "steps": steps, **more})


def webhook_bot(id_: str = "hook", **more: Any) -> Bot:
    """Return a bot that is asked elsewhere."""
    given = {"name": "Hook", "url": "https://bot.example/ask", **more}
    return Bot(id=id_, workspace="acme", kind="webhook", **given)


def ref_of(bot: Bot, **more: Any) -> BotRef:
    """Return *bot* as a policy names it."""
    given = {"name": bot.name, "kind": bot.kind, "channels": bot.channels, "enabled": bot.enabled}
    return BotRef(id=bot.id, automation=bot.automation, rev=bot.rev, **{**given, **more})


class Stage:
    """A session with its bots. Each `hear` is a write of its own."""

    def __init__(self, *bots: Bot, settings: Settings | None = None, **session: Any) -> None:
        self.now = T0
        refs = tuple(map(ref_of, bots))
        self.room = Room(
            policy=Policy(settings=settings or Settings(), bots=refs),
            bots={bot.id: bot for bot in bots if bot.enabled},
        )
        given = {"list": "bot_hosted", "bot": True, "channel": "web", **session}
        self.session = Session(
            id="ses_1",
            workspace="acme",
            account="acme-web",
            visitor="V",
            contact="con_1",
            contact_name="Vera",
            open_key="acme-web|V",
            created_at=T0,
            updated_at=T0,
            **given,
        )
        self.heard = 0
        self.said: list[Message] = []
        self.written: list[Message] = []
        self.session_before = self.session

    @property
    def texts(self) -> list[str]:
        """What the bots said in the last write, as texts."""
        return [text_of(entry.parts) for entry in self.said]

    def hear(self, *said: str | ContentPart | MessageReceived, **more: Any) -> str:
        """Let the visitor send each of *said* as a message of one batch; return the last reason."""
        reason = ""
        draft = Draft(self.session)
        for one in said:
            self.heard += 1
            event = one if isinstance(one, MessageReceived) else self.event(one, **more)
            entry = self.entry(event)
            absorb(draft, entry, event, None)
            reason = converse(draft, entry, event, self.room, self.now)
        self._write(draft)
        return reason

    def tap(self, title: str) -> str:
        """Let the visitor tap the choice of the last message that has this title."""
        [choice] = [
            choice
            for part in self.said[-1].parts
            if isinstance(part, ChoicesPart)
            for choice in part.choices
            if choice.title == title
        ]
        return self.hear(ActionPart(title=title, payload=choice.payload))

    def wait(self, seconds: float) -> str:
        """Let time go by, and the flow's timer come if it is due; return the reason."""
        self.now += timedelta(seconds=seconds)
        due = self.session.due.get("flow_wait")
        self.said = []
        if due is None or due > self.now:
            return ""
        draft = Draft(self.session)
        reason = late(draft, self.room, self.now)
        self._write(draft)
        return reason

    def event(self, said: str | ContentPart, **more: Any) -> MessageReceived:
        """Return what the visitor sends, now."""
        part = TextPart(text=said) if isinstance(said, str) else said
        key = more.pop("key", f"e{self.heard}")
        at = more.pop("at", self.now)
        parts = (part,)
        return MessageReceived(
            event_id=key, visitor="V", occurred_at=at, message_id=f"m{key}", parts=parts, **more
        )

    def entry(self, event: MessageReceived) -> Message:
        """Return *event* as it is kept."""
        inbound = Inbound(
            workspace="acme",
            channel=self.session.channel,
            account="acme-web",
            ingest_id="in-1",
            received_at=event.occurred_at,
            event=event,
        )
        entry_id = derive_id("msg", "acme", "acme-web", event.event_id)
        return entry_of(Arrival(inbound=inbound, sequence=self.heard), entry_id)

    def forget_bot(self, id_: str) -> None:
        """Let a bot be deleted."""
        policy = self.room.policy
        left = tuple(ref for ref in policy.bots if ref.id != id_)
        self.room = msgspec.structs.replace(
            self.room,
            policy=msgspec.structs.replace(policy, bots=left),
            bots={key: bot for key, bot in self.room.bots.items() if key != id_},
        )

    def _write(self, draft: Draft) -> None:
        self.session_before = self.session
        written = draft.finish(self.now)
        self.written = list(written.writes)
        self.said = [entry for entry in written.writes if entry.kind == "message"]
        self.facts = written.facts
        self.sends = written.sends
        self.timers = written.timers
        self.session = msgspec.structs.replace(cleared(written), rev=written.rev + 1)


def text_of(parts: Iterable[ContentPart]) -> str:
    """Return the text of a message."""
    return " ".join(part.text for part in parts if isinstance(part, TextPart | ChoicesPart))
