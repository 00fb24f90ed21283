"""Metrics of the sender, of fetched files and of bots. Label values come from closed sets."""

from __future__ import annotations

from functools import partial
from typing import get_args

from prometheus_client import Counter, Gauge, Histogram

from libs.common.bus.options import Observed
from libs.common.channels import CHANNELS
from libs.common.mails import MailKind
from libs.common.zeros import from_zero
from services.notifier.bots_breaker import Breakers, Places, State

SENDS = Counter(
    "relaydesk_sender_sends_total",
    "Messages by outcome: sent, failed, unknown.",
    ("channel", "outcome"),
)
RETRIES = Counter(
    "relaydesk_sender_retries_total",
    "Tries that were followed by another, by what went wrong.",
    ("channel", "code"),
)
PROVIDER_ERRORS = Counter(
    "relaydesk_sender_provider_errors_total",
    "Failed tries, by what went wrong.",
    ("channel", "code"),
)
VIA = Counter(
    "relaydesk_sender_via_total",
    "Messages sent, by the way they took (LINE: reply is free, push counts against the quota).",
    ("channel", "via"),
)
COST = Counter(
    "relaydesk_sender_sends_by_cost_total",
    "Messages sent, by what the provider asks for them: free, or counted against a quota or price.",
    ("channel", "cost"),
)
LAST_SENT = Gauge(
    "relaydesk_sender_last_sent_timestamp_seconds",
    "When a provider last took a message.",
    ("channel",),
)
ACCOUNT_STATE = Gauge(
    "relaydesk_sender_account_state",
    "Accounts that this process has sent for, by state; `revoked` and `failing` need a person.",
    ("channel", "state"),
)
UNHEALTHY = Counter(
    "relaydesk_sender_accounts_unhealthy_total",
    "Accounts that turned bad, by outcome: told, recent (told within the hour), known (others had "
    "judged so before).",
    ("outcome",),
)
SIGNALS = Counter(
    "relaydesk_sender_signals_total",
    "Typing and reading shown to visitors, by outcome: shown, failed, dropped.",
    ("channel", "outcome"),
)
CALLS_SECONDS = Histogram(
    "relaydesk_sender_calls_seconds",
    "Time of one provider call, failures included.",
    ("channel",),
    buckets=(0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0),
)
IN_FLIGHT = Gauge("relaydesk_sender_in_flight", "Messages taken from the bus and not settled yet.")
PARTITIONS = Gauge(
    "relaydesk_sender_partitions", "Partitions of OUTBOUND that this process serves now."
)
PAUSED_ACCOUNTS = Gauge(
    "relaydesk_sender_paused_accounts", "Accounts that wait because the provider said so."
)
TOKEN_FETCHES = Counter(
    "relaydesk_sender_token_fetches_total",
    "Access tokens fetched from the provider, by outcome: fetched, failed.",
    ("channel", "outcome"),
)

MEDIA_FETCHED = Counter(
    "relaydesk_media_fetched_total",
    "Tries to fetch a visitor's file, by outcome: stored, again, or why it was given up.",
    ("channel", "outcome"),
)
MEDIA_SECONDS = Histogram(
    "relaydesk_media_fetch_seconds",
    "Time of one try to fetch a visitor's file, storing included.",
    ("channel",),
    buckets=(0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0),
)
MEDIA_BYTES = Counter(
    "relaydesk_media_bytes_total", "Bytes of visitors' files that were stored.", ("channel",)
)
MEDIA_PENDING = Gauge(
    "relaydesk_media_pending",
    "Visitors' files that are not fetched yet, of all workspaces; at most 1,000 of each.",
)

BOT_CALLS = Counter(
    "relaydesk_bot_calls_total",
    "Calls of webhook bots by outcome: answered, later, what went wrong, or why none was made "
    "(resting: its breaker is open; no_place: too many at once).",
    ("outcome",),
)
BOT_SECONDS = Histogram(
    "relaydesk_bot_call_seconds",
    "Time of one call of a webhook bot, failures included.",
    buckets=(0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0),
)
BOT_TURNS = Counter(
    "relaydesk_bot_turns_total",
    "Messages that webhook bots were asked to answer, by what became of them: done, later, "
    "handed_off, moved_on, stale, answered (another answer was faster).",
    ("outcome",),
)
BOT_BREAKERS = Gauge(
    "relaydesk_bot_breakers",
    "Webhook bots by the state of their breaker: closed, open (not called), half_open.",
    ("state",),
)
BOT_IN_FLIGHT = Gauge("relaydesk_bot_in_flight", "Calls of webhook bots under way.")

BURIED = Counter(
    "relaydesk_sender_buried_total", "Messages that nobody could read, moved to DEAD.", ("code",)
)

CODES = frozenset(
    {
        "throttled",
        "not_sent",
        "ambiguous",
        "credential",
        "forbidden_target",
        "redirected",
        "window_closed",
        "blocked",
        "bad_recipient",
        "bad_content",
        "file_missing",
        "file_needs_link",
        "too_large",
        "quota",
        "permission",
        "policy",
        "rejected",
    }
)
BURIALS = frozenset({"malformed_payload", "elsewhere", "bug"})
WAYS = frozenset(
    {
        "reply",
        "push",
        "comment",
        "private",
        "message",
        "template",
        "human_agent",
        "custom",
        "web",
    }
)
PAID = frozenset({("line", "push"), ("whatsapp", "template")})
"""(channel, way) that a provider counts against a quota or a price; the rest costs nothing.

Source: LINE Messaging API, "Messaging API pricing" (reply messages are not counted); WhatsApp
Business Platform, "Pricing" (templates are charged for, answers inside the window are not).
"""


BOT_OUTCOMES = frozenset(
    {
        "answered",
        "later",
        "resting",
        "no_place",
        "throttled",
        "not_sent",
        "ambiguous",
        "malformed_payload",
        "forbidden_target",
        "redirected",
        "gone",
        "credential",
        "permission",
        "bad_content",
        "too_large",
        "rejected",
        "seal",
        "bad_signature",
    }
)

MAILS = Counter(
    "relaydesk_mails_total",
    "Emails by outcome: sent, failed, unknown (it may have arrived), suppressed; of alerts also "
    "seen, cleared, no_agent, no_address, no_smtp.",
    ("kind", "outcome"),
)
MAIL_RETRIES = Counter(
    "relaydesk_mail_retries_total",
    "Emails that wait for another try, by why: unreachable, busy, in_doubt, login_refused, tls, "
    "elsewhere (another process is at it).",
    ("kind", "reason"),
)


def watch_bots(breakers: Breakers, places: Places) -> None:
    """Let the gauges of bots show these."""
    BOT_IN_FLIGHT.set_function(lambda: places.taken)
    for state in get_args(State):
        BOT_BREAKERS.labels(state).set_function(partial(breakers.count, state))


def bot_outcome_label(outcome: str) -> str:
    """Return *outcome* where it is in the closed set."""
    return outcome if outcome in BOT_OUTCOMES else "other"


def channel_label(channel: str) -> str:
    """Return *channel* where it is one of ours."""
    return channel if channel in CHANNELS else "other"


def code_label(code: str) -> str:
    """Return *code* where it is in the closed set."""
    return code if code in CODES else "other"


def way_label(via: str) -> str:
    """Return *via* where it is in the closed set."""
    return via if via in WAYS else "other"


def cost_label(channel: str, via: str) -> str:
    """Return `paid` where the provider counts or charges for a message sent so, else `free`."""
    return "paid" if (channel, via) in PAID else "free"


class Lanes(Observed):
    """What the consumer counts."""

    def __init__(self) -> None:
        super().__init__()
        PARTITIONS.set_function(lambda: self.partitions)

    def on_buried(self, code: str) -> None:
        """Count a burial."""
        super().on_buried(code)
        BURIED.labels(code if code in BURIALS else "other").inc()


HOOKS = Counter(
    "relaydesk_hooks_deliveries_total",
    "Deliveries to endpoints by what became of them: created, delivered, failed, cancelled.",
    ("outcome",),
)
HOOK_TRIES = Counter(
    "relaydesk_hooks_tries_total",
    "Calls of endpoints by outcome: delivered, refused (an error status), unreached, gone; and "
    "put_off, those not made since the endpoint rests or is crowded.",
    ("outcome",),
)
HOOK_SECONDS = Histogram(
    "relaydesk_hooks_seconds",
    "Time of one call of an endpoint, failures included.",
    buckets=(0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0),
)
HOOKS_PENDING = Gauge(
    "relaydesk_hooks_pending", "Deliveries that wait, up to 1,000 a workspace, as last counted."
)
HOOKS_OLDEST = Gauge(
    "relaydesk_hooks_oldest_pending_seconds",
    "Age of the oldest delivery that waits for an endpoint which is on.",
)
HOOKS_DISABLED = Gauge(
    "relaydesk_hooks_endpoints_disabled", "Endpoints that are off because they failed."
)
HOOKS_IN_FLIGHT = Gauge("relaydesk_hooks_in_flight", "Calls of endpoints under way.")
HOOKS_RESTING = Gauge("relaydesk_hooks_endpoints_resting", "Endpoints that rest after failures.")


PUSHES = Counter(
    "relaydesk_push_total",
    "Web pushes by outcome: sent, again and put_off (tried again), and what ended them: gone, "
    "refused, unauthorized, too_large, given_up, expired, moot, quiet, unsubscribed, "
    "forbidden, redirected; of alerts: no_browser, cleared; repeated deliveries.",
    ("outcome",),
)
PUSH_REMOVED = Counter(
    "relaydesk_push_removed_total",
    "Browsers that are pushed to no more, by reason: gone (the push service says so), agent "
    "(disabled or gone), key (of a secret key that is not set any more).",
    ("reason",),
)
PUSH_SECONDS = Histogram(
    "relaydesk_push_seconds",
    "Time of one call of a push service, failures included.",
    buckets=(0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
)
PUSH_RESTING = Gauge(
    "relaydesk_push_services_resting", "Push services that are left alone after failures."
)

KNOWN_CODES = (*sorted(CODES), "other")

for _counter in (RETRIES, PROVIDER_ERRORS):
    from_zero(_counter, CHANNELS, KNOWN_CODES)
from_zero(SENDS, CHANNELS, ("sent", "failed", "unknown"))
from_zero(VIA, CHANNELS, (*sorted(WAYS), "other"))
from_zero(COST, CHANNELS, ("free", "paid"))
from_zero(SIGNALS, CHANNELS, ("shown", "failed", "dropped"))
from_zero(CALLS_SECONDS, CHANNELS)
from_zero(UNHEALTHY, ("told", "recent", "known"))
from_zero(TOKEN_FETCHES, ("wechat",), ("fetched", "failed"))
from_zero(
    MEDIA_FETCHED,
    CHANNELS,
    ("stored", "again", "too_large", "type_not_allowed", "gone", "refused", "unreachable"),
)
for _of_media in (MEDIA_SECONDS, MEDIA_BYTES):
    from_zero(_of_media, CHANNELS)
from_zero(BOT_CALLS, (*sorted(BOT_OUTCOMES), "other"))
from_zero(BOT_TURNS, ("done", "later", "handed_off", "moved_on", "stale", "answered"))
from_zero(BURIED, (*sorted(BURIALS), "other"))
from_zero(MAILS, get_args(MailKind), ("sent", "failed", "unknown", "suppressed"))
from_zero(
    MAIL_RETRIES,
    get_args(MailKind),
    ("unreachable", "busy", "in_doubt", "login_refused", "tls", "elsewhere"),
)
from_zero(HOOKS, ("created", "delivered", "failed", "cancelled"))
from_zero(HOOK_TRIES, ("delivered", "refused", "unreached", "gone", "put_off"))
from_zero(
    PUSHES,
    (
        "sent",
        "again",
        "put_off",
        "gone",
        "refused",
        "unauthorized",
        "too_large",
        "given_up",
        "expired",
        "moot",
    ),
)
from_zero(PUSH_REMOVED, ("gone", "agent", "key"))
