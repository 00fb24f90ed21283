"""The switches of a workspace, and the words they are made of."""

from __future__ import annotations

from typing import Literal

import msgspec

ListName = Literal["bot_hosted", "unassigned", "assigned", "ended"]
Role = Literal["owner", "admin", "lead", "agent", "read_only"]


class ChannelSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a channel overrides; None keeps the workspace's value."""

    auto_hosting: bool | None = None
    auto_assign: bool | None = None
    session_hosting: bool | None = None
    auto_termination: bool | None = None


Strategy = Literal["least_loaded", "round_robin", "sticky", "priority"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The workspace's switches. `auto_hosting` is on for a fresh workspace (B09).

    Attributes:
        channels, accounts: What a channel, or an account by slug, overrides; the account wins.
        strategy, strategy_returning: Whom auto-assign takes; the second for returning contacts.
        reopen: Where a returning contact's new session goes: to its last `owner` if online, else
            on as any other; to the `queue`; or to the `bot`.
        removed_for_s: How long auto-assign gives a session not back to who was removed from it.
        calendar: Business hours of the workspace; empty: always open.
        handoff_words: What a visitor says to get a human, compared as a whole message, whatever
            its case and punctuation.
        show_read: Visitors are shown that an assignee has read what they wrote.
        silent_owner_s: Seconds without an answer of the owner until `silent_owner`; 0: never.
    """

    auto_hosting: bool = True
    auto_assign: bool = False
    session_hosting: bool = False
    auto_termination: bool = False
    end_session_confirm: bool = False
    show_read: bool = True
    strategy: Strategy = "least_loaded"
    strategy_returning: Strategy | None = None
    reopen: Literal["owner", "queue", "bot"] = "owner"
    removed_for_s: int = 600
    calendar: str = ""
    handoff_words: tuple[str, ...] = ("agent", "human", "operator")
    silent_owner_s: int = 0
    silent_owner: Literal["remind", "reassign", "queue", "alert_lead"] = "remind"
    bot_messages: int = 30
    """Most messages a bot may send in one session."""
    bot_deadline_s: int = 30
    channels: dict[str, ChannelSettings] = {}
    accounts: dict[str, ChannelSettings] = {}
