"""What an FAQ bot or a flow has to say to a visitor. Pure: it decides, and changes nothing.

Of `Session.bot_state`, besides what flows and the guard keep there: `@flow` is the flow that the
steps and variables belong to, `@misses` counts the messages in a row that an FAQ bot did not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from libs.common.bots import faq, flow
from libs.common.documents import Bot, Session
from libs.common.events import ActionPart, ContentPart, MessageReceived, TextPart

FLOW = "@flow"
MISSES = "@misses"


class Words(NamedTuple):
    """What a visitor wrote and tapped; both empty for a picture alone."""

    text: str
    payload: str


class Chance(NamedTuple):
    """What a reply depends on besides.

    Attributes:
        drawn: 0 to below 1: which of several answers of an FAQ entry is given.
        deadline_s: How long a visitor is waited for whom an FAQ bot did not understand.
    """

    drawn: float
    deadline_s: int


class Reply(NamedTuple):
    """What follows.

    Attributes:
        says: Messages to send, each with its parts.
        state: To be kept in place of the one before.
        wait_s: Seconds until `late` goes on; 0: nothing is waited for.
        because: Why a human is to be asked, too; empty: nobody is.
        end: The session ends.
    """

    state: Mapping[str, str]
    says: tuple[tuple[ContentPart, ...], ...] = ()
    wait_s: int = 0
    because: str = ""
    end: bool = False


def words_of(event: MessageReceived) -> Words:
    """Return what a message says; of several taps the last counts."""
    return words_in(event.parts)


def words_in(parts: Iterable[ContentPart]) -> Words:
    """Return what the parts of a message say; see `words_of`."""
    parts = list(parts)
    texts = [part.text for part in parts if isinstance(part, TextPart)]
    taps = [part for part in parts if isinstance(part, ActionPart)]
    texts += [tap.title for tap in taps]
    text = "\n".join(text for text in texts if text.strip())
    return Words(text, taps[-1].payload if taps else "")


def about(session: Session) -> dict[str, str]:
    """Return what the texts of a flow may say of a visitor, besides its variables."""
    return {
        "contact.name": session.contact_name,
        "contact.phone": session.contact_phone,
        "contact.email": session.contact_email,
        "contact.language": session.contact_language,
    }


def reply_of(
    session: Session, bot: Bot, words: Words, language: str, chance: Chance
) -> Reply | None:
    """Return the reply of an FAQ bot or a flow; None, in `assigned` only: it has none.

    *language* is the visitor's, or empty.
    """
    if bot.kind == "flow":
        return _flow(session, bot, words)
    found = faq.answer(bot, words.text, language, chance.drawn)
    if found is None:
        return missed(session, bot, chance.deadline_s)
    return _answered(session, bot, found)


def lapsed(session: Session, bot: Bot) -> Reply | None:
    """Return what follows when the visitor has not answered in time; None: nothing was awaited."""
    state = session.bot_state
    if bot.kind == "faq":
        missed = _is_hosted(session) and MISSES in state
        return Reply(_without(state, MISSES), because="not_understood") if missed else None
    step = state.get(flow.STEP, "")
    if state.get(FLOW) != bot.id or not step:
        return None
    result = flow.step(bot, state, flow.FlowEvent(late=True, step=step), about(session))
    return _reply(result)


def _answered(session: Session, bot: Bot, found: faq.Answer) -> Reply:
    state = _without(session.bot_state, MISSES)
    files = [bot.files.get(id_) for id_ in found.attachments]
    parts: list[ContentPart] = [part for part in files if part is not None]
    if len(parts) < len(files):
        return Reply(state, because="bot_failed")
    if found.text:  # behind the files, so that it may be a caption
        parts.append(TextPart(text=found.text))
    if not (parts or found.hand_off):
        return Reply(state, because="bot_failed")
    because = "bot_asked" if found.hand_off else ""
    return Reply(state, says=(tuple(parts),) if parts else (), because=because)


def missed(session: Session, bot: Bot, deadline_s: int) -> Reply | None:
    """Count what the bot does not know; who writes nothing more is not left waiting for ever."""
    if not _is_hosted(session):
        return None
    before = session.bot_state.get(MISSES, "")
    missed = (int(before) if before.isascii() and before.isdecimal() else 0) + 1
    if missed >= bot.misses:
        return Reply(_without(session.bot_state, MISSES), because="not_understood")
    state = {**session.bot_state, MISSES: str(missed)}
    return Reply(state, wait_s=deadline_s)


def _flow(session: Session, bot: Bot, words: Words) -> Reply | None:
    state = _state_of(session, bot)
    if not _is_hosted(session) and _is_over(session, bot, words):
        return None
    event = flow.FlowEvent(text=words.text, payload=words.payload)
    result = flow.step(bot, state, event, about(session))
    if not _is_hosted(session) and (
        flow.MISSED in result.state or result.because == "not_understood"
    ):
        return None
    return _reply(result)


def _state_of(session: Session, bot: Bot) -> dict[str, str]:
    """Return what the flow knows; of another flow's steps and variables nothing."""
    state = session.bot_state
    if state.get(FLOW) != bot.id:
        others = {flow.STEP, flow.MISSED}
        state = {k: v for k, v in state.items() if k.startswith("@") and k not in others}
    return {**_without(state, MISSES), FLOW: bot.id}


def _is_over(session: Session, bot: Bot, words: Words) -> bool:
    """Tell whether the flow has had its say in an assigned session: it begins there only once."""
    state = session.bot_state
    if state.get(FLOW) != bot.id or state.get(flow.STEP):
        return False
    ways = ((one, number) for one in bot.steps for number in range(1, len(one.choices) + 1))
    return all(words.payload != flow.payload_of(bot.id, one, number) for one, number in ways)


def _reply(result: flow.FlowResult) -> Reply:
    return Reply(
        result.state,
        says=tuple((part,) for part in result.says),
        wait_s=result.wait_s,
        because=result.because if result.hand_off else "",
        end=result.end,
    )


def _is_hosted(session: Session) -> bool:
    return session.list == "bot_hosted"


def _without(state: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in state.items() if key != name}
