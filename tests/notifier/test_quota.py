"""How much of a provider's allowance is used, as its answers tell."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from libs.common.channel import Account
from libs.common.errors import RejectedError
from libs.common.health import Seen, together
from libs.common.providers.usage import quota_used
from libs.common.recorder import Recorder
from services.notifier.gates import Gates
from services.notifier.standing import Standings

NOW = datetime(2026, 11, 4, 12, 30, tzinfo=UTC)
ACCOUNT = Account(workspace="w", slug="acme", channel="line", external_id="x")

HEADERS: dict[str, tuple[Mapping[str, str], float | None]] = {
    "none": ({}, None),
    "of the app, the greatest counts": (
        {"x-app-usage": '{"call_count":28,"total_time":91,"total_cputime":25}'},
        0.91,
    ),
    "of a business": (
        {
            "x-business-use-case-usage": '{"17841":[{"type":"messenger","call_count":95,'
            '"total_cputime":20,"total_time":20,"estimated_time_to_regain_access":0}]}'
        },
        0.95,
    ),
    "of both": (
        {
            "x-app-usage": '{"call_count":99}',
            "x-business-use-case-usage": '{"1":[{"call_count":3}]}',
        },
        0.99,
    ),
    "nothing used is told as 0": ({"x-app-usage": '{"call_count":0}'}, 0.0),
    "more than all": ({"x-app-usage": '{"call_count":140}'}, 1.4),
    "no JSON": ({"x-app-usage": "call_count=3"}, None),
    "another shape": ({"x-app-usage": "[1,2]", "x-business-use-case-usage": '{"1":3}'}, None),
    "no numbers": ({"x-app-usage": '{"call_count":"28","total_time":true}'}, None),
    "nonsense numbers": ({"x-app-usage": '{"call_count":-4,"total_time":1e300}'}, None),
    "too long to be read": ({"x-app-usage": '{"call_count":1}' + " " * 20_000}, None),
    "nested without end": ({"x-app-usage": "[" * 19_000}, None),
}


@pytest.mark.parametrize(("headers", "expected"), HEADERS.values(), ids=HEADERS)
def test_d10_quota_is_read_from_headers(headers: Mapping[str, str], expected: float | None) -> None:
    assert quota_used(headers) == expected


class Sender:
    """What the sender tells of one account, and what is recorded of it."""

    def __init__(self) -> None:
        recorder = Recorder("notifier", now=lambda: NOW)
        self.standings = Standings(lambda _slug: ACCOUNT, Gates(), recorder, lambda: NOW)
        self.standings.admit(ACCOUNT)
        self.notes = recorder.of("acme")

    def full(self) -> None:
        error = RejectedError("monthly limit reached", reason="quota", provider_code="429")
        self.standings.failed("acme", error, None, final=True)


def test_d10_refusal_for_its_quota_tells_that_all_is_used_until_one_that_counts_goes_out() -> None:
    sender = Sender()
    sender.standings.sent("acme", "push")
    told = (sender.notes.quota_used, sender.notes.quota_at)
    assert told == (None, None), "nothing was told"

    sender.full()
    assert (sender.notes.quota_used, sender.notes.quota_at) == (1.0, NOW)

    sender.standings.sent("acme", "reply")
    assert sender.notes.quota_used == 1.0, "a free reply says nothing"

    sender.standings.sent("acme", "push")
    assert sender.notes.quota_used is None


def test_d10_what_a_provider_tells_is_kept_when_a_message_goes_out() -> None:
    sender = Sender()
    sender.full()

    sender.standings.used("acme", {"x-app-usage": '{"call_count":70}'})
    sender.standings.sent("acme", "message")

    assert sender.notes.quota_used == 0.7


def test_d10_newest_word_of_several_processes_counts() -> None:
    early = Seen(at=NOW, quota_used=0.9, quota_at=NOW)
    late = Seen(at=NOW - timedelta(hours=1), quota_used=0.2, quota_at=NOW + timedelta(minutes=1))
    over = msgspec.structs.replace(late, quota_used=None, quota_at=NOW + timedelta(minutes=2))
    nothing = Seen(at=NOW + timedelta(hours=1))

    for seen, expected in (([early, late, nothing], 0.2), ([early, over], None), ([nothing], None)):
        found = together(seen)
        assert found is not None
        assert found.quota_used == expected
