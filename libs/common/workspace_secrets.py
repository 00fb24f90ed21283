"""Secrets of a workspace file: a stored one is kept where it is the same, or where nobody can say.

What is sealed differs each time, so sameness is found by opening what is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from libs.common.bots.secrets import open_secret, seal_secret
from libs.common.credentials import PASSWORD_MAX, PASSWORD_MIN, hash_password, verify_password
from libs.common.directory import seal_context
from libs.common.documents import AccountDocument, Agent, Bot
from libs.common.errors import BadSignatureError, SealError, SettingsError
from libs.common.seal import Sealer
from libs.common.signing import sign
from libs.common.webhooks import (
    MOST_SECRETS,
    OLD_SIGNS,
    WebhookEndpoint,
    WebhookSecret,
    sealed_for,
)
from libs.common.workspace_entries import SecretRef


class Vault:
    """Reads the secrets that a file names, and says of each what is to be stored.

    Attributes:
        kept: Places whose secret cannot be read here, while one is stored: it stays as it is.
        refs: By place, where its secret was, as `env:NAME` or `file:PATH`.
    """

    def __init__(self, sealer: Sealer, now: datetime) -> None:
        self._sealer = sealer
        self._now = now
        self.kept: list[str] = []
        self.refs: dict[str, str] = {}

    def account(
        self, workspace: str, slug: str, refs: dict[str, SecretRef], found: AccountDocument | None
    ) -> dict[str, str]:
        """Return `AccountDocument.sealed`.

        Raises:
            SettingsError: A secret is absent, and none is stored; names the place.
        """
        held = found.sealed if found else {}
        sealed = {}
        for name, ref in refs.items():
            context = seal_context(workspace, slug, name)
            old = held.get(name, "")
            given = self._given(ref, f"accounts[{slug}].secrets.{name}", bool(old))
            same = given is None or (old and self._opens(old, context) == given)
            sealed[name] = old if same or given is None else self._sealer.seal(given, context)
        return sealed

    def password(self, ref: SecretRef | None, email: str, found: Agent | None) -> str:
        """Return `Agent.password_hash`.

        Raises:
            SettingsError: A new one is too short or too long; names the place.
        """
        kept = found.password_hash if found else ""
        if ref is None:
            return kept
        place = f"agents[{email}].password"
        given = self._given(ref, place, bool(kept))
        if given is None or (kept and verify_password(kept, given)):
            return kept
        if not PASSWORD_MIN <= len(given) <= PASSWORD_MAX:
            raise SettingsError(
                f"{place}: has {len(given)} characters; allowed: {PASSWORD_MIN} to {PASSWORD_MAX}"
            )
        return hash_password(given)

    def bot(self, ref: SecretRef | None, bot: Bot, found: Bot | None) -> dict[str, str]:
        """Return `Bot.sealed`; the secret before a new one stays valid beside it."""
        held = found.sealed if found else {}
        if ref is None:
            return held
        place = f"bots[{bot.id}].secret"
        given = self._given(ref, place, bool(held))
        if given is None:
            return held
        _check(given, place)
        old = self._words(lambda: open_secret(self._sealer, found)) if found and held else []
        if old and old[0] == given:
            return held
        text = " ".join((given, *old[:1]))
        return seal_secret(self._sealer, bot.workspace, bot.id, text)

    def endpoint(
        self, ref: SecretRef | None, endpoint: WebhookEndpoint, found: WebhookEndpoint | None
    ) -> tuple[WebhookSecret, ...]:
        """Return `WebhookEndpoint.secrets`; those before a new one sign beside it for a day.

        Raises:
            SettingsError: A new endpoint has no secret, or it is none; names the place.
        """
        held = found.secrets if found else ()
        place = f"webhook_endpoints[{endpoint.id}].secret"
        if ref is None:
            if not held:
                raise SettingsError(f"{place}: is missing; a new endpoint needs one")
            return held
        given = self._given(ref, place, bool(held))
        if given is None:
            return held
        _check(given, place)
        context = sealed_for(endpoint.workspace, endpoint.id)
        if held and self._opens(held[0].sealed, context) == given:
            return held
        until = self._now + OLD_SIGNS
        older = [
            WebhookSecret(sealed=one.sealed, until=one.until or until)
            for one in held
            if one.until is None or one.until > self._now
        ]
        return (
            WebhookSecret(sealed=self._sealer.seal(given, context)),
            *older[: MOST_SECRETS - 1],
        )

    def _given(self, ref: SecretRef, place: str, stored: bool) -> str | None:
        """Return the secret; None: it cannot be read here, and the stored one is kept.

        Raises:
            SettingsError: It is absent, and none is stored.
        """
        found = ref.found(place)
        if not ref.value:
            self.refs[place] = f"env:{ref.env}" if ref.env else f"file:{ref.file}"
        if found:
            return found
        if not stored:
            return ref.read(place)
        self.kept.append(f"{place}: {ref.env or ref.file} is absent or empty; the stored one stays")
        return None

    def _opens(self, sealed: str, context: str) -> str:
        try:
            return self._sealer.open(sealed, context)
        except SealError:
            return ""

    def _words(self, read: Callable[[], str]) -> list[str]:
        try:
            return read().split()
        except SealError:
            return []


def _check(secret: str, place: str) -> None:
    try:
        sign(secret, "check", b"", datetime(2000, 1, 1, tzinfo=UTC))
    except BadSignatureError:
        raise SettingsError(
            f"{place}: is no signing secret; allowed: whsec_ and 24 to 64 bytes in base64"
        ) from None
