"""The image and the compose file agree with the code: names, ports, paths, and how closed they are.

Nothing here starts a container: docs/operations/install-compose.md says what was run in one.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import os
import re
import shlex
import socket
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from deploy import probe
from libs.common.admin import serve_admin
from libs.common.cli.front import INGEST_PATHS
from libs.common.config import (
    COMMAND_NAMES,
    PREFIX,
    SERVICES,
    NotifierSettings,
    SchedulerSettings,
    load,
    variables,
)
from libs.common.embedded import MAX_PAYLOAD_BYTES, server_binary
from libs.common.files.gridfs import GridFiles
from libs.common.files.open import open_files
from libs.common.mail_server import read_server
from libs.common.seal import Sealer, new_key_setting
from services.ingest.remote import neighbourhood, networks

ROOT = Path(__file__).parents[2]
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
RUNNING: dict[str, dict[str, Any]] = COMPOSE["services"]
SIMULATOR = ["demo", "simulator"]
OURS = sorted({*SERVICES, "front", "migrate", *SIMULATOR})
SERVERS = {"nats", "mongo"}
WATCHING = {"prometheus", "alertmanager", "grafana", "mail"}
OTHERS = sorted(SERVERS | WATCHING)
PAGE = ROOT / "docs" / "operations" / "install-compose.md"
FOLDER = ROOT / "deploy" / "compose"
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

Step = tuple[str, str]


def steps(text: str) -> list[Step]:
    """Return the instructions of a Dockerfile: name and argument, continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    pairs = (line.strip().partition(" ") for line in joined.splitlines() if line.strip())
    return [(name, " ".join(argument.split())) for name, _, argument in pairs]


STEPS = steps(DOCKERFILE)
LAST_STAGE = STEPS[max(i for i, (name, _) in enumerate(STEPS) if name == "FROM") :]


def told(name: str) -> list[str]:
    """Return the arguments of an instruction in the stage that ships."""
    return [argument for step, argument in LAST_STAGE if step == name]


def image_environment() -> dict[str, str]:
    words = (word.partition("=") for argument in told("ENV") for word in shlex.split(argument))
    return {name: value for name, _, value in words}


GIVEN = {"RELAYDESK_SECRET_KEY": new_key_setting()}
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def filled(text: str) -> str:
    """Replace `${NAME:-default}` and `${NAME:?message}` as Compose does."""

    def value(found: re.Match[str]) -> str:
        name, kind, default = found.groups()
        return GIVEN[name] if kind != "-" else GIVEN.get(name, default)

    return _VARIABLE.sub(value, text)


def environment(service: str) -> dict[str, str]:
    """Return what a container's process sees: the image's variables, then the service's."""
    own: Mapping[str, str] = RUNNING[service].get("environment", {})
    return image_environment() | {name: filled(str(value)) for name, value in own.items()}


def test_the_five_services_run_and_what_they_need_and_nothing_else() -> None:
    assert set(RUNNING) == {*OURS, *OTHERS}
    of_a_trial = {name for name, found in RUNNING.items() if "profiles" in found}
    assert of_a_trial == set(SIMULATOR)
    assert all(RUNNING[name]["profiles"] == ["simulator"] for name in of_a_trial)


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_service_starts_with_what_the_file_gives_it(service: str) -> None:
    assert RUNNING[service]["command"] == ["serve", service]
    settings = load(SERVICES[service], environment(service))
    Sealer.from_setting(settings.secret_key)
    assert settings.host == "0.0.0.0"  # noqa: S104 (in a container nobody else hears loopback)
    assert settings.admin_port == 9090


def test_every_name_of_ours_is_a_setting() -> None:
    known = {variable.name for variable in variables()}
    known |= {PREFIX + name.upper() for name in COMMAND_NAMES}
    texts = [COMPOSE_TEXT, DOCKERFILE, (ROOT / "deploy" / "probe.py").read_text()]
    texts += [(ROOT / name).read_text() for name in ("deploy/nats.conf", "deploy/smoke.py")]
    texts.append(PAGE.read_text())
    used = {name for text in texts for name in re.findall(rf"{PREFIX}[A-Z0-9_]+", text)}
    assert used
    assert used - known == set()


def test_ingest_knows_no_store() -> None:
    assert "RELAYDESK_STORE_URL" not in environment("ingest")
    assert "mongo" not in RUNNING["ingest"]["depends_on"]


WORLD = "https://chat.example.com"
LINKING = sorted(name for name, kind in SERVICES.items() if hasattr(kind, "public_url"))
KEEPING = sorted(name for name, kind in SERVICES.items() if hasattr(kind, "files_url"))


@pytest.mark.parametrize("given", ["", WORLD], ids=["none", "one"])
@pytest.mark.parametrize("service", LINKING)
def test_who_makes_links_is_told_the_public_address(
    monkeypatch: pytest.MonkeyPatch, service: str, given: str
) -> None:
    if given:
        monkeypatch.setitem(GIVEN, "RELAYDESK_PUBLIC_URL", given)
    settings = load(SERVICES[service], environment(service))
    assert settings.public_url == given  # type: ignore[attr-defined]


@pytest.mark.parametrize("service", KEEPING)
async def test_files_are_kept_in_mongodb_by_all_who_need_them(service: str) -> None:
    settings = load(SERVICES[service], environment(service))
    url: str = settings.files_url  # type: ignore[attr-defined]
    async with open_files(url, settings.store_url) as files:  # type: ignore[attr-defined]
        assert isinstance(files, GridFiles)


SETTINGS_OF_FILES = ("RELAYDESK_PUBLIC_URL", "RELAYDESK_FILES_URL")


@pytest.mark.parametrize("name", SETTINGS_OF_FILES)
def test_the_document_names_the_settings_of_files(name: str) -> None:
    assert f"`{name}`" in PAGE.read_text()


def test_no_secret_stands_in_the_file() -> None:
    secret = {variable.name for variable in variables() if variable.secret}
    for service in OURS:
        for name in secret & set(RUNNING[service].get("environment", {})):
            text = str(RUNNING[service]["environment"][name])
            if name == "RELAYDESK_STORE_URL":
                assert "@" not in text, "a password in the store's URL"
            elif name == "RELAYDESK_SMTP_URL":
                assert "@" not in text, "the catcher asks for no password"
            else:
                assert text.startswith("${" + name + ":?"), "must stop with a message when unset"


PUBLISHED = {
    "front": f"127.0.0.1:8080:{image_environment()['RELAYDESK_PORT']}",
    "prometheus": "127.0.0.1:9090:9090",
    "alertmanager": "127.0.0.1:9093:9093",
    "grafana": "127.0.0.1:3000:3000",
    "mail": "127.0.0.1:8025:8025",
    "simulator": "127.0.0.1:8099:8099",
}


@pytest.mark.parametrize("service", sorted(RUNNING))
def test_a_port_is_published_to_this_machine_alone(service: str) -> None:
    mappings = [filled(mapping) for mapping in RUNNING[service].get("ports", ())]
    assert mappings == ([PUBLISHED[service]] if service in PUBLISHED else [])


def test_only_the_front_can_be_bound_to_the_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GIVEN, "GATEWAY_BIND", "0.0.0.0")  # noqa: S104 (what is tried)
    for service in PUBLISHED:
        (mapping,) = RUNNING[service]["ports"]
        assert filled(mapping).startswith("0.0.0.0:") is (service == "front")


def test_the_front_leads_to_where_ingest_and_desk_listen() -> None:
    command = RUNNING["front"]["command"]
    assert command[0] == "front"
    origins = dict(zip(command[1::2], command[2::2], strict=True))
    expected = {}
    for service in ("ingest", "desk"):
        port = load(SERVICES[service], environment(service)).port  # type: ignore[attr-defined]
        expected[f"--{service}"] = f"http://{service}:{port}"
    assert origins == expected
    assert INGEST_PATHS == (
        "/webhooks/",
        "/plugin/",
        "/chat/",
    )  # as the page tells an ingress


def test_the_front_holds_no_secret() -> None:
    assert set(environment("front")) == set(image_environment())


def test_the_exposed_ports_are_the_two_that_are_listened_on() -> None:
    found = image_environment()
    assert told("EXPOSE") == [f"{found['RELAYDESK_PORT']} {found['RELAYDESK_ADMIN_PORT']}"]


def test_visitors_are_told_apart_behind_the_front() -> None:
    trusted = networks(environment("ingest")["RELAYDESK_TRUSTED_PROXIES"])
    subnets = [
        ipaddress.ip_network(found["ipam"]["config"][0]["subnet"])
        for found in COMPOSE["networks"].values()
    ]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(subnets, 2))
    front, machine = (str(next(subnet.hosts())) for subnet in subnets[:2])
    assert neighbourhood(front, f"203.0.113.9, {machine}", trusted) == "203.0.113.9"
    assert neighbourhood(front, "203.0.113.9, 198.51.100.7", trusted) == "198.51.100.7"


NETWORKS = {
    "front": {"inside", "outside"},
    "notifier": {"inside", "outside"},
    "prometheus": {"inside", "operators"},
    "mail": {"inside", "operators"},
    "simulator": {"inside", "operators"},
    "alertmanager": {"operators"},
    "grafana": {"operators"},
}


@pytest.mark.parametrize("service", sorted(RUNNING))
def test_only_who_must_reaches_the_outside(service: str) -> None:
    assert set(RUNNING[service]["networks"]) == NETWORKS.get(service, {"inside"})
    assert COMPOSE["networks"]["inside"]["internal"] is True


@pytest.mark.parametrize("service", sorted(RUNNING))
def test_a_container_is_closed_and_limited(service: str) -> None:
    found = RUNNING[service]
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert found["tmpfs"] == ["/tmp"]  # noqa: S108 (a container's own)
    assert {"privileged", "cap_add", "devices", "pid", "network_mode"} & set(found) == set()
    assert re.fullmatch(r"\d+[mg]", found["mem_limit"])
    assert 0 < float(filled(str(found["cpus"]))) <= 1, "more than one stops where one core is"
    assert found["pids_limit"] > 0
    assert found["logging"]["options"].keys() == {"max-size", "max-file"}


@pytest.mark.parametrize("service", OURS)
def test_a_container_of_ours_runs_as_the_image_says(service: str) -> None:
    assert RUNNING[service]["stop_grace_period"] == "15s"
    assert "user" not in RUNNING[service]


def test_only_ingest_writes_and_only_its_spool() -> None:
    written = {name: RUNNING[name]["volumes"] for name in OURS if "volumes" in RUNNING[name]}
    spool = image_environment()["RELAYDESK_SPOOL_DIR"]
    demo = environment("demo")["RELAYDESK_DATA_DIR"]
    assert environment("simulator")["RELAYDESK_DATA_DIR"] == demo
    trial = {name: [f"demo:{demo}"] for name in SIMULATOR}
    assert written == {"ingest": [f"spool:{spool}"], **trial}
    (made,) = [run for run in told("RUN") if spool in run]
    assert "install -d -o relaydesk" in made  # a new volume takes the owner of what it covers
    assert demo in made


def test_the_process_is_nobody_special() -> None:
    assert told("USER") == ["10001:10001"]
    assert "--uid 10001" in DOCKERFILE


def test_every_volume_is_declared_and_used() -> None:
    used = {
        volume.partition(":")[0]
        for found in RUNNING.values()
        for volume in found.get("volumes", ())
        if not volume.startswith("./")
    }
    assert used == set(COMPOSE["volumes"])


def test_every_image_is_pinned() -> None:
    ours = f"relaydesk:{VERSION}"
    assert {RUNNING[name]["image"] for name in OURS} == {ours}
    assert f"ARG VERSION={VERSION}" in DOCKERFILE
    bases = [argument.split()[0] for name, argument in STEPS if name == "FROM"]
    for image in [*bases, *(RUNNING[name]["image"] for name in OTHERS)]:
        assert re.fullmatch(r"([a-z]+/)?[a-z]+:v?\d+\.\d+[a-z0-9.-]*", image), image


def test_the_image_is_built_once() -> None:
    assert [name for name in RUNNING if "build" in RUNNING[name]] == ["migrate"]
    assert (ROOT / RUNNING["migrate"]["build"]["dockerfile"]).is_file()


def test_the_build_installs_what_is_locked_and_names_no_registry() -> None:
    (installs,) = [run for name, run in STEPS if name == "RUN" and "requirements.lock" in run]
    runs = [run for name, run in STEPS if name == "RUN"]
    for install in installs.split("&&")[1:]:
        assert "--require-hashes" in install
        assert "--only-binary :all:" in install
    assert "--no-build-isolation" in installs, "what builds is locked as well"
    assert installs.count("--no-binary") == 1
    assert "--no-binary http-ece " in installs, "it alone is published without a wheel"
    assert re.findall(r"https?://|--(?:extra-)?index-url|--find-links", " ".join(runs)) == []
    lock = (ROOT / "requirements.lock").read_text()
    (cleared,) = [run for name, run in STEPS if name == "RUN" and "pip uninstall" in run]
    for name in cleared.partition("--yes ")[2].split():
        assert name == "pip" or f"{name}==" in lock


def test_the_last_stage_builds_nothing() -> None:
    assert not [run for run in told("RUN") if re.search(r"\b(pip|apt-get|gcc|make|curl)\b", run)]
    assert told("ENTRYPOINT") == ['["relaydesk"]']


def test_what_is_copied_is_sent_to_the_engine() -> None:
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    sent = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {
        source
        for name, argument in STEPS
        if name == "COPY" and not argument.startswith("--from")
        for source in argument.split()[:-1]
    }
    assert "*" in rules
    assert copied == sent
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.parametrize("service", sorted(RUNNING))
def test_who_is_waited_for_can_become_healthy(service: str) -> None:
    for name, wait in RUNNING[service].get("depends_on", {}).items():
        if wait["condition"] == "service_healthy":
            assert "test" in RUNNING[name]["healthcheck"]
        else:
            assert name in {"migrate", "demo"}
            assert RUNNING[name]["restart"] == "no"


class Admin:
    """A real admin port whose readiness can be switched."""

    def __init__(self) -> None:
        self.ready = True
        self.port = 0

    async def checks(self) -> Mapping[str, bool]:
        return {"serving": self.ready}


@pytest_asyncio.fixture
async def admin() -> AsyncIterator[Admin]:
    found = Admin()
    async with serve_admin("127.0.0.1", 0, found.checks) as port:
        found.port = port
        yield found


def probe_of(where: str) -> list[str]:
    """Return the probe's command with this machine's paths."""
    if where == "image":
        command = yaml.safe_load(told("HEALTHCHECK")[0].partition("CMD ")[2])
    else:
        kind, *command = RUNNING["ingest"]["healthcheck"]["test"]
        assert kind == "CMD"
    (copied,) = [argument for argument in told("COPY") if "probe.py" in argument]
    source, target = copied.split()
    python, flags, script, path = command
    assert (python, script) == ("/opt/relaydesk/bin/python", target)
    return [sys.executable, flags, str(ROOT / source), path]


PROBES = {
    "the image asks whether the process lives, and it does": ("image", True, 0),
    "a service that waits for another still lives": ("image", False, 0),
    "compose asks whether it is ready, and it is": ("compose", True, 0),
    "a service that waits for another is not ready": ("compose", False, 1),
}


@pytest.mark.parametrize(("where", "ready", "code"), PROBES.values(), ids=PROBES)
async def test_the_probe_asks_a_path_that_is_served(
    admin: Admin, where: str, ready: bool, code: int
) -> None:
    admin.ready = ready
    process = await start_probe(probe_of(where), admin.port)
    assert process == code


@pytest.mark.parametrize("where", ["image", "compose"])
async def test_the_probe_fails_where_nobody_listens(where: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert await start_probe(probe_of(where), closed.getsockname()[1]) == 1


ROLES = {
    "a service is asked": (["relaydesk", "serve", "router"], "serve"),
    "the front is asked": (
        ["/opt/relaydesk/bin/python", "/opt/relaydesk/bin/relaydesk", "front"],
        "front",
    ),
    "an init before it changes nothing": (
        ["/sbin/docker-init", "--", "relaydesk", "serve"],
        "serve",
    ),
    "a migration serves nothing": (
        ["python", "/opt/relaydesk/bin/relaydesk", "migrate"],
        "migrate",
    ),
    "a command line of another make is asked": (["sh"], "serve"),
}


@pytest.mark.parametrize(("words", "role"), ROLES.values(), ids=ROLES)
def test_the_probe_tells_commands_apart(words: list[str], role: str, tmp_path: Path) -> None:
    assert probe.command(words) == role
    first = tmp_path / "cmdline"
    first.write_text("\0".join([*words, ""]))
    if role not in probe.SERVING:
        assert probe.main("/livez", first=first) == 0


async def start_probe(command: list[str], port: int) -> int:
    """Run the probe as the engine does, and return its exit code."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={"RELAYDESK_ADMIN_PORT": str(port)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 10)
    assert said.count(b"\n") == 1, said
    assert process.returncode is not None
    return process.returncode


@pytest.mark.parametrize("service", sorted({*SERVICES, "front"}))
def test_every_service_is_asked_the_same_way(service: str) -> None:
    assert RUNNING[service]["healthcheck"]["test"] == RUNNING["ingest"]["healthcheck"]["test"]


def test_nats_syncs_before_it_confirms_and_takes_what_the_embedded_one_takes() -> None:
    text = (ROOT / "deploy" / "nats.conf").read_text()
    found = dict(re.findall(r"^\s*(\w+): (\S+)", text, re.MULTILINE))
    assert found["sync_interval"] == "always"
    assert int(found["max_payload"]) == MAX_PAYLOAD_BYTES
    assert f"nats:{found['store_dir'].strip(chr(34))}" in RUNNING["nats"]["volumes"]
    port = found["listen"].strip('"').partition(":")[2]
    assert environment("ingest")["RELAYDESK_NATS_URL"] == f"nats://nats:{port}"
    (asked,) = [word for word in RUNNING["nats"]["healthcheck"]["test"] if "://" in word]
    assert asked.startswith(f"http://{found['http'].strip(chr(34))}/healthz")


def test_nats_accepts_its_configuration() -> None:
    size = filled(RUNNING["nats"]["environment"]["JETSTREAM_MAX_FILE"])
    command = [str(server_binary()), "-t", "--config", str(ROOT / "deploy" / "nats.conf")]
    environ = {**os.environ, "JETSTREAM_MAX_FILE": size}
    done = subprocess.run(command, env=environ, capture_output=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr


def test_the_store_is_the_replica_set_that_the_health_check_makes() -> None:
    name = RUNNING["mongo"]["command"][RUNNING["mongo"]["command"].index("--replSet") + 1]
    script = RUNNING["mongo"]["healthcheck"]["test"][-1]
    assert f'_id: "{name}"' in script
    assert 'host: "mongo:27017"' in script
    expected = f"mongodb://mongo:27017/relaydesk?replicaSet={name}"
    assert environment("desk")["RELAYDESK_STORE_URL"] == expected


def provisioned(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


def test_prometheus_asks_every_service_at_its_admin_port() -> None:
    (job,) = [
        one
        for one in provisioned("prometheus.yml")["scrape_configs"]
        if one["job_name"] == "relaydesk"
    ]
    found = {one["labels"]["service"]: one["targets"] for one in job["static_configs"]}
    port = image_environment()["RELAYDESK_ADMIN_PORT"]
    assert found == {name: [f"{name}:{port}"] for name in ({*SERVICES, "front"})}
    for name in found:
        assert set(RUNNING["prometheus"]["networks"]) & set(RUNNING[name]["networks"])


def mounted(service: str) -> dict[str, str]:
    """Return what of the project is mounted: place in the container -> path here."""
    parts = [volume.split(":") for volume in RUNNING[service]["volumes"] if volume[0] == "."]
    assert all(kind == ["ro"] for _, _, *kind in parts)
    return {inside: own for own, inside, *_ in parts}


def test_prometheus_loads_the_rules_and_tells_the_alertmanager() -> None:
    found = provisioned("prometheus.yml")
    (pattern,) = found["rule_files"]
    assert mounted("prometheus")[pattern.removesuffix("/*.yml")] == "./deploy/prometheus/rules"
    (manager,) = found["alerting"]["alertmanagers"]
    assert manager["static_configs"] == [{"targets": ["alertmanager:9093"]}]
    assert sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))


def test_grafana_shows_the_dashboards_of_prometheus() -> None:
    files = mounted("grafana")
    (source,) = provisioned("grafana/datasource.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = provisioned("grafana/dashboards.yml")["providers"]
    folder = provider["options"]["path"]
    assert files[folder] == "./deploy/grafana/dashboards"
    home = RUNNING["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.startswith(f"{folder}/")
    assert (ROOT / files[folder] / home.rpartition("/")[2]).is_file()


@pytest.mark.parametrize("service", OTHERS)
def test_what_is_mounted_is_there(service: str) -> None:
    if "volumes" in RUNNING[service]:
        assert all((ROOT / own).exists() for own in mounted(service).values())


def test_mails_of_the_gateway_and_of_alerts_reach_the_catcher() -> None:
    settings = load(NotifierSettings, environment("notifier"))
    server = read_server(settings.smtp_url, settings.mail_from)
    assert server is not None
    smarthost = provisioned("alertmanager.yml")["global"]["smtp_smarthost"]
    assert smarthost == f"{server.host}:{server.port}" == "mail:1025"


def test_the_accounts_of_a_trial_lead_to_the_stand_in() -> None:
    command = RUNNING["simulator"]["command"]
    url = command[command.index("--url") + 1]
    demo = RUNNING["demo"]["command"]
    assert demo[demo.index("--provider") + 1] == url
    assert url == f"http://simulator:{command[command.index('--port') + 1]}"
    for service in ("notifier", "desk"):
        assert environment(service)["RELAYDESK_STAND_IN"] == url
    assert RUNNING["simulator"]["healthcheck"]["test"][-1] == url.rpartition(":")[2]


def test_the_scheduler_knows_what_nats_may_store() -> None:
    settings = load(SchedulerSettings, environment("scheduler"))
    size = filled(RUNNING["nats"]["environment"]["JETSTREAM_MAX_FILE"])
    assert settings.jetstream_limit_bytes == int(size) > 0


def test_the_page_names_every_variable_of_the_file() -> None:
    names = {name for name, _, _ in _VARIABLE.findall(COMPOSE_TEXT)}
    assert {name for name in names if f"`{name}`" not in PAGE.read_text()} == set()
