"""The mail server of the settings, and how to reach it."""

from __future__ import annotations

import socket
import ssl
from email.utils import parseaddr
from ipaddress import ip_address
from typing import Literal
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import aiosmtplib
import msgspec

from libs.common.errors import InvalidInputError, SettingsError
from libs.common.mail_bytes import check_address

URL_NAME = "RELAYDESK_SMTP_URL"
FROM_NAME = "RELAYDESK_MAIL_FROM"

Security = Literal["starttls", "tls", "plain"]
_SCHEMES: dict[str, tuple[Security, int]] = {
    "smtp": ("starttls", 587),
    "smtps": ("tls", 465),
    "smtp+plain": ("plain", 25),
}
_SHAPE = (
    f"{URL_NAME} is `smtp://user:password@host:587` (STARTTLS), `smtps://user:password@host:465` "
    "(TLS), or, without encryption, `smtp+plain://127.0.0.1:25`"
)


class MailServer(msgspec.Struct, frozen=True, kw_only=True):
    """Where mails go, and who they are from."""

    host: str
    port: int
    security: Security
    user: str = ""
    password: str = ""
    from_name: str = ""
    from_address: str

    def __repr__(self) -> str:
        """Hide the password."""
        return f"MailServer({self.host}:{self.port})"


def read_server(url: str, sender: str) -> MailServer | None:
    """Read the two settings; None: no email.

    Raises:
        SettingsError: One of them cannot be read, or is missing beside the other; names the
            variable, and never repeats a password.
    """
    if not url:
        return None
    parts, port = _parts(url)
    security, usual = _SCHEMES[parts.scheme]
    allowed = parse_qs(parts.query).get("insecure") == ["yes"]
    host = parts.hostname or ""
    if security == "plain" and not (_is_loopback(host) or allowed):
        raise SettingsError(
            f"{URL_NAME}: without encryption only to this machine; `?insecure=yes` behind the "
            "address allows it to others, who then read every mail and the password"
        )
    name, address = parseaddr(sender)
    try:
        checked = check_address(address, FROM_NAME)
    except InvalidInputError:
        raise SettingsError(
            f"{FROM_NAME} is not set or not like `Relaydesk <alerts@example.com>`"
        ) from None
    return MailServer(
        host=host,
        port=port or usual,
        security=security,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        from_name=name,
        from_address=checked,
    )


def _parts(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingsError(_SHAPE) from None
    unknown = set(parse_qs(parts.query)) - {"insecure"}
    if parts.scheme not in _SCHEMES or not parts.hostname or parts.path.strip("/") or unknown:
        raise SettingsError(_SHAPE)
    return parts, port


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


async def connected(server: MailServer, timeout_s: float) -> aiosmtplib.SMTP:
    """Connect, encrypt and log in.

    Raises:
        SMTPException, OSError: As it went.
    """
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        username=server.user or None,
        password=server.password or None,
        local_hostname=_own_name(),
        timeout=timeout_s,
        use_tls=server.security == "tls",
        start_tls=server.security == "starttls",
        tls_context=None if server.security == "plain" else ssl.create_default_context(),
    )
    try:
        await client.connect()
    except BaseException:
        client.close()
        raise
    return client


def _own_name() -> str:
    """Return what we call ourselves; not looked up, which can block for long."""
    name = socket.gethostname()
    return name if name.isascii() and name.replace("-", "").replace(".", "").isalnum() else "local"
