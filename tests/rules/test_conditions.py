"""Which conditions hold, and for what text."""

# ruff: noqa: RUF001  # letters of other scripts are what is tested

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.policy import AnyCondition, Case, Policy
from libs.common.rules.conditions import holds
from libs.common.rules.folding import MATCHED_CHARACTERS, fold, pattern_problem

MONDAY_NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
POLICY = msgspec.convert(
    {
        "settings": {"calendar": "office"},
        "calendars": [
            {"id": "office", "spans": [{"days": [0], "opens": "09:00", "closes": "17:00"}]},
            {"id": "night", "spans": [{"days": [0], "opens": "22:00", "closes": "06:00"}]},
        ],
    },
    Policy,
)
FIELDS = {
    "name": "Ánna Müller",
    "plan": "Gold",
    "orders": "12.50",
    "since": "2025-03-01",
    "blank": "  ",
    "note": "n/a",
}


def case(**more: Any) -> Case:
    told: dict[str, Any] = {
        "trigger": "opened",
        "session": "s",
        "channel": "line",
        "account": "shop",
        "fields": FIELDS,
    }
    return msgspec.convert(told | more, Case)


def words(*wanted: str, **more: Any) -> dict[str, Any]:
    return {"if": "words", "words": list(wanted), **more}


def regex(pattern: str, **more: Any) -> dict[str, Any]:
    return {"if": "regex", "pattern": pattern, **more}


def field(name: str, op: str, value: str = "", **more: Any) -> dict[str, Any]:
    return {"if": "field", "field": name, "op": op, "value": value, **more}


def says(text: str) -> Case:
    return case(text=text)


ANY = case()
CASES: dict[str, tuple[dict[str, Any], Case, bool]] = {
    "channel: one of these": ({"if": "channel", "any_of": ["web", "line"]}, ANY, True),
    "channel: none of these": ({"if": "channel", "any_of": ["web"]}, ANY, False),
    "negate turns it round": ({"if": "channel", "any_of": ["web"], "negate": True}, ANY, True),
    "and the other way": ({"if": "channel", "any_of": ["line"], "negate": True}, ANY, False),
    "account: its slug": ({"if": "account", "any_of": ["shop"]}, ANY, True),
    "account: no part of the slug": ({"if": "account", "any_of": ["sho"]}, ANY, False),
    "list: where it is": ({"if": "list", "any_of": ["assigned"]}, case(list="assigned"), True),
    "list: a new session is in none": (
        {"if": "list", "any_of": ["bot_hosted", "unassigned", "assigned", "ended"]}, ANY, False),
    # words
    "words: whole": (words("cat"), says("A cat!"), True),
    "words: no part of one": (words("cat"), says("concatenate"), False),
    "words: a later one is whole": (words("cat"), says("scat cat"), True),
    "words: any of them": (words("dog", "cat"), says("cat"), True),
    "words: all of them": (words("dog", "cat", all_of=True), says("cat and dog"), True),
    "words: not all of them": (words("dog", "cat", all_of=True), says("cat"), False),
    "words: case is folded": (words("STRASSE"), says("In der Straße"), True),
    "words: full width is folded": (words("order 12"), says("ＯＲＤＥＲ　１２"), True),
    "words: composed or not is the same": (words("caf\u00e9"), says("CAFE\u0301"), True),
    "words: accents count": (words("ano"), says("año"), False),
    "words: a letter without its mark is another": (words("cafe"), says("cafe\u0301"), False),
    "words: blanks are one": (words("opening hours"), says("opening\n  hours?"), True),
    "words: a typed apostrophe is straight": (words("don't"), says("I don’t know"), True),
    "words: what cannot be seen is not there": (words("refund"), says("re\u200bfu\u00adnd"), True),
    "words: digits are part of a word": (words("12"), says("123"), False),
    "words: an underscore is too": (words("id"), says("my_id"), False),
    "words: signs at the end": (words("c++"), says("I write C++."), True),
    "words: an emoji": (words("🙏"), says("thanks🙏"), True),
    "words: Thai has no borders": (words("ราคา"), says("สอบถามราคาหน่อย"), True),
    "words: Thai never loses a tone mark": (words("ไม"), says("ไม่มี"), False),
    "words: Chinese": (words("退款"), says("我要退款吗"), True),
    "words: Japanese": (words("返品"), says("返品したい"), True),
    "words: Korean with a particle": (words("환불"), says("환불을 원해요"), True),
    "words: Latin beside Thai": (words("price"), says("ขอprice"), True),
    "words: Hindi keeps its vowel signs": (words("कर"), says("करो"), False),
    "words: Russian": (words("возврат"), says("ВОЗВРАТ!"), True),
    "words: Russian, no part of one": (words("воз"), says("возврат"), False),
    "words: nothing to see never holds": (words("\u200b"), says("anything"), False),
    "words: not even negated": (words("\u200b", negate=True), says("anything"), False),
    "words: no words at all never hold": (words(all_of=True), says("anything"), False),
    "words: the 4,000th character counts": (
        words("cat"), says(" " * (MATCHED_CHARACTERS - 3) + "cat"), True),
    "words: no later one does": (words("cat"), says(" " * (MATCHED_CHARACTERS - 2) + "cat"), False),
    # regex
    "regex: found anywhere": (regex(r"order #\d{4}"), says("my ORDER #1234 please"), True),
    "regex: not found": (regex(r"^\d+$"), says("a1"), False),
    "regex: case on demand": (regex(r"(?-i)Order"), says("order"), False),
    "regex: beyond ASCII": (regex(r"é\pL"), says("CAFE\u0301s"), True),
    "regex: one that RE2 refuses never holds": (regex(r"(a)\1"), says("aa"), False),
    "regex: not even negated": (regex(r"(?=a)", negate=True), says("b"), False),
    "regex: half a pair in the text": (regex("b"), says("\ud800b"), True),
    "regex: the cap holds": (regex("cat"), says("x" * MATCHED_CHARACTERS + "cat"), False),
    # language, tags
    "language: the same": ({"if": "language", "any_of": ["en"]}, case(language="en"), True),
    "language: a prefix": ({"if": "language", "any_of": ["EN"]}, case(language="en_GB"), True),
    "language: whole parts": ({"if": "language", "any_of": ["en"]}, case(language="enx"), False),
    "language: not the other way": (
        {"if": "language", "any_of": ["en-GB"]}, case(language="en"), False),
    "language: none is not this one": (
        {"if": "language", "any_of": ["en"], "negate": True}, ANY, True),
    "tag: one of them, folded": ({"if": "tag", "any_of": ["VIP"]}, case(tags=("vip",)), True),
    "tag: none": ({"if": "tag", "any_of": ["vip"]}, ANY, False),
    # fields
    "field: is, folded": (field("plan", "is", "gold"), ANY, True),
    "field: is not": (field("plan", "is_not", "gold"), ANY, False),
    "field: one that is missing is not": (field("city", "is_not", "Rome"), ANY, True),
    "field: has": (field("name", "has", "mÜLL"), ANY, True),
    "field: has nothing": (field("name", "has"), ANY, False),
    "field: starts": (field("name", "starts", "án"), ANY, True),
    "field: set": (field("plan", "set"), ANY, True),
    "field: blanks are not set": (field("blank", "set"), ANY, False),
    "field: unset": (field("city", "unset"), ANY, True),
    "field: above, as a number": (field("orders", "above", "9"), ANY, True),
    "field: below, as a number": (field("orders", "below", "12.5"), ANY, False),
    "field: after a date": (field("since", "above", "2025-02-28"), ANY, True),
    "field: before a time": (field("since", "below", "2025-03-01T00:00:01Z"), ANY, True),
    "field: what is no number is neither": (field("note", "above", "1"), ANY, False),
    "field: not even negated": (field("note", "above", "1", negate=True), ANY, False),
    "field: NaN is no number": (field("x", "above", "1"), case(fields={"x": "nan"}), False),
    "field: a number and a date do not compare": (field("orders", "above", "2020-01-01"), ANY,
                                                  False),
    # hours, contact, referral
    "hours: open": ({"if": "hours", "calendar": "office"}, ANY, True),
    "hours: closed": ({"if": "hours", "calendar": "night", "open": False}, ANY, True),
    "hours: of the workspace": ({"if": "hours", "open": False}, ANY, False),
    "hours: a calendar that is not there": ({"if": "hours", "calendar": "gone"}, ANY, False),
    "hours: not even negated": ({"if": "hours", "calendar": "gone", "negate": True}, ANY, False),
    "contact: new": ({"if": "contact", "kind": "new"}, ANY, True),
    "contact: returning": ({"if": "contact", "kind": "returning"}, case(returning=True), True),
    "contact: not new": ({"if": "contact", "kind": "new"}, case(returning=True), False),
    "referral: a source": (
        {"if": "referral", "sources": ["ADS"]}, case(referral_source="ads"), True),
    "referral: a part of its ref": (
        {"if": "referral", "ref_has": "summer"}, case(referral_ref="x-Summer-26"), True),
    "referral: both that are given": (
        {"if": "referral", "sources": ["ads"], "ref_has": "summer"},
        case(referral_source="ads", referral_ref="winter"), False),
    "referral: any": ({"if": "referral"}, case(referral_ref="qr"), True),
    "referral: none": ({"if": "referral"}, ANY, False),
}  # fmt: skip


@pytest.mark.parametrize("told", CASES.values(), ids=CASES)
def test_holds(told: tuple[dict[str, Any], Case, bool]) -> None:
    condition, given_case, expected = told
    found: AnyCondition = msgspec.convert(condition, AnyCondition)
    assert holds(found, given_case, POLICY, MONDAY_NOON) is expected


def test_every_condition_has_a_case() -> None:
    tags = {told[0]["if"] for told in CASES.values()}
    kinds = AnyCondition.__args__
    assert tags == {kind.__struct_config__.tag for kind in kinds}


REFUSED = ["(a", "a(?=b)", r"(a)\1", "a{1001}", "\\", "((a{100}){100}){100}", "\ud800", "[z-a]"]


@pytest.mark.parametrize("pattern", REFUSED)
def test_a_pattern_that_is_refused_is_said_and_not_raised(
    pattern: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert pattern_problem(pattern)
    for negate in (False, True):
        condition = msgspec.convert(regex(pattern, negate=negate), AnyCondition)
        assert holds(condition, ANY, POLICY, MONDAY_NOON) is False
    assert capfd.readouterr().err == ""


def test_a_hostile_pattern_takes_linear_time() -> None:
    condition = msgspec.convert(regex(r"^(\w+\s?)*(a|aa|a?)*$"), AnyCondition)
    start = time.perf_counter()
    holds(condition, says("a" * 3_999 + "!"), POLICY, MONDAY_NOON)
    assert time.perf_counter() - start < 10  # another way it takes for ever


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60))
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60), pattern=st.text(min_size=1, max_size=20))
def test_no_text_and_no_pattern_raises(text: str, pattern: str) -> None:
    for told in (regex(pattern), words(pattern), field("x", "above", pattern)):
        condition = msgspec.convert(told, AnyCondition)
        holds(condition, case(text=text, fields={"x": text}), POLICY, MONDAY_NOON)
