"""What an email of an alert says, in text and in HTML, and in its subject. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from libs.common.alerts import Alert
from libs.common.events import (
    ContactPart,
    ContentPart,
    LocationPart,
    MediaPart,
    OrderPart,
    SharePart,
    TextPart,
)
from libs.common.mail_bytes import render
from libs.common.mails import Mail
from libs.common.timeline import Sender, TimelineEntry
from services.notifier.mail_compose import Reader, compose, governing

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def alert(**changes: Any) -> Alert:
    given: dict[str, Any] = {
        "id": "s1:1:ada",
        "n": 1,
        "workspace": "acme",
        "agent": "ada",
        "trigger": "unassigned.message",
        "at": AT,
        "expires_at": AT,
        "session": "s1",
        "list": "unassigned",
        "channel": "line",
        "account": "acme-line",
        "contact_name": "Vera",
        "excerpt": "the last words",
        "count": 3,
        "url": "/#/sessions/s1",
        **changes,
    }
    return Alert(**given)


def entry(*parts: ContentPart, who: str = "Vera") -> TimelineEntry:
    texts = [part.text for part in parts if isinstance(part, TextPart)]
    return TimelineEntry(
        id="m1",
        kind="message",
        direction="in",
        sender=Sender(kind="visitor", name=who),
        text="\n".join(texts),
        parts=parts,
        at=AT,
        received_at=AT,
        number=1,
    )


def reader(**changes: Any) -> Reader:
    given: dict[str, Any] = {
        "address": "ada@example.org",
        "name": "Ada",
        "zone": "Asia/Bangkok",
        "public_url": "https://desk.example",
        "stop_url": "https://desk.example/unsubscribe?t=a&b",
        "domain": "example.com",
        **changes,
    }
    return Reader(**given)


SUBJECTS = {
    "several messages": ({}, "3 new messages from Vera (LINE)"),
    "one message": ({"count": 1}, "1 new message from Vera (LINE)"),
    "a visitor without a name": ({"contact_name": ""}, "3 new messages from a visitor (LINE)"),
    "a request for a person": (
        {"trigger": "handoff.requested"},
        "Vera (LINE) asks for a person",
    ),
    "a request of a visitor without a name": (
        {"trigger": "handoff.requested", "contact_name": ""},
        "A visitor (LINE) asks for a person",
    ),
    "an assignment": ({"trigger": "assigned.to_me"}, "Assigned to you: Vera (LINE)"),
    "a mention": ({"trigger": "mention"}, "You were mentioned: Vera (LINE)"),
    "a failed send": ({"trigger": "send.failed"}, "Not delivered: a message to Vera (LINE)"),
    "an account": (
        {"trigger": "account.unhealthy", "session": "", "channel": ""},
        "An account needs attention: acme-line",
    ),
    "an import": ({"trigger": "import.finished", "session": ""}, "Your import is finished"),
    "a summary of a storm": (
        {"summary": True, "session": "", "count": 40},
        "40 conversations waiting",
    ),
}


@pytest.mark.parametrize(("changes", "expected"), SUBJECTS.values(), ids=SUBJECTS)
def test_subject(changes: dict[str, Any], expected: str) -> None:
    mail = compose(alert(**changes), (), reader())
    assert mail.subject == expected
    assert expected in mail.text


PARTS: dict[str, tuple[tuple[ContentPart, ...], str]] = {
    "text": ((TextPart(text="first\nsecond"),), "    first\n    second\n"),
    "a file by name": ((MediaPart(kind="file", name="order.pdf"),), "    [order.pdf]\n"),
    "a picture without a name": ((MediaPart(kind="image", url="https://x/y"),), "    [image]\n"),
    "a picture with a caption": (
        (MediaPart(kind="image", name="a.png"), TextPart(text="look")),
        "    look\n    [a.png]\n",
    ),
    "a place": (
        (LocationPart(latitude=1.0, longitude=2.0, name="Home"),),
        "    [place] Home\n",
    ),
    "a card": ((ContactPart(name="Bo"),), "    [contact] Bo\n"),
    "an order": ((OrderPart(note="soon"),), "    [order] soon\n"),
    "a link": ((SharePart(url="https://example.org/a"),), "    https://example.org/a\n"),
}


@pytest.mark.parametrize(("parts", "expected"), PARTS.values(), ids=PARTS)
def test_what_the_visitor_wrote(parts: tuple[ContentPart, ...], expected: str) -> None:
    mail = compose(alert(count=1), (entry(*parts),), reader())
    assert f"Vera, 04 May 19:00 +07\n{expected}" in mail.text


def test_the_whole_of_it_in_text() -> None:
    entries = [entry(TextPart(text=f"words {n}")) for n in range(12)]
    mail = compose(alert(count=12, rung=1), entries, reader())
    assert mail.text.startswith(
        "12 new messages from Vera (LINE)\n"
        "Unassigned · account acme-line\n"
        "Nobody has reacted so far.\n\n"
        "The newest 10 of 12:\n\n"
        "Vera, 04 May 19:00 +07\n    words 2\n"
    )
    assert mail.text.endswith(
        "    words 11\n\n"
        "Open conversation:\nhttps://desk.example/#/sessions/s1\n\n"
        "-- \n"
        "You get this because you are alerted by email of messages in unassigned conversations.\n"
        "Stop these emails: https://desk.example/unsubscribe?t=a&b\n"
        "Sent by Relaydesk https://desk.example\n"
    )


class Tags(HTMLParser):
    """Every element with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


HOSTILE = '</p><script>alert(1)</script><img src="https://evil.example/x" onerror="a">\'"&'


def test_g11_nothing_that_others_wrote_is_markup_and_nothing_is_fetched() -> None:
    hostile = alert(contact_name=HOSTILE, account=HOSTILE, excerpt=HOSTILE, url="/#/s/\"'<>")
    parts = (TextPart(text=HOSTILE), MediaPart(kind="file", name=HOSTILE))
    mail = compose(hostile, (entry(*parts, who=HOSTILE),), reader())
    tags = Tags(mail.html)
    allowed = {"html", "head", "meta", "title", "style", "body", "h1", "p", "div", "b", "a", "br"}
    assert {tag for tag, _ in tags.found} <= {*allowed, "span"}
    links = [attributes["href"] for tag, attributes in tags.found if tag == "a"]
    assert all(link and link.startswith("https://desk.example") for link in links)
    names = {name for _, attributes in tags.found for name in attributes}
    assert not names & {"src", "srcset", "background", "onerror", "style"}
    assert "url(" not in mail.html
    assert "@import" not in mail.html


def test_the_html_reads_in_the_dark_names_its_language_and_leads_to_the_conversation() -> None:
    mail = compose(alert(), (entry(TextPart(text="hello")),), reader())
    tags = Tags(mail.html)
    assert ("html", {"lang": "en"}) in tags.found
    assert ("meta", {"name": "color-scheme", "content": "light dark"}) in tags.found
    button = next(a for tag, a in tags.found if tag == "a" and a.get("class") == "button")
    assert button["href"] == "https://desk.example/#/sessions/s1"


@pytest.mark.parametrize("branded", [True, False])
def test_a22_our_name_is_shown_unless_it_is_switched_off(*, branded: bool) -> None:
    mail = compose(alert(), (entry(TextPart(text="hello")),), reader(branded=branded))
    assert ("Sent by Relaydesk" in mail.text) is branded
    assert ('Sent by <a href="https://desk.example">Relaydesk</a>' in mail.html) is branded
    raw = render(mail, ("Acme", "alerts@example.com"), AT, maybe_duplicate=True).decode()
    assert bool(re.search("relaydesk", raw, re.IGNORECASE)) is branded, "in no header either"


def thread(mail: Mail) -> tuple[str, str, tuple[str, ...]]:
    return mail.message_id, mail.in_reply_to, mail.references


def test_mails_about_one_session_are_one_thread_of_each_agent() -> None:
    first, again = (compose(alert(id=f"s1:{n}:ada"), (), reader()) for n in (1, 2))
    other = compose(alert(agent="bob", id="s1:1:bob"), (), reader())
    assert first.message_id != again.message_id
    assert thread(first)[1:] == thread(again)[1:]
    assert first.references == (first.in_reply_to,) != other.references
    assert thread(first) == thread(compose(alert(), (), reader()))


def test_a_rung_is_a_mail_of_its_own() -> None:
    assert compose(alert(n=1), (), reader()).key != compose(alert(n=2), (), reader()).key


def test_without_an_address_of_ours_there_is_no_link() -> None:
    mail = compose(alert(), (), reader(public_url="", stop_url=""))
    assert "http" not in mail.text
    assert "<a " not in mail.html
    assert mail.unsubscribe == ""


APART: dict[str, tuple[dict[str, Any], str, str]] = {
    "an account": (
        {"trigger": "account.unhealthy", "account": "shop", "excerpt": "token_expired"},
        "An account needs attention: shop",
        "token_expired",
    ),
    "an endpoint": (
        {"trigger": "account.unhealthy", "excerpt": "https://x.example answers 410: it is off."},
        "A webhook endpoint needs attention",
        "https://x.example answers 410: it is off.",
    ),
    "a test": ({"trigger": "notice", "excerpt": "This is a test."}, "Needs you", "This is a test."),
}


@pytest.mark.parametrize(("about", "subject", "line"), APART.values(), ids=APART)
def test_what_is_about_no_conversation_is_nobodys_words(
    about: dict[str, Any], subject: str, line: str
) -> None:
    apart = {"session": "", "list": "", "channel": "", "contact_name": "", "account": "", **about}
    mail = compose(
        alert(**apart), (), Reader(address="a@x.example", name="Ada", domain="x.example")
    )
    assert mail.subject == subject
    assert line in mail.text.splitlines()
    assert "isitor" not in mail.text + mail.html


def test_a_mention_shows_the_note_as_no_words_of_the_visitor() -> None:
    reader = Reader(address="a@x.example", name="Ada", domain="x.example")
    mail = compose(alert(trigger="mention", excerpt="Bob: please look"), (), reader)
    lines = mail.text.splitlines()
    assert "Bob: please look" in lines
    assert not [line for line in lines if line.startswith("Vera")]


def test_d09_whom_a_rung_alone_calls_is_mailed_so_and_what_ends_it() -> None:
    called = alert(trigger="notice", because="nobody_reacted", rung=2, since=AT, list="assigned")
    mail = compose(called, [entry(TextPart(text="Where is it?"))], reader())
    assert mail.subject == "Nobody has reacted: Vera (LINE)"
    assert "Nobody has reacted so far. It waits since 04 May 19:00 +07." in mail.text
    assert "Where is it?" in mail.text
    assert "alerted by email of reminders and rules: those whom this waits for" in mail.text
    assert governing(called) == governing(alert(trigger="notice")) == "notice"
    assert governing(alert(because="nobody_reacted")) == "notice"
    assert governing(alert()) == "unassigned.message"
