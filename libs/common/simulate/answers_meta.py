"""Meta's Graph API as a gateway sees it: messages, comments, media, sender actions, profiles."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

from libs.common.simulate.calls import Answer, Books, Call, FileSeen, text_of
from libs.common.simulate.follow import Taken, comment_id, person_behind
from libs.common.simulate.samples import behind

UNFETCHED = 2018008
_SEND_KINDS = ("image", "audio", "video", "document", "sticker")


def graph(books: Books, call: Call) -> Answer:
    """Answer a call to `/{version}/{node}[/{edge}]`, or to a link that was given for a file."""
    if call.path.startswith("cdn/"):
        return _file(call.path)
    if not call.headers.get("authorization", "").startswith("Bearer "):
        return _error(401, 190, "Invalid OAuth access token")
    if call.path.startswith("wa-media/"):
        return _file(call.path, books)
    _, _, path = call.path.partition("/")  # behind the version
    node, _, edge = path.partition("/")
    if call.method == "GET":
        return _read(books, node, call)
    method = _EDGES.get(edge)
    return method(books, node, call) if method else _error(404, 2500, "Unknown path components")


def _message(books: Books, _node: str, call: Call) -> Answer:
    is_whatsapp = text_of(call.json, "messaging_product") == "whatsapp"
    return _whatsapp(books, call) if is_whatsapp else _messenger(books, call)


def _changed(_books: Books, _node: str, _call: Call) -> Answer:
    """Hide, show, edit, delete or like a comment."""
    return Answer(status=200, body={"success": True}, what="other")


# --- reading -----------------------------------------------------------------------------------


def _file(path: str, books: Books | None = None) -> Answer:
    media_id = path.partition("/")[2]
    if books and media_id in books.shelf:
        kind, content = books.shelf[media_id]
    else:
        found = behind(media_id)
        kind, content = found.mime_type, found.content
    return Answer(status=200, what="download", content=content, content_type=kind)


def _read(books: Books, node: str, call: Call) -> Answer:
    if node == "debug_token":
        return _inspected(books, call)
    if "fields" in call.query:
        body = {"id": node, "name": "Ada Example", "first_name": "Ada", "last_name": "Example"}
        return Answer(status=200, what="lookup", body=body)
    found = _file(f"wa-media/{node}", books)
    content = found.content or b""
    answer: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "url": f"{books.base}/wa-media/{node}",
        "mime_type": found.content_type,
        "sha256": hashlib.sha256(content).hexdigest(),
        "file_size": len(content),
        "id": node,
    }
    return Answer(status=200, what="lookup", body=answer)


def _inspected(books: Books, call: Call) -> Answer:
    if books.says_nothing or not call.query.get("input_token"):
        return _error(400, 100, "(#100) You must provide an app access token")
    ends = books.token_expires_at
    valid = not ends or ends > time.time()
    data = {"expires_at": ends, "data_access_expires_at": 0, "is_valid": valid, "type": "PAGE"}
    return Answer(status=200, what="lookup", body={"data": data})


# --- files given -------------------------------------------------------------------------------


def _whatsapp_upload(books: Books, _node: str, call: Call) -> Answer:
    given = next(iter(call.uploads.values()), None)
    if given is None or text_of(call.json, "messaging_product") != "whatsapp":
        return _error(400, 100, "(#100) The parameter file is required")
    media_id = f"70{next(books.numbers):013d}"
    seen = books.keep(media_id, given)
    return Answer(status=200, what="upload", body={"id": media_id}, files=(seen,))


def _saved(books: Books, _node: str, call: Call) -> Answer:
    link = text_of(call.json, "message", "attachment", "payload", "url")
    given = next(iter(call.uploads.values()), None) or call.linked.get(link)
    if given is None or given.error.startswith("HTTP"):
        return _error(400, 100, "Upload attachment failure", 2018047)
    attachment_id = f"71{next(books.numbers):013d}"
    seen = books.keep(attachment_id, given)
    return Answer(status=200, what="upload", body={"attachment_id": attachment_id}, files=(seen,))


# --- Messenger and Instagram -------------------------------------------------------------------


def _messenger(books: Books, call: Call) -> Answer:
    body = call.json
    comment = text_of(body, "recipient", "comment_id")
    recipient = text_of(body, "recipient", "id") or (person_behind(comment) if comment else "")
    if recipient and text_of(body, "sender_action"):
        return Answer(status=200, what="signal", body={"recipient_id": recipient})
    if comment in books.private_replies and comment:
        return _error(400, 10900, "(#10900) Activity already replied to")
    files = _attached(books, call)
    text = text_of(body, "message", "text") or _template_text(body)
    if not recipient or not (text or files):
        return _error(400, 100, "Invalid parameter")
    if any(seen.error.startswith("HTTP") for seen in files):
        return _error(400, 100, "Failed to fetch the file from the url", UNFETCHED)
    if comment:
        books.private_replies.add(comment)
    given = f"m_out.{books.slug}.{next(books.numbers)}"
    taken = Taken(
        recipient=recipient,
        message_id=given,
        text=text,
        metadata=text_of(body, "message", "metadata"),
        attachments=tuple((_shown_as(seen), seen.link) for seen in files),
    )
    answer = {"recipient_id": recipient, "message_id": given}
    return Answer(status=200, body=answer, taken=taken, what="message", files=files)


def _attachments(body: Any) -> list[Any]:
    message = body.get("message")
    if not isinstance(message, dict):
        return []
    several = message.get("attachments")
    return [message.get("attachment"), *(several if isinstance(several, list) else [])]


def _attached(books: Books, call: Call) -> tuple[FileSeen, ...]:
    found = list(call.uploads.values())
    for attachment in _attachments(call.json):
        link = text_of(attachment, "payload", "url")
        known = books.by_id(text_of(attachment, "payload", "attachment_id"))
        if link in call.linked:
            found.append(call.linked[link])
        elif known:
            found.append(known)
    return tuple(found)


def _template_text(body: Any) -> str:
    """Return the text of a template with buttons."""
    return next(
        (text for one in _attachments(body) if (text := text_of(one, "payload", "text"))),
        "",
    )


def _shown_as(seen: FileSeen) -> str:
    kind = seen.mime_type.partition("/")[0]
    return kind if kind in {"image", "audio", "video"} else "file"


# --- comments ----------------------------------------------------------------------------------


def _comment(books: Books, parent: str, call: Call) -> Answer:
    text, link = text_of(call.json, "message"), text_of(call.json, "attachment_url")
    known = books.by_id(text_of(call.json, "attachment_id"))
    files = tuple(call.uploads.values()) + ((known,) if known else ())
    files += (call.linked[link],) if link in call.linked else ()
    if not (text or files):
        return _error(400, 100, "Invalid parameter")
    given = comment_id(next(books.numbers))
    attachments = tuple((_shown_as(seen), seen.link) for seen in files)
    taken = Taken(
        recipient=parent, message_id=given, text=text, parent=parent, attachments=attachments
    )
    return Answer(status=200, body={"id": given}, taken=taken, what="message", files=files)


# --- WhatsApp ----------------------------------------------------------------------------------


def _whatsapp(books: Books, call: Call) -> Answer:
    body = call.json
    if text_of(body, "status") == "read":
        return Answer(status=200, what="signal", body={"success": True})
    recipient = text_of(body, "to") or text_of(body, "recipient")
    if not (recipient and _has_content(body)):
        return _error(400, 100, "Invalid parameter")
    files = _whatsapp_files(books, call)
    given = f"wamid.OUT.{books.slug}.{next(books.numbers)}"
    taken = Taken(
        recipient=recipient,
        message_id=given,
        text=_whatsapp_text(body),
        metadata=text_of(body, "biz_opaque_callback_data"),
    )
    answer = {
        "messaging_product": "whatsapp",
        "contacts": [{"input": recipient, "wa_id": recipient}],
        "messages": [{"id": given, "message_status": "accepted"}],
    }
    return Answer(status=200, body=answer, taken=taken, what="message", files=files)


def _has_content(body: dict[str, Any]) -> bool:
    kind = text_of(body, "type") or "text"
    content = body.get(kind)
    return bool(content) and (kind != "text" or bool(text_of(body, "text", "body")))


def _whatsapp_text(body: dict[str, Any]) -> str:
    kind = text_of(body, "type") or "text"
    places = (("text", "body"), (kind, "caption"), ("interactive", "body", "text"))
    return next((text for place in places if (text := text_of(body, *place))), "")


def _whatsapp_files(books: Books, call: Call) -> tuple[FileSeen, ...]:
    found = []
    for kind in _SEND_KINDS:
        link, media_id = text_of(call.json, kind, "link"), text_of(call.json, kind, "id")
        if link in call.linked:
            found.append(call.linked[link])
        elif known := books.by_id(media_id):
            found.append(known)
    return tuple(found)


def _error(status: int, code: int, message: str, subcode: int | None = None) -> Answer:
    error: dict[str, Any] = {
        "message": message,
        "type": "OAuthException",
        "code": code,
        "fbtrace_id": "A1",
    }
    if subcode is not None:
        error["error_subcode"] = subcode
    return Answer(status=status, body={"error": error})


_EDGES: dict[str, Callable[[Books, str, Call], Answer]] = {
    "": _changed,
    "likes": _changed,
    "comments": _comment,
    "replies": _comment,
    "media": _whatsapp_upload,
    "message_attachments": _saved,
    "messages": _message,
}
