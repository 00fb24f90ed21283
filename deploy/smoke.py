#!/usr/bin/env python3
"""Does an installation work, from a webhook to the reply? Exit code 0: every step held.

    docker compose exec -T simulator cat demo/demo.json | python3 deploy/smoke.py --accounts - \
        --stand-in http://127.0.0.1:8099 --prometheus http://127.0.0.1:9090

It needs Python 3.11 and nothing else, and runs against any address: it posts one signed LINE
message through the public port, twice, reads it back by API as one session with one message,
replies, and loads the console and the web chat. With `--stand-in` it sees the reply where the
provider would; with `--prometheus` it sees that every target is up and that rules are loaded; with
`--grafana` that the dashboards are there. It stops with a sentence at the first step that fails.

`--accounts` is a file (`-`: standard input) in the shape of demo.json, of which these are read:

    {"base_url": "https://chat.example.com",
     "agents": [{"token": "an API token"}],
     "accounts": [{"slug": "trial-line", "channel": "line", "external_id": "U...",
                   "webhook_path": "/webhooks/line/trial-line", "channel_secret": "..."},
                  {"slug": "trial-web", "channel": "web"}]}

It leaves a session of a visitor called like nobody else (`U` and 32 random digits). On an
installation with a real LINE account the reply is refused by LINE, as that visitor is not one.
"""

import argparse
import base64
import hashlib
import hmac
import json
import secrets
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Json = dict[str, Any]
Found = TypeVar("Found")

PATIENCE_S = 30.0
TAKEN = (200, 201)
UNAVAILABLE = 503
REPEATS = 4
SERVICES = {"ingest", "router", "notifier", "scheduler", "desk", "front"}


class FailedError(Exception):
    """A step did not hold; says which and what was seen."""


def call(url: str, *, body: bytes | None = None, headers: Json | None = None) -> tuple[int, bytes]:
    """Return (status, bytes) of a call; POST where there is a body.

    What is answered 503 is repeated, as it asks for, and told.

    Raises:
        FailedError: Nobody answers.
    """
    status, said = once(url, body, headers)
    for _ in range(REPEATS):
        if status != UNAVAILABLE:
            break
        print(f"    {url} answered 503: once more")  # noqa: T201 (a command prints)
        time.sleep(2.0)
        status, said = once(url, body, headers)
    return status, said


def once(url: str, body: bytes | None, headers: Json | None) -> tuple[int, bytes]:
    """Make one call; see `call`."""
    request = urllib.request.Request(url, data=body, headers=headers or {})  # noqa: S310 (as told)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 (as told)
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError as error:
        raise FailedError(f"{url} does not answer: {error}") from None


def expect(
    what: str,
    url: str,
    wanted: int = 200,
    *,
    body: bytes | None = None,
    headers: Json | None = None,
) -> bytes:
    """Return the body of an answer with the *wanted* status.

    Raises:
        FailedError: It has another.
    """
    status, said = call(url, body=body, headers=headers)
    if status != wanted:
        raise FailedError(f"{what}: {url} answered {status}, not {wanted}: {said[:300]!r}")
    print(f"ok  {what}")  # noqa: T201 (a command prints)
    return said


def until(what: str, find: Callable[[], Found | None]) -> Found:
    """Return what *find* returns once it is true.

    Raises:
        FailedError: It was not for `PATIENCE_S` seconds.
    """
    end = time.monotonic() + PATIENCE_S
    while not (found := find()):
        if time.monotonic() > end:
            raise FailedError(f"{what}: not within {PATIENCE_S:.0f} s")
        time.sleep(0.3)
    print(f"ok  {what}")  # noqa: T201 (a command prints)
    return found


def account_of(known: Json, channel: str) -> Json:
    """Return the first account of a channel.

    Raises:
        FailedError: There is none.
    """
    accounts: list[Json] = known["accounts"]
    for account in accounts:
        if account["channel"] == channel:
            return account
    raise FailedError(f"--accounts has no account of the channel {channel}")


class Gateway:
    """The public port, as an agent with a token sees it."""

    def __init__(self, base_url: str, token: str) -> None:
        self.base_url = base_url
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def get(self, path: str) -> Json:
        status, body = call(f"{self.base_url}/api/v1{path}", headers=self.headers)
        if status != 200:  # noqa: PLR2004 (OK)
            raise FailedError(f"GET /api/v1{path} answered {status}: {body[:300]!r}")
        found: Json = json.loads(body)
        return found

    def post(self, what: str, path: str, value: Json) -> None:
        """Post with a key, so that what is repeated is done once.

        Raises:
            FailedError: It is not taken.
        """
        headers = {**self.headers, "Idempotency-Key": secrets.token_hex(16)}
        url = f"{self.base_url}/api/v1{path}"
        status, said = call(url, body=json.dumps(value).encode(), headers=headers)
        if status not in TAKEN:
            raise FailedError(f"{what}: {url} answered {status}: {said[:300]!r}")
        print(f"ok  {what}")  # noqa: T201 (a command prints)


def pages(gateway: Gateway, known: Json) -> None:
    """The console, the web chat and the API answer at the one port."""
    body = expect("the console loads", f"{gateway.base_url}/")
    if b"<html" not in body.lower():
        raise FailedError("the console is no page")
    slug = account_of(known, "web")["slug"]
    expect("the web chat's script loads", f"{gateway.base_url}/plugin/{slug}.js")
    expect("the web chat's page loads", f"{gateway.base_url}/chat/{slug}")
    expect("the token is taken", f"{gateway.base_url}/api/v1/me", headers=gateway.headers)


def webhook(gateway: Gateway, account: Json, text: str) -> None:
    """Post a signed LINE message of a new visitor twice, as a provider may."""
    event = {
        "type": "message",
        "mode": "active",
        "timestamp": int(time.time() * 1000),
        "webhookEventId": f"01K7{secrets.token_hex(11)}".upper(),
        "deliveryContext": {"isRedelivery": False},
        "source": {"type": "user", "userId": f"U{secrets.token_hex(16)}"},
        "replyToken": secrets.token_hex(16),
        "message": {"id": str(secrets.randbits(56)), "type": "text", "text": text},
    }
    body = json.dumps({"destination": account["external_id"], "events": [event]}).encode()
    proof = hmac.digest(account["channel_secret"].encode(), body, hashlib.sha256)
    headers = {
        "Content-Type": "application/json",
        "X-Line-Signature": base64.b64encode(proof).decode(),
    }
    url = gateway.base_url + account["webhook_path"]
    expect("a signed webhook is taken", url, body=body, headers=headers)
    expect("the same once more is taken", url, body=body, headers=headers)
    expect("an unsigned one is refused", url, 401, body=body)


def session_of(gateway: Gateway, account: Json, text: str) -> Json | None:
    """Return the session whose last message is *text*, or None."""
    found = gateway.get(f"/sessions?account={account['slug']}&limit=50")["items"]
    return next((one for one in found if text in json.dumps(one.get("last_message"))), None)


def conversation(gateway: Gateway, account: Json) -> str:
    """A message comes in once, and a reply goes out; return the reply's text."""
    mark = secrets.token_hex(6)
    text = f"smoke test {mark}"
    webhook(gateway, account, text)
    session = until("it is a session", lambda: session_of(gateway, account, text))
    path = f"/sessions/{session['id']}/messages"
    items = gateway.get(path)["items"]
    times = sum(text in json.dumps(item) for item in items)
    if times != 1:
        raise FailedError(f"the message is in its session {times} times, not once")
    print("ok  with the message in it once")  # noqa: T201 (a command prints)
    gateway.post("the session is opened", f"/sessions/{session['id']}/open", {})
    reply = f"smoke reply {mark}"
    gateway.post("a reply is taken", path, {"text": reply})
    return reply


def stand_in(url: str, account: Json, reply: str) -> None:
    """The reply came to where the provider would be."""
    address = f"{url}/_sent?account={account['slug']}"
    until("the stand-in has the reply", lambda: reply.encode() in call(address)[1])


def prometheus(url: str) -> None:
    """Every target is up, none of ours is missing, and rules are loaded."""

    def targets() -> list[Json]:
        answer: Json = json.loads(call(f"{url}/api/v1/targets?state=active")[1])
        return list(answer["data"]["activeTargets"])

    def up() -> list[Json] | None:
        found = targets()
        return found if all(one["health"] == "up" for one in found) else None

    seen = {one["labels"].get("service") for one in until("every target is up", up)}
    if missing := SERVICES - seen:
        raise FailedError(f"Prometheus has no target for {', '.join(sorted(missing))}")
    rules = json.loads(expect("Prometheus tells its rules", f"{url}/api/v1/rules"))
    groups: list[Json] = rules["data"]["groups"]
    bad = [rule["name"] for one in groups for rule in one["rules"] if rule["health"] == "err"]
    if not groups or bad:
        raise FailedError(f"{len(groups)} groups of rules are loaded; with errors: {bad}")
    alerts = sum(rule["type"] == "alerting" for one in groups for rule in one["rules"])
    print(f"ok  {len(groups)} groups of rules are loaded, {alerts} alerts")  # noqa: T201


def grafana(url: str) -> None:
    """The dashboards are provisioned."""
    found = json.loads(expect("Grafana answers", f"{url}/api/search?type=dash-db"))
    if not found:
        raise FailedError("Grafana has no dashboards")
    print(f"ok  Grafana has {len(found)} dashboards")  # noqa: T201 (a command prints)


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--accounts", required=True, metavar="FILE", help="`-`: standard input")
    parser.add_argument("--base-url", metavar="URL", help="instead of the file's")
    parser.add_argument("--stand-in", metavar="URL", help="of the providers' stand-in")
    parser.add_argument("--prometheus", metavar="URL")
    parser.add_argument("--grafana", metavar="URL")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Take the steps in order; return 0, or 1 with a sentence at the first that fails."""
    args = arguments(argv)
    text = sys.stdin.read() if args.accounts == "-" else Path(args.accounts).read_text()
    try:
        known = json.loads(text)
        base_url = (args.base_url or known["base_url"]).rstrip("/")
        gateway = Gateway(base_url, known["agents"][0]["token"])
        account = account_of(known, "line")
        pages(gateway, known)
        reply = conversation(gateway, account)
        if args.stand_in:
            stand_in(args.stand_in.rstrip("/"), account, reply)
        if args.prometheus:
            prometheus(args.prometheus.rstrip("/"))
        if args.grafana:
            grafana(args.grafana.rstrip("/"))
    except FailedError as error:
        print(f"failed: {error}", file=sys.stderr)  # noqa: T201 (a command prints)
        return 1
    except (ValueError, KeyError, IndexError, TypeError) as error:
        print(f"failed: an answer or --accounts is of another shape: {error!r}", file=sys.stderr)  # noqa: T201
        return 1
    print("the installation works")  # noqa: T201 (a command prints)
    return 0


if __name__ == "__main__":
    sys.exit(main())
