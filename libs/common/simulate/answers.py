"""What each provider answers to a send, as far as a gateway can tell from outside."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from typing import Any

import msgspec

from libs.common.simulate.follow import Taken, comment_id

TOKEN_LIFE_S = 7200
LINE_MESSAGES_A_CALL = 5


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call as it arrived; `path` is below the account, `json` the decoded body."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    json: Any


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider answers; `taken` where a message went out to its visitor."""

    status: int
    body: Any
    headers: Mapping[str, str] = {}
    taken: Taken | None = None


class Provider:
    """One account at its provider: ids given, tokens used, retry keys seen."""

    def __init__(self, slug: str) -> None:
        self._slug = slug
        self._numbers = itertools.count(1)
        self._used_tokens: set[str] = set()
        self._retry_keys: dict[str, Any] = {}
        self._access_tokens: set[str] = set()

    def answer(self, call: Call) -> Answer:
        """Answer one call; the channel is known by the path."""
        if not isinstance(call.json, dict):
            return _refused(400, {"message": "the body is no JSON object"})
        if call.path == "v2/bot/message/reply":
            return self._line_reply(call)
        if call.path == "v2/bot/message/push":
            return self._line_push(call)
        if call.path in {"cgi-bin/token", "cgi-bin/stable_token"}:
            return self._wechat_token(call)
        if call.path == "cgi-bin/message/custom/send":
            return self._wechat_send(call)
        return self._graph(call)

    def revoke_tokens(self) -> None:
        """Let every access token that was fetched be refused from now on."""
        self._access_tokens.clear()

    # --- Meta ----------------------------------------------------------------------------------

    def _graph(self, call: Call) -> Answer:
        _, _, node = call.path.partition("/")  # behind the version
        owner, _, edge = node.partition("/")
        if not call.headers.get("authorization", "").startswith("Bearer "):
            return _graph_error(401, 190, "Invalid OAuth access token")
        if edge == "comments":
            return self._comment(owner, call.json)
        if edge != "messages":
            return _graph_error(404, 2500, "Unknown path components")
        if call.json.get("messaging_product") == "whatsapp":
            return self._whatsapp(call.json)
        return self._messenger(call.json)

    def _comment(self, parent: str, body: dict[str, Any]) -> Answer:
        text = _text(body, "message")
        if not text:
            return _graph_error(400, 100, "Invalid parameter")
        given = comment_id(next(self._numbers))
        taken = Taken(recipient=parent, message_id=given, text=text, parent=parent)
        return Answer(status=200, body={"id": given}, taken=taken)

    def _messenger(self, body: dict[str, Any]) -> Answer:
        recipient = _text(body, "recipient", "id") or _text(body, "recipient", "comment_id")
        text = _text(body, "message", "text")
        if not (recipient and text):
            return _graph_error(400, 100, "Invalid parameter")
        given = f"m_out.{self._slug}.{next(self._numbers)}"
        taken = Taken(
            recipient=recipient,
            message_id=given,
            text=text,
            metadata=_text(body, "message", "metadata"),
        )
        return Answer(
            status=200, body={"recipient_id": recipient, "message_id": given}, taken=taken
        )

    def _whatsapp(self, body: dict[str, Any]) -> Answer:
        recipient = _text(body, "to") or _text(body, "recipient")
        text = _text(body, "text", "body")
        if not (recipient and text):
            return _graph_error(400, 100, "Invalid parameter")
        given = f"wamid.OUT.{self._slug}.{next(self._numbers)}"
        taken = Taken(
            recipient=recipient,
            message_id=given,
            text=text,
            metadata=_text(body, "biz_opaque_callback_data"),
        )
        answer = {
            "messaging_product": "whatsapp",
            "contacts": [{"input": recipient, "wa_id": recipient}],
            "messages": [{"id": given, "message_status": "accepted"}],
        }
        return Answer(status=200, body=answer, taken=taken)

    # --- LINE ----------------------------------------------------------------------------------

    def _line_reply(self, call: Call) -> Answer:
        if "x-line-retry-key" in call.headers:
            return _refused(400, {"message": "The retry key is not supported"})
        refusal = _line_refusal(call)
        if refusal:
            return refusal
        token = _text(call.json, "replyToken")
        if not token or token in self._used_tokens:
            return _refused(400, {"message": "Invalid reply token"})
        self._used_tokens.add(token)
        return self._line_sent(call, "")

    def _line_push(self, call: Call) -> Answer:
        key = call.headers.get("x-line-retry-key", "")
        if key in self._retry_keys:
            again = {"message": "The retry key is already accepted", **self._retry_keys[key]}
            return Answer(
                status=409, body=again, headers={"x-line-accepted-request-id": _digest(key)}
            )
        refusal = _line_refusal(call)
        if refusal:
            return refusal
        if not _text(call.json, "to"):
            return _refused(400, {"message": "The property, 'to', in the request body is invalid"})
        answer = self._line_sent(call, _text(call.json, "to"))
        if key:
            self._retry_keys[key] = answer.body
        return answer

    def _line_sent(self, call: Call, recipient: str) -> Answer:
        messages = call.json["messages"]
        ids = [str(600000 + next(self._numbers)) for _ in messages]
        sent = [{"id": given, "quoteToken": f"q-{given}"} for given in ids]
        text = "\n".join(_text(message, "text") for message in messages)
        return Answer(
            status=200,
            body={"sentMessages": sent},
            headers={"x-line-request-id": _digest(ids[0])},
            taken=Taken(recipient=recipient, message_id=ids[0], text=text),
        )

    # --- WeChat --------------------------------------------------------------------------------

    def _wechat_token(self, call: Call) -> Answer:
        if not (_text(call.json, "appid") and _text(call.json, "secret")):
            return Answer(status=200, body={"errcode": 40125, "errmsg": "invalid appsecret"})
        token = f"token-{self._slug}-{next(self._numbers)}"
        if call.path.endswith("/token"):
            self._access_tokens.clear()  # the plain call invalidates, the stable one does not
        self._access_tokens.add(token)
        return Answer(status=200, body={"access_token": token, "expires_in": TOKEN_LIFE_S})

    def _wechat_send(self, call: Call) -> Answer:
        if call.query.get("access_token") not in self._access_tokens:
            return Answer(status=200, body={"errcode": 40001, "errmsg": "invalid credential"})
        text, recipient = _text(call.json, "text", "content"), _text(call.json, "touser")
        if not text or not recipient:
            return Answer(status=200, body={"errcode": 44002, "errmsg": "empty post data"})
        taken = Taken(recipient=recipient, message_id="", text=text)
        return Answer(status=200, body={"errcode": 0, "errmsg": "ok"}, taken=taken)


def _line_refusal(call: Call) -> Answer | None:
    if not call.headers.get("authorization", "").startswith("Bearer "):
        return _refused(401, {"message": "Authentication failed"})
    messages = call.json.get("messages")
    if not isinstance(messages, list) or not 1 <= len(messages) <= LINE_MESSAGES_A_CALL:
        return _refused(400, {"message": "The request body has 1 error(s)"})
    return None


def _refused(status: int, body: Any) -> Answer:
    return Answer(status=status, body=body)


def _graph_error(status: int, code: int, message: str) -> Answer:
    error = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A1"}
    return Answer(status=status, body={"error": error})


def _text(value: Any, *path: str) -> str:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
