"""Connections to the mail server, and one transaction on them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import aiosmtplib

from libs.common.mail_server import MailServer, connected

IDLE_S = 20.0
"""How long a connection is kept for the next mail; servers close after minutes."""


class Line:
    """Connections to the server, a few at a time, kept for the next mail where that comes soon.

    Args:
        server: Whom to connect to.
        at_once: Most connections.
        timeout_s: Seconds for each answer of the server. RFC 5321 4.5.3.2 would wait for minutes,
            which a mail that waits for its place need not.
    """

    def __init__(
        self,
        server: MailServer,
        *,
        at_once: int = 4,
        timeout_s: float = 60.0,
    ) -> None:
        self.server = server
        self.timeout_s = timeout_s
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
            await client.data(content)

    async def close(self) -> None:
        """Say goodbye on the connections that are kept."""
        while self._idle:
            await _leave(self._idle.pop()[1])

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[aiosmtplib.SMTP]:
        client = await self._kept() or await connected(self.server, self.timeout_s)
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


async def _leave(client: aiosmtplib.SMTP) -> None:
    with suppress(aiosmtplib.SMTPException, OSError):
        await client.quit(timeout=2.0)
    client.close()
