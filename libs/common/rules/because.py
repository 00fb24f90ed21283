"""Why a session is where it is: every word that the router gives as `because`, and its meaning."""

from __future__ import annotations

from collections.abc import Mapping

from libs.common.rules.explain import BECAUSE

WORDS: Mapping[str, str] = {
    **BECAUSE,
    "opened": "An agent opened it while it waited.",
    "claimed": "An agent took it.",
    "agent_reply": "An agent answered, and has it since.",
    "assigned": "An agent assigned it.",
    "joined": "An agent joined in.",
    "released": "An agent gave it back.",
    "removed": "Its agents were taken off, so it waits again.",
    "bot_switch": "An agent turned the bot on or off.",
    "agent_asked": "An agent asked for a human in place of the bot.",
    "visitor_asked": "The visitor asked for a human.",
    "bot_asked": "The bot asked for a human.",
    "bot_silent": "Nobody answered in time, so a human is asked.",
    "bot_failed": "The bot failed, so a human is asked.",
    "bot_budget": "The bot has sent all it may in one session, so a human is asked.",
    "bot_loop": "The bot talked with a machine or with itself, so a human is asked.",
    "not_understood": "The bot did not understand the visitor, so a human is asked.",
    "silent_owner": "Its owner left the visitor without an answer for too long.",
    "bot_replaced": "Its bot is gone, so another one answers.",
    "ended_by_agent": "An agent ended it.",
    "ended_by_bot": "The bot ended it.",
    "ended_by_rule": "A rule ended it.",
    "auto_terminated": "It was idle for too long.",
    "restored": "Its automatic end was undone.",
}
"""What the words of `because` mean, wherever the router uses them."""
