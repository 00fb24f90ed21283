"""Traffic as providers send it: what to post, in which order, and what the gateway answered."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import aiohttp
import msgspec

from libs.common.channel import Account, WebhookRequest
from libs.common.simulate.bodies import build
from libs.common.simulate.follow import Taken, follow_ups
from libs.common.simulate.plans import SCENARIOS, Step, Talk
from libs.common.simulate.said import Said
from libs.common.simulate.signing import signed

PATIENCE_S = 10.0
"""How long a post waits for its answer; the gateway promises 1.9 s."""
TWICE = 2
FOLLOW_GAP_S = 0.02
FOLLOW_TRIES = 5

_QUERY_PROOFS = ("msg_signature", "signature")


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """What to post.

    Attributes:
        scenario: See `plans.SCENARIOS`.
        kind: Of the event, see `bodies.kinds`.
        text: Empty: a sentence with the event's number.
        visitor: Empty: one of the channel's own shape.
        target: The message that the event is about, where it is about one.
        count: Number of different events, or of rounds of a scenario of several.
        seed: Of the ids; the same seed gives the same ids, so a repeat is a redelivery. None: new.
        duplicates: Each is posted twice, as after a lost answer.
        bad_signature: The proof of origin is spoiled.
        burst: All at once instead of one after the other.
    """

    scenario: str = "plain"
    kind: str = "text"
    text: str = ""
    visitor: str = ""
    target: str = ""
    count: int = 1
    seed: int | None = None
    duplicates: bool = False
    bad_signature: bool = False
    burst: bool = False


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook to post: where, what, and whose event it is; `spoiled`: must be refused."""

    url: str
    request: WebhookRequest
    message_id: str
    visitor: str
    kind: str = "text"
    spoiled: bool = False


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway answered; `status` 0 where it did not, and `trouble` says why."""

    post: Post
    status: int
    seconds: float
    trouble: str = ""


class Traffics(msgspec.Struct, frozen=True, kw_only=True):
    """The webhooks of a traffic, in order; `at_once`: not one after the other."""

    posts: tuple[Post, ...]
    at_once: bool


def planned(account: Account, url: str, traffic: Traffic, now: datetime) -> Traffics:
    """Return the webhooks of *traffic*, as sent at *now*, for the account whose endpoint is *url*.

    The same arguments, with a seed, give the same webhooks.

    Raises:
        LookupError: There is no such scenario, or the channel has no event of that kind.
    """
    chance = random.Random(  # noqa: S311  # repeatable on purpose
        secrets.randbits(64) if traffic.seed is None else traffic.seed
    )
    talk = Talk(
        account.channel, chance, visitor=traffic.visitor, text=traffic.text, kind=traffic.kind
    )
    plan = SCENARIOS[traffic.scenario](talk, traffic.count)
    times = TWICE if traffic.duplicates else 1
    made = [_post(account, url, step, traffic, now) for step in plan.steps for _ in range(times)]
    return Traffics(posts=tuple(made), at_once=plan.at_once or traffic.burst)


def _post(account: Account, url: str, step: Step, traffic: Traffic, now: datetime) -> Post:
    said = Said(
        visitor=step.visitor,
        message_id=step.message_id,
        text=step.text,
        now=now + timedelta(milliseconds=step.delay_ms),
        target=step.target or traffic.target,
    )
    request = signed(account, build(account, step.kind, said), now=now)
    bad = step.spoiled or traffic.bad_signature
    return Post(
        url=url,
        request=spoiled(request) if bad else request,
        message_id=step.message_id,
        visitor=step.visitor,
        kind=step.kind,
        spoiled=bad,
    )


def spoiled(request: WebhookRequest) -> WebhookRequest:
    """Return *request* with a proof of origin that is almost right."""
    headers = {n: v if n == "content-type" else _changed(v) for n, v in request.headers.items()}
    query = {n: _changed(v) if n in _QUERY_PROOFS else v for n, v in request.query.items()}
    return msgspec.structs.replace(request, headers=headers, query=query)


async def play(traffic: Traffics) -> AsyncIterator[Reply]:
    """Post everything; yield the answers as they come."""
    async with caller() as session:
        if traffic.at_once:
            for done in asyncio.as_completed([post_one(session, post) for post in traffic.posts]):
                yield await done
            return
        for post in traffic.posts:
            yield await post_one(session, post)


@asynccontextmanager
async def caller() -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session to the gateway; it may be anywhere, a provider would not ask either."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    connector = aiohttp.TCPConnector(limit=200)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        yield session


async def post_one(session: aiohttp.ClientSession, post: Post) -> Reply:
    """Post one webhook, once."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    url = f"{post.url}?{urlencode(dict(post.request.query))}" if post.request.query else post.url
    try:
        async with session.post(
            url, data=post.request.body, headers=dict(post.request.headers), allow_redirects=False
        ) as answer:
            await answer.read()
            status, trouble = answer.status, ""
    except (aiohttp.ClientError, TimeoutError) as error:
        status, trouble = 0, type(error).__name__
    return Reply(post=post, status=status, seconds=loop.time() - began, trouble=trouble)


Endpoint = tuple[Account, str]
"""An account with its secrets, and the URL of its webhook endpoint."""


class Follower:
    """Posts the webhooks that follow a send, as the provider would: in order, tried again.

    Args:
        session: To the gateway.
        endpoint: Looks an account up by its slug; None while it is not known.
    """

    def __init__(
        self, session: aiohttp.ClientSession, endpoint: Callable[[str], Endpoint | None]
    ) -> None:
        self._session = session
        self._endpoint = endpoint

    async def follow(self, slug: str, taken: Taken) -> None:
        """Post the echo and the receipts of one send."""
        found = self._endpoint(slug)
        if found is None:
            return
        account, url = found
        now = datetime.now(UTC)
        said = Said(visitor=taken.recipient, message_id=taken.message_id, text=taken.text, now=now)
        for body in follow_ups(account, taken, said):
            await asyncio.sleep(FOLLOW_GAP_S)
            request = signed(account, body, now=now)
            post = Post(
                url=url, request=request, message_id=taken.message_id, visitor=taken.recipient
            )
            await self._insist(post)

    async def _insist(self, post: Post) -> None:
        for number in range(FOLLOW_TRIES):
            if (await post_one(self._session, post)).status in range(200, 300):
                return
            await asyncio.sleep(0.2 * 2**number)


def _changed(proof: str) -> str:
    """Change one character in the middle; the last one of base64 may carry no information."""
    middle = len(proof) // 2
    other = "0" if proof[middle] != "0" else "1"
    return proof[:middle] + other + proof[middle + 1 :]
