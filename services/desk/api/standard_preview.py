"""How a text with variables would read, before it is kept or sent; nothing is kept or counted."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common.documents import Contact
from libs.common.errors import InvalidInputError, NotFoundError
from libs.common.events import TextPart
from libs.common.standard import text_of
from libs.common.variables import Missing, missing, rendered, values_of
from services.desk.api.read import Plain
from services.desk.api.route import Call, Reply
from services.desk.api.standard_body import Text
from services.desk.api.visible import contact_of
from services.desk.scheduling import check_variables


class PreviewBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text, and for whom it is filled in.

    Attributes:
        contact: The id of a contact; empty: somebody of whom nothing is known.
    """

    text: Text
    contact: Annotated[Plain, Meta(max_length=100)] = ""


class Previewed(msgspec.Struct, frozen=True, kw_only=True):
    """The text filled in; `missing`: of what nothing is known, with what stands in its place."""

    text: str
    missing: tuple[Missing, ...]


async def preview(call: Call) -> Reply:
    """Fill a text in for a contact, or for nobody, as the caller would send it.

    Raises:
        InvalidInputError: A variable is unknown or not closed, nothing might be left of the text,
            or there is no such contact.
    """
    body: PreviewBody = call.body
    parts = (TextPart(text=body.text),)
    check_variables(parts, "text")
    values = await _values(call, await _contact(call, body.contact))
    filled = Previewed(text=text_of(rendered(parts, values)), missing=tuple(missing(parts, values)))
    return Reply(body=filled)


async def _contact(call: Call, wanted: str) -> Contact | None:
    if not wanted:
        return None
    try:
        return await contact_of(call, wanted)
    except NotFoundError:
        raise InvalidInputError(
            "contact: there is no such contact.",
            field="contact",
            allowed="an id of `GET /contacts`, or nothing",
        ) from None


async def _values(call: Call, contact: Contact | None) -> dict[str, str]:
    """Return what the variables stand for; account and channel are those of the first identity."""
    if contact is None:
        return values_of(None, call.who.name, "", "")
    reached = await call.desk.store.identities(contact.workspace, contact.id)
    account = (
        await call.desk.store.account(contact.workspace, reached[0].account) if reached else None
    )
    name, channel = (account.name, account.channel) if account else ("", "")
    return values_of(contact, call.who.name, name, channel)
