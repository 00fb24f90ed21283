"""Why each rule fired or did not, for whoever tries rules."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import msgspec

from libs.common.policy import Case, EndIt, Policy, Rule
from libs.common.rules.conditions import holds

State = Literal["fired", "conditions", "not_reached", "disabled", "other_occasion"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a rule.

    Attributes:
        state: It `fired`; some of its `conditions` did not hold; an earlier one was the last
            (`not_reached`); it is `disabled`; or it is tried on another occasion.
        failed: Which conditions do not hold, from 0.
    """

    rule: str
    name: str
    state: State
    failed: tuple[int, ...] = ()


def verdicts(case: Case, policy: Policy, now: datetime) -> Iterator[Verdict]:
    """Yield what becomes of each rule, in order, as `fire` tries them."""
    over = False
    for rule in policy.rules:
        state, failed = _verdict(rule, case, policy, now)
        if state == "fired" and over:
            state = "not_reached"
        if state == "fired":
            over = rule.stop or any(isinstance(action, EndIt) for action in rule.actions)
        yield Verdict(rule=rule.id, name=rule.name, state=state, failed=failed)


def _verdict(
    rule: Rule, case: Case, policy: Policy, now: datetime
) -> tuple[State, tuple[int, ...]]:
    if not rule.enabled:
        return "disabled", ()
    if rule.on != case.trigger:
        return "other_occasion", ()
    failed = tuple(
        place
        for place, condition in enumerate(rule.conditions)
        if not holds(condition, case, policy, now)
    )
    return ("conditions", failed) if failed else ("fired", ())
