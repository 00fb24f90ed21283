"""Web Push: a browser that an agent wants to be alerted in, and where its pushes may go.

The endpoint is a capability: who knows it may push to the browser. So it is kept sealed together
with the keys, and nobody is ever shown it. The allowed hosts are those of the browser makers
(developer documentation of Chrome, Firefox, Edge and Safari); desk and notifier both check them.
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlsplit

import msgspec

from libs.common.alerts import Alert
from libs.common.errors import SettingsError
from libs.common.ids import derive_id
from libs.common.store.api import Collection, Document, Index

HOSTS = (
    "fcm.googleapis.com",
    "*.push.services.mozilla.com",
    "*.notify.windows.com",
    "web.push.apple.com",
)
"""Push services of the browsers; `*.` stands for any name below."""
MOST_ENDPOINT = 1000
"""Characters; those of today's browsers have up to about 500."""
VARIABLE = "RELAYDESK_PUSH_HOSTS"
_HTTPS_PORT = 443
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class PushSubscription(Document, kw_only=True):
    """A browser of an agent; the id is derived from the endpoint, so that one stands once.

    Attributes:
        sealed: The `Endpoint` as JSON, sealed for `seal_context`.
        host: Of the endpoint, for people to see.
        key: The public VAPID key that the browser subscribed with, base64url.
        token: Id of the login that subscribed; its logout ends the pushes.
        user_agent: What the browser calls itself, shortened.
        failures: Pushes in a row that the push service refused for good.
        last_ok_at: When one was last taken, as of an hour or less ago.
    """

    agent: str
    sealed: str
    host: str
    key: str
    token: str = ""
    user_agent: str = ""
    created_at: datetime
    failures: int = 0
    last_ok_at: datetime | None = None


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a push goes, and the keys of the browser (RFC 8291), base64url."""

    url: str
    p256dh: str
    auth: str


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """One alert for one subscription, on ALERTS as `alert.device.<workspace>.<agent>`."""

    alert: Alert
    subscription: str


SUBSCRIPTIONS = Collection(
    "push_subscriptions",
    PushSubscription,
    (Index("agent", ("agent", "created_at", "id")), Index("token", ("token", "id"))),
)
PUSHES = (SUBSCRIPTIONS,)


def subscription_id(endpoint: str) -> str:
    """Return the id of what is subscribed at *endpoint*."""
    return derive_id("psh", endpoint)


def seal_context(workspace: str, subscription: str) -> str:
    """Return what a sealed endpoint is bound to."""
    return f"push:{workspace}/{subscription}"


class PushHosts:
    """Where pushes may go: the browsers' services, and what the installation adds.

    Args:
        setting: Hosts by comma, `push.example.com` or `*.push.example.com`; and origins on this
            machine for trials, `http://127.0.0.1:9999`, which alone may be without TLS.

    Raises:
        SettingsError: Names the part that is neither.
    """

    def __init__(self, setting: str = "") -> None:
        parts = [part.strip().lower() for part in setting.split(",") if part.strip()]
        self.origins = tuple(_origin(part) for part in parts if "://" in part)
        added = tuple(_host(part) for part in parts if "://" not in part)
        self.names = (*HOSTS, *added)

    def permits(self, endpoint: str) -> bool:
        """Tell whether a push may go to *endpoint*."""
        try:
            url = urlsplit(endpoint)
            port = url.port
        except ValueError:
            return False
        if not _plain(endpoint) or url.username is not None or not url.hostname:
            return False
        if self.local(endpoint):
            return True
        fitting = url.scheme == "https" and port in {None, _HTTPS_PORT}
        return fitting and any(_fits(url.hostname, name) for name in self.names)

    def local(self, endpoint: str) -> str:
        """Return the origin of *endpoint* where it is one that was added on this machine."""
        url = urlsplit(endpoint)
        origin = f"{url.scheme}://{url.netloc}".lower()
        return origin if origin in self.origins else ""


def _plain(endpoint: str) -> bool:
    """Tell whether it is written as browsers write it: no blanks, no fragment, not too long."""
    visible = all("!" <= letter <= "~" for letter in endpoint)
    return (
        visible and "#" not in endpoint and "\\" not in endpoint and len(endpoint) <= MOST_ENDPOINT
    )


def _fits(host: str, name: str) -> bool:
    if name.startswith("*."):
        return host.endswith(name[1:]) and len(host) > len(name[1:])
    return host == name


def _origin(part: str) -> str:
    try:
        url = urlsplit(part)
        fitting = url.hostname in _LOOPBACK and url.port and url.scheme in {"http", "https"}
    except ValueError:
        fitting = False
    if not fitting or part != f"{urlsplit(part).scheme}://{urlsplit(part).netloc}":
        words = "an origin has to be on this machine, such as http://127.0.0.1:9999"
        raise SettingsError(f"{VARIABLE}: {part!r}: {words}")
    return part


def _host(part: str) -> str:
    labels = part.removeprefix("*.").split(".")
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-"
    known = all(label and all(letter in letters for letter in label) for label in labels)
    if not known or len(labels) < 2 or labels[-1].isdigit():  # noqa: PLR2004 (a name below a name)
        words = "is no host name such as push.example.com or *.push.example.com"
        raise SettingsError(f"{VARIABLE}: {part!r} {words}")
    return part
