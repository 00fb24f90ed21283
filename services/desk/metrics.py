"""What desk counts; labels come from closed sets."""

from __future__ import annotations

from typing import get_args

from prometheus_client import Counter, Gauge, Histogram

from libs.common.commands import AnyCommand
from libs.common.jobs import JobKind
from libs.common.switches import AlertTrigger
from libs.common.zeros import from_zero

REQUESTS = Counter(
    "relaydesk_desk_requests_total",
    "Answered requests, by route, method and class of status (2xx to 5xx).",
    ("route", "method", "status"),
)
SECONDS = Histogram(
    "relaydesk_desk_request_seconds",
    "Seconds from the parsed request line to the answer, by route.",
    ("route",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
LOGINS = Counter(
    "relaydesk_desk_logins_total",
    "Logins by outcome: ok, wrong, ambiguous, throttled.",
    ("outcome",),
)
COMMANDS = Counter(
    "relaydesk_desk_commands_total",
    "Commands to the router by verb and outcome: done, repeated, refused, unavailable.",
    ("verb", "outcome"),
)
BOT_ANSWERS = Counter(
    "relaydesk_desk_bot_answers_total",
    "Later answers of webhook bots by outcome: done, stale, answered (another was first), "
    "handed_off, unsigned, malformed, throttled, unknown (no such session or message), "
    "unavailable.",
    ("outcome",),
)
DIRECTORY = Counter(
    "relaydesk_desk_directory_entries_healed_total",
    "Entries of the directory buckets that did not say what the store says, and were mended.",
)
GIVEN_BACK = Counter(
    "relaydesk_desk_sessions_given_back_total",
    "Sessions that the reconciler returned to the queue, as who had them may not answer any more.",
)
SWEPT = Counter(
    "relaydesk_desk_uploads_swept_total",
    "Uploads that nobody sent within a day, and that were deleted.",
)
PRESENT = Gauge(
    "relaydesk_desk_agents_present",
    "Agents who are there, by state (online, away); every process tells those of all workspaces.",
    ("state",),
)
STREAMS = Gauge("relaydesk_desk_alert_streams", "Streams of alerts that are open in this process.")
STREAMS_ENDED = Counter(
    "relaydesk_desk_alert_streams_ended_total",
    "Streams of alerts that ended: left by the reader, slow, refused (no longer logged in), lost "
    "(dropped by us: too much waits for it, or a restart).",
    ("reason",),
)
INBOX_STREAMS_ENDED = Counter(
    "relaydesk_desk_inbox_streams_ended_total",
    "Streams of inboxes that ended: left by the reader, slow, refused (no longer logged in, or "
    "allowed to see something else now), lost (dropped by us: too much waits for it, a dependency "
    "is away, or a restart).",
    ("reason",),
)
ALERTS = Counter(
    "relaydesk_desk_alerts_total",
    "Alerts written to streams, by what they tell of.",
    ("trigger",),
)
ALERTS_STALE = Counter(
    "relaydesk_desk_alerts_stale_total",
    "Alerts that had expired before their reader took them.",
)
JOBS_STARTED = Counter("relaydesk_jobs_started_total", "Jobs that were begun, by kind.", ("kind",))
JOBS_FINISHED = Counter(
    "relaydesk_jobs_finished_total",
    "Jobs that are over, by kind and state: done, failed, cancelled.",
    ("kind", "state"),
)
ERASURES = Counter(
    "relaydesk_erasures_total",
    "Turns of erasing a contact, by outcome: done, failed (it is tried again).",
    ("outcome",),
)
JOBS_SECONDS = Histogram(
    "relaydesk_jobs_seconds",
    "Seconds from when a job was first taken up to its end, by kind.",
    ("kind",),
    buckets=(0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0),
)
JOBS_WAITING = Gauge(
    "relaydesk_jobs_waiting",
    "Jobs of all workspaces that wait or run, as this process saw last.",
)
DRIFT = Gauge(
    "relaydesk_config_drift_objects",
    "Things that differ from the last applied file of their workspace, over all workspaces; every "
    "process tells the same.",
)
APPLIED_AGE = Gauge(
    "relaydesk_config_last_apply_age_seconds",
    "Seconds since a file was last applied to any workspace; NaN: none ever was.",
)

VERBS = tuple(str(kind.__struct_config__.tag) for kind in get_args(AnyCommand))

from_zero(LOGINS, ("ok", "wrong", "ambiguous", "throttled", "oidc", "oidc_refused"))
from_zero(COMMANDS, VERBS, ("done", "repeated", "refused", "unavailable"))
from_zero(
    BOT_ANSWERS,
    (
        "done",
        "stale",
        "answered",
        "handed_off",
        "unsigned",
        "malformed",
        "throttled",
        "unknown",
        "unavailable",
    ),
)
for _ended in (STREAMS_ENDED, INBOX_STREAMS_ENDED):
    from_zero(_ended, ("left", "slow", "refused", "lost"))
from_zero(ALERTS, get_args(AlertTrigger))
from_zero(JOBS_STARTED, get_args(JobKind))
from_zero(JOBS_FINISHED, get_args(JobKind), ("done", "failed", "cancelled"))
from_zero(JOBS_SECONDS, get_args(JobKind))
from_zero(ERASURES, ("done", "failed"))
