"""The `{{variable|fallback}}` places in what is written once and sent later, or to many.

    {{contact.name|there}}   contact.name, .phone, .email, .language, .zone
    {{contact.field.plan}}   a fact of the workspace's own; any name is allowed
    {{agent.name}}  {{account.name}}  {{channel}}

The fallback stands where the value is not known; without one nothing does. A value goes in as one
line of at most `VALUE_LIMIT` characters and is never read for places itself: what visitors call
themselves stays a name. Places count in texts, choices and the values of templates, not in web
addresses, payloads or names of files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from libs.common.documents import Contact
from libs.common.events import Choice, ChoicesPart, ContentPart, TemplatePart, TextPart

VALUE_LIMIT = 200
"""Characters of one value; a longer one is cut."""
NAMES = (
    "contact.name",
    "contact.phone",
    "contact.email",
    "contact.language",
    "contact.zone",
    "agent.name",
    "account.name",
    "channel",
)
FIELD = "contact.field."
ALLOWED = ", ".join((*NAMES, f"{FIELD}<name>"))

_PLACE = re.compile(r"\{\{([^{}|]*)(?:\|([^{}]*))?\}\}")
_BROKEN = re.compile(r"\{\{(?!([^{}|]*)(\|[^{}]*)?\}\}(?!\})).{0,40}", re.DOTALL)

Values = Mapping[str, str]
"""Value by the variable's name; see `values_of`."""
_Change = Callable[[str], str]


def values_of(
    contact: Contact | None, author_name: str, account_name: str, channel: str
) -> dict[str, str]:
    """Return what the variables stand for; of a *contact* that is gone nothing is known."""
    found = {"agent.name": author_name, "account.name": account_name, "channel": channel}
    if contact is not None:
        for name in ("name", "phone", "email", "language", "zone"):
            found[f"contact.{name}"] = getattr(contact, name)
        found |= {FIELD + name: value for name, value in contact.fields.items()}
    return found


def rendered(parts: Sequence[ContentPart], values: Values) -> tuple[ContentPart, ...]:
    """Return *parts* with the values in place; a name that is not known stays as it is written."""

    def fill(place: re.Match[str]) -> str:
        name = place[1].strip()
        if not _is_known(name):
            return place[0]
        return _one_line(values.get(name, "")) or (place[2] or "").strip()

    return tuple(_changed(part, lambda text: _PLACE.sub(fill, text)) for part in parts)


def unknown(parts: Sequence[ContentPart]) -> list[str]:
    """Return the names in *parts* that are no variables, as they stand there, each once."""
    names = [place[1].strip() for text in _texts(parts) for place in _PLACE.finditer(text)]
    return [name for name in dict.fromkeys(names) if not _is_known(name)]


def broken(parts: Sequence[ContentPart]) -> list[str]:
    """Return where a place begins in *parts* and is none: it does not end, or has braces in it.

    Each is the text from there on, cut; as it stands it would go out with its braces.
    """
    return [found[0] for text in _texts(parts) for found in _BROKEN.finditer(text)]


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A variable of which nothing is known, and what stands in its place."""

    name: str
    fallback: str


def missing(parts: Sequence[ContentPart], values: Values) -> list[Missing]:
    """Return the variables in *parts* whose value is not known, each once a fallback."""
    places = [place for text in _texts(parts) for place in _PLACE.finditer(text)]
    found = [
        Missing(name=place[1].strip(), fallback=(place[2] or "").strip())
        for place in places
        if _is_known(place[1].strip()) and not _one_line(values.get(place[1].strip(), ""))
    ]
    return list(dict.fromkeys(found))


def may_be_blank(parts: Sequence[ContentPart]) -> list[str]:
    """Return the texts of which nothing is left where no value is known: they need a fallback."""
    bare = rendered(parts, {})
    pairs = zip(_texts(parts), _texts(bare), strict=True)
    return [before for before, after in pairs if before.strip() and not after.strip()]


def _is_known(name: str) -> bool:
    return name in NAMES or (name.startswith(FIELD) and len(name) > len(FIELD))


def _one_line(value: str) -> str:
    return " ".join(value.split())[:VALUE_LIMIT]


def _texts(parts: Sequence[ContentPart]) -> Iterator[str]:
    """Yield every text of *parts* in which places count, in a fixed order."""
    found: list[str] = []

    def keep(text: str) -> str:
        found.append(text)
        return text

    for part in parts:
        _changed(part, keep)
    return iter(found)


def _changed(part: ContentPart, change: _Change) -> ContentPart:
    if isinstance(part, TextPart):
        return msgspec.structs.replace(part, text=change(part.text))
    if isinstance(part, ChoicesPart):
        text, label = change(part.text), change(part.label)
        choices = tuple(_choice(choice, change) for choice in part.choices)
        return msgspec.structs.replace(part, text=text, label=label, choices=choices)
    if isinstance(part, TemplatePart):
        return msgspec.structs.replace(
            part,
            body=tuple(map(change, part.body)),
            header=change(part.header),
            buttons=tuple(map(change, part.buttons)),
            text=change(part.text),
        )
    return part


def _choice(choice: Choice, change: _Change) -> Choice:
    return msgspec.structs.replace(
        choice, title=change(choice.title), description=change(choice.description)
    )
