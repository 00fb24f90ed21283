"""Do webhooks come in, are they ours, and are they stored in time?"""

from __future__ import annotations

from deploy.grafana.overview import ACCEPTED, INGEST_SECONDS
from deploy.grafana.promql import average, greatest, quantile, rate, rise, total
from deploy.grafana.table import Board, Row, graph, number, service

REQUESTS = "relaydesk_ingest_requests_total"
_IN_TIME = rise(f"{INGEST_SECONDS}_bucket", where='le="1.0"')
SLOW = f"{rise(f'{INGEST_SECONDS}_count')} - {_IN_TIME}"

INGEST = Board(
    name="ingest",
    title="Relaydesk: ingest",
    says="Do webhooks come in, are they ours, and are they stored in time?",
    choices=(service("ingest"),),
    rows=(
        Row(
            "Now",
            (
                number(
                    "Accepted",
                    "Share of the webhooks asked rightly that were stored durably.",
                    "percentunit",
                    ACCEPTED,
                    red=0.9995,
                    low_is_bad=True,
                    none="no webhook came",
                    runbook="webhooks-burn-fast",
                ),
                number(
                    "Webhooks in the spool",
                    "Accepted webhooks on the local disk that NATS does not have yet. They go "
                    "there by themselves once NATS confirms again.",
                    "none",
                    total("relaydesk_ingest_spool_records"),
                    amber=1,
                    runbook="spool-used",
                ),
                number(
                    "Answered slower than 1 s",
                    "Webhooks of the chosen time that took longer than a second. LINE gives up "
                    "after two.",
                    "none",
                    SLOW,
                    amber=1,
                    none="no webhook came",
                ),
                number(
                    "Requests in flight",
                    "Requests that were begun and not answered yet.",
                    "none",
                    total("relaydesk_ingest_in_flight"),
                ),
                number(
                    "Event streams of visitors",
                    "Open pages of the web plugin.",
                    "none",
                    total("relaydesk_ingest_visitor_streams"),
                ),
                number(
                    "Damaged stretches in the spool",
                    "Stretches skipped in the chosen time: a torn write of a power cut, or "
                    "a disk that fails.",
                    "none",
                    rise("relaydesk_ingest_spool_torn_total"),
                    amber=1,
                ),
            ),
        ),
        Row(
            "Requests",
            (
                graph(
                    "How did requests end?",
                    "Requests a second by outcome. `spooled` was accepted as well.",
                    "reqps",
                    (rate(REQUESTS, "outcome"), "{{outcome}}"),
                    stacked=True,
                    width=12,
                ),
                graph(
                    "Which requests were refused or failed?",
                    "The same without what ended well. `bad_signature` is a wrong secret or "
                    "somebody else; `unavailable` is neither NATS nor disk.",
                    "reqps",
                    (
                        rate(
                            REQUESTS,
                            "endpoint, outcome",
                            'outcome=~"bad_signature|unknown_account|too_large|timeout|bad_request'
                            '|throttled|busy|unavailable|error"',
                        ),
                        "{{endpoint}} {{outcome}}",
                    ),
                    width=12,
                    runbook="signature-failures",
                ),
                graph(
                    "How long did webhooks take?",
                    "From the first byte to the answer, accepted webhooks only. Dots are single "
                    "webhooks with their trace, where exemplars are kept.",
                    "s",
                    (quantile(0.5, INGEST_SECONDS), "half within"),
                    (quantile(0.95, INGEST_SECONDS), "95 of 100 within"),
                    (quantile(0.99, INGEST_SECONDS), "99 of 100 within"),
                    red=1.5,
                    none="no webhook came",
                ),
                graph(
                    "Which endpoint is slow?",
                    "99 of 100 webhooks were answered within this time.",
                    "s",
                    (quantile(0.99, INGEST_SECONDS, "endpoint"), "{{endpoint}}"),
                    red=1.5,
                    none="no webhook came",
                ),
                graph(
                    "How long does a webhook take on average?",
                    "Mean over the accepted webhooks of each replica.",
                    "s",
                    (average(INGEST_SECONDS, "instance"), "{{instance}}"),
                    none="no webhook came",
                ),
            ),
        ),
        Row(
            "Events",
            (
                graph(
                    "Events accepted",
                    "Events a second by channel; one webhook brings one or more.",
                    "ops",
                    (rate("relaydesk_ingest_events_accepted_total", "channel"), "{{channel}}"),
                    stacked=True,
                ),
                graph(
                    "Events that could not be read",
                    "Accepted events that are kept as they came, by reason: the provider sends "
                    "something new, or a parser is wrong. `relaydesk replay` reads them again.",
                    "ops",
                    (
                        rate("relaydesk_ingest_unparsed_total", "channel, reason"),
                        "{{channel}} {{reason}}",
                    ),
                    none="all was read",
                    runbook="events-unparsed",
                ),
                graph(
                    "Repeats, ignored items and strangers",
                    "Messages that JetStream had already, items that are known and ignored, and "
                    "signed items for accounts that nobody connected.",
                    "ops",
                    (rate("relaydesk_ingest_duplicates_total", "source"), "repeated ({{source}})"),
                    (rate("relaydesk_ingest_items_ignored_total"), "ignored"),
                    (rate("relaydesk_ingest_unknown_addressees_total"), "unknown account"),
                    (rate("relaydesk_ingest_erased_total"), "of erased visitors"),
                ),
                graph(
                    "How long ago did each endpoint accept something?",
                    "Time since a body was last accepted, over all replicas.",
                    "s",
                    (
                        "time() - "
                        + greatest("relaydesk_ingest_last_accepted_timestamp_seconds", "endpoint")
                        + " < 1e9",
                        "{{endpoint}}",
                    ),
                    none="nothing was accepted",
                    board="accounts",
                ),
            ),
        ),
        Row(
            "Storing",
            (
                graph(
                    "Did NATS confirm in time?",
                    "Messages a second that JetStream did not confirm in time; their webhooks go "
                    "to the spool.",
                    "ops",
                    (rate("relaydesk_ingest_publish_failures_total", "instance"), "{{instance}}"),
                    red=0.1,
                    runbook="spool-used",
                ),
                graph(
                    "Bytes in the spool",
                    "What waits on each replica's disk. At `RELAYDESK_SPOOL_MAX_BYTES` webhooks "
                    "are refused.",
                    "bytes",
                    (total("relaydesk_ingest_spool_bytes", "instance"), "{{instance}}"),
                    runbook="spool-used",
                ),
                graph(
                    "Is the spool being replayed?",
                    "Webhooks a second that were brought from the spool to NATS.",
                    "ops",
                    (rate("relaydesk_ingest_spool_replayed_total", "instance"), "{{instance}}"),
                ),
            ),
        ),
    ),
)
