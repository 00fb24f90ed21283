"""Is every event in its session, and does everyone get their turn?"""

from __future__ import annotations

from deploy.grafana.promql import alike, greatest, quantile, rate, share, summed, total
from deploy.grafana.table import Board, Row, graph, number, service

STORED = "relaydesk_router_received_to_stored_seconds"

ROUTER = Board(
    name="router",
    title="Relaydesk: router",
    says="Is every accepted event in its session, and in time? Are sessions given to agents?",
    choices=(service("router"),),
    rows=(
        Row(
            "Conservation: accepted = stored + duplicate + kept aside + erased + in flight",
            (
                number(
                    "Events missing",
                    "Accepted, settled, and nowhere. Must be 0.",
                    "none",
                    summed("relaydesk_ledger_missing"),
                    red=1,
                    runbook="ledger-missing",
                ),
                number(
                    "Events in flight",
                    "On the stream and not yet passed by the ledger.",
                    "none",
                    f"max ({alike('relaydesk_ledger_in_flight')})",
                ),
                number(
                    "The ledger is behind by",
                    "Age of the oldest event that the ledger has not passed.",
                    "s",
                    f"max ({alike('relaydesk_ledger_behind_seconds')})",
                    amber=60,
                    red=600,
                    runbook="ledger-behind",
                ),
                number(
                    "Dead letters",
                    "Messages that no service could handle.",
                    "none",
                    summed("relaydesk_dead_letters"),
                    red=1,
                    runbook="dead-letters",
                ),
                number(
                    "Facts and sends overdue",
                    "Sessions with something to say that is overdue. The sweeper says it once NATS "
                    "takes it.",
                    "none",
                    greatest("relaydesk_router_outbox_pending"),
                    amber=1,
                    runbook="outbox-stuck",
                ),
                number(
                    "Survey answers",
                    "Share of the visitors asked how it was who said so.",
                    "percentunit",
                    share(
                        rate("relaydesk_survey_answered_total"),
                        rate("relaydesk_survey_asked_total"),
                    ),
                    none="nobody was asked",
                ),
                graph(
                    "What became of the events?",
                    "Events since the beginning, by what the ledger says became of them. The sum "
                    "grows as fast as what was accepted.",
                    "none",
                    (summed("relaydesk_ledger_events_total", "outcome"), "{{outcome}}"),
                    (summed("relaydesk_ledger_accepted_total"), "accepted"),
                    width=12,
                ),
                graph(
                    "Which services have dead letters?",
                    "Messages on DEAD, by the service that could not handle them.",
                    "none",
                    (summed("relaydesk_dead_letters", "origin"), "{{origin}}"),
                    stacked=True,
                    width=12,
                    none="none",
                    runbook="dead-letters",
                ),
            ),
        ),
        Row(
            "Events",
            (
                graph(
                    "How did events end?",
                    "Events a second by outcome. `redelivered` had their effect before; `reported` "
                    "are outcomes of our own sends.",
                    "ops",
                    (rate("relaydesk_router_events_total", "outcome"), "{{outcome}}"),
                    stacked=True,
                ),
                graph(
                    "How long until an event is in its session?",
                    "From the webhook's arrival to the stored session.",
                    "s",
                    (quantile(0.5, STORED), "half within"),
                    (quantile(0.95, STORED), "95 of 100 within"),
                    (quantile(0.99, STORED), "99 of 100 within"),
                    none="no event came",
                ),
                graph(
                    "What waits for each replica?",
                    "Events that wait in the stream for a replica, and those it has taken.",
                    "none",
                    (total("relaydesk_router_lag", "instance"), "{{instance}} waits"),
                    (total("relaydesk_router_in_flight", "instance"), "{{instance}} taken"),
                    runbook="consumer-lag",
                ),
                graph(
                    "How large are batches, and how long do they take?",
                    "99 of 100 batches; a batch takes what has arrived, so it grows under load.",
                    "s",
                    (quantile(0.99, "relaydesk_router_batch_seconds", "instance"), "{{instance}}"),
                    none="no batch",
                ),
                graph(
                    "Batch size",
                    "Deliveries in half of the batches and in 99 of 100, at most.",
                    "none",
                    (quantile(0.5, "relaydesk_router_batch_size"), "half"),
                    (quantile(0.99, "relaydesk_router_batch_size"), "99 of 100"),
                    none="no batch",
                ),
                graph(
                    "Races, burials and failed publishes",
                    "Writes decided again since somebody was faster, deliveries moved to DEAD, and "
                    "publishes that wait for the sweeper.",
                    "ops",
                    (rate("relaydesk_router_cas_lost_total", "by"), "race lost ({{by}})"),
                    (rate("relaydesk_router_buried_total", "code"), "buried ({{code}})"),
                    (rate("relaydesk_router_outbox_failed_total"), "publish failed"),
                ),
            ),
        ),
        Row(
            "Commands and queues",
            (
                graph(
                    "Commands answered",
                    "What agents, bots and timers asked for, a second, by outcome.",
                    "ops",
                    (rate("relaydesk_router_commands_total", "outcome"), "{{outcome}}"),
                    stacked=True,
                    none="no command came",
                ),
                graph(
                    "How long does a command take?",
                    "From taking a command to its answer.",
                    "s",
                    (quantile(0.5, "relaydesk_router_command_seconds"), "half within"),
                    (quantile(0.99, "relaydesk_router_command_seconds"), "99 of 100 within"),
                    amber=1,
                    none="no command came",
                ),
                graph(
                    "Sessions given to agents",
                    "Sessions a second that were given automatically, by why.",
                    "ops",
                    (rate("relaydesk_router_assignments_total", "because"), "{{because}}"),
                    none="none was given",
                ),
                graph(
                    "How long do sessions wait for an agent?",
                    "From coming into Unassigned until auto-assign gave them away.",
                    "s",
                    (quantile(0.5, "relaydesk_router_waiting_to_assigned_seconds"), "half within"),
                    (
                        quantile(0.95, "relaydesk_router_waiting_to_assigned_seconds"),
                        "95 of 100 within",
                    ),
                    none="none was given",
                ),
                graph(
                    "Which lists do sessions move between?",
                    "Sessions a second that changed lists.",
                    "ops",
                    (rate("relaydesk_router_transitions_total", "from, to"), "{{from}} to {{to}}"),
                    none="none moved",
                ),
                graph(
                    "Places of agents",
                    "Places not taken as the agent was full by then, and places that a crash had "
                    "left behind.",
                    "ops",
                    (rate("relaydesk_router_seats_refused_total"), "full"),
                    (rate("relaydesk_router_seats_repaired_total"), "repaired"),
                ),
            ),
        ),
    ),
)
