"""Routes: jobs, and the import and export of contacts."""

from __future__ import annotations

from services.desk.api import jobs
from services.desk.api.act import Nothing
from services.desk.api.route import Route

_FULL = {429: "too_many: two files are on their way to the caller already"}

ROUTES: tuple[Route, ...] = (
    Route(
        name="jobs",
        method="GET",
        path="/jobs",
        handler=jobs.jobs,
        role="read_only",
        summary="Imports and exports, newest first; below lead the caller's own",
        query=jobs.JobQuery,
        answers={200: jobs.JobList},
    ),
    Route(
        name="job",
        method="GET",
        path="/jobs/{id}",
        handler=jobs.job,
        role="read_only",
        summary="How far a job came",
        answers={200: jobs.JobView},
    ),
    Route(
        name="cancel_job",
        method="POST",
        path="/jobs/{id}/cancel",
        handler=jobs.cancel,
        role="agent",
        summary="Stop a job; what it has done stays done",
        body=Nothing,
        body_optional=True,
        answers={200: jobs.JobView},
        problems={409: "job_over: it is over; changed_meanwhile: it moves all the time"},
    ),
    Route(
        name="job_result",
        method="GET",
        path="/jobs/{id}/result",
        handler=jobs.result,
        role="read_only",
        summary="What a job made, as a file",
        answers={200: bytes},
        problems=_FULL,
    ),
    Route(
        name="job_errors",
        method="GET",
        path="/jobs/{id}/errors",
        handler=jobs.errors,
        role="read_only",
        summary="The rows that a job refused, each with the reason, as CSV or XLSX",
        query=jobs.ErrorQuery,
        answers={200: bytes},
        problems=_FULL,
    ),
)
