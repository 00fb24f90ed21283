"""What the doctor is shown and what it says; never a secret, and message text only on request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from libs.common.channel import Account, WebhookRequest

Grade = Literal["ok", "note", "wrong"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at: `wrong` needs work, `note` may."""

    name: str
    grade: Grade
    words: str


def ok(name: str, words: str) -> Check:
    """Return a check that found nothing."""
    return Check(name=name, grade="ok", words=words)


def note(name: str, words: str) -> Check:
    """Return a check that found what may be meant so."""
    return Check(name=name, grade="note", words=words)


def wrong(name: str, words: str) -> Check:
    """Return a check that found a fault."""
    return Check(name=name, grade="wrong", words=words)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One cause: a stable `code`, what is the matter, and what to do about it."""

    code: str
    words: str
    advice: str = ""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A request as captured, and the account that it is said to be for.

    `others` are all further accounts, for what was meant for one of them. `path` is where it was
    posted; empty: not known.
    """

    account: Account
    request: WebhookRequest
    others: tuple[Account, ...] = ()
    path: str = ""

    def __repr__(self) -> str:
        """Name the account only."""
        return f"Case({self.account!r})"


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway would do with a request: `status` and why, or the `events` it yields.

    `events` says each in one line.
    """

    verdict: Literal["refused", "accepted", "accepted without effect"]
    status: int
    findings: tuple[Finding, ...] = ()
    events: tuple[str, ...] = ()


def header(request: WebhookRequest, name: str) -> str:
    """Return a header's value, empty where it is absent."""
    return request.headers.get(name, "")


def secrets_of(account: Account, *but: str) -> Mapping[str, str]:
    """Return the account's secrets that are set, without those named *but*."""
    return {name: value for name, value in account.secrets.items() if value and name not in but}
