"""D19: whatever a visitor does, a flow that was checked waits, hands off or ends, and soon."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from libs.common.bots.check import problems
from libs.common.bots.check_flow import MOST_ON_A_WAY
from libs.common.bots.flow import STEP, FlowEvent, payload_of, step, waits
from libs.common.bots.guard import heard, said
from libs.common.documents import Bot, FlowChoice, FlowStep
from tests.bots.bots import flow_bot
from tests.soak import sized

IDS = ("s0", "s1", "s2", "s3", "s4", "s5")
TITLES = ("Yes", "No", "Maybe")
NAMES = ("name", "size")
WORDS = ("yes", "no", "1", "2", "7", "Ann", "", " ", "{{name}}", "ราคา", "\ud800", "\U0001f44d")

ids = st.sampled_from(IDS)
say = st.sampled_from(["Hello.", "Hello {{name}}", "{{size}} {{contact.name}}!", "Which?"])
branch = st.tuples(
    st.sampled_from([*NAMES, "contact.name"]), st.sampled_from(["", "*", "yes"]), ids
)
choice = st.builds(FlowChoice, title=st.sampled_from(TITLES), to=ids)


@st.composite
def steps(draw: st.DrawFn) -> FlowStep:
    kind = draw(st.sampled_from(["say", "say", "ask", "choose", "offer", "hand_off", "end"]))
    one = FlowStep(id=draw(ids), say=draw(say))
    if kind in {"hand_off", "end"}:
        return msgspec.structs.replace(one, **{kind: True})
    if kind in {"choose", "offer"}:
        listed = draw(st.lists(choice, min_size=1, max_size=3, unique_by=lambda one: one.title))
        one = msgspec.structs.replace(one, choices=tuple(listed))
    if kind != "choose":
        listed_when = tuple(draw(st.lists(branch, max_size=2)))
        one = msgspec.structs.replace(one, to=draw(ids), when=listed_when)
    if kind in {"ask", "offer"}:
        one = msgspec.structs.replace(one, ask=draw(st.sampled_from(NAMES)))
    if kind != "say" and draw(st.booleans()):
        late = draw(st.one_of(st.just(""), ids))
        one = msgspec.structs.replace(one, wait_s=5, late_to=late)
    return one


@st.composite
def bots(draw: st.DrawFn) -> Bot:
    """Draw flows whose steps are all reached: those that are not are left out."""
    drawn = draw(st.lists(steps(), min_size=1, max_size=6, unique_by=lambda one: one.id))
    present = {one.id for one in drawn}
    bot = flow_bot(*(_inside(one, sorted(present)) for one in drawn))
    while lost := [at for at, _ in enumerate(bot.steps) if _unreached(bot, at)]:
        kept = tuple(one for at, one in enumerate(bot.steps) if at not in lost)
        bot = msgspec.structs.replace(bot, steps=kept)
    return bot


def _unreached(bot: Bot, at: int) -> bool:
    return any(problem.startswith(f"steps[{at}]: is never reached") for problem in problems(bot))


def _inside(one: FlowStep, present: list[str]) -> FlowStep:
    """Return the step with what leads outside led inside."""

    def lead(to: str) -> str:
        return to if to in present or not to else present[int(to[1:]) % len(present)]

    return msgspec.structs.replace(
        one,
        to=lead(one.to),
        late_to=lead(one.late_to),
        choices=tuple(msgspec.structs.replace(c, to=lead(c.to)) for c in one.choices),
        when=tuple((name, value, lead(to)) for name, value, to in one.when),
    )


def taps(bot: Bot) -> list[FlowEvent]:
    return [
        FlowEvent(payload=payload_of(bot.id, one, number))
        for one in bot.steps
        for number in range(1, 5)
    ]


@given(bot=bots(), data=st.data())
@settings(max_examples=sized(80, 500), deadline=None)
def test_d19_any_checked_flow_waits_hands_off_or_ends(bot: Bot, data: st.DataObject) -> None:
    assume(not _found(bot))
    by_id = {one.id: one for one in bot.steps}
    written = st.sampled_from(WORDS).map(lambda text: FlowEvent(text=text))
    late = st.just(FlowEvent(late=True))
    events = data.draw(
        st.lists(st.one_of(written, st.sampled_from(taps(bot)), late), min_size=1, max_size=12)
    )
    state: dict[str, str] = {}
    for event in events:
        result = step(bot, state, event)
        assert result.because != "bot_failed" or not result.says
        assert len(result.steps) <= MOST_ON_A_WAY
        assert len(result.says) <= len(result.steps)
        assert not (result.hand_off and result.end)
        assert bool(result.because) == result.hand_off
        if not event.late:
            assert result.says or result.hand_off or result.end, "left without an answer"
        stands = result.state.get(STEP)
        if stands is not None:
            assert waits(by_id[stands])
            assert not result.hand_off
            assert not result.end
        assert all(isinstance(text, str) for pair in result.state.items() for text in pair)
        state = result.state


def _found(bot: Bot) -> list[str]:
    """Return what counts here; a place that nobody fills leaves nothing and is no danger."""
    return [problem for problem in problems(bot) if "no step asks for" not in problem]


@given(bot=bots())
@settings(max_examples=sized(50, 300), deadline=None)
def test_time_outs_alone_come_to_an_end(bot: Bot) -> None:
    assume(not _found(bot))
    result = step(bot, {}, FlowEvent(text="hi"))
    for _ in range(len(bot.steps) + 1):
        if not result.wait_s:
            return
        result = step(bot, result.state, FlowEvent(late=True))
    raise AssertionError("it goes on speaking to nobody")


def test_the_guards_notes_and_the_flow_share_a_state() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    bot = flow_bot(
        FlowStep(id="a", say="Name?", ask="name", to="b"), FlowStep(id="b", say="{{name}}")
    )
    state = step(bot, {}, FlowEvent(text="hi")).state
    noted = heard(said(state, "Name?", now), "Ann", now)
    assert step(bot, noted, FlowEvent(text="Ann")).state["name"] == "Ann"
    assert noted[STEP] == "a"
