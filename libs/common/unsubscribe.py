"""Links on which the reader of a mail wants no more of its kind: signed, without a login.

A token names what it ends and nothing else can be made of it. It does not expire: a mail may be
read years later. The keys are derived from the installation's key for this purpose alone; the
first signs and all verify, as in `seal`.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from libs.common.mails import covered, suppression_id
from libs.common.seal import read_keys
from libs.common.switches import AlertTrigger

PATH = "/unsubscribe"
"""Where desk serves the page; `?t=` is the token."""
MAX_TOKEN = 1000
WORDS: Mapping[AlertTrigger, str] = {
    "bot_hosted.message": "messages in conversations that a bot hosts",
    "unassigned.message": "messages in unassigned conversations",
    "assigned.message": "messages in conversations that are yours",
    "handoff.requested": "requests for a person",
    "assigned.to_me": "conversations that become yours",
    "mention": "notes that mention you",
    "notice": "reminders and rules",
    "session.ended_automatically": "conversations that ended by themselves",
    "send.failed": "messages that were not delivered",
    "account.unhealthy": "accounts that need attention",
    "import.finished": "imports that are finished",
}
"""Of what an agent is alerted, behind "of"."""

_PURPOSE = b"relaydesk unsubscribe links, 1"


class EndAlert(msgspec.Struct, frozen=True, kw_only=True, tag="agent", forbid_unknown_fields=True):
    """An agent wants no more emails of this trigger."""

    workspace: str
    agent: str
    trigger: AlertTrigger


class EndVisitor(
    msgspec.Struct, frozen=True, kw_only=True, tag="visitor", forbid_unknown_fields=True
):
    """A visitor wants no more emails of this workspace; `address` is a suppression's id."""

    workspace: str
    address: str
    shown: str


Wish = EndAlert | EndVisitor


def visitor_wish(workspace: str, address: str) -> EndVisitor:
    """Return what a mail to a visitor links to."""
    return EndVisitor(
        workspace=workspace, address=suppression_id(address, "visitor"), shown=covered(address)
    )


def unsubscribe_keys(setting: str) -> tuple[bytes, ...]:
    """Derive the keys from the setting `secret_key`, the signing one first.

    Raises:
        SettingsError: The setting cannot be read.
    """
    return tuple(
        HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(key)
        for key in read_keys(setting).values()
    )


def sign(keys: Sequence[bytes], wish: Wish) -> str:
    """Return the token."""
    said = _text(msgspec.json.encode(wish))
    return f"{said}.{_signature(keys[0], said)}"


def link(public_url: str, keys: Sequence[bytes], wish: Wish) -> str:
    """Return the page's address; empty where nobody knows how to reach us."""
    return f"{public_url.rstrip('/')}{PATH}?t={sign(keys, wish)}" if public_url else ""


def verify(keys: Sequence[bytes], token: str) -> Wish | None:
    """Return what a token ends; None when it is forged or damaged."""
    said, _, given = token.partition(".")
    if len(token) > MAX_TOKEN or not token.isascii():
        return None
    fitting = [hmac.compare_digest(_signature(key, said), given) for key in keys]
    if not any(fitting):
        return None
    try:
        raw = urlsafe_b64decode(said + "=" * (-len(said) % 4))
        return msgspec.json.decode(raw, type=EndAlert | EndVisitor)
    except ValueError:  # of another version
        return None


def _signature(key: bytes, said: str) -> str:
    return _text(hmac.new(key, said.encode(), sha256).digest())


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
