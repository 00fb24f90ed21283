"""The provider stub takes files, gives files, and tells what each call was for."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from libs.common.files.api import ALLOWED
from libs.common.simulate.follow import person_behind
from libs.common.simulate.samples import EXTENSIONS, behind, sample
from libs.common.simulate.stub import Stub

BEARER = {"Authorization": "Bearer access-0001"}
PICTURE = sample("jpg").content


class Caller:
    """Calls the stub as the gateway would."""

    def __init__(self, stub: Stub, http: aiohttp.ClientSession) -> None:
        self.stub, self.http = stub, http

    async def __call__(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        url = f"{self.stub.base('acme')}/{path}"
        async with self.http.request(method, url, headers=BEARER, **more) as answer:
            raw = await answer.read()
            is_json = answer.content_type == "application/json"
            return answer.status, await answer.json() if is_json else raw

    def last(self) -> Any:
        return self.stub.sent("acme")[-1]


@pytest_asyncio.fixture
async def call(provider_stub: Stub) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as http:
        yield Caller(provider_stub, http)


def form(field: str, **fields: str) -> aiohttp.FormData:
    data = aiohttp.FormData()
    for name, value in fields.items():
        data.add_field(name, value)
    data.add_field(field, PICTURE, filename="a.jpg", content_type="image/jpeg")
    return data


async def wechat_token(call: Caller) -> str:
    ask = {"grant_type": "client_credential", "appid": "wx1", "secret": "s"}
    _, given = await call("POST", "cgi-bin/stable_token", json=ask)
    return str(given["access_token"])


PAGE = "v25.0/1001"
SAVE = '{"attachment":{"type":"image","payload":{"is_reusable":true}}}'
UPLOADS: dict[str, tuple[str, str, dict[str, str], str]] = {
    "Messenger": (f"{PAGE}/message_attachments", "filedata", {"message": SAVE}, "attachment_id"),
    "WhatsApp": (
        "v25.0/PN-1/media",
        "file",
        {"messaging_product": "whatsapp", "type": "image/jpeg"},
        "id",
    ),
    "WeChat": ("cgi-bin/media/upload?access_token={token}&type=image", "media", {}, "media_id"),
}


@pytest.mark.parametrize(("path", "field", "fields", "answered"), UPLOADS.values(), ids=UPLOADS)
async def test_an_upload_is_recorded_by_its_hash_and_gets_an_id(
    call: Caller, path: str, field: str, fields: dict[str, str], answered: str
) -> None:
    token = await wechat_token(call) if "{token}" in path else ""
    status, given = await call("POST", path.format(token=token), data=form(field, **fields))
    assert status == 200
    item = call.last()
    (seen,) = item.files
    assert (item.what, item.text) == ("upload", "")
    assert (seen.via, seen.size_bytes, seen.name) == ("upload", len(PICTURE), "a.jpg")
    assert seen.sha256 == hashlib.sha256(PICTURE).hexdigest()
    assert given[answered] == seen.media_id != ""


def messenger(**message: Any) -> dict[str, Any]:
    return {"recipient": {"id": "P7"}, "messaging_type": "RESPONSE", "message": message}


def media(payload: dict[str, str]) -> dict[str, Any]:
    return messenger(attachment={"type": "image", "payload": payload})


async def test_a_message_with_an_uploaded_file_names_its_hash(call: Caller) -> None:
    _, given = await call("POST", f"{PAGE}/message_attachments", data=form("filedata"))
    body = media({"attachment_id": given["attachment_id"]})
    status, _ = await call("POST", f"{PAGE}/messages", json=body)
    item = call.last()
    assert (status, item.what, [seen.via for seen in item.files]) == (200, "message", ["id"])
    assert item.files[0].sha256 == hashlib.sha256(PICTURE).hexdigest()


LINKED: dict[str, tuple[str, Any]] = {
    "Messenger": (f"{PAGE}/messages", lambda link: media({"url": link})),
    "a comment": ("v25.0/55_900/comments", lambda link: {"attachment_url": link}),
    "WhatsApp": (
        "v25.0/PN-1/messages",
        lambda link: {
            "messaging_product": "whatsapp",
            "to": "15557770000",
            "type": "image",
            "image": {"link": link},
        },
    ),
    "LINE": (
        "v2/bot/message/push",
        lambda link: {
            "to": "U1",
            "messages": [{"type": "image", "originalContentUrl": link, "previewImageUrl": link}],
        },
    ),
    "Telegram": ("bot700:secret/sendPhoto", lambda link: {"chat_id": 77, "photo": link}),
}


@pytest.mark.parametrize(("path", "body"), LINKED.values(), ids=LINKED)
async def test_a_linked_file_is_fetched_and_recorded(call: Caller, path: str, body: Any) -> None:
    link = call.stub.base("other") + "/cdn/image-1.jpg"
    status, _ = await call("POST", path, json=body(link))
    item = call.last()
    assert (status, item.what, len(item.files)) == (200, "message", 1)
    assert item.files[0].sha256 == hashlib.sha256(PICTURE).hexdigest()
    assert item.files[0].link == link


async def test_a_link_that_leads_nowhere_is_refused_as_meta_does(call: Caller) -> None:
    link = "http://127.0.0.1:1/a.jpg"
    status, given = await call("POST", f"{PAGE}/messages", json=media({"url": link}))
    assert (status, given["error"]["error_subcode"]) == (400, 2018008)
    assert call.last().what == "refused"


async def test_a_link_to_elsewhere_is_not_followed(call: Caller) -> None:
    body = media({"url": "https://files.example/a.jpg"})
    status, _ = await call("POST", f"{PAGE}/messages", json=body)
    assert (status, call.last().files[0].sha256) == (200, "")
    assert "not fetched" in call.last().files[0].error


SIGNALS: dict[str, tuple[str, dict[str, Any]]] = {
    "Messenger typing": (
        f"{PAGE}/messages",
        {"recipient": {"id": "P7"}, "sender_action": "typing_on"},
    ),
    "WhatsApp read": (
        "v25.0/PN-1/messages",
        {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.A1"},
    ),
    "LINE loading": ("v2/bot/chat/loading/start", {"chatId": "U1", "loadingSeconds": 5}),
    "LINE read": ("v2/bot/chat/markAsRead", {"markAsReadToken": "mr-1"}),
    "WeChat typing": (
        "cgi-bin/message/custom/typing?access_token={token}",
        {"touser": "o1", "command": "Typing"},
    ),
    "Telegram typing": ("bot700:secret/sendChatAction", {"chat_id": 77, "action": "typing"}),
}


@pytest.mark.parametrize(("path", "body"), SIGNALS.values(), ids=SIGNALS)
async def test_a_signal_is_no_message(call: Caller, path: str, body: dict[str, Any]) -> None:
    token = await wechat_token(call) if "{token}" in path else ""
    status, _ = await call("POST", path.format(token=token), json=body)
    assert status in {200, 202}
    assert call.last().what == "signal"
    assert call.stub.of_kind("acme", "message") == []
    assert call.stub.shown("acme") == []


async def test_whatsapp_media_is_looked_up_then_downloaded(call: Caller) -> None:
    _, found = await call("GET", "v25.0/MEDIA-audio-1?phone_number_id=PN-1")
    status, raw = await call("GET", found["url"].removeprefix(call.stub.base("acme") + "/"))
    assert (status, hashlib.sha256(raw).hexdigest()) == (200, found["sha256"])
    assert (found["mime_type"], found["file_size"]) == ("audio/ogg", len(raw))
    assert [item.what for item in call.stub.sent("acme")] == ["lookup", "download"]


DOWNLOADS: dict[str, tuple[str, str]] = {
    "LINE, a picture by its last digit": ("v2/bot/message/5000001/content", "jpg"),
    "LINE, sound": ("v2/bot/message/5000002/content", "m4a"),
    "LINE, a file": ("v2/bot/message/5000004/content", "pdf"),
    "WeChat, a voice": ("cgi-bin/media/get?access_token={token}&media_id=voice-1", "amr"),
    "a link": ("cdn/video-1.mp4", "mp4"),
}


@pytest.mark.parametrize(("path", "extension"), DOWNLOADS.values(), ids=DOWNLOADS)
async def test_what_a_visitor_sent_can_be_fetched(call: Caller, path: str, extension: str) -> None:
    token = await wechat_token(call) if "{token}" in path else ""
    status, raw = await call("GET", path.format(token=token))
    assert (status, raw) == (200, sample(extension).content)
    assert call.last().what == "download"


async def test_line_transcoding_has_succeeded_and_wechat_leads_to_a_film(call: Caller) -> None:
    _, given = await call("GET", "v2/bot/message/5000003/content/transcoding")
    assert given == {"status": "succeeded"}
    token = await wechat_token(call)
    _, given = await call("GET", f"cgi-bin/media/get?access_token={token}&media_id=video-1")
    _, raw = await call("GET", given["video_url"].removeprefix(call.stub.base("acme") + "/"))
    assert raw == sample("mp4").content


async def test_telegram_files_and_a_token_that_is_never_shown(call: Caller) -> None:
    _, given = await call("GET", "bot700:secret/getFile?file_id=voice-1")
    path = given["result"]["file_path"]
    _, raw = await call("GET", f"file/bot700:secret/{path}")
    assert raw == sample("ogg").content
    assert [item.what for item in call.stub.sent("acme")] == ["lookup", "download"]
    assert "secret" not in repr(call.stub.sent("acme"))


async def test_a_test_may_put_bytes_behind_an_id(call: Caller) -> None:
    url = f"{call.stub.url}/_media?account=acme&id=5000001"
    async with call.http.post(url, data=b"%PDF-own", headers={"Content-Type": "x/y"}) as answer:
        assert answer.status == 204
    assert await call("GET", "v2/bot/message/5000001/content") == (200, b"%PDF-own")


async def test_a_private_reply_reveals_the_person_and_is_taken_once(call: Caller) -> None:
    body = {"recipient": {"comment_id": "55_900"}, "message": {"text": "hello"}}
    status, given = await call("POST", f"{PAGE}/messages", json=body)
    assert (status, given["recipient_id"]) == (200, person_behind("55_900"))
    status, given = await call("POST", f"{PAGE}/messages", json=body)
    assert (status, given["error"]["code"]) == (400, 10900)
    assert call.stub.shown("acme") == ["hello"]


def test_there_is_a_sample_of_every_type_that_may_be_sent() -> None:
    assert set(ALLOWED) <= set(EXTENSIONS)
    for extension, (kind, mime_type) in ALLOWED.items():
        found = sample(extension)
        assert (found.kind, found.mime_type) == (kind, mime_type), extension
        assert behind(f"media-1.{extension}") == found
