"""The mail server of the settings, and one transaction with it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
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
IDLE_S = 20.0
"""How long a connection is kept for the next mail; servers close after minutes."""


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


class Line:
    """Connections to the server, a few at a time, kept for the next mail where that comes soon.

    Args:
        server: Whom to connect to.
        at_once: Most connections.
        timeout_s: Of each answer of the server but that to the mail itself.
        data_timeout_s: Of that: RFC 5321 4.5.3.2.6 asks for patience.
    """

    def __init__(
        self,
        server: MailServer,
        *,
        at_once: int = 4,
        timeout_s: float = 20.0,
        data_timeout_s: float = 60.0,
    ) -> None:
        self.server = server
        self.data_timeout_s = data_timeout_s
        self._timeout_s = timeout_s
        self._places = asyncio.Semaphore(at_once)
        self._idle: list[tuple[float, aiosmtplib.SMTP]] = []

    async def give(
        self, recipient: str, content: bytes, *, before_data: Callable[[], Awaitable[None]]
    ) -> None:
        """Give the server one mail to one address; *before_data* comes right before its content.

        Raises:
            SMTPException, OSError: As it went. Only an `SMTPServerDisconnected` or
                `SMTPTimeoutError` after *before_data* leaves open whether the mail was taken.
        """
        async with self._places, self._connected() as client:
            await client.mail(self.server.from_address)
            await client.rcpt(recipient)
            await before_data()
            await client.data(content, timeout=self.data_timeout_s)

    async def close(self) -> None:
        """Say goodbye on the connections that are kept."""
        while self._idle:
            await _leave(self._idle.pop()[1])

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[aiosmtplib.SMTP]:
        client = await self._kept() or await self._fresh()
        fine = False
        try:
            yield client
            fine = True
        except aiosmtplib.SMTPResponseException:
            with suppress(aiosmtplib.SMTPException, OSError):
                await client.rset()
                fine = True
            raise
        finally:
            if fine and client.is_connected:
                self._idle.append((time.monotonic(), client))
            else:
                client.close()

    async def _kept(self) -> aiosmtplib.SMTP | None:
        """Return a kept connection that still answers."""
        while self._idle:
            since, client = self._idle.pop()
            if time.monotonic() - since > IDLE_S:
                await _leave(client)
                continue
            with suppress(aiosmtplib.SMTPException, OSError):
                await client.rset()
                return client
            client.close()
        return None

    async def _fresh(self) -> aiosmtplib.SMTP:
        server = self.server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user or None,
            password=server.password or None,
            local_hostname=_own_name(),
            timeout=self._timeout_s,
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


async def _leave(client: aiosmtplib.SMTP) -> None:
    with suppress(aiosmtplib.SMTPException, OSError):
        await client.quit(timeout=2.0)
    client.close()


def _own_name() -> str:
    """Return what we call ourselves; not looked up, which can block for long."""
    name = socket.gethostname()
    return name if name.isascii() and name.replace("-", "").replace(".", "").isalnum() else "local"
