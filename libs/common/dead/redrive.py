"""Bringing dead letters back, and dropping them.

A letter leaves DEAD only after JetStream has confirmed its message where it came from. Who is
killed in between leaves it there; redriven again, it has the same message id, which the stream
drops while it remembers it, and the effects of a message are once each whenever it comes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal

import msgspec

from libs.common.bus.client import Bus
from libs.common.bus.settled import is_made
from libs.common.dead.letter import Chosen, Letter, letter_of, publication
from libs.common.errors import PermanentError
from libs.common.subjects import DEAD, STREAMS

PAGE = 200

Done = Literal["redriven", "would be redriven", "repeated", "kept"]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one letter.

    `redriven` to `sequence` of its stream; `repeated`: that had happened before, and the letter is
    gone now; `kept`: it is on DEAD as before, `why` says the reason.
    """

    letter: int
    done: Done
    stream: str = ""
    subject: str = ""
    sequence: int = 0
    why: str = ""


async def letters(bus: Bus, chosen: Chosen) -> AsyncIterator[Letter]:
    """Yield the letters that are *chosen* and on DEAD now, oldest first.

    Raises:
        BusUnavailableError: No answer.
    """
    subject = f"dead.{chosen.service}.>" if chosen.service else "dead.>"
    place, last = await bus.bounds_of(DEAD)
    while place <= last:
        page = await bus.read(DEAD, subject, from_sequence=place, limit=PAGE)
        for message in page:
            if message.sequence <= last and (letter := letter_of(message)) in chosen:
                yield letter
        if len(page) < PAGE:
            return
        place = page[-1].sequence + 1


async def letter_at(bus: Bus, sequence: int) -> Letter | None:
    """Return the letter at *sequence* of DEAD, None where there is none."""
    found = await bus.stored(DEAD, sequence)
    return letter_of(found) if found else None


async def redrive(bus: Bus, letter: Letter, *, dry_run: bool = False) -> Told:
    """Publish *letter* where it came from, and take it off DEAD once that is confirmed.

    Raises:
        BusUnavailableError: It is not known to be published, or not known to be gone; again is
            harmless.
    """
    try:
        made = publication(letter, await body_of(bus, letter))
        await _is_awaited(bus, letter)
        if dry_run:
            return _told(letter, "would be redriven")
        ack = await bus.publish(made.subject, made.data, msg_id=made.msg_id, headers=made.headers)
    except PermanentError as error:
        return _told(letter, "kept", why=error.detail)
    await bus.remove(DEAD, letter.sequence)
    return _told(letter, "repeated" if ack.duplicate else "redriven", sequence=ack.sequence)


async def _is_awaited(bus: Bus, letter: Letter) -> None:
    """See that somebody would take *letter*: all others would let it pass unseen.

    Raises:
        PermanentError: The consumer that gave it up is not there (any more).
    """
    if letter.consumer and not await is_made(bus.asker, letter.stream, letter.consumer):
        raise PermanentError(
            f"nobody would take it: {letter.stream} has no consumer {letter.consumer} (any more); "
            f"start the {letter.service} that has it, or drop it"
        )


async def body_of(bus: Bus, letter: Letter) -> bytes:
    """Return the body, from its own stream where it was too large for DEAD.

    Raises:
        PermanentError: It is nowhere any more.
    """
    if not letter.truncated:
        return letter.message.data
    stream = next((one for one in STREAMS if one.name == letter.stream), None)
    found = await bus.stored(stream, letter.source) if stream is not None else None
    if found is None or found.subject != letter.subject or len(found.data) != letter.truncated:
        raise PermanentError(
            f"its body of {letter.truncated} bytes was too large for DEAD and is gone from "
            f"{letter.stream} {letter.source}"
        )
    return found.data


async def drop(
    bus: Bus, letter: Letter, note: Callable[[Letter], Awaitable[None]], *, dry_run: bool = False
) -> None:
    """Delete *letter* for good, after *note* has kept who did it.

    Raises:
        BusUnavailableError, StoreUnavailableError: It is not noted, or not known to be gone.
    """
    if not dry_run:
        await note(letter)
        await bus.remove(DEAD, letter.sequence)


def _told(letter: Letter, done: Done, *, sequence: int = 0, why: str = "") -> Told:
    return Told(
        letter=letter.sequence,
        done=done,
        stream=letter.stream,
        subject=letter.subject,
        sequence=sequence,
        why=why,
    )
