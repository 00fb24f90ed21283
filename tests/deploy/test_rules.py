"""The shipped rules: promtool accepts them, every alert is tested, told apart, and has its runbook.

What a rule, a runbook or a page of ours asks for is asked for by a name that the code declares.
"""

from __future__ import annotations

import json
import re
import shlex
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.generate import metrics
from libs.common.cli.main import command_parser
from tests.prometheus import checked
from tests.soak import SOAK

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
UNIT = sorted((ROOT / "deploy/prometheus/tests").glob("*.yml"))
BOOKS = {path.stem: path.read_text() for path in (ROOT / "docs/runbooks").glob("*.md")}
OBJECTIVES = ROOT / "docs/operations/objectives.md"
RUNBOOK_URL = "https://github.com/relaydesk/relaydesk/blob/main/docs/runbooks/{}.md"

load = partial(
    yaml.load, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
)  # C is ten times faster

GROUPS: dict[str, Any] = {
    group["name"]: group for path in RULES for group in load(path.read_text())["groups"]
}
ALERTS: dict[str, Any] = {
    rule["alert"]: rule for group in GROUPS.values() for rule in group["rules"] if "alert" in rule
}
RECORDED: dict[str, str] = {
    rule["record"]: rule["expr"]
    for group in GROUPS.values()
    for rule in group["rules"]
    if "record" in rule
}
OF_OTHERS = {
    "up",
    "process_start_time_seconds",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_max_fds",
}
"""Of Prometheus itself, and of its client library on Linux."""
HARMLESS = " stays silent: "
FIRING = " fires: "
STAND_INS = {
    "SEQ": "1",
    "ID": "some-id",
    "SLUG": "shop",
    "NAME": "router",
}
PLACES = re.compile(r"\b(" + "|".join(STAND_INS) + r")\b")
COMMAND = re.compile(r"`relaydesk (.+?)`")
PROMQL = re.compile(r"```promql\n(.*?)```", re.DOTALL)
NAMED = re.compile(r"\b(?:relaydesk|process)[_:][a-z0-9_:]+\b|\bup(?=\{)")


def kebab(alert: str) -> str:
    """Return the name of an alert's runbook."""
    return re.sub(r"(?<!^)([A-Z])", r"-\1", alert.removeprefix("Relaydesk")).lower()


def declared() -> set[str]:
    """Return each name that a query may ask for."""
    names = set(RECORDED) | OF_OTHERS
    for name, kind in re.findall(r"^\| `(\w+)` \| (\w+) \|", metrics(), re.MULTILINE):
        ends = ("_bucket", "_count", "_sum") if kind == "histogram" else ("",)
        names |= {name + end for end in ends}
    return names


def asked_for(alert: str) -> set[str]:
    """Return the names of an alert's rule and of all that is recorded for it."""
    wanted, left = {alert}, [str(ALERTS[alert]["expr"])]
    while left:
        found = set(NAMED.findall(left.pop())) & set(RECORDED) - wanted
        wanted |= found
        left += [RECORDED[name] for name in found]
    return wanted


def cases_alone(unit: Path, folder: Path) -> list[Path]:
    """Write a unit test's cases anew, one file for each alert; return the files.

    Each has its rule, and what is recorded for it, alone: promtool evaluates every rule that it
    has at every step of every case, which is ten times the work, and a case asks for one alert.
    """
    whole = load(unit.read_text())
    by_alert: dict[str, list[Any]] = {}
    for test in whole["tests"]:
        by_alert.setdefault(test["name"].split(" ")[0], []).append(test)
    files = []
    for alert, tests in by_alert.items():
        wanted = asked_for(alert)
        groups = [
            group | {"rules": rules}
            for path in whole["rule_files"]
            for group in load((unit.parent / path).read_text())["groups"]
            if (rules := [r for r in group["rules"] if {r.get("alert"), r.get("record")} & wanted])
        ]
        kept = [group["name"] for group in groups]
        order = [name for name in whole.get("group_eval_order", kept) if name in kept]
        (folder / f"{alert}.rules.yml").write_text(json.dumps({"groups": groups}))
        case = {"rule_files": [f"{alert}.rules.yml"], "group_eval_order": order, "tests": tests}
        files.append(folder / f"{alert}.yml")
        files[-1].write_text(json.dumps(whole | case))
    return files


def told() -> list[str]:
    """Return the names of all unit tests."""
    return [test["name"] for path in UNIT for test in load(path.read_text())["tests"]]


def test_d14_promtool_accepts_every_rule() -> None:
    checked("promtool", ["check", "rules", *RULES])


@pytest.mark.parametrize("path", UNIT, ids=lambda path: path.stem)
def test_d14_every_alert_fires_when_it_should_and_only_then(path: Path, tmp_path: Path) -> None:
    files = [path] if SOAK else cases_alone(path, tmp_path)
    told = checked("promtool", ["test", "rules", *files])
    assert told.count("SUCCESS") == len(files)


def test_h9_each_alert_has_a_firing_and_a_harmless_case() -> None:
    names = told()
    assert len(set(names)) == len(names), "two cases of one name"
    for kind in (FIRING, HARMLESS):
        assert {name.split(kind)[0] for name in names if kind in name} == set(ALERTS), kind


@pytest.mark.parametrize("path", UNIT, ids=lambda path: path.stem)
def test_h9_a_case_asks_for_the_alert_that_it_names(path: Path) -> None:
    for test in load(path.read_text())["tests"]:
        (asked,) = test["promql_expr_test"]
        alert = test["name"].split(" ")[0]
        assert f'alertname="{alert}"' in asked["expr"], test["name"]
        assert bool(asked["exp_samples"]) == (FIRING in test["name"]), test["name"]


@pytest.mark.parametrize("alert", ALERTS)
def test_d14_an_alert_says_how_bad_what_and_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert f"relaydesk-{rule['labels']['area']}" in GROUPS
    notes = rule["annotations"]
    assert "$labels" in notes["summary"] or "$value" in notes["summary"] + notes["description"]
    assert len(notes["summary"]) <= 160
    assert notes["description"].endswith((".", "shows what."))
    assert notes["runbook_url"] == RUNBOOK_URL.format(kebab(alert))
    assert rule["for"] != "0m"


def test_d14_each_alert_has_its_runbook_and_each_runbook_its_alert() -> None:
    assert set(BOOKS) == {kebab(alert) for alert in ALERTS}


@pytest.mark.parametrize("alert", ALERTS)
def test_d14_a_runbook_answers_what_a_woken_person_asks(alert: str) -> None:
    text = BOOKS[kebab(alert)]
    rule = ALERTS[alert]
    assert text.startswith(f"# {alert}\n")
    page = "Page: somebody gets up." in text
    assert page == (rule["labels"]["severity"] == "page")
    assert f"Fires after {rule['for']}." in text
    heads = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert heads == [
        "For customers",
        "How to see it",
        "Likely causes, most likely first",
        "What to do",
        "It is over when",
        "When to escalate",
    ]


@pytest.mark.parametrize("book", BOOKS)
def test_d14_what_a_runbook_has_one_type_exists(
    book: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in COMMAND.findall(" ".join(BOOKS[book].split())):
        typed = PLACES.sub(lambda found: STAND_INS[found[0]], command)
        try:
            command_parser().parse_args(shlex.split(typed))
        except SystemExit:
            pytest.fail(f"relaydesk {command}: {capsys.readouterr().err}")
    for name in re.findall(r"\]\(([\w-]+)\.md\)", BOOKS[book]):
        assert name in BOOKS, f"a link to {name}"
    for page in re.findall(r"\bdocs/[\w/.-]+\.md\b", BOOKS[book]):
        assert (ROOT / page).is_file(), page


def test_d14_promtool_accepts_every_query_of_a_runbook(tmp_path: Path) -> None:
    asked = [line for text in BOOKS.values() for line in PROMQL.findall(text)[0].splitlines()]
    rules = [{"record": f"asked:{i}", "expr": line} for i, line in enumerate(asked)]
    file = tmp_path / "asked.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    checked("promtool", ["check", "rules", "--lint=none", file])


def test_c05_rules_and_runbooks_ask_for_metrics_that_exist() -> None:
    known = declared()
    texts = {path.name: path.read_text() for path in [*RULES, OBJECTIVES]} | BOOKS
    texts = {name: re.sub(r"relaydesk:<\S+", "", text) for name, text in texts.items()}
    strange = {
        (name, found)
        for name, text in texts.items()
        for found in NAMED.findall(text)
        if found not in known
    }
    assert not strange


def test_c05_what_is_recorded_over_several_times_differs_in_nothing_else() -> None:
    shapes: dict[str, set[str]] = {}
    for name, expr in RECORDED.items():
        found = re.fullmatch(r"(.+_(?:rate|increase))(\d+[mhd])", name)
        if found and name.count(":") == 2 and ":bad_" in name:
            assert set(re.findall(r"\[(\w+)\]", expr)) == {found[2]}, name
            shapes.setdefault(found[1], set()).add(re.sub(r"\[\w+\]", "[]", expr))
    assert len(shapes) == 10
    assert {len(exprs) for exprs in shapes.values()} == {1}


def test_c05_queries_work_in_old_and_new_prometheus() -> None:
    for path in RULES:
        text = path.read_text()
        assert not re.search(r"histogram_(avg|count|sum|fraction)\(|@ (start|end)|\{\"", text)
        assert not re.search(r'le="\d+"', text), f"{path.name}: 3.x calls it 2.0, not 2"
