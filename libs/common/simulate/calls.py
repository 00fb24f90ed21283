"""What the simulated providers are asked, what they answer, and what they remember."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from libs.common.simulate.follow import Taken

What = Literal["message", "signal", "upload", "lookup", "download", "token", "other", "refused"]
"""What a call was for: a message to a visitor, a typing or seen sign, a file given, data asked
for, a file fetched, an access token, none of these; or it was refused."""


_TOKEN_LIFE_S = 60 * 86400
"""Of Meta's user tokens that live long."""


class FileSeen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file that came with a call, or by its link or earlier upload.

    `sha256` is hex; empty where the link was not fetched, and `error` then says why. `media_id` is
    the id that the provider gave it.
    """

    via: Literal["upload", "link", "id"]
    sha256: str = ""
    size_bytes: int = 0
    mime_type: str = ""
    name: str = ""
    link: str = ""
    media_id: str = ""
    error: str = ""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call as it arrived; `path` is below the account, `json` the decoded body.

    Of a form, `json` has the fields, those that are JSON decoded, and `uploads` the files by field.
    `linked` has what was found behind the links of the body, by link.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    json: Any
    uploads: Mapping[str, FileSeen] = {}
    linked: Mapping[str, FileSeen] = {}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider answers; `taken` where a message went out to its visitor.

    `content` stands in place of `body` where a file is answered; `files` are those of the call.
    """

    status: int
    body: Any = None
    headers: Mapping[str, str] = {}
    taken: Taken | None = None
    what: What = "refused"
    files: tuple[FileSeen, ...] = ()
    content: bytes | None = None
    content_type: str = "application/json"


class Books:
    """What a provider remembers of one account: ids given, tokens used, files held.

    Args:
        slug: The account's.
        base: The account's address at the stub, for links in answers.
    """

    def __init__(self, slug: str, base: str) -> None:
        self.slug = slug
        self.base = base
        self.numbers = itertools.count(1)
        self.used_tokens: set[str] = set()
        self.retry_keys: dict[str, Any] = {}
        self.access_tokens: set[str] = set()
        self.private_replies: set[str] = set()
        self.files: dict[str, FileSeen] = {}
        self.token_expires_at = int(time.time()) + _TOKEN_LIFE_S
        """Seconds since 1970 at which the account's token ends; 0: never."""
        self.line_token_ends = 0
        """The same for LINE; 0: it is a long-lived token, which LINE does not know there."""
        self.quota = 5000
        """Messages a month; 0: as many as one likes."""
        self.quota_spent = 0
        self.says_nothing = False
        """Whether questions about the account itself are refused."""
        self.shelf: dict[str, tuple[str, bytes]] = {}
        """Content type and bytes that a test has put behind a media id."""

    def keep(self, media_id: str, seen: FileSeen) -> FileSeen:
        """Remember an uploaded file under its new id; return it with the id."""
        self.files[media_id] = msgspec.structs.replace(seen, media_id=media_id)
        return self.files[media_id]

    def by_id(self, media_id: str) -> FileSeen | None:
        """Return an uploaded file as a message refers to it."""
        found = self.files.get(media_id)
        return msgspec.structs.replace(found, via="id") if found else None


def text_of(value: Any, *path: str) -> str:
    """Return the text at *path* inside decoded JSON, empty where there is none."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def digest(text: str) -> str:
    """Return a made-up id that belongs to *text*."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


_FILE_FIELDS = frozenset(
    {
        "link",  # WhatsApp
        "originalContentUrl",  # LINE
        "previewImageUrl",
        "attachment_url",  # comments
        "photo",  # Telegram, as all that follow
        "video",
        "audio",
        "voice",
        "document",
        "sticker",
        "animation",
    }
)


def links_in(value: Any, field: str = "", above: str = "") -> list[str]:
    """Return the addresses in decoded JSON from which a provider would fetch a file, each once."""
    if isinstance(value, str):
        is_file = field in _FILE_FIELDS or (above, field) == ("payload", "url")
        return [value] if is_file and value.startswith(("http://", "https://")) else []
    if isinstance(value, dict):
        inner = [links_in(item, name, field) for name, item in value.items()]
    else:
        inner = [links_in(i, field, above) for i in value] if isinstance(value, list) else []
    return list(dict.fromkeys(link for links in inner for link in links))
