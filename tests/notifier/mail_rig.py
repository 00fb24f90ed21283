"""A mailer on a real SQLite store and a real SMTP server; and a stage with NATS for alerts."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from libs.common.documents import COLLECTIONS
from libs.common.mail_server import MailServer, read_server
from libs.common.mails import Mail
from libs.common.simulate.mail_sink import MailSink, running_sink
from libs.common.store.api import Store
from libs.common.store.open import open_store
from services.notifier.mail_line import Line
from services.notifier.mailer import Mailer

FROM = "Relaydesk <alerts@example.com>"
ADA = "ada@example.org"


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def later(self, **by: float) -> None:
        self.at += timedelta(**by)


def server_at(url: str) -> MailServer:
    found = read_server(url, FROM)
    assert found is not None
    return found


def mail(**changes: Any) -> Mail:
    given: dict[str, Any] = {
        "key": "m1",
        "workspace": "acme",
        "kind": "alert",
        "to": ADA,
        "to_name": "Ada",
        "subject": "Hello",
        "text": "Plain.\n",
        "html": "<p>Rich.</p>",
        **changes,
    }
    return Mail(**given)


class Post:
    """Everything a mail passes through."""

    def __init__(self, store: Store, sink: MailSink, clock: Clock) -> None:
        self.store = store
        self.sink = sink
        self.clock = clock
        self.lines: list[Line] = []

    def mailer(self, *, url: str = "", timeout_s: float = 5.0) -> Mailer:
        """Return a mailer with connections of its own, as another process has them."""
        line = Line(server_at(url or self.sink.url), timeout_s=timeout_s)
        self.lines.append(line)
        return Mailer(self.store, line, now=self.clock)


@asynccontextmanager
async def posting(empty_store: Path, folder: Path) -> AsyncIterator[Post]:
    """Open the store and the sink."""
    path = folder / "relaydesk.db"
    shutil.copy(empty_store, path)
    async with open_store(f"sqlite:///{path}", COLLECTIONS) as store, running_sink() as sink:
        post = Post(store, sink, Clock())
        try:
            yield post
        finally:
            for line in post.lines:
                await line.close()
