"""Logging in by a provider of OpenID Connect: what we ask it, and what we believe it.

The authorization code flow with PKCE, state and nonce (OpenID Connect Core 1.0, section 3.1; RFC
9700). Nothing of an identity token counts before its signature by a key that the provider
publishes over TLS, and issuer, audience, time and nonce, are right.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwk, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from yarl import URL

from libs.common.channel import HttpCall, HttpReply
from libs.common.config import DeskSettings
from libs.common.errors import GatewayError, SettingsError
from libs.common.http import Door
from libs.common.targets import AllowedBase, is_loopback, origin_of, parsed

log = logging.getLogger(__name__)

CALLBACK = "/api/v1/login/oidc/callback"
DISCOVERY = "/.well-known/openid-configuration"
SCOPES = "openid email profile"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""By key pairs alone: with `none` or a shared secret anybody could sign, and the public key of a
pair must not be taken for one."""
KEPT = timedelta(hours=1)
"""How long the provider's description and keys are believed to be as they were."""
ASK_AGAIN = timedelta(seconds=10)
"""The least time between two looks for a key that we do not know."""
LEEWAY_S = 60
CALL_S = 10.0
_KINDS = (RSAKey, ECKey)
_OK = 200


class OidcError(Exception):
    """The login is refused; says why, for the log and never for the caller."""


class OidcAwayError(Exception):
    """The provider does not answer, or not as OpenID Connect asks for."""


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says of itself, as far as we need it (OpenID Connect Discovery 1.0)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Whom an identity token that we believe tells of; the address is lower-case and verified."""

    subject: str
    email: str
    name: str


class _Tokens(msgspec.Struct, frozen=True, kw_only=True):
    id_token: str


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs to one login that is under way."""

    state: str
    nonce: str
    verifier: str


def check_oidc(settings: DeskSettings) -> None:
    """Refuse settings by which nobody could, or anybody would, be logged in.

    Raises:
        SettingsError: Names the variable.
    """
    if not settings.oidc_issuer:
        return
    for name in ("oidc_client_id", "oidc_workspace", "public_url"):
        if not getattr(settings, name):
            raise SettingsError(f"RELAYDESK_{name.upper()} is needed with RELAYDESK_OIDC_ISSUER")
    if settings.oidc_role and not domains_of(settings):
        raise SettingsError(
            "RELAYDESK_OIDC_DOMAINS is needed with RELAYDESK_OIDC_ROLE: else anybody who has an "
            "account at the provider would work here"
        )
    try:
        url = parsed(settings.oidc_issuer)
    except GatewayError:
        raise SettingsError("RELAYDESK_OIDC_ISSUER is no address") from None
    if url.scheme != "https" and not _is_here(url):
        raise SettingsError("RELAYDESK_OIDC_ISSUER must begin with https://")


def domains_of(settings: DeskSettings) -> frozenset[str]:
    """Return the domains whose addresses may log in; none: all."""
    return frozenset(filter(None, (d.strip().lower() for d in settings.oidc_domains.split(","))))


class Oidc:
    """One provider, with what is known of it by now.

    Args:
        settings: Have an issuer, see `check_oidc`.
        door: The way out.
        now: UTC.
    """

    def __init__(self, settings: DeskSettings, door: Door, now: Callable[[], datetime]) -> None:
        self.workspace = settings.oidc_workspace
        self.role = settings.oidc_role
        self.issuer = settings.oidc_issuer.rstrip("/")
        self.domains = domains_of(settings)
        self.redirect = settings.public_url.rstrip("/") + CALLBACK
        self._client = settings.oidc_client_id
        self._secret = settings.oidc_client_secret
        self._door = door
        self._now = now
        self._allow = _own(settings.oidc_issuer)
        self._provider: tuple[datetime, Provider] | None = None
        self._keys: tuple[datetime, list[Any]] | None = None

    async def address(self, begun: Begun) -> str:
        """Return where the browser goes to log in.

        Raises:
            OidcAwayError: The provider does not answer.
        """
        provider = await self._described()
        asked = {
            "response_type": "code",
            "client_id": self._client,
            "redirect_uri": self.redirect,
            "scope": SCOPES,
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": create_s256_code_challenge(begun.verifier),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in provider.authorization_endpoint else "?"
        return f"{provider.authorization_endpoint}{joint}{urlencode(asked)}"

    async def person(self, code: str, nonce: str, verifier: str) -> Person:
        """Redeem *code*, and return whom its identity token tells of.

        Raises:
            OidcError: The provider refuses the code, or its token proves nothing to us.
            OidcAwayError: The provider does not answer.
        """
        provider = await self._described()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect,
            "code_verifier": verifier,
        }
        if self._secret:
            pair = f"{quote(self._client, safe='')}:{quote(self._secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form["client_id"] = self._client
        reply = await self._asked(
            HttpCall(url=provider.token_endpoint, headers=headers, body=urlencode(form).encode())
        )
        if reply.status != _OK:
            raise OidcError(f"the provider refuses the code with {reply.status}")
        try:
            tokens = msgspec.json.decode(reply.body, type=_Tokens)
        except (ValueError, RecursionError):
            raise OidcError("the provider gives no identity token") from None
        return self._believed(await self._claims(tokens.id_token), nonce)

    # --- the identity token

    async def _claims(self, text: str) -> Mapping[str, Any]:
        """Return the claims of a token that a key of the provider's signed.

        Raises:
            OidcError: It is none, or signed otherwise.
        """
        head = _head(text)
        if head.get("alg") not in ALGORITHMS:
            raise OidcError("the identity token is not signed by a key pair")
        for fresh in (False, True):
            for key in await self._published(fresh=fresh):
                if head.get("kid") not in {None, key.kid}:
                    continue
                try:
                    return jwt.decode(text, key, algorithms=[str(head["alg"])]).claims
                except (JoseError, ValueError, TypeError):
                    continue
        raise OidcError("no key of the provider's fits the identity token")

    def _believed(self, claims: Mapping[str, Any], nonce: str) -> Person:
        """Return whom *claims* tell of.

        Raises:
            OidcError: They are not for us, not for this login, or not of now.
        """
        rules = jwt.JWTClaimsRegistry(
            now=int(self._now().timestamp()),
            leeway=LEEWAY_S,
            iss={"essential": True, "values": [self.issuer, f"{self.issuer}/"]},
            aud={"essential": True, "value": self._client},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            rules.validate(dict(claims))
        except (JoseError, ValueError, TypeError) as error:
            raise OidcError(f"the identity token is not valid: {type(error).__name__}") from None
        audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if (len(audience) > 1 or "azp" in claims) and claims.get("azp") != self._client:
            raise OidcError("the identity token was made for another client")
        return self._person(claims)

    def _person(self, claims: Mapping[str, Any]) -> Person:
        email = claims.get("email")
        if not isinstance(email, str) or claims.get("email_verified") is not True:
            raise OidcError("the provider has not verified the address")
        key = email.strip().lower()
        if self.domains and key.rpartition("@")[2] not in self.domains:
            raise OidcError("addresses of this domain may not log in")
        name = claims.get("name")
        shown = name.strip()[:200] if isinstance(name, str) else ""
        return Person(subject=str(claims["sub"])[:255], email=key, name=shown or key)

    # --- what the provider publishes

    async def _described(self) -> Provider:
        if self._provider is not None and self._now() - self._provider[0] < KEPT:
            return self._provider[1]
        reply = await self._asked(HttpCall(url=self.issuer + DISCOVERY, method="GET"))
        try:
            found = msgspec.json.decode(reply.body, type=Provider)
        except (ValueError, RecursionError):
            raise OidcAwayError("the provider's description cannot be read") from None
        if reply.status != _OK or found.issuer.rstrip("/") != self.issuer:
            raise OidcAwayError("the provider describes another issuer")
        self._provider = (self._now(), found)
        return found

    async def _published(self, *, fresh: bool) -> list[Any]:
        """Return the provider's keys; *fresh*: as they are now, since one is not known."""
        lasts = ASK_AGAIN if fresh else KEPT
        if self._keys is not None and self._now() - self._keys[0] < lasts:
            return [] if fresh else self._keys[1]
        provider = await self._described()
        reply = await self._asked(HttpCall(url=provider.jwks_uri, method="GET"))
        try:
            found = msgspec.json.decode(reply.body, type=dict[str, Any]).get("keys", [])
        except (ValueError, RecursionError):
            raise OidcAwayError("the provider's keys cannot be read") from None
        self._keys = (self._now(), [key for each in found if (key := _key(each)) is not None])
        return self._keys[1]

    async def _asked(self, call: HttpCall) -> HttpReply:
        try:
            return await self._door.perform(call, timeout_s=CALL_S, allow=self._allow)
        except GatewayError as error:
            raise OidcAwayError(f"the provider does not answer: {error.code}") from None


def _own(issuer: str) -> AllowedBase:
    """Return the exception for the issuer's own origin, which the operator names.

    The provider may lie in the same cluster; what it describes elsewhere must be public.
    """
    return AllowedBase(origin_of(parsed(issuer)), inside=True)


def _is_here(url: URL) -> bool:
    try:
        return url.host == "localhost" or is_loopback(url.host or "")
    except ValueError:  # a name
        return False


def _head(text: str) -> Mapping[str, Any]:
    """Return the header of a token, unproven.

    Raises:
        OidcError: It has none.
    """
    try:
        part = text.partition(".")[0]
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        raise OidcError("this is no identity token") from None
    if not isinstance(found, dict):
        raise OidcError("this is no identity token")
    return found


def _key(given: Any) -> RSAKey | ECKey | None:
    """Return a published key of a pair that signs; None for any other."""
    if not isinstance(given, dict) or given.get("use", "sig") != "sig":
        return None
    try:
        key = jwk.import_key(given)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return key if isinstance(key, _KINDS) else None
