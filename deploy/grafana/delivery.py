"""Do messages reach visitors, and if not, why?"""

from __future__ import annotations

from deploy.grafana.overview import SENT
from deploy.grafana.promql import greatest, quantile, rate, share, summed, total
from deploy.grafana.table import Board, Row, graph, number, service

CALLS = "relaydesk_sender_calls_seconds"

DELIVERY = Board(
    name="delivery",
    title="Relaydesk: delivery",
    says="Do messages reach visitors, emails and endpoints, and if not, why?",
    choices=(service("notifier"),),
    rows=(
        Row(
            "Now",
            (
                number(
                    "Sent",
                    "Share of the messages that came to an end which the provider took.",
                    "percentunit",
                    SENT,
                    red=0.995,
                    low_is_bad=True,
                    none="nothing was sent",
                    runbook="outbound-delivery-burn-fast",
                ),
                number(
                    "Accounts that need a person",
                    "Accounts that a sender found revoked or failing; the greatest that one "
                    "process tells, as each knows those that it has sent for.",
                    "none",
                    "max (sum by (instance) (relaydesk_sender_account_state"
                    '{job="relaydesk",instance=~"$instance",state=~"revoked|failing"}))',
                    red=1,
                    none="nothing was sent yet",
                    runbook="account-failing",
                    board="accounts",
                ),
                number(
                    "Accounts told to wait",
                    "Accounts that wait because the provider said so, over all replicas.",
                    "none",
                    total("relaydesk_sender_paused_accounts"),
                    amber=1,
                ),
                number(
                    "Messages in hand",
                    "Messages taken from the bus and not settled yet.",
                    "none",
                    total("relaydesk_sender_in_flight"),
                ),
                number(
                    "Oldest delivery to an endpoint",
                    "Age of the oldest delivery that waits for an endpoint which is on.",
                    "s",
                    greatest("relaydesk_hooks_oldest_pending_seconds"),
                    amber=300,
                    red=3600,
                    none="none waits",
                    runbook="webhooks-out-late",
                ),
                number(
                    "Endpoints switched off",
                    "Endpoints that are off because they failed for long.",
                    "none",
                    greatest("relaydesk_hooks_endpoints_disabled"),
                    amber=1,
                    runbook="webhook-endpoint-disabled",
                ),
            ),
        ),
        Row(
            "Messages to visitors",
            (
                graph(
                    "How did messages end?",
                    "Messages a second by channel and outcome.",
                    "ops",
                    (
                        rate("relaydesk_sender_sends_total", "channel, outcome"),
                        "{{channel}} {{outcome}}",
                    ),
                    stacked=True,
                    none="nothing was sent",
                ),
                graph(
                    "What share of each channel's messages failed?",
                    "Failed and in doubt, of those that came to an end.",
                    "percentunit",
                    (
                        share(
                            rate("relaydesk_sender_sends_total", "channel", 'outcome!="sent"'),
                            rate("relaydesk_sender_sends_total", "channel"),
                        ),
                        "{{channel}}",
                    ),
                    red=0.005,
                    none="none failed",
                    runbook="outbound-delivery-burn-fast",
                ),
                graph(
                    "What went wrong?",
                    "Failed tries a second, by what went wrong. The runbook explains the codes.",
                    "ops",
                    (
                        rate("relaydesk_sender_provider_errors_total", "channel, code"),
                        "{{channel}} {{code}}",
                    ),
                    none="nothing went wrong",
                    runbook="provider-errors",
                ),
                graph(
                    "How long does a provider take?",
                    "99 of 100 calls, failures included.",
                    "s",
                    (quantile(0.99, CALLS, "channel"), "{{channel}}"),
                    amber=5,
                    none="no call",
                ),
                graph(
                    "How often is a message tried again?",
                    "Tries a second that were followed by another, by what went wrong.",
                    "ops",
                    (
                        rate("relaydesk_sender_retries_total", "channel, code"),
                        "{{channel}} {{code}}",
                    ),
                    none="none was",
                ),
                graph(
                    "What do messages cost?",
                    "Messages sent a second, free or counted against a quota or price.",
                    "ops",
                    (
                        rate("relaydesk_sender_sends_by_cost_total", "channel, cost"),
                        "{{channel}} {{cost}}",
                    ),
                    none="nothing was sent",
                ),
                graph(
                    "What waits to be sent?",
                    "Messages on OUTBOUND that no sender has settled.",
                    "none",
                    (
                        summed("relaydesk_consumer_lag", "reader", 'stream="OUTBOUND"'),
                        "{{reader}}",
                    ),
                    amber=5000,
                    runbook="consumer-lag",
                ),
                graph(
                    "Which replica serves how many partitions?",
                    "All 16 partitions of OUTBOUND must be served; a hand-over takes seconds.",
                    "none",
                    (total("relaydesk_sender_partitions", "instance"), "{{instance}}"),
                    stacked=True,
                ),
                graph(
                    "Access tokens",
                    "Tokens fetched from providers a second, by outcome.",
                    "ops",
                    (
                        rate("relaydesk_sender_token_fetches_total", "channel, outcome"),
                        "{{channel}} {{outcome}}",
                    ),
                    none="none was fetched",
                ),
            ),
        ),
        Row(
            "Emails, files, bots and endpoints",
            (
                graph(
                    "Emails",
                    "Emails a second by kind and outcome.",
                    "ops",
                    (rate("relaydesk_mails_total", "kind, outcome"), "{{kind}} {{outcome}}"),
                    none="no email",
                ),
                graph(
                    "Files of visitors",
                    "Tries a second to fetch a visitor's file, by outcome, and how many wait.",
                    "ops",
                    (
                        rate("relaydesk_media_fetched_total", "channel, outcome"),
                        "{{channel}} {{outcome}}",
                    ),
                    none="no file",
                ),
                graph(
                    "Calls of webhook bots",
                    "Calls a second by outcome; `resting` is an open breaker.",
                    "ops",
                    (rate("relaydesk_bot_calls_total", "outcome"), "{{outcome}}"),
                    none="no bot was called",
                ),
                graph(
                    "How long do webhook bots take?",
                    "99 of 100 calls, failures included.",
                    "s",
                    (quantile(0.99, "relaydesk_bot_call_seconds"), "99 of 100 within"),
                    none="no bot was called",
                ),
                graph(
                    "Deliveries to endpoints",
                    "Deliveries a second by what became of them.",
                    "ops",
                    (rate("relaydesk_hooks_deliveries_total", "outcome"), "{{outcome}}"),
                    none="no endpoint",
                ),
                graph(
                    "Calls of endpoints",
                    "Calls a second by outcome, those put off included.",
                    "ops",
                    (rate("relaydesk_hooks_tries_total", "outcome"), "{{outcome}}"),
                    none="no endpoint",
                ),
            ),
        ),
    ),
)
