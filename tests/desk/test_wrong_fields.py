"""What is told of a body that does not fit: the true place, and what may stand there (A01)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from libs.common.errors import InvalidInputError
from libs.common.wrong_field import PATTERNS
from services.desk.api.aside import SnoozeBody
from services.desk.api.bot_content import BotContent
from services.desk.api.bulk import Bulk
from services.desk.api.calendars import CalendarBody
from services.desk.api.openapi import openapi_document
from services.desk.api.problem import RefusalError
from services.desk.api.read import read_body
from services.desk.api.rules import RuleBody
from services.desk.api.settings import SettingsPatch

OVERRIDES = "auto_hosting, auto_assign, session_hosting, auto_termination"
TIME = "a time with its zone, as 2026-12-24T09:00:00Z"
SPAN = {"days": [0], "opens": "09:00", "closes": "17:00"}

WRONG: dict[str, tuple[Any, Any, str, str]] = {
    "a field that is misspelt": (
        SettingsPatch, {"auto_asign": True},
        "auto_asign", ", ".join(SettingsPatch.__struct_fields__),
    ),
    "a field that another place has": (
        SettingsPatch, {"channels": {"line": {"strategy": "sticky"}}},
        "channels.line.strategy", OVERRIDES,
    ),
    "a value of the second of several": (
        SettingsPatch, {"channels": {"line": {"auto_assign": True}, "web": {"auto_assign": 3}}},
        "channels.web.auto_assign", "bool | null",
    ),
    "a word of a closed set": (
        SettingsPatch, {"silent_owner": "shout"},
        "silent_owner", "remind, reassign, queue, alert_lead",
    ),
    "a word in a condition whose neighbours take any": (
        RuleBody, {"actions": [], "conditions": [{"if": "list", "any_of": ["inbox"]}]},
        "conditions.0.any_of.0", "bot_hosted, unassigned, assigned, ended",
    ),
    "an action that there is not": (
        RuleBody, {"actions": [{"do": "dance"}]},
        "actions.0.do", "bot, team, agent, tag, reply, priority, end, notify",
    ),
    "a field of another action": (
        RuleBody, {"actions": [{"do": "tag", "tag": "x", "team": "y"}]},
        "actions.0.team", "do, tag",
    ),
    "a number too small": (SettingsPatch, {"removed_for_s": -1}, "removed_for_s", "int >= 0"),
    "a field left out": (RuleBody, {}, "actions", "a value, as it is required"),
    "a time of day": (
        CalendarBody, {"spans": [{**SPAN, "opens": "25:00"}]},
        "spans.0.opens", "a time of day from 00:00 to 24:00",
    ),
    "no time at all": (SnoozeBody, {"until": "x"}, "until", TIME),
    "a day": (SnoozeBody, {"until": "2026-12-24"}, "until", TIME),
    "a time without a zone": (SnoozeBody, {"until": "2026-12-24T09:00:00"}, "until", TIME),
    "an empty tag": (
        Bulk, {"ids": ["s"], "action": "tag", "add": [""]},
        "add.0", "one line of text that is not blank",
    ),
    "a place in a layout": (
        BotContent, {"name": "x", "kind": "flow", "layout": {"a": [0, 1], "b": [0, "up"]}},
        "layout.b.1", "int",
    ),
    "no object": (RuleBody, [], "body", "object"),
    "no object inside": (RuleBody, {"actions": [3]}, "actions.0", "object"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "body", "field", "allowed"), WRONG.values(), ids=WRONG.keys())
def test_what_does_not_fit_is_named_with_what_would(
    kind: Any, body: Any, field: str, allowed: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        read_body(kind, msgspec.json.encode(body))
    assert refused.value.facts == {"field": field, "allowed": allowed}


@pytest.mark.parametrize(
    "body", [b'{"a":', b'{"name": 3, ]', b'{"a": 1} x', b'{"on": "x", "actions"']
)
def test_what_is_no_json_is_told_so_whatever_its_fields(body: bytes) -> None:
    with pytest.raises(RefusalError) as refused:
        read_body(RuleBody, body)
    assert (refused.value.status, refused.value.code) == (400, "malformed_json")


def patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        for inner in schema.values():
            yield from patterns(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from patterns(inner)


def test_every_pattern_of_the_api_has_words() -> None:
    assert set(patterns(openapi_document())) <= set(PATTERNS)
