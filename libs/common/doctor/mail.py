"""Whether emails can be sent: the settings, and the mail server itself."""

from __future__ import annotations

from collections.abc import Mapping

import aiosmtplib

from libs.common.doctor.findings import Check, note, ok, wrong
from libs.common.errors import SettingsError
from libs.common.mail_server import connected, read_server

WAIT_S = 5.0


async def look_at_mail(settings: Mapping[str, str]) -> Check:
    """Connect, encrypt and log in; nothing is sent."""
    url, sender = settings.get("RELAYDESK_SMTP_URL", ""), settings.get("RELAYDESK_MAIL_FROM", "")
    try:
        server = read_server(url, sender)
    except SettingsError as error:
        return wrong("email", error.detail)
    if server is None:
        words = "RELAYDESK_SMTP_URL is not set here. Emails go out only where the notifier has it:"
        return note("email", f"{words} ask doctor there")
    try:
        client = await connected(server, WAIT_S)
        await client.quit()
    except (aiosmtplib.SMTPException, OSError) as error:
        told = f"{type(error).__name__}: {error}"
        return wrong("email", f"{server.host}:{server.port} does not let us in: {told}")
    return ok("email", f"{server.host}:{server.port} lets us in, as {server.from_address}")
