"""A login and TLS: by the URL, to servers that are told of later too, and never in the clear."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from libs.common.bus.connection import Login, connect_bus, login_of
from tests.nats_server import NatsProcess

WAIT_S = 3.0
LOGIN = 'authorization { user: relaydesk, password: "p/s%w" }\n'

LOGINS: dict[str, tuple[str, Login]] = {
    "none": ("nats://nats:4222", Login()),
    "user and password": ("nats://a:b@nats:4222", Login(user="a", password="b")),
    "what is escaped": ("nats://a:p%2Fs%25w@nats", Login(user="a", password="p/s%w")),
    "a token": ("tls://secret@nats:4222", Login(token="secret")),
    "the first of several": ("nats://a:b@n0, nats://n1", Login(user="a", password="b")),
}


@pytest.mark.parametrize(("url", "login"), LOGINS.values(), ids=LOGINS)
def test_the_url_says_the_login(url: str, login: Login) -> None:
    assert login_of(url) == login


class Guarded(NatsProcess):
    """A server that wants a login, and TLS where it has a certificate."""

    def __init__(self, folder: Path, certificate: Path | None) -> None:
        super().__init__(folder)
        self._certificate = certificate

    def _config(self) -> str:
        text = super()._config() + "\n" + LOGIN
        if self._certificate is not None:
            text += f'tls {{ cert_file: "{self._certificate}", key_file: "{self._certificate}" }}\n'
        return text

    def at(self, scheme: str, login: str = "relaydesk:p%2Fs%25w@") -> str:
        return f"{scheme}://{login}localhost:{self.url.rsplit(':', 1)[1]}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a certificate of `localhost`, its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "nats.pem"
    encoded = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + encoded)
    return file


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Guarded]:
    server = Guarded(tmp_path / "plain", None)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def sealed(tmp_path: Path, certificate: Path) -> Iterator[Guarded]:
    server = Guarded(tmp_path / "sealed", certificate)
    server.start()
    yield server
    server.stop()


async def connects(url: str) -> bool:
    try:
        connection = await asyncio.wait_for(connect_bus(url, "test"), WAIT_S)
    except TimeoutError:
        return False
    await connection.end()
    return True


async def test_a_password_with_odd_signs_logs_in(plain: Guarded) -> None:
    assert await connects(plain.at("nats"))


async def test_a_wrong_password_does_not(plain: Guarded) -> None:
    assert not await connects(plain.at("nats", "relaydesk:wrong@"))


async def test_a_server_that_is_told_of_later_gets_the_login_too(plain: Guarded) -> None:
    """The second URL stands for one: it has no login of its own."""
    gone = "nats://relaydesk:p%2Fs%25w@localhost:1"
    assert await connects(f"{gone},{plain.at('nats', '')}")


async def test_nothing_is_said_in_the_clear_where_tls_is_asked_for(plain: Guarded) -> None:
    assert not await connects(plain.at("tls"))


async def test_an_authority_of_ones_own_is_named_by_the_environment(
    sealed: Guarded, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert await connects(sealed.at("tls"))


async def test_a_certificate_of_an_unknown_authority_is_refused(sealed: Guarded) -> None:
    assert not await connects(sealed.at("tls"))
