"""The rules: which list a new session starts in, and why.

Pure, so that a decision can be shown, and replayed from what it was made of.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from libs.common.documents import Settings

Because = Literal["auto_hosting", "auto_hosting_of_channel", "auto_hosting_off", "standby"]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Where a new session starts; `because` names the rule that fired."""

    list: Literal["bot_hosted", "unassigned"]
    bot: bool
    because: Because


def decide(settings: Settings, channel: str, *, standby: bool = False) -> Decision:
    """Choose the list of a session that a visitor's message opens. First match wins.

    1. While another application holds the conversation, it waits in Unassigned: no bot of ours
       may answer there.
    2. With auto-hosting on, for the channel or else the workspace, it goes to Bot Hosting first.
    3. Otherwise it waits in Unassigned, and no bot is asked.
    """
    if standby:
        return Decision(list="unassigned", bot=False, because="standby")
    override = settings.channels.get(channel)
    because: Because = "auto_hosting"
    hosting = settings.auto_hosting
    if override is not None and override.auto_hosting is not None:
        because = "auto_hosting_of_channel"
        hosting = override.auto_hosting
    if hosting:
        return Decision(list="bot_hosted", bot=True, because=because)
    return Decision(list="unassigned", bot=False, because="auto_hosting_off")
