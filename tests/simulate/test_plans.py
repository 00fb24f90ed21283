"""What the scenarios consist of, on every channel."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from libs.common.channels import CHANNELS
from libs.common.errors import BadSignatureError
from libs.common.events import InboundEvent, MediaPart, MessageReceived, Unparsed
from libs.common.simulate.bodies import kinds
from libs.common.simulate.plans import ALBUM, SCENARIOS, STORM, summary
from libs.common.simulate.scenarios import Post, Traffic, planned
from tests.simulate.accounts import account

NOW = datetime.now(UTC).replace(microsecond=0)
EVERYWHERE = [(channel, name) for channel in sorted(CHANNELS) for name in SCENARIOS]


def posts(channel: str, scenario: str, **more: object) -> tuple[Post, ...]:
    traffic = Traffic(scenario=scenario, seed=7, **more)  # type: ignore[arg-type]
    return planned(account(channel), "http://gateway", traffic, NOW).posts


def events(channel: str, post: Post) -> tuple[InboundEvent, ...]:
    CHANNELS[channel].verify(account(channel), post.request)
    return CHANNELS[channel].parse(account(channel), post.request).events


@pytest.mark.parametrize(("channel", "scenario"), EVERYWHERE)
def test_d11_a_scenario_is_understood_and_repeatable(channel: str, scenario: str) -> None:
    once = posts(channel, scenario, count=2)
    assert once == posts(channel, scenario, count=2)
    for post in once:
        if post.spoiled:
            with pytest.raises(BadSignatureError):
                events(channel, post)
            continue
        found = events(channel, post)
        assert len(found) == 1, post.kind
        assert not isinstance(found[0], Unparsed), post.kind


@pytest.mark.parametrize("channel", sorted(CHANNELS))
def test_d11_scenarios_hold_what_they_promise(channel: str) -> None:
    every = posts(channel, "every")
    assert {post.kind for post in every} == set(kinds(channel))
    storm = Counter(post.request.body for post in posts(channel, "storm", count=3))
    assert sorted(storm.values()) == [STORM] * 3
    assert [post.spoiled for post in posts(channel, "bad_signatures", count=2)] == [False, True] * 2
    assert len(posts(channel, "album")) == ALBUM
    assert len({post.message_id for post in posts(channel, "burst", count=50)}) == 50


WITH_FILES = [(c, k) for c in sorted(CHANNELS) for k in ("image", "audio", "video", "file")]


@pytest.mark.parametrize(("channel", "kind"), [w for w in WITH_FILES if w[1] in kinds(w[0])])
def test_a_file_of_a_visitor_arrives_as_its_kind(channel: str, kind: str) -> None:
    (post,) = posts(channel, "plain", kind=kind)
    (event,) = events(channel, post)
    assert isinstance(event, MessageReceived)
    (part,) = [part for part in event.parts if isinstance(part, MediaPart)]
    assert part.kind == kind


def test_a_scenario_says_what_it_plays() -> None:
    for name in SCENARIOS:
        assert summary(name).endswith((".", "once: a provider that got no answers.")), name
