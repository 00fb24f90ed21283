"""Are agents told what needs them, and not too often?"""

from __future__ import annotations

from deploy.grafana.promql import greatest, of_others, quantile, rate, rise, share, total
from deploy.grafana.table import Board, Row, graph, number, service

RAISED = "relaydesk_alerts_raised_total"

ALERTS = Board(
    name="alerts",
    title="Relaydesk: alerts to agents",
    says="Are agents told what needs them, in time, and not too often?",
    choices=(service("notifier"),),
    rows=(
        Row(
            "Now",
            (
                number(
                    "Alerts per handled session",
                    "Alerts in the browser for each session that ended, over the chosen time. "
                    "Above about three, agents stop looking.",
                    "short",
                    share(
                        rise(RAISED, where='sink="browser"'),
                        rise("relaydesk_alerts_sessions_handled_total"),
                    ),
                    amber=3,
                    red=10,
                    none="no session ended",
                    runbook="alert-storm",
                ),
                number(
                    "Facts that wait",
                    "Facts that wait to be looked at for alerts.",
                    "none",
                    greatest("relaydesk_alerts_waiting"),
                    amber=500,
                    runbook="alerts-late",
                ),
                number(
                    "Oldest fact that waits",
                    "How late the next alert would be.",
                    "s",
                    greatest("relaydesk_alerts_oldest_waiting_seconds"),
                    amber=5,
                    red=60,
                    none="none waits",
                    runbook="alerts-late",
                ),
                number(
                    "Push services left alone",
                    "Push services that failed and are not called for a while.",
                    "none",
                    greatest("relaydesk_push_services_resting"),
                    amber=1,
                ),
                number(
                    "Alerts held in storms",
                    "Alerts of the chosen time that became part of a summary.",
                    "none",
                    rise("relaydesk_alerts_held_total"),
                ),
                number(
                    "Open alert streams",
                    "Consoles and apps that are told live, over all desks.",
                    "none",
                    'sum (relaydesk_desk_alert_streams{job="relaydesk"})',
                ),
            ),
        ),
        Row(
            "Raised",
            (
                graph(
                    "Why are agents told?",
                    "Alerts raised a second, by trigger, over all sinks.",
                    "ops",
                    (rate(RAISED, "trigger"), "{{trigger}}"),
                    stacked=True,
                    none="none was raised",
                ),
                graph(
                    "Where are agents told?",
                    "Alerts raised a second, by sink.",
                    "ops",
                    (rate(RAISED, "sink"), "{{sink}}"),
                    none="none was raised",
                ),
                graph(
                    "Why need they look no more?",
                    "Agents a second who need not look any more, by why.",
                    "ops",
                    (rate("relaydesk_alerts_cleared_total", "because"), "{{because}}"),
                    stacked=True,
                    none="none was cleared",
                ),
                graph(
                    "What facts led to",
                    "Facts a second that were looked at, by outcome.",
                    "ops",
                    (rate("relaydesk_alerts_facts_total", "outcome"), "{{outcome}}"),
                    stacked=True,
                ),
                graph(
                    "Put on the stream",
                    "Messages on ALERTS a second, by kind.",
                    "ops",
                    (rate("relaydesk_alerts_published_total", "kind"), "{{kind}}"),
                    none="none",
                ),
                graph(
                    "Timers and races",
                    "Timers of alerts a second, and decisions that were made again.",
                    "ops",
                    (rate("relaydesk_alerts_timers_total", "outcome"), "timer {{outcome}}"),
                    (rate("relaydesk_alerts_races_total"), "decided again"),
                ),
            ),
        ),
        Row(
            "Told",
            (
                graph(
                    "What did the sinks do?",
                    "A second, by sink and outcome; `moot` was seen or claimed meanwhile.",
                    "ops",
                    (
                        rate("relaydesk_alerts_settled_total", "sink, outcome"),
                        "{{sink}} {{outcome}}",
                    ),
                    none="nothing was told",
                ),
                graph(
                    "Web pushes",
                    "A second, by outcome.",
                    "ops",
                    (rate("relaydesk_push_total", "outcome"), "{{outcome}}"),
                    none="no push",
                ),
                graph(
                    "How long do push services take?",
                    "99 of 100 calls, failures included.",
                    "s",
                    (quantile(0.99, "relaydesk_push_seconds"), "99 of 100 within"),
                    none="no push",
                ),
                graph(
                    "Emails about alerts",
                    "A second, by outcome.",
                    "ops",
                    (rate("relaydesk_mails_total", "outcome", 'kind="alert"'), "{{outcome}}"),
                    none="no email",
                ),
                graph(
                    "Alerts shown live",
                    "Alerts a second written to streams of consoles, and those too old by then.",
                    "ops",
                    (
                        of_others("relaydesk_desk_alerts_total"),
                        "shown",
                    ),
                    (
                        of_others("relaydesk_desk_alerts_stale_total"),
                        "too old",
                    ),
                ),
                graph(
                    "Alerts in hand",
                    "Facts that wait to be looked at, by replica.",
                    "none",
                    (total("relaydesk_alerts_waiting", "instance"), "{{instance}}"),
                ),
            ),
        ),
    ),
)
