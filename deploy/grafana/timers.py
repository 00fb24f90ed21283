"""Does what is due happen on time, and how fresh is what is counted?"""

from __future__ import annotations

from deploy.grafana.promql import alike, greatest, quantile, rate, total
from deploy.grafana.table import Board, Row, graph, number, service

LATE = "relaydesk_scheduler_late_seconds"

TIMERS = Board(
    name="timers",
    title="Relaydesk: timers",
    says="Does what is due happen on time: idle sessions, scheduled messages, broadcasts?",
    choices=(service("scheduler"),),
    rows=(
        Row(
            "Now",
            (
                number(
                    "How late are timers?",
                    "99 of 100 timers took effect within this time of when they were due.",
                    "s",
                    quantile(0.99, LATE),
                    amber=5,
                    red=60,
                    none="no timer came due",
                    runbook="timers-late",
                ),
                number(
                    "Due timers that wait",
                    "Timers that are due and that no process has taken yet.",
                    "none",
                    greatest("relaydesk_scheduler_lag"),
                    amber=1000,
                    runbook="timers-late",
                ),
                number(
                    "Oldest due timer in hand",
                    "How long the oldest due timer in hand has been waiting.",
                    "s",
                    greatest("relaydesk_scheduler_oldest_seconds"),
                    amber=30,
                    red=60,
                    runbook="timers-stuck",
                ),
                number(
                    "Broadcasts that run",
                    "Broadcasts of which a process did a tick in the last half minute.",
                    "none",
                    greatest("relaydesk_scheduler_broadcasts_running"),
                ),
                number(
                    "Recipients to write to",
                    "Recipients of those broadcasts who have not been written to.",
                    "none",
                    greatest("relaydesk_scheduler_recipients_waiting"),
                ),
                number(
                    "Age of the counted figures",
                    "How long ago sessions, dead letters, lag and accounts were counted; the "
                    "freshest replica.",
                    "s",
                    f"min ({alike('relaydesk_watch_age_seconds')})",
                    amber=120,
                    red=300,
                    runbook="watch-stale",
                ),
            ),
        ),
        Row(
            "Timers",
            (
                graph(
                    "How late are timers of each kind?",
                    "99 of 100 took effect within this time of when they were due.",
                    "s",
                    (quantile(0.99, LATE, "kind"), "{{kind}}"),
                    amber=5,
                    red=60,
                    none="no timer came due",
                    runbook="timers-late",
                ),
                graph(
                    "Timers that took effect",
                    "A second, by kind.",
                    "ops",
                    (rate("relaydesk_scheduler_fired_total", "kind"), "{{kind}}"),
                    stacked=True,
                    none="no timer came due",
                ),
                graph(
                    "Timers that had no effect",
                    "Due for what does not exist any more, put off, or given up.",
                    "ops",
                    (rate("relaydesk_scheduler_gone_total", "kind"), "gone ({{kind}})"),
                    (rate("relaydesk_scheduler_paced_total", "kind"), "paced ({{kind}})"),
                    (rate("relaydesk_scheduler_buried_total", "code"), "buried ({{code}})"),
                    none="none",
                ),
                graph(
                    "What keeps timers waiting?",
                    "Tries a second that found no router, or bus or store away, and tries that the "
                    "router refused.",
                    "ops",
                    (rate("relaydesk_scheduler_waits_total"), "nobody there"),
                    (rate("relaydesk_scheduler_retries_total", "code"), "refused ({{code}})"),
                    none="nothing",
                ),
                graph(
                    "Due timers by kind",
                    "Those that wait in the stream, and those in hand.",
                    "none",
                    (greatest("relaydesk_scheduler_lag", "kind"), "{{kind}} waits"),
                    (total("relaydesk_scheduler_in_flight", "kind"), "{{kind}} in hand"),
                ),
                graph(
                    "Timers armed again",
                    "Timers that were missing and armed again from their documents, a second.",
                    "ops",
                    (rate("relaydesk_scheduler_rearmed_total"), "armed again"),
                ),
            ),
        ),
        Row(
            "Scheduled messages and broadcasts",
            (
                graph(
                    "Scheduled messages",
                    "A second, by what became of them and of their timers.",
                    "ops",
                    (rate("relaydesk_scheduler_scheduled_total", "outcome"), "{{outcome}}"),
                    none="none came due",
                ),
                graph(
                    "Recipients of broadcasts",
                    "A second, by what became of them.",
                    "ops",
                    (rate("relaydesk_scheduler_recipients_total", "state"), "{{state}}"),
                    none="no broadcast",
                ),
                graph(
                    "Recipients asked for again",
                    "Recipients for whom no router answered in time, and those asked for again.",
                    "ops",
                    (rate("relaydesk_scheduler_broadcast_waits_total"), "no answer"),
                    (rate("relaydesk_scheduler_broadcast_asked_again_total"), "asked again"),
                    none="none",
                ),
            ),
        ),
    ),
)
