"""The signing secret of a webhook bot at rest: in `Bot.sealed`, bound to its bot."""

from __future__ import annotations

import secrets

from libs.common.documents import Bot
from libs.common.errors import SealError
from libs.common.seal import Sealer
from libs.common.signing import SECRET_BYTES, new_secret

NAME = "secret"
"""The key of `Bot.sealed`; its text is one `whsec_...`, or several parted by blanks."""


def fresh_secret() -> str:
    """Return a new random secret to share with a bot."""
    return new_secret(secrets.token_bytes(SECRET_BYTES))


def seal_secret(sealer: Sealer, workspace: str, bot: str, secret: str) -> dict[str, str]:
    """Return what `Bot.sealed` is to be, of the bot with the id *bot*."""
    return {NAME: sealer.seal(secret, _context(workspace, bot))}


def open_secret(sealer: Sealer, bot: Bot) -> str:
    """Return the bot's secret.

    Raises:
        SealError: It has none, or one that was sealed for another bot or with an unknown key.
    """
    sealed = bot.sealed.get(NAME, "")
    if not sealed:
        raise SealError("the bot has no secret")
    return sealer.open(sealed, _context(bot.workspace, bot.id))


def _context(workspace: str, bot: str) -> str:
    return f"bot:{workspace}/{bot}:{NAME}"
