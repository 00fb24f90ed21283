"""Coverage-guided fuzzing of WeChat's XML reader and AES envelope; `make fuzz` runs it.

Usage: `python -m tests.fuzz.wechat xml|aes|parse [libFuzzer options] [corpus folder]`; ends with a
crash file when anything but `MalformedPayloadError` is raised.
"""

from __future__ import annotations

import base64
import contextlib
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import atheris

with atheris.instrument_imports(include=["libs.common"]):
    from libs.common.channel import Account, WebhookRequest
    from libs.common.channels.wechat import CHANNEL
    from libs.common.channels.wechat.envelope import decrypt, encrypt
    from libs.common.channels.wechat.wire import encrypted_part, fields_of
    from libs.common.errors import MalformedPayloadError

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
PLAIN = Account(
    workspace="acme",
    slug="acme-wechat",
    channel="wechat",
    external_id="gh_demo",
    secrets={"token": "t"},
)


def xml(data: bytes) -> None:
    """Read *data* as a message, and look for its encrypted part."""
    for reader in (fields_of, encrypted_part):
        with contextlib.suppress(MalformedPayloadError):
            reader(data)


def aes(data: bytes) -> None:
    """Open *data* as an envelope: as it is, as ciphertext, and as what is sealed inside."""
    texts = [data.decode("latin-1"), base64.b64encode(data).decode()]
    for text in texts:
        with contextlib.suppress(MalformedPayloadError):
            decrypt(KEY, text, app_id="wx1")
    sealed = encrypt(KEY, data, app_id="wx1", random=bytes(16))
    if decrypt(KEY, sealed, app_id="wx1") != data:
        raise AssertionError("an envelope did not return what was put in")


def parse(data: bytes) -> None:
    """Turn *data* into events."""
    request = WebhookRequest(method="POST", headers={}, query={}, body=data, received_at=NOW)
    with contextlib.suppress(MalformedPayloadError):
        CHANNEL.parse(PLAIN, request)


TARGETS: dict[str, Callable[[bytes], None]] = {"xml": xml, "aes": aes, "parse": parse}


def main() -> None:
    """Fuzz the named target until libFuzzer's options say stop."""
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        raise SystemExit(f"name a target: {', '.join(TARGETS)}")
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
