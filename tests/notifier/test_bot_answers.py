"""What desk answers to bots that answer later, and to whoever says to be one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from libs.common.bots.secrets import fresh_secret, seal_secret
from libs.common.bots.webhook import ANSWER_BYTES
from libs.common.documents import BOTS, Bot
from libs.common.signing import sign
from services.desk.api.bot_answers import LIMIT
from tests.bot_stub import Play
from tests.notifier.bot_rig import Office, Town

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Answer(msgspec.Struct, frozen=True):
    """What came back, without what differs each time."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]


class Desk:
    """Posts to desk as the bot of an office, or as somebody else."""

    def __init__(self, town: Town, office: Office, about: dict[str, Any]) -> None:
        self.town = town
        self.office = office
        self.about = about

    @property
    def secret(self) -> str:
        return self.town.bots.secrets[self.office.name]

    def body(self, **more: Any) -> bytes:
        return msgspec.json.encode({**self.about, **more})

    def headers(
        self, body: bytes, *, secret: str = "", own_id: str = "a-1", off_s: float = 0
    ) -> dict[str, str]:
        at = datetime.now(UTC) + timedelta(seconds=off_s)
        return sign(secret or self.secret, own_id, body, at)

    async def post(
        self, body: bytes, headers: dict[str, str] | None = None, *, path: str = ""
    ) -> Answer:
        path = path or f"{self.office.name}/{self.office.name}"
        url = f"{self.town.desk_url}/api/v1/bots/{path}/answers"
        given = self.headers(body) if headers is None else headers
        async with (
            aiohttp.ClientSession() as http,
            http.post(url, data=body, headers=given) as reply,
        ):
            seen = {k: v for k, v in reply.headers.items() if k != "Date"}
            return Answer(reply.status, await reply.json(content_type=None), seen)


@pytest_asyncio.fixture(loop_scope="module")
async def desk(town: Town) -> Desk:
    """A bot that was asked, and has promised to answer later."""
    office = await town.found()
    town.bots.plan(office.name, Play(status=202))
    await office.writes("hello")
    await office.called()
    data = office.calls[0].data
    about = {name: data[name] for name in ("session", "epoch")}
    return Desk(town, office, {**about, "message": data["message"]["id"]})


async def test_who_is_not_proven_to_be_the_bot_learns_nothing(town: Town, desk: Desk) -> None:
    other = await town.found()
    body = desk.body(messages=[{"text": "hi"}])
    stranger = desk.headers(body, secret=fresh_secret())
    name = desk.office.name
    answers = {
        "without a signature": await desk.post(body, {}),
        "with another secret": await desk.post(body, stranger),
        "signed by the bot of another workspace": await desk.post(
            body, desk.headers(body, secret=town.bots.secrets[other.name])
        ),
        "of another body": await desk.post(body, desk.headers(b"{}")),
        "six minutes ago": await desk.post(body, desk.headers(body, off_s=-360)),
        "six minutes ahead": await desk.post(body, desk.headers(body, off_s=360)),
        "for a bot that is not there": await desk.post(body, path=f"{name}/nobody"),
        "for a workspace that is not there": await desk.post(body, path=f"nowhere/{name}"),
        "for a bot elsewhere": await desk.post(body, path=f"{other.name}/{other.name}"),
    }
    first = answers["without a signature"]
    assert first.status == 401
    assert {name: answer for name, answer in answers.items() if answer != first} == {}
    assert desk.office.shown == []


WRONG: dict[str, tuple[Callable[[Desk], bytes], int, str]] = {
    "no JSON": (lambda _: b"{", 422, ""),
    "no object": (lambda _: b"[]", 422, ""),
    "no session": (lambda _: b'{"epoch": 1, "message": "m"}', 422, ""),
    "an epoch that is no number": (lambda d: d.body(epoch="1"), 422, "epoch"),
    "a text that is no text": (lambda d: d.body(messages=[{"text": 1}]), 422, "messages[0].text"),
    "six messages": (lambda d: d.body(messages=[{"text": "x"}] * 6), 422, "messages"),
    "an empty message": (lambda d: d.body(messages=[{}]), 422, "messages[0].text"),
    "both ways out": (lambda d: d.body(hand_off=True, end=True), 422, "end"),
    "a file that is not there": (
        lambda d: d.body(messages=[{"text": "x"}, {"attachments": ["f"]}]),
        422,
        "messages[1].attachments[0]",
    ),
    "a session that is not there": (lambda d: d.body(session="s-none"), 404, "session"),
    "a message that is not there": (lambda d: d.body(message="m-none"), 404, "message"),
    "more than it may hold": (lambda d: d.body(pad="x" * ANSWER_BYTES), 413, ""),
    "another epoch": (lambda d: d.body(epoch=99, messages=[{"text": "x"}]), 409, ""),
}


async def test_what_is_wrong_is_named_and_nothing_of_it_is_done(desk: Desk) -> None:
    for name, (make, status, field) in WRONG.items():
        answer = await desk.post(make(desk))
        assert answer.status == status, (name, answer)
        assert answer.body["status"] == status
        if field:
            assert answer.body["facts"]["field"] == field, name
        if status == 422:
            assert answer.body["facts"]["allowed"], name
    assert desk.office.shown == []
    session = await desk.office.session()
    assert (session.list, session.bot_sent) == ("bot_hosted", 0)
    good = await desk.post(desk.body(messages=[{"text": "now right"}]))
    assert (good.status, good.body) == (202, {"accepted": True})
    assert await desk.office.told(1) == ["now right"]


async def test_i3_a_repeat_has_the_effect_of_one_whatever_it_asks(desk: Desk) -> None:
    body = desk.body(messages=[{"text": "one"}], hand_off=True)
    assert [(await desk.post(body)).status for _ in range(3)] == [202] * 3
    other = await desk.post(desk.body(messages=[{"text": "another"}]))
    assert (other.status, other.body["code"]) in {(409, "stale"), (409, "answered")}
    assert await desk.office.told(1) == ["one"]
    assert await desk.office.handoff() == "bot_asked"


async def test_a_message_that_was_answered_cannot_be_used_to_end_or_give_away_the_session(
    desk: Desk,
) -> None:
    assert (await desk.post(desk.body(messages=[{"text": "one"}]))).status == 202
    for more in ({"hand_off": True}, {"end": True}, {}):
        answer = await desk.post(desk.body(**more))
        assert (answer.status, answer.body["code"]) == (409, "answered")
    assert (await desk.office.session()).list == "bot_hosted"


async def test_another_bot_of_the_workspace_has_no_say_in_the_session(
    town: Town, desk: Desk
) -> None:
    secret, name = fresh_secret(), desk.office.name
    sealed = seal_secret(town.sealer, name, "other", secret)
    url = desk.office.url
    other = Bot(id="other", workspace=name, name="O", kind="webhook", url=url, sealed=sealed)
    await town.store.insert(BOTS, other)
    for more in ({"messages": [{"text": "mine"}]}, {"hand_off": True}, {"end": True}):
        body = desk.body(**more)
        headers = desk.headers(body, secret=secret)
        answer = await desk.post(body, headers, path=f"{name}/other")
        assert (answer.status, answer.body["code"]) == (409, "stale")
    session = await desk.office.session()
    assert (session.list, session.bot_id, desk.office.shown) == ("bot_hosted", name, [])


async def test_the_wall_a_session_elsewhere_is_as_one_that_is_nowhere(
    town: Town, desk: Desk
) -> None:
    other = await town.found()
    town.bots.plan(other.name, Play(status=202))
    await other.writes("hello")
    await other.called()
    theirs = await desk.post(desk.body(session=(await other.session()).id))
    nowhere = await desk.post(desk.body(session="ses-nowhere"))
    assert theirs == nowhere
    assert theirs.status == 404


async def test_a_bot_that_posts_without_end_is_slowed_and_others_are_not(
    town: Town, desk: Desk
) -> None:
    body = desk.body(session="s-none")
    seen = [(await desk.post(body, desk.headers(body))).status for _ in range(LIMIT.burst + 60)]
    assert seen[: LIMIT.burst] == [404] * LIMIT.burst
    assert 429 in seen
    slowed = await desk.post(body)
    while slowed.status != 429:
        slowed = await desk.post(body)
    assert int(slowed.headers["Retry-After"]) >= 1
    office = await town.found()
    other = Desk(town, office, desk.about)
    assert (await other.post(body, other.headers(body))).status == 404
