"""What a contact is found by, derived from what it says: one place for every writer of contacts."""

from __future__ import annotations

import msgspec

from libs.common.documents import Contact
from libs.common.words import words_of

_FEWEST_DIGITS = 5


def email_key(address: str) -> str | None:
    """Return what an address is found by; None for none."""
    return address.strip().lower() or None


def phone_key(number: str) -> str | None:
    """Return what a number is found by, its digits; None where that is no number."""
    digits = "".join(c for c in number if c.isascii() and c.isdigit())
    return digits if len(digits) >= _FEWEST_DIGITS else None


def keyed(contact: Contact) -> Contact:
    """Return *contact* with what is derived set as its facts are now; itself where it is so."""
    keys = {
        "email_key": email_key(contact.email),
        "phone_key": phone_key(contact.phone),
        "words": words_of((contact.name, contact.email, contact.phone, *contact.fields.values())),
    }
    if all(getattr(contact, name) == value for name, value in keys.items()):
        return contact
    return msgspec.structs.replace(contact, **keys)
