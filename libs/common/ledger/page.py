"""What a ledger has counted, as one document a stream, and how it grows. Pure.

The sums and the place up to which they reach are one document, written by compare-and-set: so a
kill at any moment neither loses a message nor counts one twice. It lies in the store whose entries
it vouches for: a store that was restored from a backup has its old place again, and what was stored
since the backup is looked for once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from libs.common.store.api import Collection, Document

MOST_MISSING = 1_000
"""Missing messages that are kept by name; with so many the ledger stands still until some are
found again or written off. It would have to forget which ones they are otherwise."""
WRITTEN_OFF = "written_off"


class Missed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message that is settled and nowhere: where it lay and whose it is, nothing of its content.

    Attributes:
        sequence: Its place in the stream made at `made`.
        event: The event's id, or our message's; empty where it could not be read.
        stored_at: When the stream took it.
        found_at: When it was found to be missing.
    """

    sequence: int
    made: str
    subject: str
    channel: str
    workspace: str = ""
    account: str = ""
    event: str = ""
    stored_at: datetime
    found_at: datetime


class Ledger(Document, kw_only=True):
    """The sums of one stream; the id is the stream's name, the workspace `SYSTEM`.

    For each channel, `passed` is the sum of its `outcomes` and of what is `missing`.

    Attributes:
        made: When the stream was made that `sequence` counts in, as the server writes it.
        sequence: Everything up to here is counted.
        passed: Messages counted, by channel.
        outcomes: The same by channel and by what became of them.
        expired: Places that were empty already: by retention, an erasure or a purge.
        missing: What is settled and nowhere.
    """

    made: str = ""
    sequence: int = 0
    passed: dict[str, int] = {}
    outcomes: dict[str, dict[str, int]] = {}
    expired: int = 0
    missing: tuple[Missed, ...] = ()


LEDGERS = Collection("ledgers", Ledger, ())


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is settled: its place, and what became of it, or how it is missed."""

    sequence: int
    channel: str
    outcome: str = ""
    missed: Missed | None = None


def counted(ledger: Ledger, judged: Sequence[Judged], up_to: int) -> Ledger:
    """Return *ledger* with the messages between its place and *up_to*; other places are empty."""
    passed, outcomes = _copies(ledger)
    for one in judged:
        passed[one.channel] = passed.get(one.channel, 0) + 1
        if one.missed is None:
            _add(outcomes, one.channel, one.outcome)
    missed = tuple(one.missed for one in judged if one.missed is not None)
    return msgspec.structs.replace(
        ledger,
        sequence=up_to,
        passed=passed,
        outcomes=outcomes,
        expired=ledger.expired + up_to - ledger.sequence - len(judged),
        missing=ledger.missing + missed,
    )


def found(ledger: Ledger, outcomes: Mapping[tuple[str, int], str]) -> Ledger:
    """Return *ledger* with what was missing and has an outcome now, by (`made`, `sequence`)."""
    _, sums = _copies(ledger)
    left = []
    for one in ledger.missing:
        outcome = outcomes.get((one.made, one.sequence))
        if outcome is None:
            left.append(one)
        else:
            _add(sums, one.channel, outcome)
    return msgspec.structs.replace(ledger, outcomes=sums, missing=tuple(left))


def written_off(ledger: Ledger, events: Iterable[str] | None) -> Ledger:
    """Return *ledger* without the missing *events*, all of them for None: a person gave them up."""
    named = None if events is None else set(events)
    gone = [one for one in ledger.missing if named is None or one.event in named]
    return found(ledger, {(one.made, one.sequence): WRITTEN_OFF for one in gone})


def placed(ledger: Ledger, made: str, first: int) -> Ledger:
    """Return *ledger* on the stream made at *made*, whose oldest message is at *first*.

    A new ledger begins with the oldest message; one that was overtaken counts what it never saw.
    """
    if not ledger.made:
        return msgspec.structs.replace(ledger, made=made, sequence=first - 1)
    if ledger.made != made:
        ledger = msgspec.structs.replace(ledger, made=made, sequence=0)
    if ledger.sequence >= first - 1:
        return ledger
    return counted(ledger, (), first - 1)


def missing_of(ledger: Ledger) -> dict[str, int]:
    """Return how many are missing, by channel."""
    sums = dict.fromkeys(ledger.passed, 0)
    for one in ledger.missing:
        sums[one.channel] = sums.get(one.channel, 0) + 1
    return sums


def _copies(ledger: Ledger) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    return dict(ledger.passed), {name: dict(sums) for name, sums in ledger.outcomes.items()}


def _add(outcomes: dict[str, dict[str, int]], channel: str, outcome: str) -> None:
    sums = outcomes.setdefault(channel, {})
    sums[outcome] = sums.get(outcome, 0) + 1
