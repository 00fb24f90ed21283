"""The mail sink: an SMTP server that keeps what it is given, and refuses as it is told.

It needs the extra `embedded`, for aiosmtpd.
"""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from libs.common.simulate.kept_mail import KeptMail, kept

with warnings.catch_warnings():  # it compares versions by what the standard library will drop
    warnings.simplefilter("ignore", DeprecationWarning)
    from aiosmtpd.smtp import SMTP, Envelope, Session

KEPT = 1000
"""Mails kept, the newest."""
OK = "250 OK"


class MailSink:
    """What came, and how the next commands are answered.

    Attributes:
        mails: Oldest first.
        at_rcpt: By address, answers to the next RCPT commands; then it is taken.
        at_data: Answers to the next mails; one that is not 2xx refuses its mail.
        before_answer: Awaited when a mail was kept, before that is answered.
    """

    def __init__(self) -> None:
        self.mails: deque[KeptMail] = deque(maxlen=KEPT)
        self.at_rcpt: defaultdict[str, deque[str]] = defaultdict(deque)
        self.at_data: deque[str] = deque()
        self.before_answer: Callable[[KeptMail], Awaitable[None]] | None = None
        self.url = ""
        """Where it listens, as the setting takes it; set by `running_sink`."""

    def to(self, address: str) -> list[KeptMail]:
        """Return the mails to an address, oldest first."""
        return [mail for mail in self.mails if address in mail.to]

    async def handle_RCPT(  # noqa: N802 (aiosmtpd calls it so)
        self,
        server: SMTP,  # noqa: ARG002
        session: Session,  # noqa: ARG002
        envelope: Envelope,
        address: str,
        rcpt_options: list[str],
    ) -> str:
        """Answer RCPT."""
        planned = self.at_rcpt.get(address)
        answer = planned.popleft() if planned else OK
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(rcpt_options)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
        """Keep a mail, and answer."""
        answer = self.at_data.popleft() if self.at_data else OK
        if not answer.startswith("2"):
            return answer
        mail = kept(envelope.mail_from or "", tuple(envelope.rcpt_tos), _bytes(envelope.content))
        self.mails.append(mail)
        if self.before_answer is not None:
            await self.before_answer(mail)
        return answer


@asynccontextmanager
async def running_sink(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    tls: ssl.SSLContext | None = None,
    from_the_start: bool = False,
) -> AsyncIterator[MailSink]:
    """Serve a sink until the block ends; what is connected then is cut off.

    With *tls* it offers STARTTLS and takes nothing without, or speaks TLS *from_the_start*.
    """
    sink = MailSink()
    loop = asyncio.get_running_loop()
    open_ones: set[SMTP] = set()

    def serve() -> SMTP:
        own = None if from_the_start else tls
        protocol = SMTP(
            sink, hostname="sink.example", loop=loop, tls_context=own, require_starttls=bool(own)
        )
        open_ones.add(protocol)
        return protocol

    server = await loop.create_server(serve, host, port, ssl=tls if from_the_start else None)
    bound = server.sockets[0].getsockname()[1]
    sink.url = f"smtp+plain://{host}:{bound}"
    try:
        yield sink
    finally:
        server.close()
        for protocol in open_ones:
            if isinstance(protocol.transport, asyncio.WriteTransport):
                protocol.transport.abort()
        await server.wait_closed()
        await asyncio.sleep(0)  # for what the cut connections leave to do


def _bytes(content: str | bytes | None) -> bytes:
    return content.encode() if isinstance(content, str) else content or b""
