"""Find what decisions look at besides a conversation, for batches, commands and the queue alike."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping

from libs.common.channel import Account, Channel
from libs.common.channels import CHANNELS
from libs.common.documents import Bot
from libs.common.policy import Policy
from services.router.bots import NO_BOTS, Bots
from services.router.crew import Crew
from services.router.permit import Reach
from services.router.room import Room
from services.router.seats import Seats

FindAccount = Callable[[str], Account | None]


def no_account(_slug: str) -> Account | None:
    """Know no account: then nothing is refused for its window."""
    return None


class Rooms:
    """What is known of each workspace.

    Args:
        policy: The policy of a workspace, the same object until it changes.
        seats: Who has how many sessions.
        bots: The bots' contents; None: there are none.
        account: The account of a slug, switched off or not; None where it is not known.
        channels: Every channel by its name.
        refresh: Looks at a workspace's policy afresh; never raises.
        quiet: Nobody answers anything here, see `Room.quiet`.
    """

    def __init__(  # noqa: PLR0913 (made in few places)
        self,
        policy: Callable[[str], Policy],
        seats: Seats,
        *,
        bots: Bots | None = None,
        account: FindAccount = no_account,
        channels: Mapping[str, Channel] = CHANNELS,
        refresh: Callable[[str], Awaitable[None]] | None = None,
        quiet: bool = False,
    ) -> None:
        self.policy = policy
        self.seats = seats
        self._bots = bots
        self._account = account
        self._channels = channels
        self._refresh = refresh
        self._quiet = quiet

    async def refresh(self, workspace: str) -> None:
        """See what was switched before now, however busy the machine is."""
        if self._refresh is not None:
            await self._refresh(workspace)

    async def crew(self, workspace: str, *, needed: bool) -> Crew:
        """Return how the agents stand; nobody where no decision is *needed* that could assign.

        Whether somebody waits is looked at before the agents: who takes a place that was free then
        takes it from nobody who waited longer.

        Raises:
            StoreUnavailableError: The store is away.
        """
        policy = self.policy(workspace)
        first = await self.seats.awaited_by(workspace) if needed else ""
        standings = await self.seats.standings(workspace, policy) if needed else ()
        return Crew(policy, standings, await self._bots_of(workspace, policy), first=first)

    def room(self, crew: Crew, reach: Reach) -> Room:
        """Return what a decision about one conversation looks at."""
        return Room(
            policy=crew.policy,
            standings=crew.standings,
            bots=crew.bots,
            reach=reach,
            first=crew.first,
            chance=random.random(),  # noqa: S311 (which of several answers, no secret)
            quiet=self._quiet,
        )

    def reach(self, workspace: str, channel: str, slug: str) -> Reach:
        """Return the channel and the account, as far as they are known."""
        account = self._account(slug)
        if account is not None and account.workspace != workspace:
            account = None  # the slug was given away
        return Reach(channel=self._channels.get(channel), account=account)

    async def _bots_of(self, workspace: str, policy: Policy) -> Mapping[str, Bot]:
        return await self._bots.of(workspace, policy) if self._bots else NO_BOTS
