"""Metrics of alerts. Label values come from closed sets."""

from __future__ import annotations

from typing import get_args

from prometheus_client import Counter, Gauge

from libs.common.alerts import Sink
from libs.common.bus.options import Observed
from libs.common.switches import AlertTrigger
from libs.common.zeros import from_zero

FACTS = Counter(
    "relaydesk_alerts_facts_total",
    "Facts that were looked at for alerts, by outcome: alerted, coalesced (they only raise a "
    "count), known (a repeat), nobody (they concern nobody any more), old, apart (the kind alone "
    "tells that they concern nobody), malformed.",
    ("outcome",),
)
RAISED = Counter(
    "relaydesk_alerts_raised_total",
    "Alerts that agents are to be told, by sink, once they are written down; repeats by the ladder "
    "included, summaries not. Over all replicas and at rest, raised = published without summaries.",
    ("trigger", "sink"),
)
SUMMARIES = Counter(
    "relaydesk_alerts_summaries_total",
    "Summaries that sessions asked for in a storm; those of a minute are told as one.",
    ("sink",),
)
PUBLISHED = Counter(
    "relaydesk_alerts_published_total",
    "What was put on the stream ALERTS, by sink and kind: raised (summaries included), updated, "
    "cleared. What was there already is not counted again.",
    ("sink", "kind"),
)
SETTLED = Counter(
    "relaydesk_alerts_settled_total",
    "What a sink did with what it was to tell: told, moot (seen, claimed or ended meanwhile), "
    "expired, refused, nobody (no browser has subscribed, no endpoint asks for it). At rest, of "
    'push, email and webhook: relaydesk_alerts_published_total{kind="raised"} = settled + what '
    "waits in the sink's consumer; alerts that agents try out come on top. Told is, of push and "
    "webhook, handed to each browser and endpoint, see relaydesk_push_total and "
    "relaydesk_hooks_deliveries_total; browser has no line: desk shows what is on the stream.",
    ("sink", "outcome"),
)
CLEARED = Counter(
    "relaydesk_alerts_cleared_total",
    "Agents who need not look any more: seen, claimed, answered, moved, ended.",
    ("because",),
)
HELD = Counter(
    "relaydesk_alerts_held_total", "Alerts that the storm breaker made part of a summary."
)
RACES = Counter(
    "relaydesk_alerts_races_total",
    "Decisions that were made again, as another replica had changed the same session's alerts.",
)
HANDLED = Counter(
    "relaydesk_alerts_sessions_handled_total",
    "Sessions that ended. Alerts per handled session: sum(increase(relaydesk_alerts_raised_total"
    '{sink="browser"}[1d])) / sum(increase(relaydesk_alerts_sessions_handled_total[1d])).',
)
OLDEST = Gauge(
    "relaydesk_alerts_oldest_waiting_seconds",
    "How long the oldest fact has waited that is being looked at for alerts.",
)
WAITING = Gauge("relaydesk_alerts_waiting", "Facts that wait to be looked at for alerts.")
TIMERS = Counter(
    "relaydesk_alerts_timers_total",
    "Timers of alerts that came, by whether anything was due: due, early.",
    ("outcome",),
)


class Watch(Observed):
    """What the consumer of facts counts."""

    def __init__(self) -> None:
        super().__init__()
        OLDEST.set_function(lambda: self.oldest_age_s)
        WAITING.set_function(lambda: sum(self.pending.values()) + self.in_flight)

    def on_buried(self, code: str) -> None:
        """Count a burial."""
        super().on_buried(code)
        FACTS.labels("malformed").inc()


SINKS = get_args(Sink)

from_zero(FACTS, ("alerted", "coalesced", "known", "nobody", "old", "apart", "malformed"))
from_zero(RAISED, get_args(AlertTrigger), SINKS)
from_zero(SUMMARIES, SINKS)
from_zero(PUBLISHED, SINKS, ("raised", "updated", "cleared"))
from_zero(SETTLED, ("push", "email", "webhook"), ("told", "moot", "expired", "refused", "nobody"))
from_zero(CLEARED, ("seen", "claimed", "answered", "moved", "ended"))
from_zero(TIMERS, ("due", "early"))
