"""What a contact is found by, derived from what it says: one place for every writer of contacts."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import msgspec
import phonenumbers

from libs.common.documents import Contact
from libs.common.words import words_of

_FEWEST_DIGITS = 5
_LONGEST = 60
"""Characters of what may be a number; a longer text is none."""


def email_key(address: str) -> str | None:
    """Return what an address is found by; None for none."""
    return address.strip().lower() or None


def phone_key(number: str) -> str | None:
    """Return what a number is found by: its digits from the country code on; None for none.

    `+44 (0)20 7946 0958`, `0044 20 7946 0958` and `442079460958` are one. No country is assumed:
    a number without its code is found by its digits as they are, `020 7946 0958` by 02079460958.
    """
    digits = phonenumbers.normalize_digits_only(number[:_LONGEST])
    international = international_of(number)
    if international:
        return international.lstrip("+")
    return digits if len(digits) >= _FEWEST_DIGITS else None


@lru_cache(maxsize=4096)
def international_of(number: str) -> str:
    """Return *number* as `+` and its digits (E.164) where it names its country, else ""."""
    text = number.strip()[:_LONGEST]
    if text.startswith("00"):
        text = f"+{text[2:]}"
    if not text.startswith(("+", "\uff0b")):
        return ""
    try:
        found = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(found):
        return ""
    return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)


def keyed(contact: Contact) -> Contact:
    """Return *contact* with what is derived set as its facts are now; itself where it is so.

    Who was merged into another is found by nothing of this: the other is.
    """
    keys = _keys(contact) if contact.merged_into is None else _NONE
    if all(getattr(contact, name) == value for name, value in keys.items()):
        return contact
    return msgspec.structs.replace(contact, **keys)


def language_tag(text: str) -> str:
    """Return a tag of a language as it is written, as tags know no case: `EN_us` is `en-US`."""
    first, *rest = text.replace("_", "-").split("-")
    return "-".join((first.lower(), *(_SUBTAG.get(len(one), str.lower)(one) for one in rest)))


_SUBTAG: dict[int, Callable[[str], str]] = {2: str.upper, 4: str.title}
"""Letters by the length of what is behind the language: a country, a script."""
_NONE: dict[str, object] = {"email_key": None, "phone_key": None, "words": ()}


def _keys(contact: Contact) -> dict[str, object]:
    phone = phone_key(contact.phone)
    texts = (contact.name, contact.email, contact.phone, phone or "", contact.ref or "")
    return {
        "email_key": email_key(contact.email),
        "phone_key": phone,
        "language": language_tag(contact.language),
        "words": words_of((*texts, *contact.fields.values())),
    }
