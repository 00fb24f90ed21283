"""Which events a scenario consists of, in which order, and what is done to them on the way."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import msgspec

from libs.common.simulate.bodies import kinds, visitor_for
from libs.common.simulate.samples import LAST_DIGIT

STORM = 5
"""How often a storm repeats each event."""
ALBUM = 4
NUMBERED = frozenset({"line", "wechat", "telegram", "fb_comment"})
"""Channels whose message ids are numbers."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook to post: an event of *kind*, and whether its proof of origin is spoiled.

    Steps of the same `message_id` and `kind` are the same bytes: a redelivery. `delay_ms` moves
    the provider's time of it.
    """

    kind: str
    message_id: str
    visitor: str
    text: str
    target: str = ""
    spoiled: bool = False
    delay_ms: int = 0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Steps; `at_once`: posted together, not one after the other."""

    steps: tuple[Step, ...]
    at_once: bool = False


class Talk:
    """Draws ids and words for one visitor; the same seed draws the same.

    Args:
        channel: Whose ids they are.
        chance: Where ids come from.
        visitor: Empty: one of the channel's own shape.
        text: Empty: a sentence with the event's number.
        kind: Of the events where the scenario leaves it open.
    """

    def __init__(
        self, channel: str, chance: random.Random, *, visitor: str = "", text: str = "", kind: str
    ) -> None:
        self.channel = channel
        self.chance = chance
        self.visitor = visitor or visitor_for(channel)
        self.text = text
        self.kind = kind
        self._spoken = 0

    def step(self, kind: str = "", *, target: str = "", text: str = "") -> Step:
        """Return the visitor's next event."""
        self._spoken += 1
        kind = kind or self.kind
        return Step(
            kind=kind,
            message_id=fresh_id(self.channel, kind, self.chance),
            visitor=self.visitor,
            text=text or self.text or f"Hello, this is message {self._spoken}",
            target=target,
            delay_ms=self._spoken,
        )

    def has(self, kind: str) -> bool:
        """Tell whether the channel knows events of *kind*."""
        return kind in kinds(self.channel)


def fresh_id(channel: str, kind: str, chance: random.Random) -> str:
    """Return a new message id of the channel's form, which for LINE also says the file's kind."""
    if channel not in NUMBERED:
        return f"m_{chance.getrandbits(64):016x}"
    digits = str(chance.randrange(10**8, 10**9 - 1))
    if channel == "line":
        digits = f"5000{digits}{LAST_DIGIT.get(kind.partition('_')[0].rstrip('s'), '0')}"
    return digits


# --- scenarios ---------------------------------------------------------------------------------


def _plain(talk: Talk, count: int) -> Plan:
    """Events of one kind, one after the other."""
    return Plan(steps=tuple(talk.step() for _ in range(count)))


def _every(talk: Talk, count: int) -> Plan:
    """Every kind that the channel has, each about a text before it."""
    steps = []
    for _ in range(count):
        for kind in kinds(talk.channel):
            first = talk.step("text")
            steps += [first, talk.step(kind, target=first.message_id)]
    return Plan(steps=tuple(steps))


def _conversation(talk: Talk, count: int) -> Plan:
    """A visitor arrives, writes, sends a picture, reacts, edits, takes back, leaves."""
    steps: list[Step] = []
    for _ in range(count):
        first = talk.step("text", text="Hello, are you open today?")
        about = ("reply", "reaction", "edit", "read", "unsend")
        steps += [talk.step("follow")] if talk.has("follow") else []
        steps += [first, talk.step("image")] if talk.has("image") else [first]
        steps += [talk.step(kind, target=first.message_id) for kind in about if talk.has(kind)]
    return Plan(steps=tuple(steps))


def _duplicates(talk: Talk, count: int) -> Plan:
    """Each event twice, as after a lost answer."""
    return Plan(steps=tuple(step for _ in range(count) for step in [talk.step()] * 2))


def _storm(talk: Talk, count: int) -> Plan:
    """Each event many times, all at once: a provider that got no answers."""
    steps = [step for _ in range(count) for step in [talk.step()] * STORM]
    talk.chance.shuffle(steps)
    return Plan(steps=tuple(steps), at_once=True)


def _reordered(talk: Talk, count: int) -> Plan:
    """Messages, and edits and unsends of them, in any order."""
    steps = []
    for _ in range(count):
        first = talk.step()
        later = [kind for kind in ("edit", "reaction", "unsend") if talk.has(kind)]
        steps += [first] + [talk.step(kind, target=first.message_id) for kind in later]
    talk.chance.shuffle(steps)
    return Plan(steps=tuple(steps))


def _album(talk: Talk, count: int) -> Plan:
    """Pictures that belong together, as the channel tells of them."""
    kind = next((kind for kind in ("images", "image") if talk.has(kind)), "text")
    steps = []
    for number in range(count):
        of = f"album-{number}-{talk.chance.getrandbits(32):08x}"
        steps += [talk.step(kind, target=of) for _ in range(ALBUM)]
    return Plan(steps=tuple(steps))


def _bad_signatures(talk: Talk, count: int) -> Plan:
    """Good and forged events in turn; the forged ones must be refused."""
    steps = []
    for _ in range(count):
        forged = msgspec.structs.replace(talk.step(), spoiled=True)
        steps += [talk.step(), forged]
    return Plan(steps=tuple(steps))


def _burst(talk: Talk, count: int) -> Plan:
    """All events at once."""
    steps = [talk.step() for _ in range(count)]
    return Plan(steps=tuple(steps), at_once=True)


SCENARIOS: Mapping[str, Callable[[Talk, int], Plan]] = {
    "plain": _plain,
    "every": _every,
    "conversation": _conversation,
    "duplicates": _duplicates,
    "storm": _storm,
    "reordered": _reordered,
    "album": _album,
    "bad_signatures": _bad_signatures,
    "burst": _burst,
}


def summary(name: str) -> str:
    """Return what a scenario plays, in one line."""
    return (SCENARIOS[name].__doc__ or "").strip().partition("\n")[0]
