"""Say what is wrong with a flow: its steps one by one, then the ways between them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from libs.common.bots.flow import SET, answered, onward, takes_text, waits
from libs.common.bots.places import VARIABLE, named
from libs.common.bots.words import fold
from libs.common.documents import Bot, FlowStep

MOST_STEPS = 500
MOST_ON_A_WAY = 40
"""Steps in a row without an answer of the visitor."""
MOST_CHOICES = 10
MOST_BRANCHES = 50
LONGEST_TITLE = 80
LONGEST_TEXT = 4000
WAITS_S = range(5, 7 * 86_400 + 1)

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


def flow_problems(bot: Bot) -> Iterator[str]:
    """Yield what is wrong with the flow of *bot*."""
    if not 1 <= len(bot.steps) <= MOST_STEPS:
        yield f"steps: has {len(bot.steps)}; 1 to {MOST_STEPS} are allowed"
        return
    ids = Counter(one.id for one in bot.steps)
    if bot.start and bot.start not in ids:
        yield f"start: there is no step {bot.start!r}; the id of a step is allowed, or none"
    asked = {one.ask for one in bot.steps if one.ask}
    for number, one in enumerate(bot.steps):
        found = (*_names(one, ids), *_text(one), *_choices(one), *_time(one), *_ends(one))
        yield from (f"steps[{number}].{problem}" for problem in (*found, *_variables(one, asked)))
    yield from _ways(bot)


def _names(one: FlowStep, ids: Mapping[str, int]) -> Iterator[str]:
    if not _ID.fullmatch(one.id):
        yield "id: 1 to 32 letters, digits, - and _ are allowed"
    elif ids[one.id] > 1:
        yield f"id: {one.id!r} is used more than once; each step needs its own"
    for field, to in (*onward(one), *answered(one)):
        if to not in ids:
            yield f"{field}: there is no step {to!r}; the id of a step is allowed"


def _text(one: FlowStep) -> Iterator[str]:
    if len(one.say) > LONGEST_TEXT:
        yield f"say: at most {LONGEST_TEXT} characters are allowed"
    if waits(one) and not one.say.strip():
        yield "say: is empty; a step with choices or a question needs a text"
    elif not one.say.strip() and not (one.to or one.hand_off or one.end):
        yield "say: is empty and nothing follows; a text, to, hand_off or end is needed"


def _choices(one: FlowStep) -> Iterator[str]:
    if len(one.choices) > MOST_CHOICES:
        yield f"choices: has {len(one.choices)}; at most {MOST_CHOICES} are allowed"
    if len(one.when) > MOST_BRANCHES:
        yield f"when: has {len(one.when)}; at most {MOST_BRANCHES} are allowed"
    titles = Counter(_shown(choice.title) for choice in one.choices)
    for number, choice in enumerate(one.choices):
        title = choice.title.strip()
        if not 1 <= len(title) <= LONGEST_TITLE:
            yield f"choices[{number}].title: needs 1 to {LONGEST_TITLE} characters"
        elif titles[_shown(title)] > 1:
            yield f"choices[{number}].title: reads like another choice's; each needs its own"
        elif title.isdecimal() and int(title) != number + 1 and int(title) <= len(one.choices):
            yield f"choices[{number}].title: is the number of another choice; a word is allowed"


def _shown(title: str) -> str:
    return fold(title) or title.strip()


def _time(one: FlowStep) -> Iterator[str]:
    if one.wait_s and not waits(one):
        yield "wait_s: this step does not wait; only a step with choices or a question may"
    elif one.wait_s and one.wait_s not in WAITS_S:
        yield f"wait_s: is {one.wait_s}; 0 (for ever) or {WAITS_S[0]} to {WAITS_S[-1]} are allowed"
    if one.late_to and not one.wait_s:
        yield "late_to: is never reached without wait_s"


def _ends(one: FlowStep) -> Iterator[str]:
    if one.hand_off and one.end:
        yield "end: a step either hands off or ends; one of both is allowed"
    over = one.hand_off or one.end
    if over and (one.choices or one.ask or one.to or one.when):
        yield "to: a step that hands off or ends has no choices, question or next step"
    elif takes_text(one) and not one.to:
        yield "to: is empty; a question needs the step that follows when no branch fits"
    elif one.choices and not takes_text(one) and one.when:
        yield "when: is never looked at; a step with choices goes where the chosen one leads"
    elif one.choices and not one.ask and one.to:
        yield "to: is never followed; a step with choices goes where the chosen one leads"


def _variables(one: FlowStep, known: Iterable[str]) -> Iterator[str]:
    if one.ask and not VARIABLE.fullmatch(one.ask):
        yield "ask: a to z, digits and _ are allowed, at most 32, a letter first"
    for name in named(one.say):
        if "." not in name and name not in known:
            yield f"say: no step asks for {{{{{name}}}}}; a variable that is asked for is allowed"
    for number, (name, value, _) in enumerate(one.when):
        if "." not in name and name not in known:
            yield f"when[{number}]: no step asks for {name!r}; one that is asked for is allowed"
        if value and value != SET and not value.strip():
            yield f"when[{number}]: the value is blank; text, {SET} (any) or nothing is allowed"


def _ways(bot: Bot) -> Iterator[str]:
    """Yield what is wrong with the ways: steps nobody comes to, and ways without end or answer."""
    steps = {one.id: one for one in bot.steps}
    alone = {one.id: [to for _, to in onward(one) if to in steps] for one in bot.steps}
    after = {one.id: [to for _, to in answered(one) if to in steps] for one in bot.steps}
    begin = bot.start or bot.steps[0].id
    reached = _reached([begin], {at: alone[at] + after[at] for at in steps})
    lengths = _lengths(alone)
    for number, one in enumerate(bot.steps):
        if begin in steps and one.id not in reached:
            yield f"steps[{number}]: is never reached from {begin!r}; a way there is needed"
        following = alone.get(one.id, [])
        if one.id not in lengths and one.id in _reached(following, alone):
            yield (
                f"steps[{number}]: goes round without an answer of the visitor; a step with "
                "choices or a question (without a time-out back into it), hand_off or end is needed"
            )
        elif lengths.get(one.id, 0) > MOST_ON_A_WAY:
            yield (
                f"steps[{number}]: {lengths[one.id]} steps follow without an answer of the "
                f"visitor; at most {MOST_ON_A_WAY} are allowed"
            )


def _reached(begin: Iterable[str], ways: Mapping[str, list[str]]) -> set[str]:
    reached = set(begin)
    left = list(reached)
    while left:
        new = set(ways.get(left.pop(), ())) - reached
        reached |= new
        left += new
    return reached


def _lengths(ways: dict[str, list[str]]) -> dict[str, int]:
    """Return how many steps the longest way from each step has; none for what goes round.

    Steps whose ways are all measured are taken off until nothing is left but those that go round
    or lead there.
    """
    lengths: dict[str, int] = {}
    left = dict(ways)
    while ready := [at for at, tos in left.items() if all(to in lengths for to in tos)]:
        for at in ready:
            lengths[at] = 1 + max((lengths[to] for to in left.pop(at)), default=0)
    return lengths
