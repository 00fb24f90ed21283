"""People who come and come back: invitations, forgotten passwords, and logins by a provider.

Of what opens something only SHA-256 of the secret is kept, as for access tokens.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from libs.common.credentials import (
    PREFIX,
    TokenParts,
    new_secret,
    new_token_id,
    parse_token,
    secret_hash,
    token_text,
)
from libs.common.errors import SealError
from libs.common.ids import derive_id
from libs.common.seal import Sealer
from libs.common.store.api import Collection, Document, Index
from libs.common.switches import Role

INVITED_FOR = timedelta(days=7)
RESET_WITHIN = timedelta(hours=1)
LETTERS = "letter"
"""The sink of ALERTS that mails what is about a person's own access; see `subjects.alert`."""

LinkKind = Literal["inv", "rst"]
"""Begins the text of an invitation's secret, and of a password reset's."""

InvitationState = Literal["pending", "accepted", "revoked"]


class Invitation(Document, kw_only=True):
    """Somebody who is asked to work here, and as what.

    Attributes:
        secret_hash: Of the newest link; those before it open nothing.
        by, by_name: The agent who invites. While they may not invite any more, nobody accepts.
        mailed_at: When a mail was last asked for; None: the link was handed over otherwise.
        agent: Whom it made, once it is accepted.
        digest: Hash of the request that made it, to tell a repeat from another one.
    """

    email: str
    email_key: str
    role: Role
    teams: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    team_only: bool = False
    state: InvitationState = "pending"
    secret_hash: str
    by: str
    by_name: str = ""
    created_at: datetime
    expires_at: datetime
    mailed_at: datetime | None = None
    agent: str = ""
    digest: str = ""


class PasswordReset(Document, kw_only=True):
    """A link by which an agent sets a new password, once."""

    agent: str
    secret_hash: str
    created_at: datetime
    expires_at: datetime


class OidcLogin(Document, kw_only=True):
    """A login that was begun at the provider, under the workspace it is for.

    Its id is derived from `state`, so that one which comes back twice finds nothing. `browser`
    is SHA-256 of what the cookie of the browser that began it holds.
    """

    nonce: str
    verifier: str
    browser: str
    expires_at: datetime


class OidcLink(Document, kw_only=True):
    """Whom the provider's account is here; its id is derived from issuer and subject."""

    agent: str
    linked_at: datetime


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A mail about a person's own access, as it is asked for; it travels sealed.

    Attributes:
        key: See `mails.Mail.key`.
        url: What the mail is about: whoever has it may use it.
        by: Who invites.
    """

    kind: Literal["invitation", "reset"]
    key: str
    workspace: str
    to: str
    to_name: str = ""
    by: str = ""
    url: str
    expires_at: datetime


INVITATIONS = Collection(
    "invitations",
    Invitation,
    (
        Index("created", ("created_at", "id")),
        Index("state", ("state", "created_at", "id")),
        Index("email", ("email_key", "id")),
    ),
)
RESETS = Collection("password_resets", PasswordReset, (Index("agent", ("agent", "id")),))
OIDC_LOGINS = Collection("oidc_logins", OidcLogin, (Index("expires", ("expires_at", "id")),))
OIDC_LINKS = Collection("oidc_links", OidcLink, (Index("agent", ("agent", "id")),))
PEOPLE = (INVITATIONS, RESETS, OIDC_LOGINS, OIDC_LINKS)


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A fresh secret: the id it goes by, its text for the one who may use it, and its hash."""

    id: str
    text: str
    hash: str

    def __repr__(self) -> str:
        """Name the id only."""
        return f"Secret({self.id})"


def new_link(kind: LinkKind, workspace: str, id_: str = "") -> Secret:
    """Return a secret whose text reads `<kind>_<workspace>_<id>_<secret>`."""
    secret, name = new_secret(), id_ or new_token_id()
    text = token_text(workspace, name, secret).removeprefix(PREFIX)
    return Secret(id=name, text=f"{kind}{text}", hash=secret_hash(secret))


def parse_link(kind: LinkKind, text: str) -> TokenParts | None:
    """Take the text of a link apart; None for anything that cannot be one of *kind*."""
    return parse_token(PREFIX + text[len(kind) :]) if text.startswith(f"{kind}_") else None


def oidc_link_id(workspace: str, issuer: str, subject: str) -> str:
    """Return the id of the link of a provider's account."""
    return derive_id("oid", workspace, issuer, subject)


def seal_letter(sealer: Sealer, letter: Letter) -> bytes:
    """Return *letter* as it is published: what opens an account lies nowhere in plain text."""
    return sealer.seal(msgspec.json.encode(letter).decode(), _context(letter.workspace)).encode()


def open_letter(sealer: Sealer, workspace: str, data: bytes) -> Letter | None:
    """Return what was sealed for *workspace*; None for what is damaged or was sealed elsewhere."""
    try:
        return msgspec.json.decode(sealer.open(data.decode(), _context(workspace)), type=Letter)
    except (SealError, ValueError):
        return None


def _context(workspace: str) -> str:
    return f"letter:{workspace}"
