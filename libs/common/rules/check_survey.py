"""What is wrong with how visitors are asked how it was."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from libs.common.rules.finding import Finding, unknown, wrong
from libs.common.surveys import TEXT_MOST, WITHIN_LEAST_S, WITHIN_MOST_S
from libs.common.switches import Settings


def check_survey(settings: Settings, channels: Collection[str]) -> Iterator[Finding]:
    """Yield what is wrong with `survey`."""
    survey, place = settings.survey, "settings.survey"
    for number, channel in enumerate(survey.channels):
        yield from unknown(f"{place}.channels[{number}]", "channel", channel, channels)
    if not survey.question.strip():
        yield wrong(f"{place}.question", "is blank; allowed: some text that asks for 1 to 5")
    for name in ("question", "thanks"):
        length = len(getattr(survey, name))
        if length > TEXT_MOST:
            text = f"has {length} characters; allowed: at most {TEXT_MOST}"
            yield wrong(f"{place}.{name}", text)
    if not WITHIN_LEAST_S <= survey.within_s <= WITHIN_MOST_S:
        text = f"{survey.within_s} is out of range; allowed: {WITHIN_LEAST_S} to {WITHIN_MOST_S}"
        yield wrong(f"{place}.within_s", text)
