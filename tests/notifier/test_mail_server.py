"""The mail server: how its settings are read, and that nothing is said to one that is not it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import aiosmtplib
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from libs.common.config import NotifierSettings
from libs.common.doctor.mail import look_at_mail
from libs.common.errors import SettingsError
from libs.common.mail_server import MailServer, connected, read_server
from libs.common.seal import new_key_setting
from libs.common.simulate.mail_sink import MailSink, running_sink
from services.notifier.app import serve
from services.notifier.mail_refusal import Refusal, refusal
from tests.notifier.mail_rig import FROM

READ: dict[str, tuple[str, MailServer | None]] = {
    "nothing: no email": ("", None),
    "STARTTLS, with a login": (
        "smtp://ada%40x:p%2Fw@mail.example.com",
        MailServer(
            host="mail.example.com",
            port=587,
            security="starttls",
            user="ada@x",
            password="p/w",
            from_name="Relaydesk",
            from_address="alerts@example.com",
        ),
    ),
    "TLS from the start, on another port": (
        "smtps://mail.example.com:2465",
        MailServer(
            host="mail.example.com",
            port=2465,
            security="tls",
            from_name="Relaydesk",
            from_address="alerts@example.com",
        ),
    ),
    "without encryption on this machine": (
        "smtp+plain://[::1]:1025",
        MailServer(
            host="::1",
            port=1025,
            security="plain",
            from_name="Relaydesk",
            from_address="alerts@example.com",
        ),
    ),
    "without encryption elsewhere, where that is said": (
        "smtp+plain://mail.internal?insecure=yes",
        MailServer(
            host="mail.internal",
            port=25,
            security="plain",
            from_name="Relaydesk",
            from_address="alerts@example.com",
        ),
    ),
}


@pytest.mark.parametrize(("url", "expected"), READ.values(), ids=READ)
def test_read(url: str, expected: MailServer | None) -> None:
    assert read_server(url, FROM) == expected


REFUSED = {
    "another scheme": ("http://mail.example.com", FROM, "RELAYDESK_SMTP_URL"),
    "no host": ("smtp://", FROM, "RELAYDESK_SMTP_URL"),
    "a port out of range": ("smtp://mail.example.com:99999", FROM, "RELAYDESK_SMTP_URL"),
    "a path": ("smtp://mail.example.com/x", FROM, "RELAYDESK_SMTP_URL"),
    "an unknown parameter": ("smtp://mail.example.com?tls=no", FROM, "RELAYDESK_SMTP_URL"),
    "no encryption to another machine": (
        "smtp+plain://u:sentinel@mail.example.com",
        FROM,
        "RELAYDESK_SMTP_URL",
    ),
    "no sender": ("smtp://u:sentinel@mail.example.com", "", "RELAYDESK_MAIL_FROM"),
    "a sender that is no address": ("smtp://mail.example.com", "Desk", "RELAYDESK_MAIL_FROM"),
}


@pytest.mark.parametrize(("url", "sender", "named"), REFUSED.values(), ids=REFUSED)
async def test_wrong_settings_stop_the_start_by_name(url: str, sender: str, named: str) -> None:
    settings = NotifierSettings(
        nats_url="nats://127.0.0.1:1",
        secret_key=new_key_setting(),
        store_url="sqlite:///unused",
        smtp_url=url,
        mail_from=sender,
    )
    with pytest.raises(SettingsError) as caught:
        await serve(settings, asyncio.Event())
    assert named in caught.value.detail
    assert "sentinel" not in caught.value.detail
    found = await look_at_mail({"RELAYDESK_SMTP_URL": url, "RELAYDESK_MAIL_FROM": sender})
    assert (found.grade, named in found.words) == ("wrong", True)


async def test_doctor_tells_whether_the_server_lets_us_in() -> None:
    async with running_sink() as sink:
        settings = {"RELAYDESK_SMTP_URL": sink.url, "RELAYDESK_MAIL_FROM": FROM}
        there = await look_at_mail(settings)
    away = await look_at_mail(settings)
    off = await look_at_mail({})
    assert (there.grade, away.grade, off.grade) == ("ok", "wrong", "note")
    assert "RELAYDESK_SMTP_URL is not set" in off.words


# --- encryption ---------------------------------------------------------------------------------


def certificate(folder: Path) -> Path:
    """Write a certificate of 127.0.0.1, signed by itself, with its key; return the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "own.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made.public_bytes(Encoding.PEM) + private)
    return path


@asynccontextmanager
async def secure(path: Path, security: str) -> AsyncIterator[tuple[MailSink, MailServer]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    async with running_sink(tls=context, from_the_start=security == "tls") as sink:
        scheme = "smtps" if security == "tls" else "smtp"
        server = read_server(f"{scheme}://127.0.0.1:{sink.url.rpartition(':')[2]}", FROM)
        assert server
        yield sink, server


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_a_certificate_that_is_trusted_is_spoken_to(
    security: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    async with secure(path, security) as (_, server):
        client = await connected(server, 5)
        transport = client.transport
        assert transport
        assert transport.get_extra_info("ssl_object") is not None
        await client.quit()


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_a_certificate_that_nobody_vouches_for_is_not(security: str, tmp_path: Path) -> None:
    async with secure(certificate(tmp_path), security) as (_, server):
        with pytest.raises((aiosmtplib.SMTPException, OSError)) as caught:
            await connected(server, 5)
        assert refusal(caught.value) == Refusal(reason="tls")


async def test_a_server_without_encryption_is_not_spoken_to_in_the_clear() -> None:
    async with running_sink() as sink:
        server = read_server(f"smtp://u:p@127.0.0.1:{sink.url.rpartition(':')[2]}", FROM)
        assert server
        with pytest.raises(aiosmtplib.SMTPException) as caught:
            await connected(server, 5)
        assert refusal(caught.value) == Refusal(reason="tls")
