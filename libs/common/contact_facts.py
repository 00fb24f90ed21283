"""What the fixed facts and the workspace's own fields of a contact may be, as people set them.

One place for the API, imports and configuration: each text is checked and brought into the form in
which it is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

import msgspec

from libs.common.awaited import valid_address
from libs.common.contact_documents import ContactField, FieldType
from libs.common.contact_keys import international_of, language_tag, phone_key
from libs.common.documents import Contact
from libs.common.errors import InvalidInputError
from libs.common.wallclock import ZONE, zone_named

NAME_MOST = 200
REF_MOST = 100
VALUE_MOST = 1000
FIELD_NAME = "1 to 60 characters of one line, without { } and |"
FIELD_NAME_MOST = 60
HELD_BY: Mapping[str, str] = {"email": "email_by"}
"""Of facts that channels tell, too: where it is kept who set them; `set_by` for the others."""
TOLD = ("name", "phone", "email", "language")
"""Facts that channels tell."""
FACTS = (*TOLD, "gender", "birthday", "zone", "ref")
_GENDERS = ("female", "male", "other")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}")
_PHONE = re.compile(r"[\d\s()+./-]+( ?(ext\.?|x|#) ?\d{1,7})?", re.IGNORECASE)
_BIRTHDAY = re.compile(r"(\d{4}|-)-(\d\d)-(\d\d)")
_LEAP = 2000
_TRUTH = {"true": "true", "yes": "true", "1": "true", "false": "false", "no": "false", "0": "false"}


def fact(name: str, text: str) -> str:
    """Return how the fixed fact *name* is kept; empty stays so: it is not known.

    Raises:
        InvalidInputError: Names the field and what is allowed.
    """
    text = text.strip()
    if not text:
        return ""
    kept = _CHECKS[name](text)
    if kept is None:
        allowed = _ALLOWED[name]
        raise InvalidInputError(f"{name}: allowed is {allowed}.", field=name, allowed=allowed)
    return kept


def with_facts(contact: Contact, facts: Mapping[str, str], by: str) -> Contact:
    """Return *contact* after the agent *by* set *facts*, as `fact` returns them.

    Of what channels tell, too, it is noted who set it, and channels leave it alone from then on; an
    empty value hands it back to them.
    """
    changed: dict[str, Any] = dict(facts)
    if "ref" in facts:
        changed["ref"] = facts["ref"] or None
    set_by = dict(contact.set_by)
    for name in TOLD:
        if name not in facts:
            continue
        before = contact.email_by if name == "email" else set_by.get(name, "")
        kept = before if before and facts[name] == getattr(contact, name) else by
        if name == "email":
            changed["email_by"] = kept if facts[name] else ""
        elif facts[name]:
            set_by[name] = kept
        else:
            set_by.pop(name, None)
    return msgspec.structs.replace(contact, set_by=set_by, **changed)


def age_on(birthday: str, day: date) -> int | None:
    """Return the age in whole years on *day*; None where the year of birth is not known."""
    if not birthday or birthday.startswith("-"):
        return None
    born = date.fromisoformat(birthday)
    age = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    return age if age >= 0 else None


def today_of(contact: Contact, now: datetime) -> date:
    """Return which day it is where the contact is; in UTC where that is not known."""
    zone = zone_named(contact.zone) if contact.zone else None
    return (now.astimezone(zone) if zone else now).date()


def check_field_name(name: str, field: str = "") -> None:
    """Refuse what cannot be the name of a field, or stand in `{{contact.field.NAME}}`.

    Raises:
        InvalidInputError: *field* says where it stands; else `fields.<name>`.
    """
    if (
        not name.strip()
        or len(name) > FIELD_NAME_MOST
        or name != name.strip()
        or not name.isprintable()
        or set("{}|") & set(name)
    ):
        where = field or f"fields.{name[:FIELD_NAME_MOST]}"
        raise InvalidInputError(
            f"{where}: this cannot be a name; allowed: {FIELD_NAME}.",
            field=where,
            allowed=FIELD_NAME,
        )


def field_value(definition: ContactField | None, name: str, text: str) -> str:
    """Return how the value of the field *name* is kept; without *definition* it is any text.

    Raises:
        InvalidInputError: It is not of the field's type; names `fields.<name>`.
    """
    if definition is None:
        return text
    kept = _VALUES[definition.type](definition, text.strip())
    if kept is None:
        allowed = allowed_of(definition)
        raise InvalidInputError(
            f"fields.{name}: allowed is {allowed}.", field=f"fields.{name}", allowed=allowed
        )
    return kept


def allowed_of(definition: ContactField) -> str:
    """Return in words what values the field takes."""
    if definition.type == "choice":
        return "one of: " + ", ".join(definition.choices)
    return _TYPES[definition.type]


# --- fixed facts -------------------------------------------------------------------------------


def _name(text: str) -> str | None:
    return text if len(text) <= NAME_MOST and text.isprintable() else None


def _phone(text: str) -> str | None:
    if len(text) > 40 or not _PHONE.fullmatch(text) or phone_key(text) is None:  # noqa: PLR2004
        return None
    return international_of(text) or text


def _email(text: str) -> str | None:
    return valid_address(text) or None


def _language(text: str) -> str | None:
    return language_tag(text) if _LANGUAGE.fullmatch(text) else None


def _gender(text: str) -> str | None:
    return text.lower() if text.lower() in _GENDERS else None


def _birthday(text: str) -> str | None:
    found = _BIRTHDAY.fullmatch(text)
    if found is None:
        return None
    year = _LEAP if found[1] == "-" else int(found[1])
    try:
        date(year, int(found[2]), int(found[3]))
    except ValueError:
        return None
    return text


def _born(text: str) -> str | None:
    """Return a birthday that has been; of a day that has begun somewhere, too."""
    kept = _birthday(text)
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    return None if kept is None or kept > tomorrow.isoformat() else kept


def _zone(text: str) -> str | None:
    return text if zone_named(text) is not None else None


def _ref(text: str) -> str | None:
    return text if len(text) <= REF_MOST and text.isprintable() else None


_CHECKS: Mapping[str, Callable[[str], str | None]] = {
    "name": _name,
    "phone": _phone,
    "email": _email,
    "language": _language,
    "gender": _gender,
    "birthday": _born,
    "zone": _zone,
    "ref": _ref,
}
_ALLOWED: Mapping[str, str] = {
    "name": f"up to {NAME_MOST} characters of one line, or nothing",
    "phone": "a number of at least 5 digits such as +49 151 12345678, or nothing",
    "email": "one such as eve@example.org, or nothing",
    "language": "a language tag such as en or pt-BR, or nothing",
    "gender": ", ".join(_GENDERS) + ", or nothing",
    "birthday": "YYYY-MM-DD that has been, --MM-DD without the year, or nothing",
    "zone": f"a name such as {ZONE}, or nothing",
    "ref": f"up to {REF_MOST} characters of one line, or nothing",
}

# --- the workspace's own fields ----------------------------------------------------------------


def _any(_definition: ContactField, text: str) -> str | None:
    return text


def _number(_definition: ContactField, text: str) -> str | None:
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return text if found.is_finite() and "_" not in text and text.isascii() else None


def _boolean(_definition: ContactField, text: str) -> str | None:
    return _TRUTH.get(text.lower())


def _date(_definition: ContactField, text: str) -> str | None:
    found = _BIRTHDAY.fullmatch(text)
    return _birthday(text) if found is not None and found[1] != "-" else None


def _choice(definition: ContactField, text: str) -> str | None:
    by_word = {choice.casefold(): choice for choice in definition.choices}
    return by_word.get(text.casefold())


def _url(_definition: ContactField, text: str) -> str | None:
    try:
        found = urlsplit(text)
        named = bool(found.hostname)
    except ValueError:
        return None
    if found.scheme not in {"http", "https"} or not named or not text.isprintable():
        return None
    return None if " " in text else text


_VALUES: Mapping[FieldType, Callable[[ContactField, str], str | None]] = {
    "text": _any,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "choice": _choice,
    "url": _url,
}
_TYPES: Mapping[str, str] = {
    "text": "any text",
    "number": "a number such as 12 or -3.5",
    "boolean": "true or false",
    "date": "a day as YYYY-MM-DD",
    "url": "a web address that begins with http:// or https://",
}
