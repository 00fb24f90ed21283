"""What of its workspace a caller sees: all of it, or some channels, accounts and teams.

What is out of scope does not exist for the caller: its id is answered like an unknown one.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from libs.common.documents import Agent, Session


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of an agent; whoever is `admin` or above has none.

    Attributes:
        channels, accounts: Kinds of channel and slugs; empty: all.
        teams: Of sessions that a team was asked for, only these teams'; None: all.
        agent: Sessions that this agent is on are seen whatever their team.
    """

    channels: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    teams: tuple[str, ...] | None = None
    agent: str = ""

    @property
    def whole(self) -> bool:
        """Whether nothing is out of it."""
        return not self.channels and not self.accounts and self.teams is None

    def account(self, channel: str, slug: str) -> bool:
        """Tell whether what is on this account is seen."""
        return (not self.channels or channel in self.channels) and (
            not self.accounts or slug in self.accounts
        )

    def session(self, session: Session) -> bool:
        """Tell whether the session is seen."""
        if not self.account(session.channel, session.account):
            return False
        if self.teams is None or not session.team or session.team in self.teams:
            return True
        return self.agent in session.assignee_ids

    def contact(self, places: Sequence[tuple[str, str]]) -> bool:
        """Tell whether a contact is seen who is on these (channel, account); none: by all."""
        return not places or any(self.account(*place) for place in places)


WHOLE = Scope()


def scope_of(agent: Agent) -> Scope:
    """Return what *agent* sees."""
    if agent.role in {"owner", "admin"}:
        return WHOLE
    teams = agent.teams if agent.team_only else None
    return Scope(channels=agent.channels, accounts=agent.accounts, teams=teams, agent=agent.id)
