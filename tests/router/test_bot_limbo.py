"""Whatever visitors write and whatever bots there are: nobody is left without an answer in sight.

After each write a session in `bot_hosted` whose visitor wrote has been answered in it, or waits for
a time that will come and act; else a person has it, or it waits for one in the queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.common.channel import Account
from libs.common.channels import CHANNELS
from libs.common.commands import Actor, FireTimer
from libs.common.documents import Assignee, Bot, FaqEntry, FlowChoice, FlowStep
from libs.common.events import ActionPart, ChoicesPart, ContentPart, SessionTimer
from libs.common.switches import Settings
from services.router.draft import Draft
from services.router.fold import absorb
from services.router.permit import Reach
from services.router.reception import Heard, attend
from services.router.timed import fire
from tests.router.bot_stage import PICTURE, T0, Stage, webhook_bot
from tests.soak import sized

IDS = ("a", "b", "c", "d")
WORDS = ("hi", "hours", "price", "1", "2", "yes", "no", "human", "hours please", "", "♥", "Yes!")

_id = st.sampled_from(IDS)
_text = st.sampled_from(WORDS)


@st.composite
def _steps(draw: st.DrawFn) -> FlowStep:
    """Draw a step, sound or not: what nobody has checked must not strand a visitor either."""
    choices = draw(st.lists(st.builds(FlowChoice, title=_text, to=_id), max_size=2))
    return FlowStep(
        id=draw(_id),
        say=draw(_text),
        choices=tuple(choices),
        ask=draw(st.sampled_from(("", "", "name"))),
        to=draw(st.sampled_from(("", *IDS))),
        when=tuple(draw(st.lists(st.tuples(st.just("name"), _text, _id), max_size=1))),
        hand_off=draw(st.integers(0, 5)) == 0,
        end=draw(st.integers(0, 5)) == 0,
        wait_s=draw(st.sampled_from((0, 0, 10))),
        late_to=draw(st.sampled_from(("", *IDS))),
    )


_entries = st.builds(
    FaqEntry,
    id=_id,
    keywords=st.lists(_text, max_size=2).map(tuple),
    language=st.sampled_from(("", "en", "de")),
    answers=st.lists(_text, max_size=2).map(tuple),
    attachments=st.sampled_from(((), (), ("gone",))),
    hand_off=st.booleans(),
)
_common: Mapping[str, Any] = {
    "automation": st.booleans(),
    "enabled": st.sampled_from((True, True, True, False)),
    "channels": st.sampled_from(((), ("web",), ("line",))),
}
_faqs = st.builds(
    Bot,
    id=st.just("faq"),
    workspace=st.just("acme"),
    name=st.just("Faq"),
    kind=st.just("faq"),
    faq=st.lists(_entries, max_size=3).map(tuple),
    misses=st.integers(1, 3),
    **_common,
)
_flows = st.builds(
    Bot,
    id=st.just("flow"),
    workspace=st.just("acme"),
    name=st.just("Flow"),
    kind=st.just("flow"),
    start=st.sampled_from(("", *IDS)),
    steps=st.lists(_steps(), max_size=4).map(tuple),
    **_common,
)
_hooks = st.builds(webhook_bot, enabled=st.booleans(), channels=_common["channels"])
_bots = st.lists(st.one_of(_faqs, _flows, _hooks), max_size=3, unique_by=lambda bot: bot.id)
_settings = st.builds(
    Settings,
    bot_messages=st.integers(0, 4),
    bot_deadline_s=st.sampled_from((5, 30)),
    session_hosting=st.booleans(),
)

Act = tuple[str, Any]
_acts = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.lists(_text, min_size=1, max_size=3)),
        st.tuples(st.just("picture"), st.none()),
        st.tuples(st.just("tap"), st.integers(0, 2)),
        st.tuples(st.just("wait"), st.sampled_from((1, 10, 60))),
        st.tuples(st.just("lose"), st.sampled_from(("faq", "flow", "hook"))),
        st.tuples(st.just("shut"), st.none()),
    ),
    min_size=1,
    max_size=8,
)


class Life(Stage):
    """The stage with the router's own order of things: rules, bots, hand-off, timers."""

    def attend(self, *said: str | ContentPart) -> None:
        draft = Draft(self.session, self.room.policy.settings)
        for one in said:
            if draft.session.list == "ended":  # the next message opens another session
                break
            self.heard += 1
            event = self.event(one)
            entry = self.entry(event)
            absorb(draft, entry, event, None)
            attend(draft, Heard(entry, event), self.room, self.now, None)
        self._write(draft)

    def fire_due(self) -> None:
        """Let every timer come that is due, in order."""
        for _ in range(20):
            due = {k: at for k, at in self.session.due.items() if at <= self.now}
            if not due:
                return
            kind: Any = min(due, key=lambda k: due[k])
            self._fire(kind)
        raise AssertionError("timers without an end")

    def _fire(self, kind: SessionTimer) -> None:
        draft = Draft(self.session, self.room.policy.settings)
        command = FireTimer(
            workspace="acme",
            session=self.session.id,
            actor=Actor(kind="schedule", id="timer"),
            key="t",
            deadline=self.now,
            kind=kind,
            due=self.now,
        )
        fire(draft, command, self.room, self.now)
        self._write(draft)

    def shut(self) -> None:
        """Let the channel refuse everything from now on."""
        account = Account(slug="acme-web", workspace="acme", channel="web", external_id="1")
        reach = Reach(
            channel=CHANNELS["web"], account=msgspec.structs.replace(account, enabled=False)
        )
        self.room = msgspec.structs.replace(self.room, reach=reach)


def _tap(life: Life, number: int) -> ContentPart:
    """Return a tap on a choice that was shown last, or on one of somebody else's."""
    shown = [
        choice
        for entry in life.said
        for part in entry.parts
        if isinstance(part, ChoicesPart)
        for choice in part.choices
    ]
    if not shown:
        return ActionPart(title="Menu", payload="menu")
    choice = shown[number % len(shown)]
    return ActionPart(title=choice.title, payload=choice.payload)


def _play(life: Life, act: Act) -> bool:
    """Play one act; tell whether the visitor wrote in it."""
    what, more = act
    match what:
        case "write":
            life.attend(*more)
        case "picture":
            life.attend(PICTURE)
        case "tap":
            life.attend(_tap(life, more))
        case "wait":
            life.now += timedelta(seconds=more)
            life.said = []
            life.fire_due()
        case "lose":
            life.forget_bot(more)
        case _:
            life.shut()
    return what in {"write", "picture", "tap"}


def _is_looked_after(life: Life, *, hopes: bool) -> bool:
    """Tell whether the visitor who just wrote was answered, or will be."""
    session = life.session
    if session.list != "bot_hosted":
        return session.list in {"unassigned", "assigned", "ended"}
    waits = any(at > life.now for at in session.due.values())
    return bool(life.said) or waits or not hopes


@settings(
    max_examples=sized(200, 1000), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(bots=_bots, switches=_settings, acts=_acts, language=st.sampled_from(("", "en", "fr")))
def test_d19_nobody_is_left_in_limbo(
    bots: list[Bot], switches: Settings, acts: list[Act], language: str
) -> None:
    life = Life(*bots, settings=switches, contact_language=language)
    for act in acts:
        life.now += timedelta(seconds=2)
        life.fire_due()
        if life.session.list == "ended":
            break
        wrote = _play(life, act)
        # where nobody ever set up a bot for the channel, it waits to be read (A03)
        hopes = bool(life.session.bot_id) or any(
            ref.enabled and (not ref.channels or "web" in ref.channels)
            for ref in life.room.policy.bots
        )
        if wrote:
            assert _is_looked_after(life, hopes=hopes), act
        assert life.session.bot_sent <= switches.bot_messages


@settings(max_examples=sized(100, 500), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(bots=_bots, switches=_settings, acts=_acts, bot=st.booleans())
def test_a09_bots_never_move_what_a_person_has(
    bots: list[Bot], switches: Settings, acts: list[Act], bot: bool
) -> None:
    seat = Assignee(agent="amy", name="Amy", since=T0)
    hers: dict[str, Any] = {"owner": "amy", "assignees": (seat,), "assignee_ids": ("amy",)}
    life = Life(*bots, settings=switches, list="assigned", automation=True, bot=bot, **hers)
    for act in acts:
        life.now += timedelta(seconds=2)
        life.fire_due()
        _play(life, act)
        assert (life.session.list, life.session.owner) == ("assigned", "amy")
        assert all(entry.sender == "automation" for entry in life.said)
