"""What follows a message before a bot in a dry run: its answer, or the hand-off to a person."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime

import msgspec

from libs.common.attached import part_of
from libs.common.bots import guard
from libs.common.bots.replies import Chance, Reply, Words, reply_of
from libs.common.bots.wishes import asks_for_human
from libs.common.documents import Attachment, Bot, Session
from libs.common.events import ContentPart
from libs.common.policy import BotKind, Case, Decision, Policy
from libs.common.rules.lookup import bot_for, lookup
from services.desk.api.route import Call

_WHY = {
    "visitor_asked": "The visitor asked for a human with one of the hand-off words.",
    "bot_asked": "The bot would ask for a human.",
    "bot_failed": "The bot that has the session cannot answer, so a human would be asked for.",
    "bot_budget": "The bot has said as much as it may, so a human would be asked for.",
    "bot_loop": "The bot seems to talk to a machine, so a human would be asked for.",
    "not_understood": "The bot would not understand it, so a human would be asked for.",
}


class BotWould(msgspec.Struct, frozen=True, kw_only=True):
    """What the bot that hosts the session would do.

    Attributes:
        says: What it would send; of several answers of an FAQ entry one is drawn.
        asked: A webhook bot would be asked; only its host can say what it would answer.
        wait_s: It would go on by itself after so many seconds without an answer; 0: never.
        end: It would end the session.
    """

    id: str
    name: str
    kind: BotKind
    says: tuple[ContentPart, ...] = ()
    asked: bool = False
    wait_s: int = 0
    end: bool = False


class Talk(msgspec.Struct, frozen=True, kw_only=True):
    """What follows; `because` is why a human would be asked for, empty: none would."""

    bot: BotWould | None = None
    because: str = ""

    @property
    def words(self) -> list[str]:
        """It in sentences."""
        said = []
        if self.bot is not None and (self.bot.says or self.bot.asked):
            what = "would be asked" if self.bot.asked else "would answer"
            said.append(f"The bot {self.bot.name or self.bot.id} {what}.")
        if self.because:
            said.append(_WHY.get(self.because, "A human would be asked for."))
        return said


async def talk(
    call: Call, case: Case, decision: Decision, policy: Policy, session: Session | None
) -> Talk:
    """Return what follows the visitor's message of *case* once *decision* took effect.

    *session* is the one it is written in; None: it opens one.
    """
    if not _is_hosted(case, decision):
        return Talk()
    if asks_for_human(case.text, policy.settings.handoff_words):
        return Talk(because="visitor_asked")
    seen = session or _opened(case, call.who.workspace, call.desk.now())
    bot = await _host(call, policy, seen, decision)
    if bot is None:
        return Talk(because="bot_failed" if decision.bot or seen.bot_id else "")
    would = BotWould(id=bot.id, name=bot.name, kind=bot.kind)
    stop = guard.verdict(seen, policy.settings, case.text, call.desk.now())
    if stop:
        return Talk(bot=would, because=stop)
    if bot.kind == "webhook":
        return Talk(bot=msgspec.structs.replace(would, asked=True))
    return _replied(would, bot, seen, case, policy)


def _is_hosted(case: Case, decision: Decision) -> bool:
    """Tell whether a bot has the session once *decision* took effect."""
    if case.standby or case.trigger not in {"opened", "message"}:
        return False
    return (decision.list or case.list) == "bot_hosted"


def _replied(would: BotWould, bot: Bot, session: Session, case: Case, policy: Policy) -> Talk:
    settings = policy.settings
    chance = Chance(random.random(), settings.bot_deadline_s)  # noqa: S311 (no secret)
    reply = reply_of(session, bot, Words(case.text, ""), case.language, chance)
    if reply is None:
        return Talk(bot=would)
    if len(reply.says) > guard.room(session, settings):
        return Talk(bot=would, because="bot_budget")
    return Talk(bot=_with(would, reply), because=reply.because)


def handed_over(case: Case, decision: Decision) -> Case:
    """Return the case of the hand-off that follows *decision*."""
    return msgspec.structs.replace(
        case,
        trigger="handoff",
        list="bot_hosted",
        team=decision.team,
        skill=decision.skill,
        agent=decision.agent,
        tags=tuple(dict.fromkeys((*case.tags, *decision.tags))),
        said=tuple(dict.fromkeys((*case.said, *decision.says))),
    )


def _with(would: BotWould, reply: Reply) -> BotWould:
    says = tuple(part for message in reply.says for part in message)
    return msgspec.structs.replace(would, says=says, wait_s=reply.wait_s, end=reply.end)


async def _host(call: Call, policy: Policy, session: Session, decision: Decision) -> Bot | None:
    """Return the bot that hosts the session, with its files, or None: there is none."""
    bots = lookup(policy).bots
    named = (decision.bot, session.bot_id, bot_for(policy, session.channel))
    chosen = next((one for one in named if one in bots and bots[one].enabled), "")
    bot = await call.desk.store.bot(call.who.workspace, chosen) if chosen else None
    if bot is None or not bot.enabled:
        return None
    ids = sorted({one for entry in bot.faq for one in entry.attachments})
    files: Mapping[str, Attachment] = {}
    if ids:
        files = await call.desk.attachments.sendable(call.who.workspace, ids)
    return msgspec.structs.replace(bot, files={id_: part_of(file) for id_, file in files.items()})


def _opened(case: Case, workspace: str, now: datetime) -> Session:
    """Return the session that the message would open, as far as bots look at it."""
    return Session(
        id="dry-run",
        workspace=workspace,
        account=case.account,
        channel=case.channel,
        visitor="",
        contact="",
        list="bot_hosted",
        contact_name=case.fields.get("name", ""),
        contact_email=case.fields.get("email", ""),
        contact_phone=case.fields.get("phone", ""),
        contact_language=case.language,
        open_key=None,
        created_at=now,
        updated_at=now,
    )
