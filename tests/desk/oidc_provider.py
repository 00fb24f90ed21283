"""A provider of OpenID Connect on a local port, which may be made to lie in every way we know."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from libs.common.admin import listening

CLIENT = "relaydesk"
SECRET = "s3cret & more"


@cache
def new_key(kid: str) -> RSAKey:
    """Return the key of that name; making one takes long."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})


class ProviderStub:
    """What it will say next; a test changes it.

    Attributes:
        claims: Take the place of the claims that an honest one makes; None: left out.
        sign: Makes the token of claims; None: by the newest key.
        published: Keys at the JWKS address.
    """

    def __init__(self) -> None:
        self.url = ""
        self.keys = [new_key("k1")]
        self.published: list[Any] = list(self.keys)
        self.claims: dict[str, Any] = {}
        self.sign: Any = None
        self.described: dict[str, Any] = {}
        self.status = 200
        self.jwks_asked = 0
        self.forms: list[dict[str, str]] = []
        self.credentials: list[str] = []
        self._asked: dict[str, dict[str, str]] = {}

    def rotate(self) -> None:
        """Sign by a new key from now on, and publish it alone."""
        made = new_key("k2")
        self.keys.append(made)
        self.published = [made]

    def consent(self, where: str) -> dict[str, str]:
        """Let the person at *where* log in; return what the browser comes back with."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(where).query).items()}
        code = f"code-{len(self._asked)}"
        self._asked[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.url}

    async def describe(self, _request: web.Request) -> web.Response:
        said = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            **self.described,
        }
        return web.json_response(said)

    async def jwks(self, _request: web.Request) -> web.Response:
        self.jwks_asked += 1
        return web.json_response({"keys": [key.as_dict(private=False) for key in self.published]})

    async def token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.forms.append(form)
        self.credentials.append(request.headers.get("Authorization", ""))
        asked = self._asked.pop(form["code"], None)
        if self.status != 200 or asked is None or not _proves(form, asked):
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": "u-1",
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "email_verified": True,
            "name": "Nora",
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        sign = self.sign or by_key
        return web.json_response({"id_token": sign(self, claims), "token_type": "Bearer"})


def _proves(form: dict[str, str], asked: dict[str, str]) -> bool:
    """Check PKCE as a provider does (RFC 7636, 4.6)."""
    digest = sha256(form["code_verifier"].encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    fits = form["redirect_uri"] == asked["redirect_uri"]
    return (
        fits and asked["code_challenge_method"] == "S256" and challenge == asked["code_challenge"]
    )


def by_key(stub: ProviderStub, claims: dict[str, Any]) -> str:
    """Sign as the provider does."""
    key = stub.keys[-1]
    return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)


def by_nobody(_stub: ProviderStub, claims: dict[str, Any]) -> str:
    """Make a token with the algorithm `none`."""
    parts = ({"alg": "none", "kid": "k1"}, claims)
    return ".".join(_text(json.dumps(part).encode()) for part in parts) + "."


def by_public_key(stub: ProviderStub, claims: dict[str, Any]) -> str:
    """Take the public key for a shared secret: the confusion of algorithms."""
    raw = stub.keys[0].as_pem(private=False)
    head = _text(json.dumps({"alg": "HS256", "kid": "k1"}).encode())
    said = f"{head}.{_text(json.dumps(claims).encode())}"
    return f"{said}.{_text(hmac.digest(raw, said.encode(), 'sha256'))}"


def by_client_secret(_stub: ProviderStub, claims: dict[str, Any]) -> str:
    """Sign by the secret that we share with the provider."""
    key = OctKey.import_key(SECRET * 4)
    return jwt.encode({"alg": "HS256"}, claims, key)


def by_stranger(_stub: ProviderStub, claims: dict[str, Any]) -> str:
    """Sign by a key that nobody publishes, under the name of one that is."""
    key = RSAKey.import_key(new_key("stranger").as_pem(private=True), {"kid": "k1"})
    return jwt.encode({"alg": "RS256", "kid": "k1"}, claims, key)


def changed_later(stub: ProviderStub, claims: dict[str, Any]) -> str:
    """Put other claims below a right signature."""
    head, _, signature = by_key(stub, claims).split(".")
    return f"{head}.{_text(json.dumps({**claims, 'sub': 'u-2'}).encode())}.{signature}"


def by_garbage(_stub: ProviderStub, _claims: dict[str, Any]) -> str:
    """Make no token at all."""
    return "no.token"


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@asynccontextmanager
async def serving_provider() -> AsyncIterator[ProviderStub]:
    """Serve a provider on a port of its own."""
    stub = ProviderStub()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", stub.describe)
    app.router.add_get("/keys", stub.jwks)
    app.router.add_post("/token", stub.token)
    async with listening(app, "127.0.0.1", 0) as port:
        stub.url = f"http://127.0.0.1:{port}"
        yield stub
