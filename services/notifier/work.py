"""One message under way, and what the sender is given to send it with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import msgspec

from libs.common.bus.client import Bus
from libs.common.channel import Account, Channel
from libs.common.documents import SendAttempt
from libs.common.events import SendRequest
from libs.common.http import Door
from services.notifier.content import Content, attached
from services.notifier.deliver import Transcript
from services.notifier.gates import Gates
from services.notifier.ledger import Ledger
from services.notifier.standing import Standings
from services.notifier.tokens import Tokens


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds a provider has for one call, and tries of what was certainly not taken."""

    call_timeout_s: float
    tries: int


class Outside(msgspec.Struct, frozen=True, kw_only=True):
    """What the sender is given; `account` looks up a slug, `now` is UTC.

    `shown` is told of what a visitor of the web chat is shown, once it is.
    """

    bus: Bus
    door: Door
    ledger: Ledger
    tokens: Tokens
    gates: Gates
    standings: Standings
    content: Content
    channels: Mapping[str, Channel]
    account: Callable[[str], Account | None]
    now: Callable[[], datetime]
    shown: Callable[[SendRequest], Awaitable[None]] | None = None


class Work:
    """How far one message has come in this process.

    Attributes:
        attempt: Its mark in the store; None before the first try.
        cut: An earlier process died while it sent, so only keyed calls may be made.
        doubtful: An earlier call may have been taken by the provider.
        tries: Failed tries, those of earlier processes included.
        brings_files: Its first calls may bring files to the provider, which shows nothing yet.
        admitted: The account let it call; with a new token it goes on from there.
        token: The fetched access token in use; `refused_token` the one that was refused.
    """

    def __init__(self, request: SendRequest) -> None:
        self.request = request
        self.brings_files = bool(attached(request.parts))
        self.transcript = Transcript()
        self.attempt: SendAttempt | None = None
        self.cut = False
        self.doubtful = False
        self.tries = 0
        self.admitted = False
        self.token = ""
        self.refused_token: str | None = None

    @property
    def untouched(self) -> bool:
        """Whether certainly nothing of the message is out."""
        return not (self.transcript.begun or self.doubtful)

    @property
    def in_doubt(self) -> bool:
        """Whether the call that was made last, or an earlier try, may have put something out."""
        last = self.transcript.failed
        return self.doubtful or (last is not None and not last.harmless)
