"""What an operator types: `config plan`, `apply`, `export`, `drift`, and exit codes (D13)."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from libs.common.seal import new_key_setting
from tests.typed import typed


@pytest.fixture
def environ(nats_url: str, ready_url: str) -> dict[str, str]:
    return {
        "RELAYDESK_NATS_URL": nats_url,
        "RELAYDESK_STORE_URL": ready_url,
        "RELAYDESK_SECRET_KEY": new_key_setting(),
    }


async def test_d13_a_workspace_goes_round_from_file_to_file(
    environ: dict[str, str], tmp_path: Path
) -> None:
    file, copy = tmp_path / "acme.yaml", tmp_path / "copy.yaml"
    file.write_text("workspace: config-cli\nsettings: {show_read: false}\ntags: [{name: VIP}]\n")
    code, out, _ = await typed("config", "plan", str(file), **environ)
    assert code == 2
    assert "+ workspace:config-cli" in out
    assert "    settings.show_read: false" in out
    fingerprint = out.split("--expect ")[1].strip()
    code, _, error = await typed("config", "apply", str(file), "--expect", "other", **environ)
    assert code == 1
    assert "has changed since the plan other" in error
    code, out, error = await typed("config", "apply", str(file), "--expect", fingerprint, **environ)
    assert (code, error) == (0, "")
    assert out.endswith("2 created, 0 updated, 0 unchanged\n")
    assert (await typed("config", "export", str(copy), **environ))[0] == 0
    code, out, _ = await typed("config", "plan", str(copy), **environ)
    assert (code, out) == (0, "no changes\n")
    copy.write_text(copy.read_text().replace("show_read: false", "show_read: true"))
    code, out, _ = await typed("config", "plan", str(copy), "--json", **environ)
    [change] = msgspec.json.decode(out)["changes"]
    assert (code, change["object"]) == (2, "workspace:config-cli")
    assert change["fields"] == [{"field": "settings.show_read", "before": False, "after": True}]
    assert (await typed("config", "drift", **environ))[0] == 0
    copy.write_text("workspace: config-cli\nsettings: {show_read: 7}\n")
    for wrong in (copy, tmp_path / "nowhere.yaml"):
        code, out, error = await typed("config", "plan", str(wrong), **environ)
        assert (code, out, bool(error)) == (1, "", True), "not taken for changes"
    code, _, error = await typed("config", "export", "--workspace", "nowhere", **environ)
    assert (code, "there is no workspace nowhere" in error) == (1, True)
