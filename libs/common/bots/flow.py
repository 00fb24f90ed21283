"""Go one step of a button flow: from what a visitor did to what the bot says next.

What a bot knows of a session is a small dict of text (`Session.bot_state`): `@step` is the step
that waits for an answer, `@missed` counts what was not understood there, names without `@` are
variables. Other names with `@` belong to others and are kept.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

import msgspec

from libs.common.bots.places import fill
from libs.common.bots.words import fold, same
from libs.common.documents import Bot, FlowStep
from libs.common.events import Choice, ChoicesPart, ContentPart, TextPart

STEP = "@step"
MISSED = "@missed"
REPEATS = 1
"""How often a step is said again to who gave no answer to it; then a human is asked."""
MOST_STEPS = 50
"""Steps taken without waiting; what takes more is given to a human."""
LONGEST_VALUE = 500
"""Characters of a variable."""
_DIGITS = 2
"""Most digits of a choice's number."""
SET = "*"
"""As the value of a branch: the variable has any value."""


class FlowEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What happened: the visitor wrote or tapped, or did neither for too long (`late`).

    `step`, of a time-out, is the step it was meant for, and another step is not concerned; empty:
    the one that waits now.
    """

    text: str = ""
    payload: str = ""
    late: bool = False
    step: str = ""


class FlowResult(msgspec.Struct, frozen=True, kw_only=True):
    """What follows: either it waits, or `hand_off`, or `end`.

    Attributes:
        says: What to send, each a message of its own.
        state: To be kept in place of the one before.
        wait_s: Seconds until the caller comes back with `late`; 0: the bot waits for ever.
        because: Of a hand-off: `bot_asked` (the step says so), `not_understood`, `bot_silent`
            (nobody answered in time), `bot_failed` (the flow is broken).
        steps: Ids of the steps that were taken, for the record.
    """

    says: tuple[ContentPart, ...] = ()
    state: dict[str, str] = {}
    hand_off: bool = False
    end: bool = False
    wait_s: int = 0
    because: str = ""
    steps: tuple[str, ...] = ()


def step(
    bot: Bot,
    state: Mapping[str, str],
    event: FlowEvent,
    about: Mapping[str, str] | None = None,
) -> FlowResult:
    """Return what the bot says and where it stands after *event*.

    A session without a waiting step begins at `start`, whatever was written; so does one whose
    step is no longer in the flow. A tap on a button of an earlier step leads where that button
    leads. Text that is no choice repeats the step once, and is given to a human then.

    Args:
        bot: Its `start` and `steps` count.
        state: Of the result before; empty at first.
        event: A message, a tap or a time-out. A time-out where none runs changes nothing.
        about: Values for places, besides variables: `contact.name` and the like.
    """
    walk = _Walk(bot, state, about or {})
    waiting = walk.steps.get(state.get(STEP, ""))
    if event.late:
        return _late(walk, waiting, event)
    tapped = _tapped(walk.steps, event.payload.removeprefix(_mark(bot.id)))
    if tapped:
        chosen, number = tapped
        return walk.choose(chosen, number)
    if waiting is None:
        return walk.go(bot.start or (bot.steps[0].id if bot.steps else ""))
    return _answered(walk, waiting, event)


def waits(one: FlowStep) -> bool:
    """Tell whether the flow stands still at a step until the visitor does something."""
    return bool(one.choices or one.ask) and not one.hand_off and not one.end


def onward(one: FlowStep) -> Iterator[tuple[str, str]]:
    """Yield the ways out that need no visitor, each as (field, step): branches, `to`, time-out."""
    if one.hand_off or one.end:
        return
    if waits(one):
        if one.late_to:
            yield "late_to", one.late_to
        return
    yield from _branches(one)


def answered(one: FlowStep) -> Iterator[tuple[str, str]]:
    """Yield the ways out that the visitor's answer opens, each as (field, step)."""
    if not waits(one):
        return
    for number, choice in enumerate(one.choices):
        yield f"choices[{number}].to", choice.to
    if takes_text(one):
        yield from _branches(one)


def takes_text(one: FlowStep) -> bool:
    """Tell whether a step takes any text as its answer, not only its choices."""
    return bool(one.ask) and bool(one.to or not one.choices)


def payload_of(bot: str, one: FlowStep, number: int) -> str:
    """Return what comes back from the step's choice *number*, from 1.

    At most 44 characters where ids of steps have 32: every channel carries that.
    """
    return f"{_mark(bot)}{one.id}:{number}"


def _mark(bot: str) -> str:
    """Return what tells a bot's own payloads from those of others."""
    return f"{zlib.crc32(bot.encode('utf-8', 'surrogatepass')):08x}:"


def _branches(one: FlowStep) -> Iterator[tuple[str, str]]:
    for number, (_, _, to) in enumerate(one.when):
        yield f"when[{number}]", to
    if one.to:
        yield "to", one.to


class _Walk:
    """One way through the flow, from a step to where it waits, ends or is handed off."""

    def __init__(self, bot: Bot, state: Mapping[str, str], about: Mapping[str, str]) -> None:
        self.steps = {one.id: one for one in bot.steps}
        self.missed = _count(state.get(MISSED, ""))
        self._bot = bot.id
        self._about = about
        self._known = {name: text for name, text in state.items() if name not in {STEP, MISSED}}
        self._before = dict(state)
        self._says: list[ContentPart] = []
        self._taken: list[str] = []

    def stay(self) -> FlowResult:
        """Change nothing."""
        return FlowResult(state=self._before)

    def learn(self, name: str, value: str) -> None:
        """Keep the value of a variable."""
        if name:
            self._known[name] = value.strip()[:LONGEST_VALUE]

    def choose(self, one: FlowStep, number: int) -> FlowResult:
        """Follow choice *number*, from 0."""
        choice = one.choices[number]
        self.learn(one.ask, choice.title)
        return self.go(choice.to)

    def go(self, to: str) -> FlowResult:
        """Take the step *to* and all that follow without waiting."""
        while len(self._taken) < MOST_STEPS and to in self.steps and to not in self._taken:
            one = self.steps[to]
            self._taken.append(to)
            self._say(one)
            if one.hand_off:
                return self.give_over("bot_asked")
            if one.end:
                return self._result(end=True)
            if waits(one):
                return self.wait(one)
            to = self.after(one)
            if not to:
                return self._result()
        return self.give_over("bot_failed")  # no such step, a loop, or too long a way

    def after(self, one: FlowStep) -> str:
        """Return where a step leads by its branches or `to`; empty: nowhere."""
        return next((to for name, value, to in one.when if self._fits(name, value)), one.to)

    def wait(self, one: FlowStep, missed: int = 0) -> FlowResult:
        """Stand still at a step."""
        self._known[STEP] = one.id
        if missed:
            self._known[MISSED] = str(missed)
        return self._result(wait_s=one.wait_s)

    def repeat(self, one: FlowStep, missed: int) -> FlowResult:
        """Say a step again."""
        self._taken.append(one.id)
        self._say(one)
        return self.wait(one, missed)

    def give_over(self, because: str) -> FlowResult:
        """Ask for a human, and keep what is known for them."""
        self._known.pop(STEP, None)
        self._known.pop(MISSED, None)
        return self._result(hand_off=True, because=because)

    def _fits(self, name: str, value: str) -> bool:
        known = self._value(name)
        if value == SET:
            return bool(known)
        return same(value, known) if value else not known

    def _value(self, name: str) -> str:
        return self._known.get(name) or self._about.get(name, "")

    def _say(self, one: FlowStep) -> None:
        text = fill(one.say, {**self._about, **self._known}).strip()
        if one.choices and waits(one):
            titles = tuple(
                Choice(title=choice.title, payload=payload_of(self._bot, one, number))
                for number, choice in enumerate(one.choices, start=1)
            )
            listed = " / ".join(choice.title for choice in one.choices)
            self._says.append(ChoicesPart(text=text or listed, choices=titles))
        elif text:
            self._says.append(TextPart(text=text))

    def _result(
        self, *, hand_off: bool = False, end: bool = False, wait_s: int = 0, because: str = ""
    ) -> FlowResult:
        if not (self._says or hand_off or end):
            return self.give_over("bot_failed")  # who wrote must not be left without an answer
        return FlowResult(
            says=tuple(self._says),
            state=self._known,
            hand_off=hand_off,
            end=end,
            wait_s=wait_s,
            because=because,
            steps=tuple(self._taken),
        )


def _late(walk: _Walk, waiting: FlowStep | None, event: FlowEvent) -> FlowResult:
    if waiting is None or not waiting.wait_s or event.step not in {"", waiting.id}:
        return walk.stay()
    return walk.go(waiting.late_to) if waiting.late_to else walk.give_over("bot_silent")


def _answered(walk: _Walk, waiting: FlowStep, event: FlowEvent) -> FlowResult:
    number = _chosen(waiting, event.text)
    if number is not None:
        return walk.choose(waiting, number)
    if takes_text(waiting) and event.text.strip():
        walk.learn(waiting.ask, event.text)
        return walk.go(walk.after(waiting))
    missed = walk.missed + 1
    return walk.give_over("not_understood") if missed > REPEATS else walk.repeat(waiting, missed)


def _chosen(one: FlowStep, text: str) -> int | None:
    """Return the place of the choice that *text* names by its title or its number."""
    for number, choice in enumerate(one.choices):
        if same(choice.title, text):
            return number
    return _place(fold(text), one)


def _tapped(steps: Mapping[str, FlowStep], payload: str) -> tuple[FlowStep, int] | None:
    """Return the step and the place of the choice that a payload of ours names."""
    name, _, digits = payload.rpartition(":")
    one = steps.get(name)
    at = _place(digits, one) if one else None
    return (one, at) if one is not None and at is not None else None


def _place(digits: str, one: FlowStep) -> int | None:
    """Return the place, from 0, of the choice with this number."""
    if not (digits.isdecimal() and len(digits) <= _DIGITS):
        return None
    return int(digits) - 1 if 0 < int(digits) <= len(one.choices) else None


def _count(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() else 0
