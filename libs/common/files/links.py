"""Links to stored files that work without a login until they expire.

The key is derived from the installation's secret keys (HKDF, RFC 5869), so that a link cannot be
used as anything else that these keys protect. The first key signs and all verify, as in `seal`.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from libs.common.seal import read_keys

PREFIX = "/files/"
"""Where desk serves links. Beside them lie only uploads of web visitors and the still picture."""

_PURPOSE = b"relaydesk file links, 1"
_MAX_NAME = 100
_UNFIT = re.compile(r"[^\w.\-]+")
_EXPIRES = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"[A-Za-z0-9_-]{43}")
_SEGMENTS = 5  # "", files, workspace, id, name


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """What a valid link names."""

    workspace: str
    file_id: str
    name: str
    expires: datetime


def link_keys(setting: str) -> tuple[bytes, ...]:
    """Derive the keys of links from the setting `secret_key`, the signing one first.

    Raises:
        SettingsError: The setting cannot be read.
    """
    return tuple(
        HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(key)
        for key in read_keys(setting).values()
    )


def sign(
    keys: Sequence[bytes], workspace: str, file_id: str, expires: datetime, *, name: str = ""
) -> str:
    """Return the path `/files/<workspace>/<id>/<name>?e=<unix seconds>&s=<signature>`.

    It comes percent-encoded, to be put behind the public address. *name* is what a provider may
    show; what does not fit into a path becomes `_`.
    """
    shown = _shown(name)
    until = int(expires.timestamp())
    path = f"{PREFIX}{quote(workspace)}/{quote(file_id)}/{quote(shown)}"
    return f"{path}?e={until}&s={_signature(keys[0], workspace, file_id, shown, str(until))}"


def verify(
    keys: Sequence[bytes], path: str, query: Mapping[str, str], now: datetime
) -> Linked | None:
    """Return what a link names; None when it is forged, altered or expired (never say which).

    Args:
        keys: From `link_keys`.
        path: Percent-decoded, from `/files/` on.
        query: First values, decoded.
        now: UTC.
    """
    segments = path.split("/")
    until, given = query.get("e", ""), query.get("s", "")
    fits = len(segments) == _SEGMENTS and path.startswith(PREFIX)
    if not (fits and _EXPIRES.fullmatch(until) and _SIGNATURE.fullmatch(given)):
        return None
    _, _, workspace, file_id, name = segments
    # Each key is tried, so that the time tells nothing about which of them fits.
    fitting = [
        hmac.compare_digest(_signature(key, workspace, file_id, name, until), given) for key in keys
    ]
    if not any(fitting) or now.timestamp() >= int(until):
        return None
    return Linked(
        workspace=workspace,
        file_id=file_id,
        name=name,
        expires=datetime.fromtimestamp(int(until), UTC),
    )


def _shown(name: str) -> str:
    """Keep the end of a name, where its extension is."""
    return _UNFIT.sub("_", name).strip("._")[-_MAX_NAME:].lstrip("._") or "file"


def _signature(key: bytes, *parts: str) -> str:
    """Sign the length-prefixed parts, so that none can pass for a piece of its neighbour."""
    named = b"".join(
        len(raw).to_bytes(4, "big") + raw
        for raw in (p.encode("utf-8", "surrogatepass") for p in parts)
    )
    return urlsafe_b64encode(hmac.new(key, named, sha256).digest()).rstrip(b"=").decode()
