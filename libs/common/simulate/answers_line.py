"""The LINE Messaging API as a gateway sees it."""

from __future__ import annotations

import time
from collections.abc import Callable

from libs.common.simulate.calls import Answer, Books, Call, FileSeen, digest, text_of
from libs.common.simulate.follow import Taken
from libs.common.simulate.samples import behind

MESSAGES_A_CALL = 5


def line(books: Books, call: Call) -> Answer:
    """Answer a call below `v2/bot`; `api.line.me` and `api-data.line.me` are one here."""
    if call.path == "oauth2/v2.1/verify":
        return _verified(books)
    if not call.headers.get("authorization", "").startswith("Bearer "):
        return _refused(401, "Authentication failed")
    what = call.path.removeprefix("v2/bot/")
    if what in _METHODS:
        return _METHODS[what](books, call)
    if what.startswith("profile/"):
        body = {"userId": what.rpartition("/")[2], "displayName": "Ada Example"}
        return Answer(status=200, what="lookup", body=body)
    if what.startswith("message/"):
        return _content(books, what.removeprefix("message/"))
    return _refused(404, "Not found")


def _verified(books: Books) -> Answer:
    """Tell how long a token lives; the account's own is a long-lived one until a test says else."""
    left_s = books.line_token_ends - int(time.time())
    if left_s <= 0:
        body = {"error": "invalid_request", "error_description": "access token expired"}
        return Answer(status=400, body=body, what="lookup")
    return Answer(status=200, body={"client_id": "1", "expires_in": left_s}, what="lookup")


def _quota(books: Books, _call: Call) -> Answer:
    if books.says_nothing:
        return _refused(403, "Access to this API is not available for your account")
    body = {"type": "limited", "value": books.quota} if books.quota else {"type": "none"}
    return Answer(status=200, body=body, what="lookup")


def _spent(books: Books, _call: Call) -> Answer:
    return Answer(status=200, body={"totalUsage": books.quota_spent}, what="lookup")


def _sign(needed: str, status: int) -> Answer:
    if not needed:
        return _refused(400, "The request body has 1 error(s)")
    return Answer(status=status, what="signal", body={})


def _content(books: Books, what: str) -> Answer:
    media_id, _, step = what.partition("/")
    if step == "content/transcoding":
        return Answer(status=200, what="lookup", body={"status": "succeeded"})
    if step not in {"content", "content/preview"}:
        return _refused(404, "Not found")
    if media_id in books.shelf:
        kind, content = books.shelf[media_id]
    else:
        found = behind(media_id, audio="m4a")
        kind, content = found.mime_type, found.content
    return Answer(status=200, what="download", content=content, content_type=kind)


def _reply(books: Books, call: Call) -> Answer:
    if "x-line-retry-key" in call.headers:
        return _refused(400, "The retry key is not supported")
    refusal = _refusal(call)
    if refusal:
        return refusal
    token = text_of(call.json, "replyToken")
    if not token or token in books.used_tokens:
        return _refused(400, "Invalid reply token")
    books.used_tokens.add(token)
    return _sent(books, call, "")


def _push(books: Books, call: Call) -> Answer:
    key = call.headers.get("x-line-retry-key", "")
    if key in books.retry_keys:
        again = {"message": "The retry key is already accepted", **books.retry_keys[key]}
        headers = {"x-line-accepted-request-id": digest(key)}
        return Answer(status=409, body=again, headers=headers, what="message")
    refusal = _refusal(call)
    if refusal:
        return refusal
    if not text_of(call.json, "to"):
        return _refused(400, "The property, 'to', in the request body is invalid")
    answer = _sent(books, call, text_of(call.json, "to"))
    books.quota_spent += len(call.json["messages"])
    if key:
        books.retry_keys[key] = answer.body
    return answer


def _sent(books: Books, call: Call, recipient: str) -> Answer:
    messages = call.json["messages"]
    ids = [str(600000 + next(books.numbers)) for _ in messages]
    sent = [{"id": given, "quoteToken": f"q-{given}"} for given in ids]
    texts = [
        text_of(message, "text") or text_of(message, "template", "text") for message in messages
    ]
    return Answer(
        status=200,
        body={"sentMessages": sent},
        headers={"x-line-request-id": digest(ids[0])},
        taken=Taken(
            recipient=recipient, message_id=ids[0], text="\n".join(text for text in texts if text)
        ),
        what="message",
        files=_files(call),
    )


def _files(call: Call) -> tuple[FileSeen, ...]:
    links = [text_of(message, "originalContentUrl") for message in call.json["messages"]]
    return tuple(call.linked[link] for link in links if link in call.linked)


def _refusal(call: Call) -> Answer | None:
    messages = call.json.get("messages")
    if not isinstance(messages, list) or not 1 <= len(messages) <= MESSAGES_A_CALL:
        return _refused(400, "The request body has 1 error(s)")
    return None


def _refused(status: int, message: str) -> Answer:
    return Answer(status=status, body={"message": message})


_METHODS: dict[str, Callable[[Books, Call], Answer]] = {
    "message/reply": _reply,
    "message/push": _push,
    "message/quota": _quota,
    "message/quota/consumption": _spent,
    "chat/loading/start": lambda _, call: _sign(text_of(call.json, "chatId"), 202),
    "chat/markAsRead": lambda _, call: _sign(text_of(call.json, "markAsReadToken"), 200),
}
