"""Alerts stay within what their readers see."""

from __future__ import annotations

from typing import Any

import pytest

from libs.common.documents import Session
from libs.common.policy import Member, Policy
from services.notifier.attention_who import Around, sees
from tests.notifier.attention_play import BEGAN

SIGHT: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "all": ({}, {}, True),
    "its channel": ({"channels": ("line",)}, {}, True),
    "another channel": ({"channels": ("web",)}, {}, False),
    "another account": ({"accounts": ("line-2",)}, {}, False),
    "another account, as admin": ({"accounts": ("line-2",), "role": "admin"}, {}, True),
    "another team's": ({"team_only": True}, {"team": "care"}, False),
    "their own team's": ({"team_only": True, "teams": ("care",)}, {"team": "care"}, True),
    "no team's": ({"team_only": True}, {}, True),
    "another team's that is theirs": (
        {"team_only": True},
        {"team": "care", "assignee_ids": ("ada",), "list": "assigned", "owner": "ada"},
        True,
    ),
}


@pytest.mark.parametrize(("limits", "changes", "seen"), SIGHT.values(), ids=SIGHT)
def test_d24_who_sees_a_session_is_alerted_of_it(
    limits: dict[str, Any], changes: dict[str, Any], seen: bool
) -> None:
    session = Session(
        id="s1",
        workspace="acme",
        account="line-1",
        channel="line",
        visitor="U1",
        contact="con_1",
        open_key="s1",
        created_at=BEGAN,
        updated_at=BEGAN,
        **{"list": "unassigned", **changes},
    )
    around = Around(
        workspace="acme",
        policy=Policy(members=(Member(id="ada", **limits),)),
        preferences=lambda _agent: None,
        online=lambda _agent: True,
        now=BEGAN,
    )
    assert sees("ada", session, around) is seen
    assert not sees("nobody", session, around)
