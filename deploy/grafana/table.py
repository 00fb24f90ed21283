"""What a dashboard is written down as: boards of rows of panels of queries."""

from __future__ import annotations

from typing import Literal, TypedDict, Unpack

import msgspec

Kind = Literal["graph", "number", "table"]
"""A course over time, one figure that may turn amber or red, or a table of what is now."""

Unit = Literal["short", "s", "reqps", "ops", "percentunit", "bytes", "dateTimeAsIso", "none"]
"""Units by Grafana's names: `reqps` and `ops` are a second, `percentunit` is 0 to 1."""


class Query(msgspec.Struct, frozen=True):
    """An expression, and how its lines are called: text with `{{label}}`."""

    expr: str
    legend: str


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One panel.

    Attributes:
        title: A question, or a plain noun.
        says: What it shows and what to do about it; shown at its corner.
        unit: Of all its lines.
        queries: Its lines.
        kind: How it is drawn.
        amber: From where on it wants a look; of a figure that should be high, up to where.
        red: From where on an alert comes; likewise.
        low_is_bad: Whether a small figure is the bad one.
        runbook: Name of the alert's page below `docs/runbooks/`, without `.md`.
        board: Name of the dashboard that tells more.
        stacked: Whether lines are parts of one whole.
        none: What is shown where there is no value.
        width: Of 24 columns.
        height: In rows of the grid.
        top: Upper end of the axis; None: as the values are.
    """

    title: str
    says: str
    unit: Unit
    queries: tuple[Query, ...]
    kind: Kind = "graph"
    amber: float | None = None
    red: float | None = None
    low_is_bad: bool = False
    runbook: str = ""
    board: str = ""
    stacked: bool = False
    none: str = "no data"
    width: int = 8
    height: int = 7
    top: float | None = None


class Row(msgspec.Struct, frozen=True):
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


class Choice(msgspec.Struct, frozen=True):
    """A variable: its name, what it is called, and the query of its values; several, or all."""

    name: str
    label: str
    query: str


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """A dashboard; `name` is the file's, and behind `relaydesk-` the uid, which never changes."""

    name: str
    title: str
    says: str
    rows: tuple[Row, ...]
    choices: tuple[Choice, ...] = ()


class More(TypedDict, total=False):
    """What the functions below take besides, see `Panel`."""

    kind: Kind
    amber: float
    red: float
    low_is_bad: bool
    runbook: str
    board: str
    stacked: bool
    none: str
    width: int
    height: int
    top: float


def number(title: str, says: str, unit: Unit, expr: str, **more: Unpack[More]) -> Panel:
    """Return a panel of one figure."""
    settings: More = {"kind": "number", "width": 4, "height": 4, **more}
    return Panel(title=title, says=says, unit=unit, queries=(Query(expr, title),), **settings)


def graph(
    title: str, says: str, unit: Unit, *queries: tuple[str, str], **more: Unpack[More]
) -> Panel:
    """Return a panel of lines: (expression, legend) each."""
    lines = tuple(Query(*query) for query in queries)
    return Panel(title=title, says=says, unit=unit, queries=lines, **more)


def table(title: str, says: str, unit: Unit, expr: str, **more: Unpack[More]) -> Panel:
    """Return a panel that lists what is now, a series a line."""
    settings: More = {"kind": "table", "width": 12, "height": 8, **more}
    return Panel(title=title, says=says, unit=unit, queries=(Query(expr, title),), **settings)


def service(name: str) -> Choice:
    """Return the choice of instances, of the service *name* or, where it is empty, of all."""
    where = f'job="relaydesk",service="{name}"' if name else 'job="relaydesk"'
    return Choice("instance", "Instance", f"label_values(up{{{where}}}, instance)")
