"""How is each channel account? Silence, signatures, errors, tokens, quota."""

from __future__ import annotations

from deploy.grafana.promql import alike
from deploy.grafana.table import Board, Choice, Row, graph, number, table

_CHOSEN = 'account=~"$account"'
_BAD = f'{_CHOSEN},state=~"revoked|failing"'

ACCOUNTS = Board(
    name="accounts",
    title="Relaydesk: accounts",
    says="How is each channel account: does it hear and speak, and what will stop it soon?",
    choices=(
        Choice(
            "account", "Account", 'label_values(relaydesk_account_info{job="relaydesk"}, account)'
        ),
    ),
    rows=(
        Row(
            "Chosen accounts",
            (
                number(
                    "Accounts",
                    "Accounts that are switched on, of those chosen.",
                    "none",
                    f"sum ({alike('relaydesk_account_info', _CHOSEN)})",
                ),
                number(
                    "Accounts gone silent",
                    "Accounts that are silent for longer than their own rhythm explains. Often a "
                    "webhook that was switched off at the provider.",
                    "none",
                    f"sum ({alike('relaydesk_account_silent', _CHOSEN)})",
                    red=1,
                    runbook="account-silent",
                ),
                number(
                    "Accounts that cannot send",
                    "Accounts that are revoked or failing.",
                    "none",
                    f"sum ({alike('relaydesk_account_state', _BAD)})",
                    red=1,
                    runbook="account-failing",
                ),
                number(
                    "Next token to expire",
                    "Time until the first token ends that a person must renew.",
                    "s",
                    "min ("
                    + alike("relaydesk_account_token_expires_timestamp_seconds", _CHOSEN)
                    + ") - time()",
                    amber=604800,
                    red=86400,
                    low_is_bad=True,
                    none="none expires",
                    runbook="token-expiring",
                ),
                number(
                    "Most used quota",
                    "Of the accounts whose provider tells one.",
                    "percentunit",
                    f"max ({alike('relaydesk_account_quota_used_ratio', _CHOSEN)})",
                    amber=0.8,
                    red=0.9,
                    none="none is told",
                    runbook="quota-nearly-used",
                ),
                number(
                    "Accounts not told",
                    "Accounts beyond the first 1,000, of which these figures tell nothing.",
                    "none",
                    f"max ({alike('relaydesk_accounts_untold')})",
                    amber=1,
                ),
            ),
        ),
        Row(
            "Over time",
            (
                graph(
                    "How long ago did each account hear something?",
                    "Time since its last webhook. Compare with its own past days.",
                    "s",
                    (
                        "time() - "
                        + alike("relaydesk_account_last_webhook_timestamp_seconds", _CHOSEN),
                        "{{account}}",
                    ),
                    none="none has heard anything",
                    width=12,
                    runbook="account-silent",
                ),
                graph(
                    "Which accounts are silent?",
                    "1 while an account is silent for longer than its own rhythm explains.",
                    "none",
                    (alike("relaydesk_account_silent", _CHOSEN), "{{account}}"),
                    top=1,
                    width=12,
                    runbook="account-silent",
                ),
                graph(
                    "Bad signatures",
                    "Webhooks refused for a bad signature, as added up. A step is a wrong secret, "
                    "or somebody who guesses.",
                    "none",
                    (alike("relaydesk_account_refused", _CHOSEN), "{{account}}"),
                    none="none",
                    runbook="account-signatures-refused",
                ),
                graph(
                    "Errors of providers",
                    "By account and code, as added up.",
                    "none",
                    (alike("relaydesk_account_errors", _CHOSEN), "{{account}} {{code}}"),
                    none="none",
                    runbook="account-failing",
                ),
                graph(
                    "Quota used",
                    "Share of what the provider allows.",
                    "percentunit",
                    (alike("relaydesk_account_quota_used_ratio", _CHOSEN), "{{account}}"),
                    red=0.9,
                    none="none is told",
                    runbook="quota-nearly-used",
                ),
            ),
        ),
        Row(
            "Each account",
            (
                table(
                    "State of each account",
                    "The states that hold now: `revoked` and `failing` need a person.",
                    "none",
                    alike("relaydesk_account_state", _CHOSEN) + " == 1",
                    none="none is told",
                ),
                table(
                    "When does each token end?",
                    "Time left of tokens that a person must renew.",
                    "s",
                    alike("relaydesk_account_token_expires_timestamp_seconds", _CHOSEN)
                    + " - time()",
                    none="none expires",
                    runbook="token-expiring",
                ),
            ),
        ),
    ),
)
