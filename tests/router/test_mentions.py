"""Who is mentioned in a note is told of as a fact of its own; a note without mentions is a note."""

from __future__ import annotations

import pytest

from libs.common.events import Fact
from services.router.lines import digest
from tests.router.rig import Rig, said

MENTIONED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "one": (("bob",), ("bob",)),
    "several, in their order": (("cid", "bob"), ("cid", "bob")),
    "the same one twice": (("bob", "bob"), ("bob",)),
    "the author among others": (("amy", "bob"), ("bob",)),
    "the author alone: nobody is to be told": (("amy",), ()),
    "nobody": ((), ()),
}


@pytest.mark.parametrize(("mentions", "notify"), MENTIONED.values(), ids=MENTIONED)
async def test_a_note_tells_whom_it_mentions(
    rig: Rig, mentions: tuple[str, ...], notify: tuple[str, ...]
) -> None:
    await rig.take(said("hi", 1))
    session = (await rig.only()).id
    before = len(rig.bus.facts())
    done = await rig.done(rig.note(session, "amy", "have a look", mentions=mentions))
    assert done.message is not None
    stored, *mention = rig.bus.facts()[before:]
    assert (stored.type, stored.message, stored.notify) == ("message.stored", done.message.id, ())
    assert [_told(fact) for fact in mention] == (
        [("session.mention", session, done.message.id, "agent:amy", notify)] if notify else []
    )
    assert rig.bus.sends() == []
    assert (await rig.only()).list == "bot_hosted"


async def test_a_repeat_mentions_nobody_again(rig: Rig) -> None:
    await rig.take(said("hi", 1))
    session = (await rig.only()).id
    for _ in range(3):
        await rig.done(rig.note(session, "amy", "look", key="k", mentions=("bob",)))
        rig.restart()
    assert len(rig.bus.facts("session.mention")) == 1


def test_the_same_note_with_other_mentions_is_another(rig: Rig) -> None:
    notes = [rig.note("s", "amy", "look", mentions=who) for who in ((), ("bob",), ("cid",))]
    assert len({digest(note) for note in notes}) == len(notes)


def _told(fact: Fact) -> tuple[str, str, str, str, tuple[str, ...]]:
    return (fact.type, fact.session, fact.message, fact.actor, fact.notify)
