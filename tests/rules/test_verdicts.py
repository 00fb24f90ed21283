"""What became of each rule that was tried (D04): one line a rule, in their order."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from libs.common.policy import AddTag, Case, EndIt, Policy, Rule, TextHas
from libs.common.rules.verdicts import verdicts

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CASE = Case(trigger="opened", session="", channel="line", account="acme", text="A price, please")
PRICE, REFUND = TextHas(words=("price",)), TextHas(words=("refund",))
TAG = (AddTag(tag="t"),)

CASES: dict[str, tuple[tuple[Rule, ...], list[tuple[str, tuple[int, ...]]]]] = {
    "what holds fires, and ends the row": (
        (
            Rule(id="a", conditions=(PRICE,), actions=TAG, stop=True),
            Rule(id="b", actions=TAG),
        ),
        [("fired", ()), ("not_reached", ())],
    ),
    "without stop the next one is tried": (
        (Rule(id="a", actions=TAG, stop=False), Rule(id="b", actions=TAG)),
        [("fired", ()), ("fired", ())],
    ),
    "an end is the last, whatever it says of stop": (
        (Rule(id="a", actions=(EndIt(),), stop=False), Rule(id="b", actions=TAG)),
        [("fired", ()), ("not_reached", ())],
    ),
    "which conditions fail is told by their places": (
        (Rule(id="a", conditions=(PRICE, REFUND), actions=TAG),),
        [("conditions", (1,))],
    ),
    "one that fails ends nothing": (
        (Rule(id="a", conditions=(REFUND,), actions=TAG), Rule(id="b", actions=TAG)),
        [("conditions", (0,)), ("fired", ())],
    ),
    "disabled and other occasions are not tried": (
        (Rule(id="a", actions=TAG, enabled=False), Rule(id="b", on="handoff", actions=TAG)),
        [("disabled", ()), ("other_occasion", ())],
    ),
}


@pytest.mark.parametrize(("rules", "expected"), CASES.values(), ids=CASES)
def test_d04_what_became_of_each_rule(
    rules: tuple[Rule, ...], expected: list[tuple[str, tuple[int, ...]]]
) -> None:
    found = list(verdicts(CASE, Policy(rules=rules), NOW))
    assert [(one.state, one.failed) for one in found] == expected
