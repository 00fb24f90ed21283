"""Bots as the tests need them."""

from __future__ import annotations

from libs.common.documents import Bot, FaqEntry, FlowChoice, FlowStep

WORKSPACE = "acme"


def faq_bot(*entries: FaqEntry, fuzzy: int = 85) -> Bot:
    return Bot(id="bot-1", workspace=WORKSPACE, name="Robo", kind="faq", faq=entries, fuzzy=fuzzy)


def flow_bot(*steps: FlowStep, start: str = "") -> Bot:
    return Bot(id="bot-1", workspace=WORKSPACE, name="Robo", kind="flow", steps=steps, start=start)


def web_bot(url: str = "https://bot.example/hook") -> Bot:
    return Bot(id="bot-1", workspace=WORKSPACE, name="Robo", kind="webhook", url=url)


def choices(**leads: str) -> tuple[FlowChoice, ...]:
    """Return choices by title, `_` for a blank, each with the step it leads to."""
    return tuple(FlowChoice(title=title.replace("_", " "), to=to) for title, to in leads.items())
