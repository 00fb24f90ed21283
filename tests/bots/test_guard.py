"""When a bot must fall silent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from libs.common.bots.guard import heard, is_own, room, said, verdict
from libs.common.documents import Session, Settings

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MENU = "Please choose one: prices or hours."


def session(state: dict[str, str] | None = None, sent: int = 0) -> Session:
    return Session(
        id="ses_1",
        workspace="acme",
        account="acme-line",
        channel="line",
        visitor="U1",
        contact="con_1",
        list="bot_hosted",
        open_key="acme-line|U1",
        created_at=NOW,
        updated_at=NOW,
        bot=True,
        bot_state=state or {},
        bot_sent=sent,
    )


BUDGETS = {
    "nothing sent": (0, 30, "", 30),
    "one left": (29, 30, "", 1),
    "used up": (30, 30, "bot_budget", 0),
    "overdrawn": (35, 30, "bot_budget", 0),
    "none at all": (0, 0, "bot_budget", 0),
}


@pytest.mark.parametrize(("sent", "most", "expected", "left"), BUDGETS.values(), ids=BUDGETS)
def test_d19_budget(sent: int, most: int, expected: str, left: int) -> None:
    settings = Settings(bot_messages=most)
    assert verdict(session(sent=sent), settings, "Hello", NOW) == expected
    assert room(session(sent=sent), settings) == left


Turn = tuple[float, str, str]
"""Seconds since the bot's last word, what the visitor's side says, what the bot says then."""

TALKS: dict[str, tuple[list[Turn], list[str]]] = {
    "our own words come back": (
        [(5, MENU, MENU)] * 4,
        ["", "", "", "bot_loop"],
    ),
    "our own words in another case and punctuation": (
        [(5, MENU.upper() + "!!", MENU)] * 4,
        ["", "", "", "bot_loop"],
    ),
    "our own words, one behind": (
        [
            (5, "first", "one"),
            (5, "second", "two"),
            (5, "one", "x"),
            (5, "two", "y"),
            (5, "one", "z"),
        ],
        ["", "", "", "", "bot_loop"],
    ),
    "our own words, but a person between": (
        [(5, "hi", MENU), (5, MENU, MENU), (5, MENU, MENU), (5, "prices", MENU), (5, MENU, "x")],
        [""] * 5,
    ),
    "an automatic answer, the same each time": (
        [(5, "I am away until Monday.", MENU)] * 5,
        ["", "", "", "", "bot_loop"],
    ),
    "a person who taps the same button": ([(5, "Next", f"page {at}") for at in range(9)], [""] * 9),
    "answers within a second, again and again": (
        [(0.2, f"answer {at}", f"reply {at}") for at in range(6)],
        ["", "", "", "", "", "bot_loop"],
    ),
    "answers after a second": ([(1.0, f"a {at}", f"r {at}") for at in range(9)], [""] * 9),
    "answers within a second, but a person between": (
        [(0.2 if at != 4 else 3.0, f"a {at}", f"r {at}") for at in range(9)],
        [""] * 9,
    ),
    "a clock that runs backwards": ([(-5, f"a {at}", f"r {at}") for at in range(9)], [""] * 9),
    "pictures and emoji": ([(5, "\U0001f44d", "\U0001f44d")] * 9, [""] * 9),
}


@pytest.mark.parametrize(("turns", "expected"), TALKS.values(), ids=TALKS)
def test_d19_loops(turns: list[Turn], expected: list[str]) -> None:
    state: dict[str, str] = {}
    now, verdicts = NOW, []
    for wait_s, text, reply in turns:
        now += timedelta(seconds=wait_s)
        verdicts.append(verdict(session(state), Settings(), text, now))
        state = said(heard(state, text, now), reply, now)
    assert verdicts == expected


def test_a_burst_of_a_person_counts_once() -> None:
    state = said({}, MENU, NOW)
    for at in range(9):
        state = heard(state, f"line {at}", NOW + timedelta(milliseconds=100 * at))
    assert verdict(session(state), Settings(), "more", NOW) == ""


def test_only_the_last_texts_are_remembered_and_the_state_stays_small() -> None:
    state: dict[str, str] = {"name": "Ann"}
    for at in range(100):
        state = said(heard(state, "x" * 5000, NOW), f"text {at}", NOW)
    assert [is_own(state, f"text {at}") for at in (91, 92, 99)] == [False, True, True]
    assert state["name"] == "Ann"
    assert sum(map(len, state.values())) < 400


@pytest.mark.parametrize("at", ["soon", "2026-03-01T12:00:00"])
def test_a_damaged_state_counts_as_none(at: str) -> None:
    state = {"@echoes": "x", "@again": "-", "@quick": "\u00b2", "@said_at": at, "@said": "?"}
    assert verdict(session(state), Settings(), "Hello", NOW) == ""
