"""A policy by name is made once, however many workspaces there are, and no longer kept than it."""

from __future__ import annotations

import gc

from libs.common.policy import Member, Policy
from libs.common.rules import lookup as module
from libs.common.rules.lookup import lookup


def test_each_of_many_policies_is_looked_up_once() -> None:
    policies = [Policy(version=number, members=(Member(id="ada"),)) for number in range(500)]
    made = [lookup(policy) for policy in policies]
    assert all(lookup(policy) is found for policy, found in zip(policies, made, strict=True))


def test_what_is_made_of_a_policy_goes_with_it() -> None:
    gc.collect()
    before = len(module._known)
    policies = [Policy(version=version) for version in range(100)]
    for policy in policies:
        lookup(policy)
    assert len(module._known) == before + 100
    del policy, policies
    assert len(module._known) == before
