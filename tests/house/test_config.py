"""Settings: every wrong environment stops the start and names the variable."""

from __future__ import annotations

import pytest

from libs.common.config import SERVICES, IngestSettings, RouterSettings, describe, load, variables
from libs.common.errors import SettingsError

GOOD = {
    "RELAYDESK_NATS_URL": "nats://127.0.0.1:4222",
    "RELAYDESK_SECRET_KEY": "k1:sentinel-key",
    "RELAYDESK_STORE_URL": "sqlite:////var/lib/relaydesk.db",
}

REFUSED = {
    "an unknown name is refused with the name": (
        {**GOOD, "RELAYDESK_NATS_URI": "x"},
        "RELAYDESK_NATS_URI is not a setting",
    ),
    "a missing one is named with its meaning": (
        {k: v for k, v in GOOD.items() if k != "RELAYDESK_NATS_URL"},
        "RELAYDESK_NATS_URL is not set: NATS server",
    ),
    "a word where a number belongs is named": (
        {**GOOD, "RELAYDESK_ADMIN_PORT": "eighty"},
        "RELAYDESK_ADMIN_PORT: Expected `int`",
    ),
    "a number out of range says the range": (
        {**GOOD, "RELAYDESK_ADMIN_PORT": "70000"},
        "RELAYDESK_ADMIN_PORT: Expected `int` <= 65535",
    ),
    "a word outside the set says the set": (
        {**GOOD, "RELAYDESK_LOG_LEVEL": "loud"},
        "RELAYDESK_LOG_LEVEL: Expected `str` matching regex '^(debug|info|warning|error)$'",
    ),
}


@pytest.mark.parametrize(("environ", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_environment_is_refused(environ: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(RouterSettings, environ)
    assert sentence in caught.value.detail


def test_names_of_other_programs_are_left_alone() -> None:
    assert load(RouterSettings, {**GOOD, "HOME": "/root", "NATS_URL": "x"}).admin_port == 0


def test_a_name_of_another_service_is_known_to_all() -> None:
    settings = load(RouterSettings, {**GOOD, "RELAYDESK_SPOOL_DIR": "/var/spool"})
    assert not hasattr(settings, "spool_dir")


def test_numbers_and_booleans_are_converted() -> None:
    settings = load(IngestSettings, {**GOOD, "RELAYDESK_PUBLISH_TIMEOUT_S": "0.25"})
    assert settings.publish_timeout_s == 0.25


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_no_secret_is_shown(service: str) -> None:
    shown = describe(service, GOOD)
    assert "sentinel-key" not in repr(load(SERVICES[service], GOOD)) + shown
    assert "RELAYDESK_SECRET_KEY=(hidden)" in shown


def test_the_settings_are_listed_whole_even_when_some_are_missing_or_wrong() -> None:
    shown = describe("router", {"RELAYDESK_ADMIN_PORT": "eighty"}).splitlines()
    assert any(line.startswith("RELAYDESK_NATS_URL=(not set) (default required)") for line in shown)
    assert any(line.startswith("RELAYDESK_ADMIN_PORT=(wrong: ") for line in shown)
    assert any(line.startswith("RELAYDESK_LOG_LEVEL=info ") for line in shown)


def test_every_variable_says_what_it_means() -> None:
    assert all(variable.meaning and variable.services for variable in variables())
