"""What takes long in a policy is done before it counts, while others have their turn."""

from __future__ import annotations

import asyncio
import threading
import uuid

import msgspec

from libs.common.bus.client import open_bus
from libs.common.bus.delivery import KvEntry
from libs.common.directory import Directory, refresh_policy, watched
from libs.common.policy import AddTag, Policy, Rule
from libs.common.seal import Sealer, new_key_setting
from libs.common.subjects import POLICY_KV

SEALER = Sealer.from_setting(new_key_setting())
POLICY = Policy(rules=(Rule(id="a", actions=(AddTag(tag="a"),)),))


async def test_a_policy_is_prepared_in_another_thread_before_it_counts(nats_url: str) -> None:
    name = f"acme-{uuid.uuid4().hex[:8]}"
    done: list[tuple[bool, tuple[Rule, ...]]] = []
    counting: list[Directory] = []

    def ahead(policy: Policy) -> None:
        aside = threading.current_thread() is not threading.main_thread()
        if policy.rules == POLICY.rules:
            done.append((aside, counting[0].policy(name).rules if counting else ()))

    async with open_bus(nats_url, name="ahead") as bus:
        await bus.kv_put(POLICY_KV, name, msgspec.json.encode(POLICY))
        async with watched(bus, SEALER, ahead=ahead) as directory:
            counting.append(directory)
            await asyncio.wait_for(directory.complete.wait(), 30)
            assert directory.policy(name).rules == POLICY.rules
            assert done == [(True, ())]
            await refresh_policy(bus, directory, name)
            assert len(done) == 1, "what is known was prepared again"
        later = Directory(SEALER)
        later.ahead = ahead
        await refresh_policy(bus, later, name)
        assert later.policy(name).rules == POLICY.rules
        assert len(done) == 2


async def test_what_cannot_be_read_is_left_to_who_says_so() -> None:
    directory = Directory(SEALER)
    directory.ahead = lambda _policy: None
    await directory.prepare(KvEntry(key="acme", value=b"{", revision=1))
