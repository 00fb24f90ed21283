"""Text is cut between what a reader sees as characters, and nothing but white space is lost."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.text import TextUnit, clusters, measure, split_text

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
THAI = "\u0e01\u0e33"  # ko kai with sara am
FLAG_TH = "\U0001f1f9\U0001f1ed"
FLAG_DE = "\U0001f1e9\U0001f1ea"
WAVE = "\U0001f44b\U0001f3fd"
HEART = "\u2764\ufe0f"
E_ACUTE = "e\u0301"
ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"

CASES: dict[str, tuple[str, int, TextUnit, list[str]]] = {
    "what fits is left alone, blanks included": (" hi  there ", 20, "characters", [" hi  there "]),
    "nothing to show gives nothing": (" \n\t", 20, "characters", []),
    "empty gives nothing": ("", 20, "characters", []),
    "exactly the limit is one piece": ("x" * 20, 20, "characters", ["x" * 20]),
    "one more makes a second piece": ("x" * 21, 20, "characters", ["x" * 20, "x"]),
    "a cut prefers a blank": ("hello big world", 12, "characters", ["hello big", "world"]),
    "a line break beats a later blank": (
        "first line\nsecond is long",
        20,
        "characters",
        ["first line", "second is long"],
    ),
    "a word that ends at the limit stays whole": ("12345 7890", 5, "characters", ["12345", "7890"]),
    "a blank in the first half does not waste the piece": (
        "ab " + "x" * 20,
        10,
        "characters",
        ["ab xxxxxxx", "x" * 10, "xxx"],
    ),
    "a Chinese sentence end is a boundary": (
        "你好吗。我很好谢谢你",
        6,
        "characters",
        ["你好吗。", "我很好谢谢你"],
    ),
    "UTF-16 counts an emoji as two": (
        "\U0001f600" * 5,
        4,
        "utf16",
        ["\U0001f600" * 2] * 2 + ["\U0001f600"],
    ),
    "bytes count an umlaut as two": ("ä" * 5, 4, "bytes", ["ää", "ää", "ä"]),
    "bytes never cut a code point": ("a" + "中" * 3, 5, "bytes", ["a中", "中", "中"]),
    "a line break loses to nothing, even a blank at the very limit": (
        "ab cd\nef gh",
        8,
        "characters",
        ["ab cd", "ef gh"],
    ),
    "a base keeps its accent": ("abc" + E_ACUTE, 4, "characters", ["abc", E_ACUTE]),
    "a joined family stays together": ("ab" + FAMILY, 5, "characters", ["ab", FAMILY]),
    "a flag stays together": (FLAG_TH + "a" + FLAG_DE, 4, "characters", [FLAG_TH + "a", FLAG_DE]),
    "two flags are two characters": (FLAG_TH + FLAG_DE, 4, "utf16", [FLAG_TH, FLAG_DE]),
    "a skin tone stays with its hand": ("abc" + WAVE, 4, "characters", ["abc", WAVE]),
    "a variation selector stays": ("abc" + HEART, 4, "characters", ["abc", HEART]),
    "a tag flag stays together": ("abc" + ENGLAND, 8, "characters", ["abc", ENGLAND]),
    "Thai sara am stays with its consonant": ("abc" + THAI, 4, "characters", ["abc", THAI]),
    "Hangul jamo stay one syllable": (
        "ab\u1112\u1161\u11ab",
        4,
        "characters",
        ["ab", "\u1112\u1161\u11ab"],
    ),
    "carriage return and line feed stay together": ("abc\r\nd", 4, "characters", ["abc", "d"]),
    "a pile of marks longer than the limit is cut after all": (
        "a" + "\u0301" * 6,
        4,
        "characters",
        ["a\u0301\u0301\u0301", "\u0301\u0301\u0301"],
    ),
    "surrogates that Python holds as two stay a pair": (
        "abc\ud83d\ude00",
        4,
        "characters",
        ["abc", "\ud83d\ude00"],
    ),
}


@pytest.mark.parametrize(("text", "limit", "unit", "expected"), CASES.values(), ids=CASES)
def test_split(text: str, limit: int, unit: TextUnit, expected: list[str]) -> None:
    assert split_text(text, limit, unit) == expected


def test_a_limit_below_one_code_point_is_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        split_text("hello", 3, "bytes")


PIECES = st.sampled_from(
    [FAMILY, THAI, FLAG_TH, WAVE, HEART, E_ACUTE, ENGLAND, "a", " ", "\n", "中", "\U0001f600"]
)
TEXTS = st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=60).map("".join))
UNITS: st.SearchStrategy[TextUnit] = st.sampled_from(("characters", "utf16", "bytes"))


@given(TEXTS, st.integers(4, 40), UNITS)
def test_pieces_fit_and_lose_only_white_space(text: str, limit: int, unit: TextUnit) -> None:
    pieces = split_text(text, limit, unit)
    assert all(0 < measure(piece, unit) <= limit and piece.strip() for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


@given(TEXTS, st.integers(30, 60), UNITS)
def test_a_cut_never_falls_inside_a_character(text: str, limit: int, unit: TextUnit) -> None:
    whole = list(clusters(text))
    if any(measure(cluster, unit) > limit for cluster in whole):
        return
    cuts = split_text(text, limit, unit)
    kept = [cluster for cluster in whole if not cluster.isspace()]
    again = [c for piece in cuts for c in clusters(piece) if not c.isspace()]
    assert again == kept


@given(TEXTS)
def test_clusters_rebuild_the_text(text: str) -> None:
    assert "".join(clusters(text)) == text
    assert all(itertools.islice(clusters(text), 1000))
