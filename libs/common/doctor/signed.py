"""Why a signature over the body does not hold: Meta's and LINE's."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterator

import msgspec

from libs.common.channel import Account
from libs.common.doctor.bodies import change_of, looks_rewritten
from libs.common.doctor.findings import Case, Finding, header, secrets_of

_HEX = re.compile(r"[0-9a-fA-F]{64}")


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider signs a body by HMAC-SHA256: header, key, prefix, hex or base64."""

    header: str
    secret: str
    prefix: str
    is_hex: bool
    escapes: bool

    def sign(self, key: str, body: bytes) -> str:
        """Return the header's right value."""
        digest = hmac.digest(key.encode("utf-8", "surrogatepass"), body, "sha256")
        text = digest.hex() if self.is_hex else base64.b64encode(digest).decode()
        return self.prefix + text


META = Style(
    header="x-hub-signature-256",
    secret="app_secret",  # noqa: S106 (a name)
    prefix="sha256=",
    is_hex=True,
    escapes=True,
)
LINE = Style(
    header="x-line-signature",
    secret="channel_secret",  # noqa: S106 (a name)
    prefix="",
    is_hex=False,
    escapes=False,
)


def causes(case: Case, style: Style) -> Iterator[Finding]:
    """Yield why the signature does not hold, the likeliest first; at least one."""
    given = header(case.request, style.header)
    if not given:
        yield _absent(case, style)
        return
    form = _wrong_form(given, style)
    if form is not None:
        yield form
        return
    yield _mismatch(case, style, given)


def _absent(case: Case, style: Style) -> Finding:
    if style is META and header(case.request, "x-hub-signature"):
        return Finding(
            code="sha1_header_only",
            words="Only the old header X-Hub-Signature (SHA-1) is there; it is not accepted.",
            advice="Let the proxy pass X-Hub-Signature-256 on; Meta sends both.",
        )
    other = next((s for s in (META, LINE) if s is not style and header(case.request, s.header)), "")
    if other:
        return Finding(
            code="other_provider",
            words=f"There is no {style.header}, but a header of another provider.",
            advice="Compare the webhook address in the provider's console with the account's.",
        )
    return Finding(
        code="missing_header",
        words=f"The header {style.header} is absent.",
        advice="A proxy before the gateway may drop it, or the request is not the provider's.",
    )


def _wrong_form(given: str, style: Style) -> Finding | None:
    bare = given.removeprefix("sha256=")
    if style.is_hex and not _HEX.fullmatch(bare):
        words = "The signature is not 64 hexadecimal digits; base64 is LINE's form, not Meta's."
        return Finding(code="base64_not_hex", words=words, advice="Send it as hexadecimal.")
    if style.is_hex and (not given.startswith("sha256=") or bare != bare.lower()):
        words = "The signature must read sha256= and 64 lower-case hexadecimal digits."
        return Finding(code="signature_form", words=words, advice="Pass the header on unchanged.")
    if not style.is_hex and _HEX.fullmatch(bare):
        words = "The signature is hexadecimal; LINE's is base64 of the same 32 bytes."
        return Finding(code="hex_not_base64", words=words, advice="Send it as base64.")
    return None


def _mismatch(case: Case, style: Style, given: str) -> Finding:
    body = case.request.body
    for name, value in secrets_of(case.account, style.secret).items():
        if _fits(style, value, body, given):
            return Finding(
                code="other_secret",
                words=f"It was signed with what is stored as {name}, not as {style.secret}.",
                advice=f"Put the right value into {style.secret}; the two may be swapped.",
            )
    owner = _owner(case, style, given)
    if owner is not None:
        return Finding(
            code="other_account",
            words=f"It was signed for account {owner.slug}, not for {case.account.slug}.",
            advice="The webhook address in the provider's console names the wrong account.",
        )
    key = case.account.secrets.get(style.secret, "")
    change = change_of(body, lambda guess: _fits(style, key, guess, given))
    doubt = change or looks_rewritten(body, escapes=style.escapes)
    if doubt:
        return Finding(
            code="body_changed",
            words=f"The body is not the one that was signed: {doubt}.",
            advice="Pass and keep the raw bytes; nothing may decode and write them again.",
        )
    return Finding(
        code="wrong_secret",
        words=f"The account's {style.secret} is not the one that signed these bytes.",
        advice=f"Copy the {style.secret} from the provider's console again.",
    )


def _owner(case: Case, style: Style, given: str) -> Account | None:
    for other in case.others:
        key = other.secrets.get(style.secret, "")
        if key and _fits(style, key, case.request.body, given):
            return other
    return None


def _fits(style: Style, key: str, body: bytes, given: str) -> bool:
    right = style.sign(key, body).encode()
    return hmac.compare_digest(right, given.encode("utf-8", "surrogatepass"))
