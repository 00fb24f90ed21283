"""Is everything all right? One look, and the way to where it is not."""

from __future__ import annotations

from deploy.grafana.promql import (
    EVERY,
    alike,
    greatest,
    of_service,
    quantile,
    rate,
    share,
    summed,
    total,
    within,
)
from deploy.grafana.table import Board, Choice, Row, graph, number, service, table

INGEST_SECONDS = "relaydesk_ingest_request_seconds"
_GOOD = 'outcome=~"accepted|spooled"'
_OURS = 'outcome=~"accepted|spooled|busy|unavailable|error"'
"""What a provider asked rightly; a bad signature or an unknown account is no failure of ours."""

ACCEPTED = share(
    rate("relaydesk_ingest_requests_total", where=_GOOD),
    rate("relaydesk_ingest_requests_total", where=_OURS),
)
SENT = share(
    rate("relaydesk_sender_sends_total", where='outcome="sent"'),
    rate("relaydesk_sender_sends_total"),
)

OVERVIEW = Board(
    name="overview",
    title="Relaydesk: overview",
    says="Is everything all right? The first row answers; what is red links to where it is told.",
    choices=(
        Choice("service", "Service", 'label_values(up{job="relaydesk"}, service)'),
        service(""),
    ),
    rows=(
        Row(
            "Is everything all right?",
            (
                number(
                    "Alerts that fire",
                    "Alerts of Relaydesk's rules that fire now; the table below names them.",
                    "none",
                    'count(ALERTS{alertstate="firing",alertname=~"Relaydesk.*"}) or vector(0)',
                    red=1,
                ),
                number(
                    "Are all processes up?",
                    "Share of the scraped processes that answer. One of several replicas down "
                    "costs nothing yet.",
                    "percentunit",
                    'avg(up{job="relaydesk",service=~"$service"})',
                    red=1,
                    low_is_bad=True,
                    top=1,
                    runbook="instance-down",
                ),
                number(
                    "Events missing",
                    "Accepted events that are nowhere: neither stored nor known as a repeat, kept "
                    "aside, erased or in flight. Anything but 0 is a loss.",
                    "none",
                    summed("relaydesk_ledger_missing"),
                    red=1,
                    runbook="ledger-missing",
                    board="router",
                ),
                number(
                    "Dead letters",
                    "Messages that no service could handle, kept until somebody looks at them with "
                    "`relaydesk dead list`.",
                    "none",
                    summed("relaydesk_dead_letters"),
                    red=1,
                    runbook="dead-letters",
                    board="router",
                ),
                number(
                    "Longest wait of a visitor",
                    "How long the visitor who has waited longest waits for an agent.",
                    "s",
                    f"max ({alike('relaydesk_sessions_oldest_waiting_seconds')})",
                    amber=900,
                    red=1800,
                    none="nobody waits",
                    runbook="visitor-waits-long",
                ),
                number(
                    "Age of these figures",
                    "How old what the scheduler counts is: sessions, dead letters, lag, accounts. "
                    "Old figures hide what is wrong.",
                    "s",
                    f"min ({alike('relaydesk_watch_age_seconds')})",
                    amber=120,
                    red=300,
                    runbook="watch-stale",
                    board="timers",
                ),
            ),
        ),
        Row(
            "Objectives",
            (
                graph(
                    "Which share of webhooks is accepted?",
                    "Webhooks that were stored durably, of those that a provider asked rightly. "
                    "What was refused as not ours (bad signature, unknown account) is not counted.",
                    "percentunit",
                    (ACCEPTED, "accepted"),
                    red=0.9995,
                    low_is_bad=True,
                    top=1,
                    none="no webhook came",
                    runbook="webhooks-burn-fast",
                    board="ingest",
                ),
                graph(
                    "How fast are webhooks answered?",
                    "From the first byte to the answer. Providers give up after 2 to 10 seconds.",
                    "s",
                    (quantile(0.5, INGEST_SECONDS), "half within"),
                    (quantile(0.99, INGEST_SECONDS), "99 of 100 within"),
                    red=1.5,
                    none="no webhook came",
                    runbook="webhook-latency-burn-fast",
                    board="ingest",
                ),
                graph(
                    "Which share of messages was sent?",
                    "Messages that the provider took, of those that came to an end. Failures are "
                    "often a visitor's doing, such as a blocked account: look at their reasons.",
                    "percentunit",
                    (SENT, "sent"),
                    red=0.995,
                    low_is_bad=True,
                    top=1,
                    none="nothing was sent",
                    runbook="outbound-delivery-burn-fast",
                    board="delivery",
                ),
            ),
        ),
        Row(
            "Flow",
            (
                graph(
                    "Events accepted and settled",
                    "Events a second that ingest accepted and that the router settled. They part "
                    "only while a queue builds up.",
                    "ops",
                    (rate("relaydesk_ingest_events_accepted_total"), "accepted"),
                    (rate("relaydesk_router_events_total", where='outcome!="reported"'), "settled"),
                    board="router",
                ),
                graph(
                    "How long until a message is in its session?",
                    "From the webhook's arrival to the stored session.",
                    "s",
                    (quantile(0.5, "relaydesk_router_received_to_stored_seconds"), "half within"),
                    (
                        quantile(0.99, "relaydesk_router_received_to_stored_seconds"),
                        "99 of 100 within",
                    ),
                    none="no event came",
                    runbook="inbound-delivery-burn-fast",
                    board="router",
                ),
                graph(
                    "Messages sent, failed and in doubt",
                    "Messages a second by how they ended. `unknown` may have arrived and is not "
                    "sent again.",
                    "ops",
                    (rate("relaydesk_sender_sends_total", "outcome"), "{{outcome}}"),
                    stacked=True,
                    none="nothing was sent",
                    board="delivery",
                ),
                graph(
                    "How many sessions are in each list?",
                    "Open sessions by list, over all channels.",
                    "none",
                    (summed("relaydesk_sessions", "list"), "{{list}}"),
                    stacked=True,
                ),
                graph(
                    "What waits on the bus?",
                    "Messages of each stream that its reader has not settled. A rising line is a "
                    "reader that is too slow or stuck.",
                    "none",
                    (summed("relaydesk_consumer_lag", "stream, reader"), "{{stream}} {{reader}}"),
                    amber=5000,
                    runbook="consumer-lag",
                    board="router",
                ),
                graph(
                    "How old is what waits longest?",
                    "Age of the oldest message that its reader has not settled, by stream.",
                    "s",
                    (
                        f"max by (stream, reader) ({alike('relaydesk_consumer_oldest_seconds')})",
                        "{{stream}} {{reader}}",
                    ),
                    amber=60,
                    red=900,
                    runbook="consumer-stuck",
                    board="router",
                ),
            ),
        ),
        Row(
            "Processes",
            (
                graph(
                    "Processor time",
                    "Seconds of processor time a second: 1 is one core. A service is one event "
                    "loop, so a replica at 1 is at its end: add replicas.",
                    "percentunit",
                    (
                        f"rate({of_service('process_cpu_seconds_total')}[{EVERY}])",
                        "{{service}} {{instance}}",
                    ),
                    amber=0.8,
                ),
                graph(
                    "Memory",
                    "Resident bytes.",
                    "bytes",
                    (
                        of_service("process_resident_memory_bytes"),
                        "{{service}} {{instance}}",
                    ),
                ),
                graph(
                    "Is the event loop late?",
                    "By how much the loop of a process was late at most during the last minute. "
                    "Above a second its probes and time-outs are at risk.",
                    "s",
                    (
                        of_service("relaydesk_loop_lag_seconds"),
                        "{{service}} {{instance}}",
                    ),
                    amber=0.5,
                    red=1,
                    runbook="loop-lag",
                ),
                graph(
                    "JetStream storage",
                    "Bytes that all streams take, and the server's limit.",
                    "bytes",
                    (f"max ({alike('relaydesk_jetstream_storage_bytes')})", "used"),
                    (f"max ({alike('relaydesk_jetstream_storage_limit_bytes')})", "limit"),
                    runbook="jetstream-filling",
                ),
                graph(
                    "Do the clocks agree?",
                    "The NATS server's clock less each process's. Windows of providers and quiet "
                    "hours are judged by these clocks.",
                    "s",
                    (
                        f"abs({greatest('relaydesk_clock_skew_seconds', 'service, instance')})",
                        "{{service}} {{instance}}",
                    ),
                    red=1,
                    runbook="clock-skew",
                ),
                graph(
                    "Requests of agents",
                    "Requests a second to the API and the console, by class of status.",
                    "reqps",
                    (rate("relaydesk_desk_requests_total", "status"), "{{status}}"),
                    stacked=True,
                    none="no request came",
                ),
                graph(
                    "How fast does the API answer?",
                    "From the request to the answer; open streams left out.",
                    "s",
                    (
                        quantile(0.99, "relaydesk_desk_request_seconds", where='route!~".*stream"'),
                        "99 of 100 within",
                    ),
                    amber=0.5,
                    none="no request came",
                ),
                graph(
                    "Who is there?",
                    "Agents who are there, by state; and open streams of inboxes and alerts.",
                    "none",
                    (f"max by (state) ({alike('relaydesk_desk_agents_present')})", "{{state}}"),
                    (total("relaydesk_desk_alert_streams"), "alert streams"),
                ),
                graph(
                    "Webhooks answered within 250 ms",
                    "Share of the accepted webhooks.",
                    "percentunit",
                    (within(INGEST_SECONDS, "0.25"), "within 250 ms"),
                    amber=0.99,
                    low_is_bad=True,
                    top=1,
                    none="no webhook came",
                    board="ingest",
                ),
            ),
        ),
        Row(
            "What fires?",
            (
                table(
                    "Alerts that fire or are about to",
                    "Each alert of the shipped rules that is pending or firing. Its runbook says "
                    "what to do.",
                    "none",
                    'ALERTS{alertname=~"Relaydesk.*"}',
                    width=24,
                    none="nothing fires",
                ),
            ),
        ),
    ),
)
