"""Say what is wrong with a bot before it meets a visitor.

Each problem is a sentence that names its place, as in `steps[3].choices[0].to`, and what is
allowed there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from yarl import URL

from libs.common.bots.check_flow import flow_problems
from libs.common.bots.words import fold
from libs.common.documents import Bot, FaqEntry
from libs.common.targets import fits, is_loopback, is_public

MOST_ENTRIES = 1000
MOST_WORDINGS = 50
"""Questions, keywords or answers of an entry."""
MOST_IN_ALL = 5000
"""Questions and keywords of a bot: each message is compared with all of them."""
LONGEST_WORDING = 300
LONGEST_ANSWER = 4000
MOST_ATTACHMENTS = 10
LONGEST_URL = 2000
LONGEST_NAME = 253
"""Characters of a host's name, see RFC 1035 section 2.3.4."""

_LANGUAGE = re.compile(r"([A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*)?")
_UNFIT = re.compile(r"[\s\x00-\x20\x7f]")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
_LIKENESS = range(50, 102)
_MISSES = range(1, 21)


def problems(bot: Bot, *, local: bool = False) -> Iterator[str]:
    """Yield what is wrong with *bot*; nothing: it may be used.

    What belongs to another kind of bot is not looked at. With *local* a webhook bot may be http
    on this machine, for trials.
    """
    if not bot.name.strip():
        yield "name: is empty; a bot needs a name"
    if bot.automation and bot.kind == "webhook":
        yield "automation: only bots of kind faq or flow answer in assigned sessions"
    match bot.kind:
        case "faq":
            yield from _faq_problems(bot)
        case "flow":
            yield from flow_problems(bot)
        case "webhook":
            yield from url_problems(bot.url, local=local)


def _faq_problems(bot: Bot) -> Iterator[str]:
    if not 1 <= len(bot.faq) <= MOST_ENTRIES:
        yield f"faq: has {len(bot.faq)} entries; 1 to {MOST_ENTRIES} are allowed"
    wordings = sum(len(entry.questions) + len(entry.keywords) for entry in bot.faq)
    if wordings > MOST_IN_ALL:
        yield f"faq: has {wordings} questions and keywords; at most {MOST_IN_ALL} are allowed"
    if bot.fuzzy not in _LIKENESS:
        yield f"fuzzy: is {bot.fuzzy}; 50 to 100 are allowed, or 101 for no likeness at all"
    if bot.misses not in _MISSES:
        yield f"misses: is {bot.misses}; 1 to 20 are allowed"
    seen = Counter(entry.id for entry in bot.faq)
    for number, entry in enumerate(bot.faq):
        place = f"faq[{number}]"
        if not entry.id or seen[entry.id] > 1:
            yield f"{place}.id: is {entry.id!r}; each entry needs an id of its own"
        yield from (f"{place}.{problem}" for problem in _entry_problems(entry))


def _entry_problems(entry: FaqEntry) -> Iterator[str]:
    if not entry.questions and not entry.keywords:
        yield "questions: an entry needs a question or a keyword"
    yield from _wording_problems("questions", entry.questions)
    yield from _wording_problems("keywords", entry.keywords)
    if not (entry.answers or entry.attachments or entry.hand_off):
        yield "answers: is empty; an entry answers, sends an attachment or hands off"
    if len(entry.answers) > MOST_WORDINGS:
        yield f"answers: has {len(entry.answers)}; at most {MOST_WORDINGS} are allowed"
    for number, text in enumerate(entry.answers):
        if not 1 <= len(text.strip()) <= LONGEST_ANSWER:
            yield f"answers[{number}]: needs 1 to {LONGEST_ANSWER} characters"
    if len(entry.attachments) > MOST_ATTACHMENTS or "" in entry.attachments:
        yield f"attachments: takes at most {MOST_ATTACHMENTS} ids of stored files"
    if not _LANGUAGE.fullmatch(entry.language):
        yield f"language: is {entry.language!r}; a tag such as en or pt-BR is allowed, or none"


def _wording_problems(field: str, wordings: Iterable[str]) -> Iterator[str]:
    listed = list(wordings)
    if len(listed) > MOST_WORDINGS:
        yield f"{field}: has {len(listed)}; at most {MOST_WORDINGS} are allowed"
    for number, text in enumerate(listed):
        if not fold(text) or len(text) > LONGEST_WORDING:
            yield f"{field}[{number}]: needs 1 to {LONGEST_WORDING} characters, a letter or digit"


def url_problems(text: str, *, local: bool) -> Iterator[str]:
    """Yield what is wrong with an address that is to be called, without looking up its name.

    What passes may still lead nowhere; what does not could never be called, see
    `libs.common.targets`. *local*: it may be on this machine.
    """
    allowed = "an absolute https address of a public host is allowed, on port 443 or one from 1024"
    if local:
        allowed += ", or http on this machine"
    if len(text) > LONGEST_URL:
        yield f"url: is longer than {LONGEST_URL} characters"
        return
    if _UNFIT.search(text):
        yield f"url: holds a space or control character; {allowed}"
        return
    try:
        url = URL(text)
        _ = url.port, url.raw_host
    except ValueError:
        yield f"url: is no address; {allowed}"
        return
    if url.user is not None or url.password is not None or url.fragment:
        yield f"url: must not hold a name, password or fragment; {allowed}"
    if not (local and _is_trial(url)) and (wrong := _never_called(url)):
        yield f"url: {wrong}; {allowed}"


def _is_trial(url: URL) -> bool:
    return url.scheme in {"http", "https"} and bool(url.port) and _is_here(url.raw_host or "")


def _never_called(url: URL) -> str:
    """Return why *url* is never called; empty: it may be."""
    if url.scheme != "https" or not _may_be_public(url.raw_host or ""):
        return "cannot be called"
    return "" if fits(url.port) else f"port {url.port} is not called"


def _may_be_public(host: str) -> bool:
    """Tell whether *host* is no inner address; where a name leads shows when it is called."""
    try:
        return is_public(str(ip_address(host)))
    except ValueError:
        return _is_name(host.removesuffix("."))


def _is_name(host: str) -> bool:
    """Tell whether *host* is a name of the public kind, and no address in an odd spelling.

    A name whose last label is a number is read as an IPv4 address, whatever its other labels:
    https://url.spec.whatwg.org/#ends-in-a-number-checker. Labels: RFC 1123 section 2.1.
    """
    labels = host.split(".")
    fit = len(labels) > 1 and len(host) <= LONGEST_NAME and all(map(_LABEL.fullmatch, labels))
    return fit and not _NUMBER.fullmatch(labels[-1]) and labels[-1] not in {"localhost", "local"}


def _is_here(host: str) -> bool:
    try:
        return is_loopback(str(ip_address(host)))
    except ValueError:
        return host == "localhost"
