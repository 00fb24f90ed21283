"""By what email address a visitor who has left is reached. Pure."""

from __future__ import annotations

from libs.common.awaited import first_address
from libs.common.documents import Contact, Session


def address_of(session: Session, contact: Contact | None) -> str:
    """Return where the visitor of *session* reads email, or "".

    As an agent set it of their contact, else as they said last, else by their contact.
    """
    of_contact = contact.email if contact else ""
    if contact and contact.email_by:
        return first_address(of_contact, session.contact_email)
    return first_address(session.contact_email, of_contact)
