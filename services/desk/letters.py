"""Links about a person's own access: where they lead, and asking for their mail."""

from __future__ import annotations

import uuid
from typing import Literal

from libs.common import subjects
from libs.common.errors import BusUnavailableError
from libs.common.people import LETTERS, Letter, seal_letter
from services.desk.api.route import Desk

_PAGES = {"invitation": "accept-invitation", "reset": "new-password"}


def page_url(desk: Desk, kind: Literal["invitation", "reset"], token: str) -> str:
    """Return the console's page for *token*; empty where nobody knows how to reach us.

    The token stands behind `#`, which browsers send to nobody and servers do not log.
    """
    public = desk.settings.public_url.rstrip("/")
    return f"{public}/#/{_PAGES[kind]}/{token}" if public else ""


def new_key() -> str:
    """Return the key of one more letter: each that is asked for is a mail of its own."""
    return f"letter-{uuid.uuid4().hex}"


async def post(desk: Desk, told: Letter, whom: str) -> bool:
    """Ask the notifier to mail *told* about *whom* (an id); tell whether it was taken.

    Without an address of the console there is nothing to link to, and no mail.
    """
    if not told.url:
        return False
    subject = subjects.alert(LETTERS, told.workspace, whom)
    try:
        await desk.bus.publish(subject, seal_letter(desk.sealer, told), msg_id=told.key)
    except BusUnavailableError:
        return False
    return True
