"""What each provider answers to a call, as far as a gateway can tell from outside."""

from __future__ import annotations

from libs.common.simulate.answers_line import line
from libs.common.simulate.answers_meta import graph
from libs.common.simulate.answers_telegram import telegram
from libs.common.simulate.answers_wechat import wechat
from libs.common.simulate.calls import Answer, Books, Call


class Provider:
    """One account at its provider; the channel is known by the path of a call."""

    def __init__(self, slug: str, base: str = "") -> None:
        self._books = Books(slug, base)

    def answer(self, call: Call) -> Answer:
        """Answer one call."""
        if not isinstance(call.json, dict):
            return Answer(status=400, body={"message": "the body is no JSON object"})
        if call.path.startswith(("v2/bot/", "oauth2/v2.1/")):
            return line(self._books, call)
        if call.path.startswith("cgi-bin/"):
            return wechat(self._books, call)
        if call.path.startswith(("bot", "file/bot")):
            return telegram(self._books, call)
        return graph(self._books, call)

    def put_media(self, media_id: str, content: bytes, content_type: str) -> None:
        """Have *media_id* stand for these bytes from now on."""
        self._books.shelf[media_id] = (content_type, content)

    @property
    def books(self) -> Books:
        """What the provider remembers of the account, to be changed by a test."""
        return self._books

    def revoke_tokens(self) -> None:
        """Let every access token that was fetched be refused from now on."""
        self._books.access_tokens.clear()
