"""Why a message was not sent, for people: a stable code, plain words, advice, and what helps.

The codes come from channels (`RejectedError.reason`), from the sender (`outcome`) and from the
router's checks. A provider's own code is shown beside them, never in their place.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One cause of a failure.

    Attributes:
        code: Stable, for machines.
        text: What happened, in a sentence.
        advice: What to do about it, in a sentence.
        can_retry: The provider certainly took nothing of the message, and the same message may
            go through later.
    """

    code: str
    text: str
    advice: str
    can_retry: bool = False


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a message of ours did not arrive, or why nobody knows whether it did.

    `code` is stable, `text` and `advice` are for people, `provider_code` is the provider's own
    word. `can_retry`: it certainly did not go out, and a repeat may help.
    """

    code: str
    text: str
    advice: str
    provider_code: str
    can_retry: bool


def _retry(code: str, text: str, advice: str) -> Reason:
    return Reason(code=code, text=text, advice=advice, can_retry=True)


def _final(code: str, text: str, advice: str) -> Reason:
    return Reason(code=code, text=text, advice=advice)


_ALL = (
    # --- the provider refused it
    _final(
        "bad_content",
        "The channel does not take this content.",
        "Change the message: a shorter text, another file type, or fewer choices.",
    ),
    _final(
        "bad_recipient",
        "The provider does not know this recipient, or cannot reach them.",
        "Check the number or account, or answer through another channel.",
    ),
    _final(
        "not_answerable",
        "The provider takes no private reply to this comment.",
        "Answer the comment publicly, or wait until the visitor writes a message.",
    ),
    _final(
        "blocked",
        "The visitor blocked us, unfollowed, or opted out.",
        "Wait until they write again, or use another channel that they agreed to.",
    ),
    _retry(
        "credential",
        "The provider refused the account's access token.",
        "Connect the account again, then repeat the message.",
    ),
    _retry(
        "permission",
        "The account lacks a permission that this message needs.",
        "Have an administrator grant it at the provider, then repeat the message.",
    ),
    _final(
        "policy",
        "The provider's policy forbids this message, or has restricted the account.",
        "Look at the account's quality and notices at the provider before writing again.",
    ),
    _retry(
        "quota",
        "The account has used up what it may send for now.",
        "Repeat it later, or raise the account's limit at the provider.",
    ),
    _final(
        "rejected",
        "The provider refused the message.",
        "Look up the provider's code, change the message, and send it anew.",
    ),
    _retry(
        "window_closed",
        "The time in which the channel allows an answer is over.",
        "Repeat it once the visitor has written again, or send what the channel takes at any time.",
    ),
    # --- it never came to a refusal
    _retry(
        "throttled",
        "The provider asked us to slow down for longer than the message could wait.",
        "Repeat it in a few minutes.",
    ),
    _retry(
        "not_sent",
        "The provider could not be reached.",
        "Repeat it once the connection works again.",
    ),
    _final(
        "partly_sent",
        "The first part went out and the rest did not.",
        "Look at what arrived, and send only what is missing.",
    ),
    _final(
        "ambiguous",
        "The provider did not say whether it took the message.",
        "Do not repeat it before the visitor or the provider's inbox shows that it is missing.",
    ),
    _final(
        "bug",
        "A fault of ours stopped the message.",
        "Report it with the message's id; check with the visitor before writing it again.",
    ),
    # --- the installation
    _retry(
        "account_unavailable",
        "The account is disconnected or switched off.",
        "Connect it again or switch it on, then repeat the message.",
    ),
    _final(
        "redirected",
        "The provider's address sent us elsewhere, and redirects are not followed.",
        "Correct the account's API address.",
    ),
    _retry(
        "forbidden_target",
        "The account's API address may not be called from here.",
        "Correct the account's API address, then repeat the message.",
    ),
    _retry(
        "file_needs_link",
        "The provider fetches files from a public https link, and this installation has none.",
        "Have an administrator set the public address, then repeat the message.",
    ),
    _final(
        "file_missing",
        "The file of this message is no longer stored.",
        "Upload the file again and send a new message.",
    ),
    _final(
        "too_large",
        "The file is larger than the channel or this installation allows.",
        "Send a smaller file, or a link to it.",
    ),
    _final(
        "gone",
        "The provider no longer has the file.",
        "Ask the visitor to send it again.",
    ),
    _final(
        "refused",
        "The provider did not hand out the file.",
        "Check the account's permissions, and ask the visitor to send it again.",
    ),
    _final(
        "unreachable",
        "The file could not be fetched in time.",
        "Ask the visitor to send it again.",
    ),
    _final(
        "type_not_allowed",
        "Files of this type are not allowed.",
        "Send it in another format.",
    ),
    # --- decided before sending
    _retry(
        "no_window",
        "The visitor has not written yet, and the channel allows only answers.",
        "Repeat it once the visitor has written, or send what the channel takes at any time.",
    ),
    _retry(
        "count_used_up",
        "The channel's number of answers to one message is used up.",
        "Repeat it after the visitor has written again.",
    ),
    _final(
        "standby",
        "Another application has the conversation.",
        "Take the conversation over at the provider, or let a person write.",
    ),
    _final(
        "stale_epoch",
        "The conversation moved on before this automatic message was due.",
        "Nothing needs to be done.",
    ),
    _final(
        "session_ended",
        "The session had ended before the message was due.",
        "Wait until the visitor writes again, or begin a new session.",
    ),
)

REASONS: Mapping[str, Reason] = {found.code: found for found in _ALL}
"""Every reason by its code."""


def reason(code: str) -> Reason:
    """Return the reason with this code; one that we do not know reads like a plain refusal."""
    found = REASONS.get(code)
    if found is not None:
        return found
    return Reason(code=code, text=REASONS["rejected"].text, advice=REASONS["rejected"].advice)


def failure_of(
    status: str, code: str, provider_code: str, *, retried: bool = False
) -> Failure | None:
    """Return why a message is `failed` or `unknown`; None in any other *status*.

    What was *retried* is not repeated again.
    """
    if status not in {"failed", "unknown"}:
        return None
    found = reason(code or ("ambiguous" if status == "unknown" else "rejected"))
    return Failure(
        code=found.code,
        text=found.text,
        advice=found.advice,
        provider_code=provider_code,
        can_retry=found.can_retry and status == "failed" and not retried,
    )
