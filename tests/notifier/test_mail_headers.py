"""A mail's headers are ours alone, whatever people call themselves. Real bytes at a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import InvalidInputError
from libs.common.mail_bytes import check_address, clean_header, message_id, render
from tests.notifier.mail_rig import Post, mail, posting

OURS = [
    "From",
    "To",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "Precedence",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "MIME-Version",
    "Content-Type",
]
SENDER = ("Relaydesk", "alerts@example.com")
AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)

HOSTILE = {
    "an encoded word that hides a line break": "=?utf-8?q?a=0D=0ABcc:_x@evil.example?=",
    "the same in base64": "=?utf-8?b?YQ0KQmNjOiB4QGV2aWwuZXhhbXBsZQ==?=",
    "an encoded word that another one hides": "=?utf-8?q?=3D=3Futf-8=3Fq=3Fa=0D=0ABcc=3A_x?=",
    "an encoded word torn by what is invisible": "=\u200b?utf-8?q?a=0D=0ABcc:_x?=",
    "an encoded word torn by a line break": "=\r\n?utf-8?q?a=0D=0ABcc:_x?=",
    "doubled marks": "==??utf-8?q?a=0ABcc:_x?=",
    "a plain line break": "a\r\nBcc: x@evil.example",
    "a bare line feed": "a\nBcc: x@evil.example",
    "a bare carriage return": "a\rBcc: x@evil.example",
    "the end of the headers": "a\r\n\r\n<script>alert(1)</script>",
    "line breaks of Unicode": "a\u2028Bcc: x\u2029Cc: y\u0085To: z\x0bSubject: w\x0c",
    "a null and an escape": "a\x00\x1b[31mb",
    "quotes and brackets": 'a" <x@evil.example>, "b',
    "a backslash at the end": "a\\",
    "a list of addresses": "x@evil.example, y@evil.example;",
    "half a surrogate pair": "a\ud800b",
    "writing from right to left": "\u202emoc.live@x\u202c \u2066a\u2069",
    "a long name": "Bcc: " * 500,
    "a long name of wide characters, folded many times": "界, " * 400,
    "a dot alone": ".\r\n.\r\nQUIT\r\n",
    "nothing": "",
}


@pytest.fixture
async def post(empty_store: Path, tmp_path: Path) -> AsyncIterator[Post]:
    async with posting(empty_store, tmp_path) as made:
        yield made


def lines_of(raw: str) -> list[str]:
    """Return the header lines, unfolded."""
    head = raw.partition("\r\n\r\n")[0]
    return head.replace("\r\n ", " ").split("\r\n")


async def test_g9_a_hostile_name_adds_no_header_and_no_recipient(post: Post) -> None:
    mailer = post.mailer()
    for number, (sentence, name) in enumerate(HOSTILE.items()):
        hostile = mail(
            key=f"h{number}",
            to_name=name,
            from_name=name,
            subject=f"New messages from {name}",
            text=f"{name}\n",
            reply_to="reply@example.com",
            unsubscribe="https://desk.example/unsubscribe?t=x",
        )
        assert (await mailer.send(hostile)).state == "sent", sentence
        kept = post.sink.mails[-1]
        names = [line.partition(":")[0] for line in lines_of(kept.raw)]
        assert names == OURS, sentence
        assert kept.to == ("ada@example.org",), sentence
        parsed = message_from_bytes(kept.raw.encode(), policy=policy.default)
        assert [a.addr_spec for a in parsed["To"].addresses] == ["ada@example.org"], sentence
        assert [a.addr_spec for a in parsed["From"].addresses] == ["alerts@example.com"], sentence
        assert set(kept.raw) <= {"\r", "\n", *map(chr, range(32, 127))}, sentence
        assert max(map(len, kept.raw.split("\r\n"))) <= 998, sentence
        assert "\r" not in kept.raw.replace("\r\n", ""), sentence
    assert len(post.sink.mails) == len(HOSTILE)


@given(st.text(max_size=300), st.text(max_size=300))
def test_g9_no_text_at_all_adds_a_header(name: str, subject: str) -> None:
    raw = render(
        mail(to_name=name, from_name=name, subject=subject),
        SENDER,
        AT,
        maybe_duplicate=False,
    ).decode("ascii")
    names = [line.partition(":")[0] for line in lines_of(raw)]
    assert names == [name for name in OURS if not name.startswith(("List", "Reply"))]
    subject_line = next(line for line in lines_of(raw) if line.startswith("Subject:"))
    shown = str(make_header(decode_header(subject_line.removeprefix("Subject:").strip())))
    assert shown.strip() == clean_header(subject, 160)


CLEANED = {
    "a name stays": ("Ada Lovelace", "Ada Lovelace"),
    "blanks become one": ("  Ada \t  Lovelace ", "Ada Lovelace"),
    "a line break becomes a blank": ("Ada\r\nBcc: x", "Ada Bcc: x"),
    "controls become blanks": ("a\x00b\x1bc\x7fd\x80e", "a b c d e"),
    "an encoded word is torn": ("=?utf-8?q?x?=", "= ?utf-8?q?x?="),
    "an encoded word does not come about by what is taken out": ("=\u202e?utf-8", "= ?utf-8"),
    "turns of direction go": ("\u202eevil\u202c", "evil"),
    "an emoji of several stays whole": ("👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"),
    "Persian keeps its joiner": ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
    "half a surrogate pair is marked": ("\ud800", "\ufffd"),
    "what is long is cut": ("x" * 100, "x" * 79 + "…"),
    "nothing stays nothing": ("\u202e\u202c", ""),
}


@pytest.mark.parametrize(("text", "expected"), CLEANED.values(), ids=CLEANED)
def test_clean_header(text: str, expected: str) -> None:
    assert clean_header(text) == expected


ADDRESSES = {
    "a plain one": ("ada@example.com", "ada@example.com"),
    "with a plus": (" ada+x@mail.example.com ", "ada+x@mail.example.com"),
    "a domain in other scripts": ("ada@bücher.example", "ada@xn--bcher-kva.example"),
    "a name before the @ in other scripts": ("\u0430\u0434@example.com", None),
    "a line break": ("ada@example.com\r\nRCPT TO:<x@evil.example>", None),
    "a second address": ("ada@example.com,x@evil.example", None),
    "brackets": ("<ada@example.com>", None),
    "an encoded word": ("=?utf-8?q?x?=@example.com", None),
    "no domain": ("ada@", None),
    "no @": ("ada", None),
    "nothing": ("", None),
    "a quoted name": ('"a b"@example.com', None),
    "two dots": ("a..b@example.com", None),
    "too long": ("a" * 65 + "@example.com", None),
}


@pytest.mark.parametrize(("address", "expected"), ADDRESSES.values(), ids=ADDRESSES)
def test_check_address(address: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(InvalidInputError):
            check_address(address)
    else:
        assert check_address(address) == expected


def test_both_bodies_come_out_as_they_went_in() -> None:
    text = "Grüße, 世界 = 100%\n.\nFrom me\n" + "x" * 2000 + "\nend of it\n"
    html = '<p lang="de">Grüße</p>\n' + "y" * 2000
    raw = render(mail(text=text, html=html), SENDER, AT, maybe_duplicate=False)
    parsed = message_from_bytes(raw, policy=policy.default)
    assert parsed.get_content_type() == "multipart/alternative"
    plain, rich = parsed.get_body(("plain",)), parsed.get_body(("html",))
    assert plain is not None
    assert rich is not None
    assert plain.get_content().replace("\r\n", "\n") == text
    assert rich.get_content().replace("\r\n", "\n") == html
    assert parsed.defects == []


def test_a_message_id_is_the_same_for_the_same_parts() -> None:
    first = message_id("acme", "a", domain="example.com")
    assert first == message_id("acme", "a", domain="example.com")
    assert first != message_id("acm", "ea", domain="example.com")
    assert first.endswith(".0@example.com")
