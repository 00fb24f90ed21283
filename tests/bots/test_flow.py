"""Where a flow goes, input by input."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from libs.common.bots.flow import (
    LONGEST_VALUE,
    MISSED,
    MOST_STEPS,
    STEP,
    FlowEvent,
    FlowResult,
    payload_of,
    step,
)
from libs.common.documents import Bot, FlowStep
from libs.common.events import ChoicesPart, ContentPart, TextPart
from tests.bots.bots import choices, flow_bot

MENU = FlowStep(
    id="menu",
    say="Hello {{contact.name}}, what is it?",
    choices=choices(Prices="prices", My_order="order", A_human="human"),
    wait_s=60,
    late_to="nudge",
)
NUDGE = FlowStep(id="nudge", say="Still there?", choices=choices(Yes="menu", No="bye"), wait_s=30)
PRICES = FlowStep(id="prices", say="From ten dollars.")
ORDER = FlowStep(id="order", say="Its number?", ask="number", to="check")
CHECK = FlowStep(id="check", say="Thanks.", when=(("number", "Secret!", "bye"),), to="size")
SIZE = FlowStep(
    id="size", say="Which size?", ask="size", choices=choices(S="confirm", L="confirm"), to="odd"
)
CONFIRM = FlowStep(id="confirm", say="{{ number }} in {{size}}, {{unknown}}right?")
ODD = FlowStep(id="odd", say="No {{size}} here.", hand_off=True)
HUMAN = FlowStep(id="human", say="One moment.", hand_off=True)
BYE = FlowStep(id="bye", say="Bye.", end=True)
BOT = flow_bot(MENU, NUDGE, PRICES, ORDER, CHECK, SIZE, CONFIRM, ODD, HUMAN, BYE)

ABOUT = {"contact.name": "Ann", "contact.language": "th"}
GREETING = "Hello Ann, what is it?"
LATE = FlowEvent(late=True)


def wrote(text: str) -> FlowEvent:
    return FlowEvent(text=text)


def tapped(one: FlowStep, number: int, title: str = "") -> FlowEvent:
    return FlowEvent(text=title, payload=payload_of(BOT.id, one, number))


def run(bot: Bot, *events: FlowEvent) -> FlowResult:
    """Return the result of the last event."""
    result = FlowResult()
    for event in events:
        result = step(bot, result.state, event, ABOUT)
    return result


def texts(says: tuple[ContentPart, ...]) -> list[str]:
    return [part.text for part in says if isinstance(part, TextPart | ChoicesPart)]


def outcome(result: FlowResult) -> str:
    if result.hand_off:
        return f"handed off: {result.because}"
    if result.end:
        return "ended"
    return f"waits at {result.state.get(STEP, 'the start')}"


HI = wrote("hi")
CASES: dict[str, tuple[tuple[FlowEvent, ...], list[str], str]] = {
    "it starts at its first step, whatever was written": (
        (wrote("2"),),
        [GREETING],
        "waits at menu",
    ),
    "a choice by its title, folded": (
        (HI, wrote(" PRICES! ")),
        ["From ten dollars."],
        "waits at the start",
    ),
    "a choice by its number": ((HI, wrote("2.")), ["Its number?"], "waits at order"),
    "a choice by a tap": ((HI, tapped(MENU, 2)), ["Its number?"], "waits at order"),
    "a tap whose payload was lost counts by its title": (
        (HI, FlowEvent(text="My order", payload="elsewhere")),
        ["Its number?"],
        "waits at order",
    ),
    "a number past the choices is none": ((HI, wrote("4")), [GREETING], "waits at menu"),
    "number 0 is none": ((HI, wrote("0")), [GREETING], "waits at menu"),
    "a huge number is none": ((HI, wrote("1" * 5000)), [GREETING], "waits at menu"),
    "what is no choice: the step is said again": (
        (HI, wrote("what?")),
        [GREETING],
        "waits at menu",
    ),
    "what is no choice for the second time: a human": (
        (HI, wrote("what?"), wrote("what??")),
        [],
        "handed off: not_understood",
    ),
    "a picture is no choice": ((HI, wrote(""), wrote("")), [], "handed off: not_understood"),
    "a picture is no answer to a question": (
        (HI, wrote("2"), wrote("")),
        ["Its number?"],
        "waits at order",
    ),
    "who is understood begins anew with misunderstandings": (
        (HI, wrote("what?"), wrote("2"), wrote("")),
        ["Its number?"],
        "waits at order",
    ),
    "an answer fills a variable, and the flow goes on": (
        (HI, wrote("2"), wrote("4711")),
        ["Thanks.", "Which size?"],
        "waits at size",
    ),
    "a branch by what was answered, folded": (
        (HI, wrote("2"), wrote("SECRET")),
        ["Thanks.", "Bye."],
        "ended",
    ),
    "a choice fills the variable with its title; the unknown leaves nothing": (
        (HI, wrote("2"), wrote("4711"), wrote("2")),
        ["4711 in L, right?"],
        "waits at the start",
    ),
    "free text where choices are only offered": (
        (HI, wrote("2"), wrote("4711"), wrote("XXL")),
        ["No XXL here."],
        "handed off: bot_asked",
    ),
    "what a visitor writes in braces stays as it is": (
        (HI, wrote("2"), wrote("{{contact.name}}"), wrote("1")),
        ["{{contact.name}} in S, right?"],
        "waits at the start",
    ),
    "a17: a step hands off after it has spoken": (
        (HI, wrote("A human")),
        ["One moment."],
        "handed off: bot_asked",
    ),
    "nobody answers in time": ((HI, LATE), ["Still there?"], "waits at nudge"),
    "nobody answers in time, and nothing is said for that": (
        (HI, LATE, LATE),
        [],
        "handed off: bot_silent",
    ),
    "a step ends the session": ((HI, LATE, wrote("no")), ["Bye."], "ended"),
    "a tap on an earlier button leads where it leads": (
        (HI, wrote("2"), tapped(MENU, 1, "Prices")),
        ["From ten dollars."],
        "waits at the start",
    ),
    "a tap on a button of an earlier session does, too": (
        (tapped(MENU, 2),),
        ["Its number?"],
        "waits at order",
    ),
    "a tap on a number that is no button is none": (
        (HI, tapped(MENU, 9)),
        [GREETING],
        "waits at menu",
    ),
    "another bot's button is none of ours": (
        (HI, wrote("2"), FlowEvent(payload=payload_of("bot-2", MENU, 1))),
        ["Its number?"],
        "waits at order",
    ),
    "after its end the next message starts it again": (
        (HI, wrote("1"), wrote("hello?")),
        [GREETING],
        "waits at menu",
    ),
}


@pytest.mark.parametrize(("events", "says", "then"), CASES.values(), ids=CASES)
def test_d19_flow(events: tuple[FlowEvent, ...], says: list[str], then: str) -> None:
    result = run(BOT, *events)
    assert (texts(result.says), outcome(result)) == (says, then)


LATE_AT_REST: dict[str, tuple[Mapping[str, str], str]] = {
    "where nothing was said yet": ({}, ""),
    "where the flow has run out": ({"number": "4711"}, ""),
    "where the step waits for ever": ({STEP: "order"}, ""),
    "where the step is no more": ({STEP: "gone"}, ""),
    "where another step was meant": ({STEP: "menu"}, "nudge"),
}


@pytest.mark.parametrize(("state", "meant"), LATE_AT_REST.values(), ids=LATE_AT_REST)
def test_a_time_out_changes_nothing(state: Mapping[str, str], meant: str) -> None:
    event = FlowEvent(late=True, step=meant)
    assert step(BOT, state, event) == FlowResult(state=dict(state))


def test_choices_are_shown_as_buttons_with_short_payloads() -> None:
    part = run(BOT, HI).says[0]
    assert isinstance(part, ChoicesPart)
    assert [choice.title for choice in part.choices] == ["Prices", "My order", "A human"]
    assert [choice.payload for choice in part.choices] == [
        payload_of(BOT.id, MENU, number) for number in (1, 2, 3)
    ]
    assert max(len(choice.payload) for choice in part.choices) <= 44


def test_the_caller_learns_how_long_to_wait_and_what_was_taken() -> None:
    result = run(BOT, HI)
    assert (result.wait_s, result.steps) == (60, ("menu",))
    result = run(BOT, HI, wrote("2"), wrote("4711"))
    assert (result.wait_s, result.steps) == (0, ("check", "size"))


def test_what_others_keep_in_the_state_stays() -> None:
    result = step(BOT, {"@said": "x"}, HI)
    assert result.state == {"@said": "x", STEP: "menu"}
    result = step(BOT, {**result.state, MISSED: "1"}, wrote("?"))
    assert (result.hand_off, result.state) == (True, {"@said": "x"})


def test_a_step_that_is_no_more_starts_the_flow_again() -> None:
    assert outcome(step(BOT, {STEP: "gone", "number": "1"}, wrote("x"))) == "waits at menu"


def test_a_choice_that_is_kept_is_still_the_only_answer() -> None:
    strict = FlowStep(id="s", say="Size?", ask="size", choices=choices(S="bye", L="bye"))
    bot = flow_bot(strict, BYE)
    assert outcome(run(bot, HI, wrote("XXL"))) == "waits at s"
    result = run(bot, HI, wrote("XXL"), wrote("l"))
    assert (outcome(result), result.state) == ("ended", {"size": "L"})


def test_a_damaged_count_counts_as_none() -> None:
    assert outcome(step(BOT, {STEP: "menu", MISSED: "many"}, wrote("x"))) == "waits at menu"


def test_a_variable_is_cut() -> None:
    result = run(BOT, HI, wrote("2"), wrote("  " + "x" * 9000))
    assert result.state["number"] == "x" * LONGEST_VALUE


BRANCHES = {
    "a value": (("contact.language", "TH", "yes"), "yes"),
    "another value": (("contact.language", "en", "yes"), "no"),
    "any value": (("contact.name", "*", "yes"), "yes"),
    "any value of what is not known": (("contact.phone", "*", "yes"), "no"),
    "no value of what is not known": (("contact.phone", "", "yes"), "yes"),
    "no value of what is known": (("contact.name", "", "yes"), "no"),
}


@pytest.mark.parametrize(("branch", "says"), BRANCHES.values(), ids=BRANCHES)
def test_a_branch_looks_at(branch: tuple[str, str, str], says: str) -> None:
    bot = flow_bot(
        FlowStep(id="a", when=(branch,), to="no"),
        FlowStep(id="yes", say="yes"),
        FlowStep(id="no", say="no"),
    )
    assert texts(run(bot, HI).says) == [says]


BROKEN = {
    "has no steps": flow_bot(),
    "starts nowhere": flow_bot(MENU, start="gone"),
    "leads nowhere": flow_bot(FlowStep(id="a", say="A", to="gone")),
    "goes round": flow_bot(FlowStep(id="a", say="A", to="b"), FlowStep(id="b", say="B", to="a")),
    "is endless": flow_bot(
        *(FlowStep(id=f"s{at}", say="x", to=f"s{at + 1}") for at in range(MOST_STEPS + 5))
    ),
    "says nothing": flow_bot(FlowStep(id="a", say="{{unknown}}")),
    "asks nothing": flow_bot(FlowStep(id="a", ask="x", to="b"), FlowStep(id="b", say="B")),
}


@pytest.mark.parametrize("bot", BROKEN.values(), ids=BROKEN)
def test_d19_no_visitor_is_left_without_an_answer_where_a_flow(bot: Bot) -> None:
    result = run(bot, HI)
    assert outcome(result) == "handed off: bot_failed"
    assert len(result.says) <= min(MOST_STEPS, len(bot.steps))
    assert STEP not in result.state
