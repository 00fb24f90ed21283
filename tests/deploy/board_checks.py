"""What must hold of a dashboard's JSON; each check returns what is wrong, in words."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Board = Mapping[str, Any]

ELSEWHERE = frozenset({"ALERTS", "up"})
"""Series that Prometheus itself makes."""
UNITS = frozenset({"short", "s", "reqps", "ops", "percentunit", "bytes", "dateTimeAsIso", "none"})
VARIABLES = {
    "$__rate_interval": "5m",
    "$__range": "1h",
    "$instance": ".*",
    "$service": ".*",
    "$account": ".*",
}
_METRIC = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_NO_SUFFIX = re.compile(r"_(bucket|sum|count)$")


def panels(board: Board) -> list[dict[str, Any]]:
    """Return the panels that show something."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions(board: Board, every: str = "5m") -> Iterator[tuple[str, str]]:
    """Return where each expression stands, and it with its variables filled in."""
    asked = [
        (f"{panel['title']} ({target['refId']})", target["expr"])
        for panel in panels(board)
        for target in panel["targets"]
    ]
    asked += [(mark["name"], mark["expr"]) for mark in board["annotations"]["list"]]
    for where, expr in asked:
        yield where, filled(expr, every)


def filled(expr: str, every: str = "5m") -> str:
    """Return *expr* as Grafana would ask it."""
    for name, value in {**VARIABLES, "$__rate_interval": every}.items():
        expr = expr.replace(name, value)
    return expr


def metrics_of(expr: str) -> set[str]:
    """Return the metrics that *expr* selects."""
    return set(_METRIC.findall(_QUOTED.sub('""', expr)))


def unparsed(promtool: Path, folder: Path, boards: Mapping[str, Board]) -> str:
    """Return what promtool says of the expressions, each as a recording rule; "" if all parse."""
    rules = ["groups:", "- name: boards", "  rules:"]
    for board in boards.values():
        for number, (_, expr) in enumerate(expressions(board)):
            uid = board["uid"].replace("-", "_")
            rules += [f"  - record: {uid}:panel:{number}", f"    expr: {expr!r}"]
    file = folder / "boards.yml"
    file.write_text("\n".join(rules))
    told = subprocess.run(
        [promtool, "check", "rules", file], capture_output=True, text=True, timeout=30, check=False
    )
    return "" if told.returncode == 0 else told.stdout + told.stderr


def unknown_metrics(board: Board, known: set[str]) -> list[str]:
    """Return the metrics that nobody tells; *known* are the families of the live pages."""
    return [
        f"{where}: {metric}"
        for where, expr in expressions(board)
        for metric in sorted(metrics_of(expr))
        if metric not in ELSEWHERE | known and _NO_SUFFIX.sub("", metric) not in known
    ]


def unsaid(board: Board) -> list[str]:
    """Return the panels without title, unit, description or words for no value."""
    wrong = []
    for panel in panels(board):
        settings = panel["fieldConfig"]["defaults"]
        if not panel.get("title") or not panel.get("description"):
            wrong.append(f"{panel.get('title')}: it does not say what it shows")
        if settings.get("unit") not in UNITS:
            wrong.append(f"{panel.get('title')}: unit {settings.get('unit')!r}")
        if not settings.get("noValue"):
            wrong.append(f"{panel.get('title')}: nothing is said of no value")
    return wrong


def misplaced(board: Board) -> list[str]:
    """Return the panels that overlap, leave the grid, or share an id or a title."""
    wrong, taken = [], dict[tuple[int, int], str]()
    for panel in board["panels"]:
        place, title = panel["gridPos"], panel["title"]
        if place["x"] + place["w"] > 24:
            wrong.append(f"{title}: leaves the grid")
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                other = taken.setdefault((x, y), title)
                if other != title:
                    wrong.append(f"{title}: stands on {other}")
    for what in ("id", "title"):
        named = [panel[what] for panel in board["panels"]]
        wrong += [f"{what} {one} twice" for one in sorted(set(named)) if named.count(one) > 1]
    return list(dict.fromkeys(wrong))


def misled(board: Board) -> list[str]:
    """Return expressions that mislead: a counter that is not rated, a sum rated, a bare division.

    A ratio must say nothing where there was nothing, and what all replicas tell is not summed.
    """
    wrong = []
    for where, expr in expressions(board):
        bare = _QUOTED.sub('""', expr)
        counters = re.findall(r"(\w+ ?\()?(\w+_(?:total|bucket|count|sum))\{", bare)
        for before, metric in counters:
            if "ledger" not in metric and before.strip(" (") not in {"rate", "increase"}:
                wrong.append(f"{where}: {metric} is not rated")
        if re.search(r"(rate|increase) ?\( ?(sum|max|avg)", bare):
            wrong.append(f"{where}: rates a sum")
        if "/" in bare and "> 0)" not in bare.split("/", 1)[1]:
            wrong.append(f"{where}: divides by what may be 0")
        wrong += [
            f"{where}: {metric} is told alike by all replicas"
            for metric in sorted(metrics_of(expr))
            if _told_alike(metric) and f"without (instance, pod) ({metric}" not in bare
        ]
    return wrong


def unsourced(board: Board) -> list[str]:
    """Return what asks another data source than the one chosen."""
    wanted = {"type": "prometheus", "uid": "${datasource}"}
    asked = [(p["title"], p["datasource"]) for p in panels(board)]
    asked += [(p["title"], t["datasource"]) for p in panels(board) for t in p["targets"]]
    asked += [(v["name"], v.get("datasource", wanted)) for v in board["templating"]["list"]]
    return [title for title, source in asked if source != wanted]


def lost_links(board: Board, uids: set[str], runbooks: set[str]) -> list[str]:
    """Return links that lead nowhere: *uids* of dashboards, names of *runbooks*."""
    wrong = []
    for panel in panels(board):
        for link in panel["links"]:
            url = link["url"]
            if url.startswith("/d/"):
                known = url.removeprefix("/d/").partition("?")[0] in uids
            else:
                known = url.rpartition("/")[2].removesuffix(".md") in runbooks
            if not known:
                wrong.append(f"{panel['title']}: {url}")
    return wrong


def _told_alike(metric: str) -> bool:
    first = ("account_", "accounts_untold", "ledger_", "sessions", "dead_letters", "stream_")
    more = ("jetstream_", "consumer_", "watch_age", "desk_agents_present")
    return metric.startswith(tuple(f"relaydesk_{name}" for name in (*first, *more)))
