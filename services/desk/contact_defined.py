"""The definitions of the workspace's own fields of contacts, and checking values by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from libs.common.contact_documents import CONTACT_FIELDS, ContactField
from libs.common.contact_facts import VALUE_MOST, check_field_name, field_value
from libs.common.errors import InvalidInputError
from libs.common.store.api import Page, Store

MOST_DEFINED = 100
"""Fields that a workspace may define."""


async def defined_fields(store: Store, workspace: str) -> list[ContactField]:
    """Return every definition, as they are shown: by their order, then by name."""
    page = Page(order="name", limit=MOST_DEFINED)
    found = await store.find(CONTACT_FIELDS, workspace, {}, page)
    return sorted(found, key=lambda one: (one.order, one.name))


def checked_fields(
    definitions: Iterable[ContactField], given: Mapping[str, str | None]
) -> dict[str, str | None]:
    """Return the values as they are kept; None takes one away. A name not defined takes any text.

    Raises:
        InvalidInputError: A name that cannot be one, or a value that is not of the field's type.
    """
    known = {one.name: one for one in definitions}
    kept: dict[str, str | None] = {}
    for name, text in given.items():
        check_field_name(name)
        if text is not None and len(text) > VALUE_MOST:
            allowed = f"up to {VALUE_MOST} characters"
            raise InvalidInputError(
                f"fields.{name}: {allowed}.", field=f"fields.{name}", allowed=allowed
            )
        kept[name] = None if text is None else field_value(known.get(name), name, text)
    return kept
