"""A storm: few alerts one by one, one summary a minute of the rest, and nothing lost."""

from __future__ import annotations

from libs.common.alerts import Alert, Attention
from libs.common.switches import Alerting, Rung
from services.notifier.attention_storm import Breaker, Permits, Whose
from tests.notifier.attention_play import BEGAN, Play

BOTH = {"ada": {"triggers": {"unassigned.message": ("browser", "email")}}}
CALM = Alerting(escalation=(), storm_per_minute=5)
ADA = Whose("at_once", "acme", "ada")


def storm(count: int, alerts: Alerting = CALM) -> list[Play]:
    """Return the sessions of so many visitors whom Ada alone is to answer."""
    breaker = Breaker()
    plays = []
    for number in range(count):
        play = Play(alerts=alerts, wanted="ada", online=["ada"], prefers=BOTH)
        play.breaker = breaker
        play.session.id = f"s{number}"
        play.doc = Attention(id=play.session.id, workspace="acme", updated_at=BEGAN)
        plays.append(play)
    return plays


def told(plays: list[Play], sink: str, kind: str = "raised") -> list[Alert]:
    """Return what the stream keeps of what was told: one of each message id, the first."""
    found: dict[str, Alert] = {}
    for play in plays:
        for by, alert in play.told:
            if by == sink and alert.kind == kind:
                found.setdefault(f"{alert.id}:{alert.n}:{sink}", alert)
    return list(found.values())


def all_write(plays: list[Play]) -> None:
    for play in plays:
        play.writes()


def all_wait(plays: list[Play], seconds: int) -> None:
    """Let time pass for all of them together, a second at a time."""
    for _ in range(seconds):
        for play in plays:
            play.passes(1)


def test_d09_in_a_storm_the_rest_is_one_summary_a_minute() -> None:
    plays = storm(40)
    all_write(plays)
    found = told(plays, "browser")
    assert [alert.summary for alert in found] == [False] * 5 + [True]
    summary = found[-1]
    assert (summary.session, summary.url, summary.count) == ("", "/#/", 1)
    all_wait(plays, 62)
    [update] = [alert for alert in told(plays, "browser", "updated") if alert.summary]
    assert (update.id, update.count) == (summary.id, 35)


def test_d09_who_is_held_back_is_written_down_and_mailed_in_a_summary() -> None:
    plays = storm(40)
    all_write(plays)
    assert [play.watch("ada").held for play in plays] == [False] * 5 + [True] * 35
    all_wait(plays, 185)
    mails = told(plays, "email")
    assert [alert.summary for alert in mails] == [False] * 5 + [True]
    assert mails[-1].count == 35
    assert all(play.watch("ada").told.keys() >= {"email"} for play in plays)


def test_d09_each_storm_is_mailed_although_they_come_soon_after_each_other() -> None:
    plays = storm(20)
    all_write(plays[:10])
    all_wait(plays, 70)
    all_write(plays[10:])
    all_wait(plays, 200)
    counts = [alert.count for alert in told(plays, "email") if alert.summary]
    assert counts == [5, 5]


def test_d09_who_is_held_back_and_writes_again_is_told_of_when_it_is_calm() -> None:
    plays = storm(7)
    all_write(plays)
    all_wait(plays, 70)
    late = plays[-1]
    late.writes()
    assert not late.watch("ada").held
    assert (late.last.session, late.last.kind, late.last.count) == ("s6", "raised", 2)


def test_d09_the_ladder_is_climbed_for_who_is_held_back() -> None:
    ladder = (Rung(after_s=180),)
    plays = storm(7, Alerting(escalation=ladder, storm_per_minute=5))
    all_write(plays)
    all_wait(plays, 200)
    assert [play.watch("ada").rung for play in plays] == [1] * 7
    rungs = [alert for alert in told(plays, "browser") if alert.rung == 1]
    assert len(rungs) == 5


def test_a_try_once_more_takes_no_second_place() -> None:
    breaker = Breaker()
    permits = Permits(breaker, "acme", "s1", 1)
    assert [permits.ask("at_once", "ada", 0.0) for _ in range(3)] == [0, 0, 0]
    other = Permits(breaker, "acme", "s2", 1)
    assert [other.ask("at_once", "ada", 0.0) for _ in range(3)] == [1, 1, 1]


def test_places_are_free_again_after_sixty_seconds() -> None:
    breaker = Breaker()
    asked = [breaker.ask(ADA, f"s{n}", 2, at) for n, at in enumerate((0.0, 30, 59, 60, 61, 90))]
    assert asked == [0, 0, 1, 0, 1, 0]
    assert (breaker.held(ADA, 0), breaker.held(ADA, 1), breaker.held(ADA, None)) == (1, 1, 2)
