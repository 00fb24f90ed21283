"""What each channel carries both ways, from the registry: the tables of docs/channels.md."""

from __future__ import annotations

from typing import get_args

from libs.common.channel import Carried, Channel, WindowRule
from libs.common.channels import CHANNELS
from libs.common.simulate.bodies import kinds

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
START, END = "<!-- generated: make docs -->\n", "<!-- end of what is generated -->\n"


def with_tables(text: str) -> str:
    """Return docs/channels.md with its generated part written anew."""
    before, _, rest = text.partition(START)
    after = rest.partition(END)[2]
    return f"{before}{START}\n{tables()}\n{END}{after}"


def tables() -> str:
    """Return the tables of the generated part."""
    return f"{_outgoing()}\n{_limits()}\n{_incoming()}"


def _outgoing() -> str:
    names = sorted(CHANNELS)
    lines = ["**Out**: what `send` takes.", "", _row("", names), _rule(len(names))]
    for what in get_args(Carried):
        marks = ["yes" if what in CHANNELS[name].carries else "-" for name in names]
        lines.append(_row(what.replace("_", " "), marks))
    return "\n".join([*lines, ""])


def _limits() -> str:
    names = sorted(CHANNELS)
    lines = ["**Limits out.**", "", _row("", names), _rule(len(names))]
    for title, told in (
        ("longest text", _text),
        ("largest files, MB", _sizes),
        ("files go by", lambda c: "link" if c.needs_link else "upload"),
        ("we may write", lambda c: _window(c.window)),
        ("calls a second", lambda c: f"{c.pace.per_second:g}"),
    ):
        lines.append(_row(title, [told(CHANNELS[name]) for name in names]))
    return "\n".join([*lines, ""])


def _incoming() -> str:
    lines = ["**In**: the kinds that `relaydesk simulate` plays and the channel understands.", ""]
    lines += [_row("channel", ["kinds"]), _rule(1)]
    lines += [_row(name, [", ".join(kinds(name))]) for name in sorted(CHANNELS)]
    return "\n".join([*lines, ""])


def _text(channel: Channel) -> str:
    unit = {"utf16": "UTF-16 units", "utf8": "bytes"}.get(channel.text_unit, channel.text_unit)
    return f"{channel.text_limit} {unit}"


def _sizes(channel: Channel) -> str:
    found = {k: size for k, size in channel.media_limits.items() if k in channel.carries}
    return ", ".join(f"{kind} {size / 1e6:.3g}" for kind, size in found.items()) or "-"


def _window(rule: WindowRule) -> str:
    if rule.free_s is None and rule.private_reply_s is None:
        return "always"
    told = [f"{_time(rule.free_s)} after the visitor"] if rule.free_s is not None else ["always"]
    told += [f"a person {_time(rule.human_agent_s)}"] if rule.human_agent_s else []
    told += ["templates always"] if rule.templates else []
    told += [f"{rule.most_sends} messages"] if rule.most_sends else []
    if rule.brief_s:
        told.append(f"after a tap {rule.brief_sends} in {rule.brief_s:g} s")
    told += [f"{_time(rule.free_entry_s)} after an ad"] if rule.free_entry_s else []
    told += [f"privately once in {_time(rule.private_reply_s)}"] if rule.private_reply_s else []
    return "; ".join(told)


def _time(seconds: float | None) -> str:
    whole = seconds or 0.0
    return f"{whole / DAY_S:g} days" if whole > 3 * DAY_S else f"{whole / HOUR_S:g} h"


def _row(first: str, cells: list[str]) -> str:
    return f"| {' | '.join((first, *cells))} |"


def _rule(count: int) -> str:
    return "|---" * (count + 1) + "|"
