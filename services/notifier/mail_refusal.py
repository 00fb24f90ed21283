"""What a failed transaction with a mail server means for the mail."""

from __future__ import annotations

import re
import ssl

import aiosmtplib
import msgspec

_HARD = frozenset({550, 551, 553})
"""RFC 5321 4.2.3: no such mailbox, not here, name not allowed."""
_ENHANCED = re.compile(r"(?:^|\s)([245])\.(\d{1,3})\.(\d{1,3})\b")
_NO_MAILBOX = frozenset({("1", "1"), ("1", "2"), ("1", "3"), ("1", "6"), ("1", "10"), ("2", "1")})
"""RFC 3463: bad mailbox, bad system, bad syntax, moved, null MX; mailbox disabled."""
_REFUSAL = 400
_FINAL = 500


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a mail is not out.

    Attributes:
        final: Trying again cannot help.
        reason: Stable word, a label of metrics.
        hard: The address gets no mail at all; it is remembered.
    """

    reason: str
    code: int = 0
    final: bool = False
    hard: bool = False


def in_doubt(error: Exception) -> bool:
    """Tell whether the server may have taken the mail although this came after its content."""
    return not (isinstance(error, aiosmtplib.SMTPResponseException) and error.code >= _REFUSAL)


def refusal(error: Exception) -> Refusal:
    """Return what *error* means where certainly nothing is out.

    A wrong password or certificate is ours to mend, and keeps the mail waiting.
    """
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _answered(error)
    if _is_of_tls(error):
        return Refusal(reason="tls")
    return Refusal(reason="unreachable")


def _is_of_tls(error: Exception) -> bool:
    """Tell whether encryption failed; that STARTTLS is missing has no class of its own."""
    plain = type(error) in {aiosmtplib.SMTPException, aiosmtplib.SMTPNotSupported}
    return plain or any(isinstance(each, ssl.SSLError) for each in (error, error.__cause__))


def _answered(error: aiosmtplib.SMTPResponseException) -> Refusal:
    code = error.code
    match error:
        case aiosmtplib.SMTPRecipientRefused():
            return _of_recipient(code, error.message)
        case aiosmtplib.SMTPSenderRefused():
            return Refusal(reason="sender_refused", code=code, final=code >= _FINAL)
        case aiosmtplib.SMTPAuthenticationError():
            return Refusal(reason="login_refused", code=code)
        case aiosmtplib.SMTPDataError() if code >= _FINAL:
            return Refusal(reason="refused", code=code, final=True)
        case _:
            return Refusal(reason="busy", code=code)


def _of_recipient(code: int, message: str) -> Refusal:
    """Tell an address that does not exist from mail that somebody does not want (5.7.1, say)."""
    if code < _FINAL:
        return Refusal(reason="busy", code=code)
    found = _ENHANCED.search(message)
    named = found is None or (found[2], found[3]) in _NO_MAILBOX
    if code in _HARD and named:
        return Refusal(reason="bounced", code=code, final=True, hard=True)
    return Refusal(reason="refused", code=code, final=True)
