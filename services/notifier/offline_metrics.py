"""What is counted of replies to visitors who have left. Label values come from a closed set."""

from __future__ import annotations

from prometheus_client import Counter

from libs.common.zeros import from_zero

OFFLINE = Counter(
    "relaydesk_offline_replies_total",
    "Replies that needed no email any more (over: seen, or they wait in the plugin alone), and "
    "emails by outcome: mailed, failed, suppressed, limited (too many to one address), off (no "
    "mail server), gone (the account or messages are).",
    ("outcome",),
)

from_zero(OFFLINE, ("over", "mailed", "failed", "suppressed", "limited", "off", "gone"))
