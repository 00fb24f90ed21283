"""Trying a bot: what it would say, without a visitor, a session or a message."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from libs.common.bots import faq, flow
from libs.common.bots.replies import MISSES, lapsed, missed
from libs.common.bots.replies import Reply as BotReply
from libs.common.bots.secrets import open_secret
from libs.common.bots.webhook import BotCase, BotContact, BotLine, request
from libs.common.documents import Bot, Session
from libs.common.errors import InvalidInputError, SealError
from libs.common.events import ContentPart, TextPart
from services.desk.api.bot_content import BotContent, with_content
from services.desk.api.bots import one_bot
from services.desk.api.problem import RefusalError
from services.desk.api.route import Call, Reply

SAMPLE = "trial"


class Trial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the visitor does; `state` is that of the answer before, or nothing to begin.

    Attributes:
        text, payload: What they write, or what a tapped choice carries.
        late: They do nothing, for as long as the step waits.
        language: Theirs, such as `en`; empty: not known.
        about: What texts may say besides variables, such as `contact.name`.
        content: Content to try in place of the stored one, such as an editor holds.
    """

    text: Annotated[str, Meta(max_length=4000)] = ""
    payload: Annotated[str, Meta(max_length=1000)] = ""
    late: bool = False
    state: Annotated[dict[str, Annotated[str, Meta(max_length=1000)]], Meta(max_length=200)] = {}
    language: Annotated[str, Meta(max_length=35)] = ""
    about: Annotated[dict[str, Annotated[str, Meta(max_length=1000)]], Meta(max_length=50)] = {}
    content: BotContent | None = None


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """The FAQ entry that fitted, by which of its questions or keywords, and how well of 100."""

    entry: str
    how: Literal["exact", "keyword", "fuzzy"]
    matched: str
    score: int


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What the bot would do.

    Attributes:
        says: What it would send; nothing was sent.
        attachments: Ids of files that would follow.
        state: To be sent with the next trial.
        hand_off, end: A human would be asked, or the session ended, `because` says why.
        wait_s: It would go on by itself (`late`) after so many seconds; 0: never.
        steps: Of a flow: the steps that were taken.
        matched: Of an FAQ bot: the entry that answered; null where none did.
        asks: Of a webhook bot: the JSON that it would be sent; it was not called.
    """

    says: tuple[ContentPart, ...] = ()
    attachments: tuple[str, ...] = ()
    state: dict[str, str] = {}
    hand_off: bool = False
    end: bool = False
    because: str = ""
    wait_s: int = 0
    steps: tuple[str, ...] = ()
    matched: Matched | None = None
    asks: dict[str, Any] | None = None


async def try_bot(call: Call) -> Reply:
    """Say what a bot would say.

    Raises:
        NotFoundError: No such bot in this workspace.
        InvalidInputError: `content` is of another kind, or wrong; names the place.
    """
    trial: Trial = call.body
    found = await one_bot(call)
    if trial.content is not None:
        found = await _with(call, found, trial.content)
    match found.kind:
        case "faq":
            return Reply(body=await _faq(call, found, trial))
        case "flow":
            return Reply(body=_flow(found, trial))
        case "webhook":
            return Reply(body=_webhook(call, found, trial))


async def _with(call: Call, found: Bot, content: BotContent) -> Bot:
    if content.kind != found.kind:
        raise InvalidInputError(
            "content.kind: a bot stays of its kind.", field="content.kind", allowed=found.kind
        )
    try:
        return await with_content(call, found, content)
    except InvalidInputError as error:
        field = f"content.{error.facts.get('field', '')}"
        facts = {**error.facts, "field": field}
        raise InvalidInputError(f"content.{error.detail}", **facts) from None


async def _faq(call: Call, bot: Bot, trial: Trial) -> Tried:
    session = _session(bot, trial, call.desk.now())
    if trial.late:
        return _replied(lapsed(session, bot), trial)
    found = faq.answer(bot, trial.text, trial.language, 0.0)
    state = {name: value for name, value in trial.state.items() if name != MISSES}
    if found is None:
        whole = await call.desk.store.workspace(call.who.workspace)
        return _replied(missed(session, bot, whole.settings.bot_deadline_s), trial)
    return Tried(
        says=(TextPart(text=found.text),) if found.text else (),
        attachments=found.attachments,
        state=state,
        hand_off=found.hand_off,
        because="bot_asked" if found.hand_off else "",
        matched=Matched(entry=found.entry, how=found.how, matched=found.matched, score=found.score),
    )


def _replied(reply: BotReply | None, trial: Trial) -> Tried:
    """Return what a visitor meets who was not understood; None: nothing was waited for."""
    if reply is None:
        return Tried(state=trial.state)
    return Tried(
        state=dict(reply.state),
        hand_off=bool(reply.because),
        because=reply.because,
        wait_s=reply.wait_s,
    )


def _session(bot: Bot, trial: Trial, now: datetime) -> Session:
    """Return a session in which the bot would be tried."""
    return Session(
        id=SAMPLE,
        workspace=bot.workspace,
        account=SAMPLE,
        channel="web",
        visitor=SAMPLE,
        contact=SAMPLE,
        list="bot_hosted",
        open_key=None,
        bot_state=trial.state,
        created_at=now,
        updated_at=now,
    )


def _flow(bot: Bot, trial: Trial) -> Tried:
    event = flow.FlowEvent(text=trial.text, payload=trial.payload, late=trial.late)
    found = flow.step(bot, trial.state, event, trial.about)
    return Tried(
        says=found.says,
        state=found.state,
        hand_off=found.hand_off,
        end=found.end,
        because=found.because,
        wait_s=found.wait_s,
        steps=found.steps,
    )


def _webhook(call: Call, bot: Bot, trial: Trial) -> Tried:
    """Show what the bot would be asked; only its host can say what it would answer."""
    now = call.desk.now()
    line = BotLine(id=SAMPLE, at=now, sender="visitor", parts=(TextPart(text=trial.text),))
    case = BotCase(
        workspace=bot.workspace,
        session=SAMPLE,
        epoch=0,
        channel="web",
        account=SAMPLE,
        message=line,
        contact=BotContact(id=SAMPLE, language=trial.language),
        reply_url=f"/api/v1/bots/{bot.workspace}/{bot.id}/answers",
        deadline=now,
    )
    try:
        asked = request(bot, open_secret(call.desk.sealer, bot), case, now)
    except SealError:
        raise RefusalError(
            409, "no_secret", "The bot's secret cannot be opened; give it a new one."
        ) from None
    return Tried(asks=msgspec.json.decode(asked.body or b"{}"))
