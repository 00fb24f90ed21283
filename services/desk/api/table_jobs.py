"""Routes: jobs, and the import and export of contacts."""

from __future__ import annotations

from services.desk.api import contact_export, contact_import, jobs
from services.desk.api.act import Nothing
from services.desk.api.pouring import CSV_MEDIA, XLSX_TYPE
from services.desk.api.route import Route

_FULL = {429: "too_many: two files are on their way to the caller already"}

_KEY = {"Idempotency-Key": "A repeat with the same key makes no second job"}
_TOO_MANY = "too_many: so many jobs of the workspace wait or run already"
_CONFLICT = "idempotency_conflict: the key made another job"

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
        problems={
            409: "job_over: it is over; not_stoppable: it erases; changed_meanwhile: it moves"
        },
    ),
    Route(
        name="job_result",
        method="GET",
        path="/jobs/{id}/result",
        handler=jobs.result,
        role="read_only",
        summary="What a job made, as a file",
        answers={200: bytes},
        media=(CSV_MEDIA, XLSX_TYPE, "application/octet-stream"),
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
        media=(CSV_MEDIA, XLSX_TYPE),
        problems=_FULL,
    ),
    Route(
        name="import_contacts",
        method="POST",
        path="/contacts/import",
        handler=contact_import.import_contacts,
        role="lead",
        summary="Import contacts from XLSX, XLS or CSV, as a job",
        query=contact_import.ImportQuery,
        uploads=True,
        answers={202: jobs.JobView},
        headers=_KEY,
        problems={
            409: _CONFLICT,
            413: "too_large: the file, or what is in it",
            415: "not_a_workbook: the content is no table that is taken",
            429: _TOO_MANY,
        },
    ),
    Route(
        name="contacts_template",
        method="GET",
        path="/contacts/import/template.xlsx",
        handler=contact_import.template,
        role="read_only",
        summary="An empty workbook with the columns that an import takes",
        answers={200: bytes},
        media=(XLSX_TYPE,),
        problems=_FULL,
    ),
    Route(
        name="export_contacts",
        method="GET",
        path="/contacts/export",
        handler=contact_export.export,
        role="agent",
        summary="The contacts of a filter as CSV or XLSX",
        query=contact_export.ExportQuery,
        answers={200: bytes},
        media=(CSV_MEDIA, XLSX_TYPE),
        problems=_FULL | {413: "too_large: more contacts than a sheet holds"},
    ),
    Route(
        name="start_contacts_export",
        method="POST",
        path="/contacts/export",
        handler=contact_export.start_export,
        role="agent",
        summary="Export the contacts of a filter as a job",
        query=contact_export.ExportQuery,
        answers={202: jobs.JobView},
        headers=_KEY,
        problems={409: _CONFLICT, 429: _TOO_MANY},
    ),
)
