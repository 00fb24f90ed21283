"""From tables to Grafana's JSON, by the kept SDK; and where each panel stands on the grid."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import table as tables
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.table import Board, Choice, Kind, Panel, Query

COLUMNS = 24
RUNBOOKS = "https://github.com/relaydesk/relaydesk/blob/main/docs/runbooks/"
SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, AMBER, RED = "green", "orange", "red"
_TAG = "relaydesk"

Placed = tuple[Panel, model.GridPos]
Builder = stat.Panel | timeseries.Panel | tables.Panel


def document(board: Board) -> str:
    """Return the dashboard's file."""
    made: dict[str, Any] = json.loads(JSONEncoder().encode(_dashboard(board).build()))
    _date_restarts(made)
    _drop_empty(made)
    return json.dumps(made, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def placed(panels: Sequence[Panel], top: int) -> tuple[list[Placed], int]:
    """Lay *panels* out from the left, in lines that begin at *top*; return where the last ends."""
    found: list[Placed] = []
    x, y, line = 0, top, 0
    for panel in panels:
        if x + panel.width > COLUMNS:
            x, y, line = 0, y + line, 0
        found.append((panel, model.GridPos(h=panel.height, w=panel.width, x=x, y=y)))
        x += panel.width
        line = max(line, panel.height)
    return found, y + line


def _dashboard(board: Board) -> dashboard.Dashboard:
    made = (
        dashboard.Dashboard(board.title)
        .uid(f"relaydesk-{board.name}")
        .description(board.says)
        .tags([_TAG])
        .time("now-6h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .editable()
        .link(_all_boards())
        .with_variable(_source())
    )
    for choice in board.choices:
        made = made.with_variable(_variable(choice))
    made = made.annotation(_deploys()).annotation(_restarts())
    numbers, top = itertools.count(1), 0
    for row in board.rows:
        heading = dashboard.Row(row.title).id(next(numbers))
        made = made.with_row(heading.grid_pos(model.GridPos(h=1, w=COLUMNS, x=0, y=top)))
        found, top = placed(row.panels, top + 1)
        for panel, place in found:
            made = made.with_panel(_panel(panel).id(next(numbers)).grid_pos(place))
    return made


def _panel(panel: Panel) -> Builder:
    made: Builder = _KINDS[panel.kind](panel)
    made = (
        made.title(panel.title)
        .description(panel.says)
        .unit(panel.unit)
        .datasource(SOURCE)
        .no_value(panel.none)
        .thresholds(_thresholds(panel))
        .links(list(_links(panel)))
    )
    if panel.unit == "percentunit":
        made = made.min(0)
    if panel.top is not None:
        made = made.max(panel.top)
    for letter, query in zip("ABCDEFG", panel.queries, strict=False):
        made = made.with_target(_target(query, letter, panel))
    return made


def _target(query: Query, letter: str, panel: Panel) -> prometheus.Dataquery:
    made = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(letter)
    made = made.datasource(SOURCE)
    if panel.kind == "table":
        return made.instant().format(PromQueryFormat.TABLE)
    return (
        made.range()
        .format(PromQueryFormat.TIME_SERIES)
        .exemplar(exemplar="histogram_quantile" in query.expr)
    )


def _graph(panel: Panel) -> timeseries.Panel:
    legend = (
        common.VizLegendOptions()
        .show_legend(show_legend=True)
        .display_mode(options.LegendDisplayMode.TABLE)
        .placement(options.LegendPlacement.BOTTOM)
        .calcs(["lastNotNull", "max"])
    )
    tooltip = common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI)
    made = timeseries.Panel().legend(legend).tooltip(tooltip).line_width(1).fill_opacity(10)
    made = made.color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
    if panel.stacked:
        stacking = common.StackingConfig().mode(options.StackingMode.NORMAL)
        made = made.stacking(stacking).fill_opacity(40)
    if panel.amber is not None or panel.red is not None:
        style = common.GraphThresholdsStyleConfig().mode(options.GraphTresholdsStyleMode.DASHED)
        made = made.thresholds_style(style)
    return made


def _number(_panel: Panel) -> stat.Panel:
    reduced = common.ReduceDataOptions().calcs(["lastNotNull"])
    return (
        stat.Panel()
        .reduce_options(reduced)
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .color_mode(options.BigValueColorMode.BACKGROUND)
        .graph_mode(options.BigValueGraphMode.AREA)
    )


def _table(_panel: Panel) -> tables.Panel:
    hidden = ["Time", "__name__", "job", "instance", "pod", "service"]
    columns = model.DataTransformerConfig(
        id_val="organize", options={"excludeByName": dict.fromkeys(hidden, True)}
    )
    return tables.Panel().with_transformation(columns)


_KINDS: dict[Kind, Callable[[Panel], Builder]] = {
    "graph": _graph,
    "number": _number,
    "table": _table,
}


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    steps = [(GREEN, None), (AMBER, panel.amber), (RED, panel.red)]
    if panel.low_is_bad:
        steps = _upwards(panel)
    kept = [model.Threshold(value, color) for color, value in steps[:1]]
    kept += [model.Threshold(value, color) for color, value in steps[1:] if value is not None]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(kept)


def _upwards(panel: Panel) -> list[tuple[str, float | None]]:
    """Return the steps where small is bad: red up to `red`, amber up to `amber`."""
    if panel.red is None:
        return [(AMBER, None), (GREEN, panel.amber)]
    if panel.amber is None:
        return [(RED, None), (GREEN, panel.red)]
    return [(RED, None), (AMBER, panel.red), (GREEN, panel.amber)]


def _links(panel: Panel) -> Iterator[dashboard.DashboardLink]:
    if panel.runbook:
        yield (
            dashboard.DashboardLink("Runbook")
            .type(model.DashboardLinkType.LINK)
            .url(f"{RUNBOOKS}{panel.runbook}.md")
            .target_blank(target_blank=True)
        )
    if panel.board:
        yield (
            dashboard.DashboardLink(f"More: {panel.board}")
            .type(model.DashboardLinkType.LINK)
            .url(f"/d/relaydesk-{panel.board}?${{__url_time_range}}&${{datasource:queryparam}}")
        )


def _all_boards() -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink("Relaydesk")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([_TAG])
        .keep_time(keep_time=True)
    )


def _source() -> dashboard.DatasourceVariable:
    return dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")


def _variable(choice: Choice) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(choice.name)
        .label(choice.label)
        .datasource(SOURCE)
        .query(choice.query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
        .current(model.VariableOption(text="All", value="$__all", selected=True))
    )


def _deploys() -> dashboard.AnnotationQuery:
    """Mark when a version came that was not there five minutes before."""
    versions = 'count by (version) (relaydesk_build_info{job="relaydesk"}'
    return (
        dashboard.AnnotationQuery()
        .name("Deploys")
        .datasource(SOURCE)
        .enable(enable=True)
        .icon_color("blue")
        .expr(f"{versions}) unless {versions} offset 5m)")
    )


def _restarts() -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name(_RESTARTS)
        .datasource(SOURCE)
        .enable(enable=True)
        .icon_color("purple")
        .expr('process_start_time_seconds{job="relaydesk"} * 1000')
    )


_RESTARTS = "Restarts"


def _date_restarts(made: dict[str, Any]) -> None:
    """Say what the SDK has no word for: of restarts the value is the time; how marks are called."""
    for mark in made["annotations"]["list"]:
        if mark["name"] == _RESTARTS:
            mark |= {"useValueForTime": "on", "titleFormat": "{{service}} started"}
            mark |= {"textFormat": "{{instance}}"}
        else:
            mark["titleFormat"] = "version {{version}}"


def _drop_empty(made: dict[str, Any]) -> None:
    """Leave out what the SDK writes though it says nothing."""
    for panel in made["panels"]:
        if panel.get("options", ...) is None:
            del panel["options"]
    for variable in made["templating"]["list"]:
        del variable["id"]
