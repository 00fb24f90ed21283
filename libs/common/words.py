"""What search finds things by: the words of a text, folded.

Where a script has no spaces between words, pairs of letters stand for them. Both engines serve it
from one multikey index, so no search engine is needed beside the store. What is stored and what is
asked for go through the same folding; change it, and `relaydesk migrate` has to fill again.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Collection, Iterable, Iterator

import msgspec

FOLDING = 1
"""Raised when words of stored documents would be others: `relaydesk migrate` then fills again."""
MOST_WORDS = 200
"""Words of one document; what is longer is found by its beginning."""
LONGEST = 40
"""Letters of a word that count."""
MOST_LETTERS = 1500
"""Characters of one text that are looked at."""
MOST_ASKED = 12
"""Words of a question that count."""
_MOST_TYPED = 500
FEWEST_DIGITS = 7
"""Digits from which on a number is one that people spell in several ways."""
_MOST_DIGITS = 15
TAIL = "#"
"""Begins what a long number is found by in any spelling: its last `FEWEST_DIGITS` digits."""

_UNSPACED_RANGES = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff"
    "\uac00-\ud7af\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, kana, Han; Hangul, whose words take endings."""
_ACCENTS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f"
    "\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"
)
"""What a word is the same without: accents, vowel points, the Arabic stretcher, invisible marks."""
_LETTERS = {
    "\u0131": "i",
    "ø": "o",
    "đ": "d",
    "ł": "l",
    "æ": "ae",
    "œ": "oe",
    "ى": "ي",
    "ی": "ي",
    "ک": "ك",
    "\u0629": "\u0647",
}
"""Letters that people type for one another and that Unicode does not decompose."""


def _alphabet() -> tuple[dict[int, str], str]:
    r"""Return what single characters fold to, and the marks that are part of a word and stay.

    Digits of every script fold to the ASCII ones. The marks, as a character class, are the vowel
    signs of South and South-East Asia and the voice marks of kana, which `\w` leaves out.
    """
    folded = {ord(letter): plain for letter, plain in _LETTERS.items()}
    marks = []
    for code in range(0x80, 0x11FFF):
        character = chr(code)
        category = unicodedata.category(character)
        if category == "Nd":
            folded[code] = str(unicodedata.decimal(character))
        elif category in {"Mn", "Mc"}:
            marks.append(character)
    return folded, re.sub(f"[{_ACCENTS}]", "", "".join(marks))


_PLAIN, _MARKS = _alphabet()
_PILE = "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]"
_ACCENT = re.compile(f"[{_ACCENTS}]+")
_PILED = re.compile(f"({_PILE}{{4}}){_PILE}+")
_LETTER = f"(?:[^\\W_]|[{_MARKS}])"
_EMAIL = r"[a-z0-9][a-z0-9._%+-]{0,63}@[a-z0-9][a-z0-9.-]{0,100}"
_NUMBER = r"[0-9](?<![^\W_][0-9])(?:[ ().\-/\u2010-\u2015\u00a0]{0,3}[0-9]){6,}"
_TOKEN = re.compile(f"(?P<email>{_EMAIL})|(?P<number>{_NUMBER}(?![^\\W_]))|(?P<word>{_LETTER}+)")
_WORD = re.compile(f"{_LETTER}+")
_ASCII_WORD = re.compile(r"[a-z0-9]+")
_EMAILS = re.compile(_EMAIL)
_NUMBERS = re.compile(f"{_NUMBER}(?![^\\W_])")
_ONLY_NUMBER = re.compile(f"[+( ]*{_NUMBER}[) ]*")
_UNSPACED = re.compile(f"[{_UNSPACED_RANGES}]+")
_HIGHEST = chr(sys.maxunicode)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a question asks for: every one of `words`, and for each of `begins` a word so begun.

    `either` are other spellings of the whole question: one of them will do in place of all that.
    """

    words: tuple[str, ...] = ()
    begins: tuple[str, ...] = ()
    either: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether it asks for nothing that can be found."""
        return not self.words and not self.begins

    def found_in(self, words: Collection[str]) -> bool:
        """Tell whether a document with these words is meant."""
        if self.empty:
            return False
        held = words if isinstance(words, set | frozenset) else set(words)
        if any(word in held for word in self.either):
            return True
        return all(word in held for word in self.words) and all(
            any(word.startswith(begin) for word in held) for begin in self.begins
        )

    def marks(self, word: str) -> bool:
        """Tell whether the folded *word* is one of those asked for."""
        return word in self.words or word in self.either or word.startswith(self.begins or ("\0",))


def fold(text: str) -> str:
    """Return *text* without case, accents and compatibility forms, of at most `MOST_LETTERS`."""
    text = text[:MOST_LETTERS]
    if text.isascii():
        return text.lower()
    # a pile of accents takes quadratic time to decompose: four of them say as much
    plain = unicodedata.normalize("NFKD", _PILED.sub(r"\1", text.casefold()))
    if (small := plain.casefold()) != plain:  # compatibility forms of capitals
        plain = unicodedata.normalize("NFKD", small)
    plain = _ACCENT.sub("", plain[:MOST_LETTERS]).translate(_PLAIN)
    return unicodedata.normalize("NFC", plain)


def words_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Return what *texts* are found by, each once, in order, at most `MOST_WORDS`."""
    found: dict[str, None] = {}
    for text in texts:
        if not text:
            continue
        for word in _words(fold(text)):
            found[word] = None
            if len(found) == MOST_WORDS:
                return tuple(found)
    return tuple(found)


def query_words(text: str) -> Asked:
    """Return what *text*, as somebody types it, asks for.

    The last word may be unfinished; of a script without spaces every pair of letters must be
    there. A number that people spell in several ways is asked for in any of them. At most
    `MOST_ASKED` words count, the first.
    """
    folded = fold(text[:_MOST_TYPED])
    digits = _digits(folded)
    if len(digits) <= _MOST_DIGITS and _ONLY_NUMBER.fullmatch(folded):
        return Asked(begins=(digits,), either=(_tail(digits),))
    words: dict[str, None] = {}
    begins: dict[str, None] = {}
    tokens = list(_TOKEN.finditer(folded))
    for place, match in enumerate(tokens):
        for word, whole in _asked(match, last=place == len(tokens) - 1):
            (words if whole else begins)[word] = None
            if len(words) + len(begins) == MOST_ASKED:
                return Asked(words=tuple(words), begins=tuple(begins))
    return Asked(words=tuple(words), begins=tuple(begins))


def above(begin: str) -> str:
    """Return what every word that begins with *begin* is below, and no other from there on."""
    return begin + _HIGHEST


def spans(text: str, asked: Asked, *, most: int = 50) -> tuple[tuple[int, int], ...]:
    """Return where in *text* what is *asked* stands: (start, end) in characters, in order."""
    found: list[tuple[int, int]] = []
    for match in _TOKEN.finditer(_same_length(text[:MOST_LETTERS])):
        for start, end in _marked(match, text, asked):
            if found and start <= found[-1][1]:
                found[-1] = (found[-1][0], max(end, found[-1][1]))
            elif len(found) == most:
                return tuple(found)
            else:
                found.append((start, end))
    return tuple(found)


# --- inside ------------------------------------------------------------------------------------


def _words(folded: str) -> Iterator[str]:
    if "@" in folded:
        yield from (email.rstrip(".-")[:LONGEST] for email in _EMAILS.findall(folded))
    for number in _NUMBERS.findall(folded):
        digits = _digits(number)
        if len(digits) <= _MOST_DIGITS:
            yield digits
            yield _tail(digits)
    if folded.isascii():
        yield from (word[:LONGEST] for word in _ASCII_WORD.findall(folded))
        return
    for word in _WORD.findall(folded):
        yield from _parts(word)


def _digits(text: str) -> str:
    return "".join(c for c in text if c in "0123456789")


def _tail(digits: str) -> str:
    return TAIL + digits[-FEWEST_DIGITS:]


def _parts(word: str) -> Iterator[str]:
    """Split a folded word where its script has no spaces; single letters begin something, too."""
    if word.isascii():
        yield word[:LONGEST]
        return
    start = 0
    for run in _UNSPACED.finditer(word):
        if run.start() > start:
            yield word[start : run.start()][:LONGEST]
        letters = run[0]
        yield from (letters[i : i + 2] for i in range(len(letters)))  # the last one is single
        start = run.end()
    if start < len(word):
        yield word[start:][:LONGEST]


def _asked(match: re.Match[str], *, last: bool) -> Iterator[tuple[str, bool]]:
    """Return the words that a token asks for, and whether each is meant as a whole."""
    if match["email"]:
        yield match["email"].rstrip(".-")[:LONGEST], not last
        return
    if match["number"]:
        digits = _digits(match["number"])
        if len(digits) <= _MOST_DIGITS:
            yield _tail(digits), True
            return
    words = _WORD.findall(match[0])
    for place, word in enumerate(words):
        yield from _asked_parts(word, last=last and place == len(words) - 1)


def _asked_parts(word: str, *, last: bool) -> Iterator[tuple[str, bool]]:
    start = 0
    for run in _UNSPACED.finditer(word):
        if run.start() > start:
            yield word[start : run.start()][:LONGEST], True
        letters = run[0]
        if len(letters) == 1:
            yield letters, False
        yield from ((letters[i : i + 2], True) for i in range(len(letters) - 1))
        start = run.end()
    if start < len(word):
        yield word[start:][:LONGEST], not last


def _same_length(text: str) -> str:
    """Return *text* in lower case, character by character, so that places stay."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(low if len(low := c.lower()) == 1 else c for c in text)


def _marked(match: re.Match[str], text: str, asked: Asked) -> Iterator[tuple[int, int]]:
    """Return the places in a token of *text* that are asked for."""
    if match["email"] or match["number"]:
        found = _words(fold(match[0]))
        if any(asked.marks(word) for word in found if "@" in word or not word.isalnum()):
            yield match.span()
            return
        if match["number"] and asked.marks(_digits(fold(match[0]))):
            yield match.span()
            return
    for word in _WORD.finditer(match[0]):
        start = match.start() + word.start()
        yield from _marked_word(text[start : start + len(word[0])], start, asked)


def _marked_word(word: str, start: int, asked: Asked) -> Iterator[tuple[int, int]]:
    """Return the places of what is asked for in one word of the text as it stands."""
    rest = 0
    for run in _UNSPACED.finditer(word):
        if run.start() > rest and asked.marks(fold(word[rest : run.start()])[:LONGEST]):
            yield start + rest, start + run.start()
        for first, last in _marked_pairs(run[0], asked):
            yield start + run.start() + first, start + run.start() + last
        rest = run.end()
    if rest < len(word) and asked.marks(fold(word[rest:])[:LONGEST]):
        yield start + rest, start + len(word)


def _marked_pairs(run: str, asked: Asked) -> Iterator[tuple[int, int]]:
    """Return the places of pairs that are asked for; a letter may fold to several."""
    letters = [(letter, place) for place, c in enumerate(run) for letter in fold(c)]
    for n, (letter, place) in enumerate(letters):
        following = letters[n + 1 : n + 2]
        pair = letter + "".join(c for c, _ in following)
        if pair in asked.words:
            yield place, (following[0][1] if following else place) + 1
        elif asked.marks(pair):
            yield place, place + 1
