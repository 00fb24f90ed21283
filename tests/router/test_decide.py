"""Where a session starts, rule by rule."""

from __future__ import annotations

import pytest

from libs.common.documents import ChannelSettings, Settings
from services.router.decide import Because, Decision, decide

ON = Settings()
OFF = Settings(auto_hosting=False)


def hosted(because: Because) -> Decision:
    return Decision(list="bot_hosted", bot=True, because=because)


def waiting(because: Because) -> Decision:
    return Decision(list="unassigned", bot=False, because=because)


def overridden(workspace: Settings, *, line: bool | None) -> Settings:
    return Settings(
        auto_hosting=workspace.auto_hosting,
        channels={"line": ChannelSettings(auto_hosting=line)},
    )


CASES = {
    "b09: a fresh workspace hosts by bot": (
        (Settings(), "line", False),
        hosted("auto_hosting"),
    ),
    "a02: switched on, the bot comes first": (
        (ON, "whatsapp", False),
        hosted("auto_hosting"),
    ),
    "a05: switched off, it waits for a person": (
        (OFF, "line", False),
        waiting("auto_hosting_off"),
    ),
    "a channel may host although the workspace does not": (
        (overridden(OFF, line=True), "line", False),
        hosted("auto_hosting_of_channel"),
    ),
    "a channel may wait although the workspace hosts": (
        (overridden(ON, line=False), "line", False),
        waiting("auto_hosting_off"),
    ),
    "another channel's override is not ours": (
        (overridden(ON, line=False), "web", False),
        hosted("auto_hosting"),
    ),
    "an override left open keeps the workspace's value": (
        (overridden(OFF, line=None), "line", False),
        waiting("auto_hosting_off"),
    ),
    "no bot of ours where another application answers": (
        (ON, "messenger", True),
        waiting("standby"),
    ),
}


@pytest.mark.parametrize(("given", "expected"), CASES.values(), ids=CASES)
def test_decide(given: tuple[Settings, str, bool], expected: Decision) -> None:
    settings, channel, standby = given
    assert decide(settings, channel, standby=standby) == expected
