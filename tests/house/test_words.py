"""What search finds a text by (D23): the same on both sides, whatever the script."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.words import (
    LONGEST,
    MOST_ASKED,
    MOST_LETTERS,
    MOST_WORDS,
    fold,
    query_words,
    spans,
    words_of,
)
from services.desk.search_shown import LONGEST as SHOWN
from services.desk.search_shown import excerpt_of

FOUND: dict[str, tuple[str, str]] = {
    "other case": ("Große Straße", "STRASSE"),
    "without its accents": ("Crème brûlée", "creme brulee"),
    "accents in two pieces": ("cafe\u0301", "café"),
    "a Turkish capital": ("İSTANBUL", "istanbul"),
    "a Turkish i without a dot": ("\u0131s\u0131", "isi"),
    "letters with a stroke": ("Łódź Ørsted", "lodz orsted"),
    "Greek with another last letter": ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
    "Cyrillic": ("Ёлка", "елка"),
    "Arabic with vowels and stretched": ("الفَاتُورَةـــ", "الفاتوره"),
    "Arabic with another hamza": ("أحمد", "احمد"),
    "Persian letters": ("کتاب یک", "كتاب يك"),
    "digits of another script": ("سفارش ۱۲۳", "123"),
    "wide letters": ("\uff21\uff22\uff23\uff11\uff12\uff13", "abc123"),
    "narrow kana": ("ｶﾞｲﾄﾞ", "ガイド"),
    "Hindi with its vowel signs": ("हिन्दी में", "हिन्दी"),
    "Thai in the middle": ("ขอใบเสร็จน้ำดื่มครับ", "น้ำดื่ม"),
    "one Thai letter": ("น้ำดื่ม", "ด"),
    "Chinese in the middle": ("请问发票在哪里", "发票"),
    "one sign, the last": ("请问发票", "票"),
    "Korean with an ending": ("영수증을 주세요", "영수증"),
    "Latin beside kana": ("iPhoneを買う", "iphone"),
    "the beginning of the last word": ("invoice please", "invo"),
    "an address, whole": ("to Eve.Smith@Example.org!", "eve.smith@example.org"),
    "an address, begun": ("to eve.smith@example.org", "eve.smith@exa"),
    "an address by its parts": ("to eve.smith@example.org", "smith example"),
    "a link by its host": ("see https://shop.example.org/o/17?x=1", "shop.example.org"),
    "a file's name by its parts": ("report_final-2024.PDF", "final 2024 pdf"),
    "a number in groups": ("+44 (20) 7946-0958", "442079460958"),
    "a number without its country": ("+44 20 7946 0958", "020 7946 0958"),
    "a number with it": ("call 020-7946-0958", "+44 20 7946 0958"),
    "a number, begun": ("order 4711081500", "47110"),
    "a number beside words": ("my phone: 020 7946 0958", "phone +442079460958"),
    "beside an emoji": ("🎉 party 🎉", "party"),
    "beside half a character": ("a\ud800b", "b"),
}
NOT_FOUND: dict[str, tuple[str, str]] = {
    "a word that is not there": ("invoice please", "receipt"),
    "the end of a word": ("invoice", "voice"),
    "an unfinished word that is not the last": ("invoice please", "invo please"),
    "signs that are not next to one another": ("发货的票", "发票"),
    "another number": ("+44 20 7946 0958", "+44 20 7946 0959"),
    "signs alone": ("?!", "?!"),
    "an emoji": ("🎉", "🎉"),
    "nothing": ("invoice", ""),
}
texts = st.text(
    alphabet=st.one_of(
        st.characters(codec=None),
        st.sampled_from("aßİ\u0131éخطหน้ำ請書ガを한글0123456789 +-()@._\u0301\u200d\ufdfa"),
    ),
    max_size=60,
)


def found(text: str, typed: str) -> bool:
    return query_words(typed).found_in(words_of([text]))


@pytest.mark.parametrize(("text", "typed"), FOUND.values(), ids=FOUND)
def test_d23_a_text_is_found(text: str, typed: str) -> None:
    assert found(text, typed)


@pytest.mark.parametrize(("text", "typed"), NOT_FOUND.values(), ids=NOT_FOUND)
def test_d23_a_text_is_not_found(text: str, typed: str) -> None:
    assert not found(text, typed)


@settings(max_examples=150, deadline=None)
@given(texts)
def test_d23_a_text_is_found_by_itself(text: str) -> None:
    asked = query_words(text)
    assert asked.empty or asked.found_in(words_of([text]))
    assert asked.empty == (not words_of([text]))


@settings(max_examples=150, deadline=None)
@given(texts, texts)
def test_d23_words_are_bounded_folded_and_storable(text: str, typed: str) -> None:
    words = words_of([text, typed])
    assert len(set(words)) == len(words) <= MOST_WORDS
    assert all(0 < len(word) <= LONGEST and "\0" not in word for word in words)
    " ".join(words).encode()
    asked = query_words(typed)
    assert len(asked.words) + len(asked.begins) <= MOST_ASKED
    places = spans(text, asked)
    assert all(0 <= start < end <= len(text) for start, end in places)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(places))
    shown = excerpt_of(text, asked)
    assert len(shown.text) <= SHOWN + 2
    assert all(0 <= start < end <= len(shown.text) for start, end in shown.ranges)


def test_d23_folding_twice_is_folding_once() -> None:
    for text, typed in FOUND.values():
        assert fold(fold(text)) == fold(text)
        assert fold(fold(typed)) == fold(typed)


def test_d23_much_text_is_found_by_its_beginning() -> None:
    text = " ".join(f"word{n}" for n in range(5000))
    assert len(words_of([text])) == MOST_WORDS
    assert len(words_of(["ab " * MOST_LETTERS + "end"])) <= 2
    assert len(query_words(text).words) == MOST_ASKED


def test_d23_an_excerpt_shows_where_it_is() -> None:
    text = "Long before. " * 20 + "Here is the\nInvoice, and invoices " + "after it " * 40
    shown = excerpt_of(text, query_words("invoice"))
    assert shown.text.startswith("…")
    assert shown.text.endswith("…")
    assert "\n" not in shown.text
    assert [shown.text[a:b] for a, b in shown.ranges] == ["Invoice", "invoices"]
    assert excerpt_of("short", query_words("none")).text == "short"
    thai = excerpt_of("ขอใบเสร็จน้ำดื่มครับ", query_words("น้ำดื่ม"))
    assert [thai.text[a:b] for a, b in thai.ranges] == ["น้ำดื่ม"]
    number = excerpt_of("call 020 7946 0958 now", query_words("+442079460958"))
    assert [number.text[a:b] for a, b in number.ranges] == ["020 7946 0958"]
