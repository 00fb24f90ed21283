"""The dashboards are what their tables say, and every panel can be answered.

How they look in Grafana is not seen here: no Grafana runs.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.grafana.__main__ import BOARDS, FOLDER, documents
from tests.deploy.board_checks import (
    lost_links,
    misled,
    misplaced,
    panels,
    unknown_metrics,
    unparsed,
    unsaid,
    unsourced,
)
from tests.prometheus import binary

ROOT = Path(__file__).parents[2]
NAMES = ("overview", "ingest", "router", "delivery", "timers", "alerts", "accounts")
WRITTEN: dict[str, dict[str, Any]] = {
    name: json.loads((FOLDER / f"{name}.json").read_text()) for name in NAMES
}
UIDS = {f"relaydesk-{name}" for name in NAMES}
ALERTS = re.findall(
    r"alert: Relaydesk(\w+)",
    "".join(file.read_text() for file in (ROOT / "deploy/prometheus/rules").glob("*.yml")),
)
RUNBOOKS = {re.sub(r"(?<!^)(?=[A-Z])", "-", alert).lower() for alert in ALERTS}
"""Pages of the alerts; that each is there is seen with the rules."""
DOCUMENTED = {
    line.split("`")[1]
    for line in (ROOT / "docs" / "metrics.md").read_text().splitlines()
    if line.startswith("| `")
}
OF_PROCESSES = {
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
}
KNOWN = DOCUMENTED | OF_PROCESSES

CHECKS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "every panel says what it shows, in which unit": unsaid,
    "no two panels overlap": misplaced,
    "no expression misleads": misled,
    "the chosen data source is asked": unsourced,
    "every link leads somewhere": lambda board: lost_links(board, UIDS, RUNBOOKS),
    "every metric is a documented one": lambda board: unknown_metrics(board, KNOWN),
}


@pytest.mark.parametrize("name", NAMES)
def test_c05_a_dashboard_is_what_its_table_says(name: str) -> None:
    written = (FOLDER / f"{name}.json").read_text()
    assert written == documents()[f"{name}.json"], "run `python -m deploy.grafana`"


def test_c05_each_dashboard_keeps_its_address() -> None:
    assert {board["uid"] for board in WRITTEN.values()} == UIDS
    assert {file.stem for file in FOLDER.glob("*")} == set(NAMES)
    assert tuple(board.name for board in BOARDS) == NAMES


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("name", NAMES)
def test_c05_of_each_dashboard(name: str, check: Callable[[dict[str, Any]], list[str]]) -> None:
    assert check(WRITTEN[name]) == []


def test_c05_every_expression_parses(tmp_path: Path) -> None:
    assert unparsed(Path(binary("promtool")), tmp_path, WRITTEN) == ""


def test_an_expression_that_does_not_parse_is_found(tmp_path: Path) -> None:
    board = with_expr("sum by (x (rate(up[5m]))")
    assert "could not parse" in unparsed(Path(binary("promtool")), tmp_path, {"one": board})


def with_expr(expr: str) -> dict[str, Any]:
    """Return the overview, the first panel of which asks *expr*."""
    board = copy.deepcopy(WRITTEN["overview"])
    panels(board)[0]["targets"][0]["expr"] = expr
    return board


def changed(**change: Any) -> dict[str, Any]:
    """Return the overview with another first panel."""
    board = copy.deepcopy(WRITTEN["overview"])
    panels(board)[0].update(change)
    return board


_DEFAULTS = panels(WRITTEN["overview"])[0]["fieldConfig"]["defaults"]
_SECOND = panels(WRITTEN["overview"])[1]
PLANTED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a panel without a unit": (
        "every panel says what it shows, in which unit",
        changed(fieldConfig={"defaults": {**_DEFAULTS, "unit": None}}),
        "unit None",
    ),
    "a panel without a description": (
        "every panel says what it shows, in which unit",
        changed(description=""),
        "does not say what it shows",
    ),
    "nothing said of no value": (
        "every panel says what it shows, in which unit",
        changed(fieldConfig={"defaults": {**_DEFAULTS, "noValue": ""}}),
        "nothing is said",
    ),
    "two panels on one place": (
        "no two panels overlap",
        changed(gridPos=_SECOND["gridPos"]),
        "stands on",
    ),
    "a panel beyond the grid": (
        "no two panels overlap",
        changed(gridPos={"x": 22, "w": 4, "y": 900, "h": 4}),
        "leaves the grid",
    ),
    "two panels of one id": ("no two panels overlap", changed(id=_SECOND["id"]), "twice"),
    "another data source": (
        "the chosen data source is asked",
        changed(datasource={"type": "prometheus", "uid": "mine"}),
        "Alerts that fire",
    ),
    "a runbook that is not there": (
        "every link leads somewhere",
        changed(links=[{"url": "https://example.com/runbooks/none-such.md"}]),
        "none-such",
    ),
    "a dashboard that is not there": (
        "every link leads somewhere",
        changed(links=[{"url": "/d/relaydesk-none?x"}]),
        "relaydesk-none",
    ),
    "a metric that nobody tells": (
        "every metric is a documented one",
        with_expr('sum(rate(relaydesk_ingest_untold_total{job="relaydesk"}[5m]))'),
        "untold",
    ),
    "a counter that is not rated": (
        "no expression misleads",
        with_expr("sum(relaydesk_ingest_requests_total{})"),
        "is not rated",
    ),
    "a rate of a sum": (
        "no expression misleads",
        with_expr("rate(sum(relaydesk_ingest_requests_total{})[5m:])"),
        "rates a sum",
    ),
    "a division by what may be 0": (
        "no expression misleads",
        with_expr("rate(a_total{}[5m]) / rate(b_total{}[5m])"),
        "may be 0",
    ),
    "a sum of what every replica tells": (
        "no expression misleads",
        with_expr("sum(relaydesk_dead_letters{})"),
        "told alike",
    ),
}


@pytest.mark.parametrize(("check", "board", "told"), PLANTED.values(), ids=PLANTED)
def test_a_planted_defect_is_found(check: str, board: dict[str, Any], told: str) -> None:
    assert told in " ".join(CHECKS[check](board))
