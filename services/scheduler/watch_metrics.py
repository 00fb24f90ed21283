"""The state that no counter tells, as gauges: every scheduler replica tells the same.

All have been read within the last passes of `watch`; what cannot be read is not told. Take one
replica's word: `max without (instance, pod) (...)`. Label values come from closed sets, but for
`account` and `workspace`, of which no more than `watch_accounts.MOST` are told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from prometheus_client import Gauge

SESSIONS = Gauge(
    "relaydesk_sessions",
    "Open sessions of all workspaces, by list and channel.",
    ("list", "channel"),
)
OLDEST_WAITING = Gauge(
    "relaydesk_sessions_oldest_waiting_seconds",
    "Seconds that the visitor has waited who has waited longest: in list `unassigned` for somebody "
    "to take the session, in `assigned` for an answer. Snoozed sessions wait for nobody; 0: none.",
    ("list",),
)
DEAD = Gauge(
    "relaydesk_dead_letters",
    "Messages on the stream DEAD, by the service that gave them up.",
    ("origin",),
)
STREAM_MESSAGES = Gauge(
    "relaydesk_stream_messages",
    "Messages that a stream holds; buckets are streams named KV_.",
    ("stream",),
)
STREAM_BYTES = Gauge("relaydesk_stream_bytes", "Bytes that a stream holds.", ("stream",))
STORAGE = Gauge(
    "relaydesk_jetstream_storage_bytes", "Bytes that JetStream stores on disk for our account."
)
STORAGE_LIMIT = Gauge(
    "relaydesk_jetstream_storage_limit_bytes",
    "Bytes that it may store: the limit of our account, else RELAYDESK_JETSTREAM_LIMIT_BYTES; NaN: "
    "neither is set.",
)
LAG = Gauge(
    "relaydesk_consumer_lag",
    "Messages of a stream that a durable reader has not settled: those that wait and those in "
    "hand, partitions together.",
    ("stream", "reader"),
)
OLDEST = Gauge(
    "relaydesk_consumer_oldest_seconds",
    "Seconds since the oldest of these was stored; 0: there is none.",
    ("stream", "reader"),
)
ACCOUNT = Gauge(
    "relaydesk_account_info",
    "1 for each account that is connected and switched on.",
    ("account", "channel", "workspace"),
)
LAST_WEBHOOK = Gauge(
    "relaydesk_account_last_webhook_timestamp_seconds",
    "When the account's last webhook was accepted in which something happened, in seconds since "
    "1970; not told while none is known.",
    ("account", "channel"),
)
SILENT = Gauge(
    "relaydesk_account_silent",
    "1: no webhook for so long that, by the account's own rhythm of the last weeks, it happens by "
    "chance once in 100,000 times; else 0. Never 1 in the first week.",
    ("account", "channel"),
)
STATE = Gauge(
    "relaydesk_account_state",
    "1 for the state that the sender judged last, 0 for the others: unknown (nothing was sent "
    "yet), ok, failing (the newest calls failed), revoked (the provider refuses the credential).",
    ("account", "channel", "state"),
)
TOKEN_EXPIRES = Gauge(
    "relaydesk_account_token_expires_timestamp_seconds",
    "When the account's credential ends that a person has to renew, in seconds since 1970; told "
    "where the provider tells it. Tokens that we fetch ourselves are left out.",
    ("account", "channel"),
)
REFUSED = Gauge(
    "relaydesk_account_refused",
    "Webhooks with a bad signature, as all processes of the last days have counted them; falls "
    "when one is forgotten, 8 days after it ended.",
    ("account", "channel"),
)
ERRORS = Gauge(
    "relaydesk_account_errors",
    "Calls to the provider that failed, by what went wrong, counted likewise.",
    ("account", "channel", "code"),
)
QUOTA = Gauge(
    "relaydesk_account_quota_used_ratio",
    "Share of what the provider allows that is used, 0 to 1 and above, as it told last; told "
    "where the provider tells it.",
    ("account", "channel"),
)
UNTOLD = Gauge("relaydesk_accounts_untold", "Accounts beyond those that are told, by slug.")
AGE = Gauge(
    "relaydesk_watch_age_seconds",
    "Seconds since all these figures were last read, by this process; NaN before the first time.",
)
PASS_SECONDS = Gauge(
    "relaydesk_watch_pass_seconds", "Seconds that reading them took last; NaN before the first."
)

Figures = Mapping[tuple[str, ...], float]
"""A value by the values of its labels, in the order in which the gauge declares them."""

for _single in (STORAGE, STORAGE_LIMIT, UNTOLD, AGE, PASS_SECONDS):
    _single.set(math.nan)


def show(gauge: Gauge, figures: Figures) -> None:
    """Let a gauge with labels show *figures* and nothing else.

    Lines that stay are not made anew, which costs ten times more than to set them.
    """
    for gone in set(gauge._metrics) - set(figures):  # noqa: SLF001 (not told otherwise)
        gauge.remove(*gone)
    for labels, value in figures.items():
        gauge.labels(*labels).set(value)


def withdraw(*gauges: Gauge) -> None:
    """Show nothing in them: NaN where there are no labels."""
    for gauge in gauges:
        if gauge._labelnames:  # noqa: SLF001 (not told otherwise)
            gauge.clear()
        else:
            gauge.set(math.nan)
