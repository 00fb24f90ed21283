"""The WeChat Official Account API as a gateway sees it: refusals come with HTTP 200."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from libs.common.simulate.calls import Answer, Books, Call, FileSeen, text_of
from libs.common.simulate.follow import Taken
from libs.common.simulate.samples import behind

TOKEN_LIFE_S = 7200
_MEDIA_KINDS = ("image", "voice", "video", "mpnews")


def wechat(books: Books, call: Call) -> Answer:
    """Answer a call below `cgi-bin`."""
    what = call.path.removeprefix("cgi-bin/")
    if what in {"token", "stable_token"}:
        return _token(books, call)
    if call.query.get("access_token") not in books.access_tokens:
        return _error(40001, "invalid credential")
    method = _METHODS.get(what)
    return method(books, call) if method else _error(40066, "invalid url")


def _token(books: Books, call: Call) -> Answer:
    given = call.json if call.method == "POST" else dict(call.query)
    if not (text_of(given, "appid") and text_of(given, "secret")):
        return _error(40125, "invalid appsecret")
    token = f"token-{books.slug}-{next(books.numbers)}"
    if call.path.endswith("/token"):
        books.access_tokens.clear()  # the plain call invalidates, the stable one does not
    books.access_tokens.add(token)
    body = {"access_token": token, "expires_in": TOKEN_LIFE_S}
    return Answer(status=200, what="token", body=body)


def _send(books: Books, call: Call) -> Answer:
    body, recipient = call.json, text_of(call.json, "touser")
    files = _files(books, body)
    text = text_of(body, "text", "content") or _menu_text(body)
    if not recipient or not (text or files or _has_other(body)):
        return _error(44002, "empty post data")
    if any(text_of(body, kind, "media_id") for kind in _MEDIA_KINDS) and not files:
        return _error(40007, "invalid media_id")
    taken = Taken(recipient=recipient, message_id="", text=text)
    ok = {"errcode": 0, "errmsg": "ok"}
    return Answer(status=200, body=ok, taken=taken, what="message", files=files)


def _has_other(body: dict[str, Any]) -> bool:
    kind = text_of(body, "msgtype")
    return kind not in {"", "text", "msgmenu"} and bool(body.get(kind))


def _menu_text(body: dict[str, Any]) -> str:
    return text_of(body, "msgmenu", "head_content")


def _files(books: Books, body: dict[str, Any]) -> tuple[FileSeen, ...]:
    found = (books.by_id(text_of(body, kind, "media_id")) for kind in _MEDIA_KINDS)
    return tuple(seen for seen in found if seen)


def _typing(call: Call) -> Answer:
    known = text_of(call.json, "command") in {"Typing", "CancelTyping"}
    if not (known and text_of(call.json, "touser")):
        return _error(45081, "unable to send typing")
    return Answer(status=200, what="signal", body={"errcode": 0, "errmsg": "ok"})


def _upload(books: Books, call: Call) -> Answer:
    given = call.uploads.get("media")
    kind = call.query.get("type", "")
    if given is None or kind not in {"image", "voice", "video", "thumb"}:
        return _error(41005, "media data missing")
    media_id = f"up-{books.slug}-{next(books.numbers)}"
    seen = books.keep(media_id, given)
    body = {"type": kind, "media_id": media_id, "created_at": 1760000000}
    return Answer(status=200, what="upload", body=body, files=(seen,))


def _media(books: Books, media_id: str) -> Answer:
    if not media_id or "expired" in media_id:
        return _error(40007, "invalid media_id")
    if media_id in books.shelf:
        kind, content = books.shelf[media_id]
        return Answer(status=200, what="download", content=content, content_type=kind)
    found = behind(media_id, audio="amr")
    if found.kind == "video":
        link = f"{books.base}/cdn/{media_id}.mp4"
        return Answer(status=200, what="lookup", body={"video_url": link})
    return Answer(
        status=200,
        what="download",
        content=found.content,
        content_type=found.mime_type,
        headers={"Content-disposition": f'attachment; filename="{media_id}.{found.extension}"'},
    )


def _error(code: int, message: str) -> Answer:
    return Answer(status=200, body={"errcode": code, "errmsg": message})


_METHODS: dict[str, Callable[[Books, Call], Answer]] = {
    "message/custom/send": _send,
    "message/custom/typing": lambda _, call: _typing(call),
    "media/upload": _upload,
    "media/get": lambda books, call: _media(books, call.query.get("media_id", "")),
    "media/get/jssdk": lambda books, call: _media(books, call.query.get("media_id", "")),
}
