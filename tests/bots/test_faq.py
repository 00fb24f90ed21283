"""Which answer a visitor's question gets, and why."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.bots import faq_index
from libs.common.bots.faq import Answer, answer
from libs.common.bots.faq_index import index_of
from libs.common.bots.words import fold
from libs.common.documents import Bot, FaqEntry
from tests.bots.bots import faq_bot

HOURS = FaqEntry(
    id="hours",
    questions=("When are you open?", "What are your opening hours?"),
    keywords=("hours", "open"),
    answers=("Nine to five.",),
)
PRICE = FaqEntry(
    id="price", questions=("How much is it?",), keywords=("price",), answers=("Ten dollars.",)
)
GERMAN = FaqEntry(id="preis", language="de", keywords=("price", "preis"), answers=("Zehn Dollar.",))
BRITISH = FaqEntry(id="quid", language="en-GB", keywords=("price",), answers=("Eight quid.",))
OTHER_BRITISH = msgspec.structs.replace(BRITISH, id="other")
MORNING = FaqEntry(id="am", questions=("Are you open tomorrow morning?",), answers=("Yes.",))
NOVEL = FaqEntry(id="novel", questions=("how much is it " * 21,), answers=("Much.",))
TAIWAN = FaqEntry(id="tw", language="zh-TW", keywords=("價格",), answers=("十元",))
THAI = FaqEntry(
    id="thai",
    language="th",
    questions=("ร้านเปิดกี่โมง",),
    keywords=("ราคา",),
    answers=("สิบบาท",),
)
HUMAN = FaqEntry(id="human", questions=("I want a refund",), answers=(), hand_off=True)
FILES = FaqEntry(id="menu", keywords=("menu",), answers=("Here.",), attachments=("att_1", "att_2"))
REFUND = FaqEntry(id="refund", keywords=("refund",), answers=("Refunds take a week.",))
PRICE_LIST = FaqEntry(id="list", keywords=("price list", "price"), answers=("See the list.",))
SHOP = FaqEntry(id="shop", questions=("Shop",), answers=("Here.",))
SHOPS = FaqEntry(id="shops", questions=("Shops",), answers=("There.",))
PAY = FaqEntry(id="pay", questions=("Pay",), answers=("By card.",))

LIST = (HOURS, PRICE, GERMAN, THAI, HUMAN, FILES)

CASES = {
    "the exact question, whatever its punctuation and case": (
        LIST,
        ("when are you open", ""),
        ("hours", "exact", "When are you open?", 100),
    ),
    "a keyword as a whole word": (
        LIST,
        ("Tell me the PRICE, please", "en"),
        ("price", "keyword", "price", 100),
    ),
    "no keyword inside another word": (LIST, ("openings of chess", "en"), None),
    "a question with typing errors": (
        LIST,
        ("wat are your oopening hour", "en"),
        ("hours", "fuzzy", "What are your opening hours?", 94),
    ),
    "a question with its words in another order": (
        LIST,
        ("is it how much", "en"),
        ("price", "fuzzy", "How much is it?", 100),
    ),
    "an exact question goes before another entry's keyword": (
        (REFUND, HUMAN),
        ("I want a refund", ""),
        ("human", "exact", "I want a refund", 100),
    ),
    "a keyword goes before a likeness": (
        (HUMAN, REFUND),
        ("I want a refund!!! now", ""),
        ("refund", "keyword", "refund", 100),
    ),
    "the contact's language goes first": (
        LIST,
        ("price", "de"),
        ("preis", "keyword", "price", 100),
    ),
    "a region of the language understands it": (
        LIST,
        ("price", "de_AT"),
        ("preis", "keyword", "price", 100),
    ),
    "a language understands what is written for one of its regions": (
        (TAIWAN,),
        ("價格", "zh"),
        ("tw", "keyword", "價格", 100),
    ),
    "one region is not another": ((TAIWAN,), ("價格", "zh-CN"), None),
    "without an entry of the language, one without a language answers": (
        LIST,
        ("price", "fr"),
        ("price", "keyword", "price", 100),
    ),
    "an entry of another language never answers": ((GERMAN,), ("price", "en"), None),
    "a prefix of letters is no prefix of the language": (
        (GERMAN,),
        ("price", "den"),
        None,
    ),
    "where the language is not known, those without one go first": (
        (GERMAN, PRICE),
        ("price", ""),
        ("price", "keyword", "price", 100),
    ),
    "where the language is not known, any may answer": (
        (GERMAN,),
        ("price", ""),
        ("preis", "keyword", "price", 100),
    ),
    "a keyword in Thai needs no blanks": (
        LIST,
        ("ขอทราบราคาหน่อยค่ะ", "th"),
        ("thai", "keyword", "ราคา", 100),
    ),
    "a Thai question with a polite word behind it is alike": (
        LIST,
        ("ร้านเปิดกี่โมงคะ", "th"),
        ("thai", "fuzzy", "ร้านเปิดกี่โมง", 93),
    ),
    "more and longer keywords win": (
        (PRICE, PRICE_LIST),
        ("price list", ""),
        ("list", "keyword", "price list", 100),
    ),
    "among equals the first of the list wins": (
        (BRITISH, OTHER_BRITISH),
        ("price", "en"),
        ("quid", "keyword", "price", 100),
    ),
    "a letter that puts a word elsewhere is one letter": (
        (MORNING,),
        ("zre you open tomorrow morning", ""),
        ("am", "fuzzy", "Are you open tomorrow morning?", 96),
    ),
    "a short word is never alike": ((PAY,), ("play", ""), None),
    "a short question is never alike": ((SHOP,), ("shops", ""), None),
    "a short message is never alike": ((SHOPS,), ("shop", ""), None),
    "a short word is itself": ((PAY,), ("pay?", ""), ("pay", "exact", "Pay", 100)),
    "nothing fits": (LIST, ("tell me a joke", "en"), None),
    "a picture or an emoji asks nothing": (LIST, ("\U0001f44d", ""), None),
    "no text asks nothing": (LIST, ("", ""), None),
    "a novel is like no question, not even one as long": (
        (NOVEL,),
        (NOVEL.questions[0] + "?x", ""),
        None,
    ),
}


@pytest.mark.parametrize(("entries", "asked", "expected"), CASES.values(), ids=CASES)
def test_d19_faq(
    entries: tuple[FaqEntry, ...],
    asked: tuple[str, str],
    expected: tuple[str, str, str, int] | None,
) -> None:
    given = answer(faq_bot(*entries), *asked, chance=0.0)
    assert (given and (given.entry, given.how, given.matched, given.score)) == expected


def test_likeness_below_the_bots_own_least_is_none() -> None:
    asked = "wat are your oopening hour"
    assert answer(faq_bot(HOURS, fuzzy=94), asked, "", 0.0) is not None
    assert answer(faq_bot(HOURS, fuzzy=95), asked, "", 0.0) is None


def test_likeness_can_be_switched_off() -> None:
    assert answer(faq_bot(PRICE, fuzzy=100), "is it how much", "", 0.0) is not None
    assert answer(faq_bot(PRICE, fuzzy=101), "is it how much", "", 0.0) is None


@pytest.mark.parametrize(
    ("chance", "text"),
    [
        (0.0, "One."),
        (0.33, "One."),
        (0.34, "Two."),
        (0.99, "Three."),
        (1.0, "Three."),
        (-1, "One."),
    ],
)
def test_one_of_several_answers_is_given_by_chance(chance: float, text: str) -> None:
    entry = FaqEntry(id="e", keywords=("x",), answers=("One.", "Two.", "Three."))
    given = answer(faq_bot(entry), "x", "", chance)
    assert given is not None
    assert given.text == text


def test_an_entry_sends_its_files() -> None:
    given = answer(faq_bot(FILES), "the menu", "", 0.5)
    assert given == Answer(
        entry="menu", text="Here.", attachments=("att_1", "att_2"), how="keyword", matched="menu"
    )


def test_a17_an_entry_may_only_hand_off() -> None:
    given = answer(faq_bot(HUMAN), "i want a refund", "", 0.5)
    assert given is not None
    assert (given.text, given.hand_off) == ("", True)


WILD = st.text(max_size=60)
ENTRIES = st.builds(
    FaqEntry,
    id=WILD,
    questions=st.lists(WILD, max_size=3).map(tuple),
    keywords=st.lists(WILD, max_size=3).map(tuple),
    language=st.sampled_from(["", "en", "en-GB", "th"]),
    answers=st.lists(WILD, max_size=2).map(tuple),
)


@given(
    bot=st.lists(ENTRIES, max_size=4).map(lambda entries: faq_bot(*entries)),
    text=WILD,
    language=st.sampled_from(["", "en", "th", "?"]),
    chance=st.floats(0, 1, exclude_max=True),
)
@settings(max_examples=150, deadline=None)
def test_any_text_is_answered_from_the_list_or_not_at_all(
    bot: Bot, text: str, language: str, chance: float
) -> None:
    given = answer(bot, text, language, chance)
    if given is None:
        return
    said = {(entry.id, text) for entry in bot.faq for text in entry.answers or ("",)}
    assert (given.entry, given.text) in said
    assert given.score >= bot.fuzzy
    if language == "en":
        assert {entry.language for entry in bot.faq if entry.id == given.entry} != {"th"}


@given(text=WILD)
@settings(max_examples=100, deadline=None)
def test_a_question_asked_word_for_word_is_always_answered(text: str) -> None:
    entry = FaqEntry(id="e", questions=(text,), answers=("Yes.",))
    given = answer(faq_bot(PRICE, entry), text, "", 0.0)
    assert given is None or given.how == "exact"
    assert (given is None) == (not fold(text))


def test_what_a_bot_knows_is_sorted_once() -> None:
    entries = (HOURS, PRICE)
    assert index_of(entries) is index_of(entries)


def test_the_lists_used_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = [(msgspec.structs.replace(HOURS, id=str(at)),) for at in range(3)]
    monkeypatch.setattr(faq_index, "_memory", faq_index._Memory())
    monkeypatch.setattr(faq_index, "_KEPT", 2 * index_of(lists[0]).size)
    kept = index_of(lists[0])
    seldom = index_of(lists[1])
    assert index_of(lists[0]) is kept
    index_of(lists[2])
    assert index_of(lists[0]) is kept
    assert index_of(lists[1]) is not seldom
