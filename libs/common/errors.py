"""Every failure that crosses a module boundary, as one tree; `code` is a stable label."""

from __future__ import annotations

_PAYLOAD_TOO_LARGE = 413
_UNSUPPORTED_TYPE = 415


class GatewayError(Exception):
    """The root of all failures that Relaydesk names itself.

    Args:
        detail: For the log. No message text, no token, no phone number.
    """

    code = "gateway"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class RetryableError(GatewayError):
    """The same work may succeed later.

    Args:
        detail: For the log. No message text, no token, no phone number.
        delay_s: Seconds to wait at least; the bus may wait longer, never shorter.
    """

    code = "retryable"

    def __init__(self, detail: str, *, delay_s: float = 1.0) -> None:
        super().__init__(detail)
        self.delay_s = delay_s


class PermanentError(GatewayError):
    """The same work can never succeed; it is buried where a person looks."""

    code = "permanent"


class BadSignatureError(PermanentError):
    """The request is not proven to come from the provider. Answer 401, count, store nothing."""

    code = "bad_signature"


class MalformedPayloadError(PermanentError):
    """Bytes that no decoder accepts: broken JSON, XML or UTF-8, wrong types, too deep."""

    code = "malformed_payload"


class SealError(PermanentError):
    """A sealed secret cannot be opened: wrong key, wrong place, or damaged."""

    code = "seal"


class SettingsError(PermanentError):
    """A setting is missing, unknown or out of range; the message names the variable."""

    code = "settings"


# --- bus and store -----------------------------------------------------------------------------


class BusUnavailableError(RetryableError):
    """JetStream did not confirm in time, or refused. The message may be stored all the same."""

    code = "bus_unavailable"


class NoResponderError(RetryableError):
    """Nobody serves the requested command subject right now."""

    code = "no_responder"


class StoreUnavailableError(RetryableError):
    """The store did not answer inside its deadline."""

    code = "store_unavailable"


class UniqueConflictError(PermanentError):
    """An insert met an existing document with the same id or unique key.

    Args:
        detail: For the log.
        index: Name of the violated index, `id` for the primary key.
    """

    code = "unique_conflict"

    def __init__(self, detail: str, *, index: str) -> None:
        super().__init__(detail)
        self.index = index


class StaleRevisionError(RetryableError):
    """`rev` has moved on since the document was read. Reload and decide again; never overwrite."""

    code = "stale_revision"


# --- providers ---------------------------------------------------------------------------------


class NotSentError(RetryableError):
    """Proof that the provider did not take it (refused connection, DNS, 429): safe to repeat.

    It is about the call that failed: of a text in several pieces, the earlier ones may be out,
    and `provider_ids` names them.
    """

    code = "not_sent"
    provider_ids: tuple[str, ...] = ()


class ThrottledError(NotSentError):
    """The provider said "too fast". Wait at least `delay_s` for this account."""

    code = "throttled"


class AmbiguousSendError(GatewayError):
    """The request may or may not have been carried out (time-out after writing, 5xx, cut answer).

    Repeated only when the call carries a retry key (`HttpCall.idempotent`); otherwise the message
    becomes `unknown` and is reconciled by echo or receipt.

    Args:
        detail: For the log.
        provider_ids: Of the pieces of a long text that did go out before the doubtful one.
    """

    code = "ambiguous"

    def __init__(self, detail: str, *, provider_ids: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.provider_ids = provider_ids


class RejectedError(PermanentError):
    """The provider refused for good.

    Args:
        detail: For the log.
        reason: Stable word: `window_closed`, `blocked`, `bad_recipient`, `bad_content`, `quota`,
            `permission`, `policy`, `not_answerable`, `rejected`.
        provider_code: The provider's own code, as text.
        provider_ids: Of the pieces of a long text that did go out before the refused one.
    """

    code = "rejected"

    def __init__(
        self,
        detail: str,
        *,
        reason: str = "rejected",
        provider_code: str = "",
        provider_ids: tuple[str, ...] = (),
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.provider_code = provider_code
        self.provider_ids = provider_ids


class CredentialError(RejectedError):
    """The access token is invalid or expired; a fetched one is refreshed once, then it is final."""

    code = "credential"


# --- commands ----------------------------------------------------------------------------------


class CommandError(GatewayError):
    """A command was understood and refused; nothing was changed.

    Args:
        detail: In plain words, safe to show to the caller.
        facts: Machine-readable details, such as the present owner.
    """

    code = "refused"
    status = 409

    def __init__(self, detail: str, **facts: str) -> None:
        super().__init__(detail)
        self.facts = facts


class NotFoundError(CommandError):
    """No such thing in this workspace; worded the same for what exists elsewhere."""

    code = "not_found"
    status = 404


class InvalidInputError(CommandError):
    """A field is wrong; `facts` holds `field` and what is allowed."""

    code = "invalid_input"
    status = 422


class FileRefusedError(CommandError):
    """A file is not taken: 413 `too_large`, 415 `type_not_allowed` or `type_mismatch`.

    Args:
        detail: In plain words, safe to show to the caller.
        code: As above; `status` follows from it.
        facts: `allowed`, `limit_bytes` and the like.
    """

    code = "type_not_allowed"
    status = 415

    def __init__(self, detail: str, *, code: str = "type_not_allowed", **facts: str) -> None:
        super().__init__(detail, **facts)
        self.code = code
        self.status = _PAYLOAD_TOO_LARGE if code == "too_large" else _UNSUPPORTED_TYPE


class ForbiddenError(CommandError):
    """The actor's role or scope does not allow it."""

    code = "forbidden"
    status = 403


class AlreadyTakenError(CommandError):
    """Another agent owns the session; `facts["owner"]` names them."""

    code = "already_taken"


class StaleEpochError(CommandError):
    """The session moved since the send was decided; a machine's late message is refused."""

    code = "stale_epoch"


class SessionEndedError(CommandError):
    """The session has ended; a new inbound message opens a new one."""

    code = "session_ended"


class SessionOverError(CommandError):
    """What is scheduled has no place in this session: it ended, or the visitor has another."""

    code = "session_over"


class RepliedError(CommandError):
    """The visitor wrote since, and it was to be sent only if not; `facts["at"]` says when."""

    code = "replied"


class NotRestorableError(CommandError):
    """The session did not end by itself, or too long ago to be restored."""

    code = "not_restorable"


class AnotherOpenError(CommandError):
    """The visitor has another open session; `facts["session"]` is its id."""

    code = "another_open"


class NotPermittedError(CommandError):
    """What the channel allows at present does not cover the message; `code` says what is wrong.

    Args:
        code: Of `windows.RefusalCode`: `window_closed`, `blocked`, `template_unknown`, ...
        detail: In plain words, safe to show to the caller.
        facts: Until when it was open, and which templates may be sent all the same.
    """

    code = "not_permitted"

    def __init__(self, code: str, detail: str, **facts: str) -> None:
        super().__init__(detail, **facts)
        self.code = code


class NotRetryableError(CommandError):
    """The message cannot be sent once more: it may have gone out, or a repeat cannot help."""

    code = "not_retryable"


class IdempotencyConflictError(CommandError):
    """The idempotency key was used before with different content."""

    code = "idempotency_conflict"


class ConfirmationRequiredError(CommandError):
    """The workspace asks for confirmation; `facts["token"]` repeats the call."""

    code = "confirmation_required"


class DeadlinePassedError(CommandError):
    """The command arrived after its deadline, when nobody waits for it any more."""

    code = "deadline_passed"
    status = 504
