"""What WhatsApp's error codes prove; the same codes come in answers, statuses and values.

Source: WhatsApp Cloud API, "Error codes" (read 2026-09).
"""

from __future__ import annotations

from libs.common.providers.graph import Codes

CODES = Codes(
    throttled={"4": 30.0, "80007": 30.0, "130429": 5.0, "131056": 16.0},
    unclear=frozenset({"1", "2", "131000", "131016", "131057", "133004"}),
    credential=frozenset({"0", "190"}),
    reasons={
        "3": "permission",
        "4": "quota",
        "10": "permission",
        "33": "bad_recipient",
        "100": "bad_content",
        "368": "policy",
        "80007": "quota",
        "130403": "blocked",
        "130429": "quota",
        "130472": "policy",  # the visitor is in an experiment
        "130497": "policy",  # this country is closed to the business
        "131005": "permission",
        "131008": "bad_content",
        "131009": "bad_content",
        "131021": "bad_recipient",  # sender and recipient are the same
        "131026": "bad_recipient",
        "131030": "bad_recipient",  # not in the test list
        "131031": "policy",
        "131037": "policy",
        "131042": "policy",  # payment
        "131045": "policy",  # registration
        "131047": "window_closed",
        "131048": "policy",  # too much of it was taken for spam
        "131049": "policy",  # engagement limit: not within 24 hours
        "131050": "blocked",  # opted out
        "131051": "bad_content",
        "131052": "bad_content",
        "131053": "bad_content",
        "131056": "quota",
        "131062": "bad_recipient",  # this kind of message cannot go to a BSUID
        "132000": "bad_content",
        "132001": "bad_content",
        "132005": "bad_content",
        "132007": "policy",
        "132012": "bad_content",
        "132015": "policy",
        "132016": "policy",
        "132068": "bad_content",
        "132069": "bad_content",
        "133010": "policy",
        "135000": "bad_content",
    },
)
"""On 131056 Meta asks for 4^attempt seconds: 16 is its second step, the bus waits longer."""
