"""What decisions look at besides the conversation itself, as the shell has found it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from libs.common.documents import Bot
from libs.common.policy import Policy, Standing
from services.router.permit import Reach


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """The workspace around a conversation.

    Attributes:
        standings: Everybody who may get sessions automatically, as of now; empty where no
            decision of this kind can assign.
        bots: The enabled bots, by id.
        first: The session that is next in the queue; empty: nobody waits, or no decision can
            assign.
        quiet: Rules, bots and surveys answer nothing: what was said is replayed, not said again.
        chance: 0 to below 1: which of several answers of an FAQ entry is given.
    """

    policy: Policy = Policy()
    standings: tuple[Standing, ...] = ()
    bots: Mapping[str, Bot] = {}
    reach: Reach = Reach()
    first: str = ""
    quiet: bool = False

    def is_behind(self, session: str) -> bool:
        """Tell whether another session is to be served before this one (id)."""
        return self.first not in {"", session}

    chance: float = 0.0
