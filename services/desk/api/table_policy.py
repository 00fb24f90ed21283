"""Routes: what a workspace decides by: rules, teams, hours, people."""

from __future__ import annotations

from libs.common.documents import Settings
from libs.common.policy import Calendar, Rule, Team
from services.desk.api import (
    calendars,
    members,
    rules,
    settings,
    settings_history,
    teams,
    termination,
)
from services.desk.api.route import LARGE_BODY, Handler, Route

_IF_MATCH = {"If-Match": "The ETag the change is based on; without it the newest"}
_CHANGED = "changed_meanwhile: too many changes at once"
_CONFLICTS = {409: _CHANGED, 412: "changed_meanwhile: If-Match names another version"}
_DELETING = {**_CONFLICTS, 409: f"in_use: `facts.used_by` names what refers to it; {_CHANGED}"}
_PATCHING = {**_CONFLICTS, 409: f"last_owner: nobody else is owner; {_CHANGED}"}
_ETAG = "ETag names the version of all rules, teams and calendars"


def _part_routes(
    word: str,
    listed: object,
    kind: object,
    body: object,
    kept: object,
    handlers: tuple[Handler, ...],
) -> tuple[Route, ...]:
    """Return the routes of a kind of part: list, show, put and delete, in this order."""
    path = f"/{word}s"
    return (
        Route(
            name=f"{word}s",
            method="GET",
            path=path,
            handler=handlers[0],
            role="lead",
            summary=f"Every {word}; {_ETAG}",
            answers={200: listed},
        ),
        Route(
            name=word,
            method="GET",
            path=f"{path}/{{id}}",
            handler=handlers[1],
            role="lead",
            summary=f"One {word}; {_ETAG}",
            answers={200: kind},
        ),
        Route(
            name=f"put_{word}",
            method="PUT",
            path=f"{path}/{{id}}",
            handler=handlers[2],
            role="lead",
            summary=f"Create or replace a {word}",
            body=body,
            answers={200: kept, 201: kept},
            headers=_IF_MATCH,
            problems=_CONFLICTS,
        ),
        Route(
            name=f"delete_{word}",
            method="DELETE",
            path=f"{path}/{{id}}",
            handler=handlers[3],
            role="lead",
            summary=f"Delete a {word} that nothing refers to",
            answers={204: None},
            headers=_IF_MATCH,
            problems=_DELETING,
        ),
    )


ROUTES: tuple[Route, ...] = (
    Route(
        name="agents",
        method="GET",
        path="/agents",
        handler=members.agents,
        role="read_only",
        summary="Every agent, to assign sessions to",
        answers={200: members.AgentList},
    ),
    Route(
        name="agent",
        method="GET",
        path="/agents/{id}",
        handler=members.agent,
        role="read_only",
        summary="One agent; ETag names the version",
        answers={200: members.AgentView},
    ),
    Route(
        name="patch_agent",
        method="PATCH",
        path="/agents/{id}",
        handler=members.patch_agent,
        role="admin",
        summary="Change an agent; disabling one ends their logins and tokens and, as `read_only` "
        "does, returns their sessions to the queue",
        body=members.AgentPatch,
        answers={200: members.AgentView},
        headers=_IF_MATCH,
        problems=_PATCHING,
    ),
    Route(
        name="settings",
        method="GET",
        path="/settings",
        handler=settings.settings,
        role="read_only",
        summary="The workspace's switches; ETag names their version",
        answers={200: Settings},
    ),
    Route(
        name="patch_settings",
        method="PATCH",
        path="/settings",
        handler=settings.patch_settings,
        role="admin",
        summary="Change switches; what is not named stays",
        body=settings.SettingsPatch,
        answers={200: Settings},
        headers=_IF_MATCH,
        problems=_CONFLICTS,
    ),
    Route(
        name="settings_history",
        method="GET",
        path="/settings/history",
        handler=settings_history.history,
        role="admin",
        summary="Who changed which switches, newest first: the versions of the settings",
        query=settings_history.HistoryQuery,
        answers={200: settings_history.SettingsHistory},
    ),
    Route(
        name="restore_settings",
        method="POST",
        path="/settings/restore",
        handler=settings_history.restore,
        role="admin",
        summary="Set all switches, or some, as they were in a version of the history",
        body=settings_history.Restore,
        answers={200: Settings},
        headers=_IF_MATCH,
        problems={
            **_CONFLICTS,
            404: "not_found: no such version",
            409: f"version_unreadable: of an older Relaydesk; {_CHANGED}",
        },
    ),
    Route(
        name="termination_preview",
        method="POST",
        path="/termination/preview",
        handler=termination.preview,
        role="lead",
        summary="Count the sessions that would end by themselves, by these settings or others",
        body=termination.PreviewBody,
        body_optional=True,
        answers={200: termination.Preview},
    ),
    Route(
        name="termination_undo",
        method="POST",
        path="/termination/undo",
        handler=termination.undo,
        role="lead",
        summary="Take back automatic ends, a page at a time, within `undo_s`",
        body=termination.UndoBody,
        body_optional=True,
        answers={200: termination.Undone},
    ),
    *_part_routes(
        "team",
        teams.TeamList,
        Team,
        teams.TeamBody,
        teams.TeamKept,
        (teams.teams, teams.team, teams.put_team, teams.delete_team),
    ),
    *_part_routes(
        "calendar",
        calendars.CalendarList,
        Calendar,
        calendars.CalendarBody,
        calendars.CalendarKept,
        (
            calendars.calendars,
            calendars.calendar,
            calendars.put_calendar,
            calendars.delete_calendar,
        ),
    ),
    Route(
        name="put_rules",
        method="PUT",
        path="/rules",
        handler=rules.put_rules,
        role="lead",
        summary="Replace all rules at once",
        body=rules.RulesBody,
        body_most=LARGE_BODY,
        answers={200: rules.RuleList},
        headers=_IF_MATCH,
        problems=_CONFLICTS,
    ),
    Route(
        name="order_rules",
        method="PUT",
        path="/rules/order",
        handler=rules.order_rules,
        role="lead",
        summary="Put the rules into another order",
        body=rules.OrderBody,
        answers={200: rules.RuleList},
        headers=_IF_MATCH,
        problems=_CONFLICTS,
    ),
    *_part_routes(
        "rule",
        rules.RuleList,
        Rule,
        rules.RuleBody,
        rules.RuleKept,
        (rules.rules, rules.rule, rules.put_rule, rules.delete_rule),
    ),
)
