"""What is wrong with how a workspace alerts its agents, and writes to visitors who have left."""

from __future__ import annotations

from collections.abc import Iterator

from libs.common.rules.finding import Finding, wrong
from libs.common.switches import AlertMethod, Settings

DAY_S = 24 * 3600
WINDOW_S = (5, 3600)
EMAIL_S = (10, DAY_S)
RUNG_S = (10, DAY_S)
RUNGS_MOST = 5
STORM = (1, 1000)
STALE_S = (60, DAY_S)
GONE_S = (20, 3600)
QUIET_S = (0, DAY_S)

_ALERTS = {
    "window_s": WINDOW_S,
    "email_after_s": EMAIL_S,
    "email_within_s": EMAIL_S,
    "storm_per_minute": STORM,
    "stale_s": STALE_S,
}
_VISITORS = {"after_s": GONE_S, "quiet_s": QUIET_S}


def check_alerts(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with `alerts` and `offline_visitors`."""
    alerts = settings.alerts
    for name, (least, most) in _ALERTS.items():
        yield from _within(f"settings.alerts.{name}", getattr(alerts, name), least, most)
    if alerts.email_within_s < alerts.email_after_s:
        text = (
            f"{alerts.email_within_s} is less than email_after_s; "
            f"allowed: {alerts.email_after_s} to {EMAIL_S[1]}"
        )
        yield wrong("settings.alerts.email_within_s", text)
    for trigger, default in alerts.triggers.items():
        yield from _once(f"settings.alerts.triggers.{trigger}.methods", default.methods)
    yield from _ladder(settings)
    for name, (least, most) in _VISITORS.items():
        value = getattr(settings.offline_visitors, name)
        yield from _within(f"settings.offline_visitors.{name}", value, least, most)


def _ladder(settings: Settings) -> Iterator[Finding]:
    rungs = settings.alerts.escalation
    place = "settings.alerts.escalation"
    if len(rungs) > RUNGS_MOST:
        yield wrong(place, f"there are {len(rungs)}; allowed: at most {RUNGS_MOST}")
    before = 0
    for number, rung in enumerate(rungs[:RUNGS_MOST]):
        at = f"{place}[{number}]"
        yield from _within(f"{at}.after_s", rung.after_s, *RUNG_S)
        if rung.after_s <= before:
            text = f"{rung.after_s} does not rise; allowed: more than {before}, the rung before"
            yield wrong(f"{at}.after_s", text)
        yield from _once(f"{at}.methods", rung.methods)
        before = rung.after_s


def _once(place: str, methods: tuple[AlertMethod, ...]) -> Iterator[Finding]:
    if len(set(methods)) < len(methods):
        yield wrong(place, "names a method twice; allowed: each of browser, email, webhook once")


def _within(place: str, value: int, least: int, most: int) -> Iterator[Finding]:
    if not least <= value <= most:
        yield wrong(place, f"{value} is out of range; allowed: {least} to {most}")
