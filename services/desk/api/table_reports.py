"""Routes: reports."""

from __future__ import annotations

from services.desk.api import reports
from services.desk.api.route import Route

ROUTES: tuple[Route, ...] = (
    Route(
        name="reports",
        method="GET",
        path="/reports",
        handler=reports.reports,
        role="lead",
        summary="The reports there are, and what their columns mean",
        answers={200: reports.ReportKinds},
    ),
    Route(
        name="report",
        method="GET",
        path="/reports/{name}",
        handler=reports.report,
        role="lead",
        summary="A report of a period: totals, rows and definitions; as JSON, or CSV by `format`",
        query=reports.ReportQuery,
        answers={200: reports.ReportView},
        problems={
            429: "too_many: other reports are being made, or your files are on their way: wait"
        },
    ),
)
