"""What a mail looks like: one shape in plain text and in HTML, for agents and for visitors.

Nothing in it is fetched from anywhere, nothing of others' is markup, and it reads in light and
dark alike.
"""

from __future__ import annotations

from html import escape
from string import Template

import msgspec

BRAND = "Relaydesk"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody said: their name, the time as shown, the text, and names of its files."""

    who: str
    at: str
    text: str = ""
    files: tuple[str, ...] = ()


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a mail, all of it plain text.

    Attributes:
        language: BCP 47, of our own words.
        title: The first line; `lines` stand below it.
        said: Oldest first; `note` stands before them (that there is more, say).
        button, url: The one thing to do; without `url`: nothing.
        footer: Why the reader gets this.
        stop, stop_url: The words and address of the page to get no more.
        brand_url: Where our name leads; None: our name is nowhere.
    """

    language: str = "en"
    title: str
    lines: tuple[str, ...] = ()
    note: str = ""
    said: tuple[Said, ...] = ()
    button: str = ""
    url: str = ""
    footer: tuple[str, ...] = ()
    stop: str = ""
    stop_url: str = ""
    brand_url: str | None = None


def plain(letter: Letter) -> str:
    """Return the letter as text; what others said is indented, so that it passes for nothing."""
    blocks = ["\n".join((letter.title, *letter.lines))]
    blocks += [letter.note] if letter.note else []
    blocks += [_plain_said(said) for said in letter.said]
    blocks += [f"{letter.button}:\n{letter.url}"] if letter.url else []
    footer = list(letter.footer)
    footer += [f"{letter.stop}: {letter.stop_url}"] if letter.stop_url else []
    if letter.brand_url is not None:
        footer.append(f"Sent by {BRAND} {letter.brand_url}".rstrip())
    blocks += ["-- \n" + "\n".join(footer)] if footer else []
    return "\n\n".join(blocks) + "\n"


def rendered(letter: Letter) -> str:
    """Return the letter as HTML."""
    body = [f"<h1>{escape(letter.title)}</h1>"]
    body += [f'<p class="line">{escape(line)}</p>' for line in letter.lines]
    body += [f'<p class="note">{escape(letter.note)}</p>'] if letter.note else []
    body += [_html_said(said) for said in letter.said]
    if letter.url:
        body.append(
            f'<p><a class="button" href="{escape(letter.url)}">{escape(letter.button)}</a></p>'
        )
    footer = [f"<p>{escape(line)}</p>" for line in letter.footer]
    if letter.stop_url:
        footer.append(f'<p><a href="{escape(letter.stop_url)}">{escape(letter.stop)}</a></p>')
    if letter.brand_url is not None:
        footer.append(f"<p>Sent by {_brand(letter.brand_url)}</p>")
    return _PAGE.substitute(
        language=escape(letter.language),
        title=escape(letter.title),
        body="\n".join(body),
        footer="\n".join(footer),
    )


def _plain_said(said: Said) -> str:
    told = [*said.text.splitlines(), *(f"[{name}]" for name in said.files)]
    return "\n".join((f"{said.who}, {said.at}", *(f"    {line}".rstrip() for line in told)))


def _html_said(said: Said) -> str:
    text = escape(said.text).replace("\n", "<br>\n")
    files = "".join(f'<br>\n<span class="file">[{escape(name)}]</span>' for name in said.files)
    return (
        f'<div class="said"><p class="who"><b>{escape(said.who)}</b>, {escape(said.at)}</p>'
        f'<p dir="auto">{text}{files}</p></div>'
    )


def _brand(url: str) -> str:
    return f'<a href="{escape(url)}">{BRAND}</a>' if url else BRAND


_PAGE = Template("""<!DOCTYPE html>
<html lang="$language">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>$title</title>
<style>
:root { color-scheme: light dark; }
body { margin: 0; padding: 16px; max-width: 600px; font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0 0 4px; font-size: 20px; }
p { margin: 0 0 8px; }
.line, .note, .who, .footer { color: #666; }
.said { margin: 16px 0; padding-left: 12px; border-left: 3px solid #999; overflow-wrap: anywhere; }
.button { display: inline-block; margin: 8px 0 16px; padding: 10px 20px; border-radius: 6px;
  background: #1a56db; color: #fff; text-decoration: none; font-weight: bold; }
.footer { margin-top: 24px; font-size: 13px; }
@media (prefers-color-scheme: dark) {
  body { background: #16181d; color: #e8e8e8; }
  .line, .note, .who, .footer { color: #a8a8a8; }
  .footer a { color: #8ab4ff; }
}
</style>
</head>
<body>
$body
<div class="footer">
$footer
</div>
</body>
</html>
""")
