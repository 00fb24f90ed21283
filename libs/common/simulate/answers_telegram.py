"""The Telegram Bot API as a gateway sees it: methods below `bot<token>`, files below `file`."""

from __future__ import annotations

from typing import Any

from libs.common.simulate.calls import Answer, Books, Call, FileSeen, text_of
from libs.common.simulate.follow import Taken
from libs.common.simulate.samples import behind

BOT_ID = 700000001
_FILE_FIELDS = ("photo", "video", "audio", "voice", "document", "sticker", "animation")


def telegram(books: Books, call: Call) -> Answer:
    """Answer `bot<token>/<method>` and `file/bot<token>/<file path>`."""
    start, _, rest = call.path.partition("/")
    if start == "file":
        return _download(books, rest.partition("/")[2])
    if len(start) <= len("bot"):
        return _error(404, "Not Found")
    fields = {**call.query, **call.json}
    if rest == "getFile":
        return _get_file(books, text_of(fields, "file_id"))
    if rest == "sendChatAction":
        return Answer(status=200, what="signal", body={"ok": True, "result": True})
    if rest.startswith("send"):
        return _send(books, call, fields)
    return Answer(status=200, what="other", body={"ok": True, "result": True})


def _get_file(books: Books, file_id: str) -> Answer:
    if not file_id:
        return _error(400, "Bad Request: file_id not specified")
    found = behind(file_id)
    held = books.shelf.get(file_id)
    size = len(held[1] if held else found.content)
    path = f"files/{file_id}" if file_id.endswith(found.extension) else ""
    path = path or f"files/{file_id}.{found.extension}"
    result = {
        "file_id": file_id,
        "file_unique_id": f"u{file_id[:12]}",
        "file_size": size,
        "file_path": path,
    }
    return Answer(status=200, what="lookup", body={"ok": True, "result": result})


def _download(books: Books, path: str) -> Answer:
    name = path.rpartition("/")[2]
    held = books.shelf.get(name) or books.shelf.get(name.rpartition(".")[0])
    if held:
        return Answer(status=200, what="download", content=held[1], content_type=held[0])
    found = behind(name)
    # Telegram's file server names no type: everything comes as bytes.
    return Answer(
        status=200,
        what="download",
        content=found.content,
        content_type="application/octet-stream",
    )


def _send(books: Books, call: Call, fields: dict[str, Any]) -> Answer:
    chat = str(fields.get("chat_id", ""))
    text = text_of(fields, "text") or text_of(fields, "caption")
    files = _files(books, call, fields)
    if not chat:
        return _error(400, "Bad Request: chat_id is empty")
    if any(seen.error.startswith("HTTP") for seen in files):
        return _error(400, "Bad Request: failed to get HTTP URL content")
    if not (text or files or {"latitude", "phone_number", "media"} & set(fields)):
        return _error(400, "Bad Request: message text is empty")
    given = next(books.numbers)
    for seen in files:
        books.keep(f"tg-{given}", seen)
    number = int(chat) if chat.lstrip("-").isdecimal() else chat
    result = {
        "message_id": given,
        "date": 1760000000,
        "chat": {"id": number, "type": "private"},
        "from": {"id": BOT_ID, "is_bot": True, "first_name": "Bot"},
        **({"text": text} if text else {}),
    }
    taken = Taken(recipient=chat, message_id=str(given), text=text)
    body = {"ok": True, "result": result}
    return Answer(status=200, body=body, taken=taken, what="message", files=files)


def _files(books: Books, call: Call, fields: dict[str, Any]) -> tuple[FileSeen, ...]:
    found = list(call.uploads.values())
    for name in _FILE_FIELDS:
        value = text_of(fields, name)
        if value in call.linked:
            found.append(call.linked[value])
        elif known := books.by_id(value):
            found.append(known)
    return tuple(found)


def _error(code: int, description: str) -> Answer:
    body = {"ok": False, "error_code": code, "description": description}
    return Answer(status=code, body=body)
