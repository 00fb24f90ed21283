"""Testing an account that is connected."""

from __future__ import annotations

from libs.common.channel import Account
from libs.common.directory import seal_context
from libs.common.documents import AccountDocument
from libs.common.errors import SealError
from libs.common.http import open_door
from services.desk.account_probe import Asked, checks
from services.desk.api.account_body import AccountChecked
from services.desk.api.account_edit import account_of
from services.desk.api.account_shown import webhook_url
from services.desk.api.route import Call, Reply


async def test(call: Call) -> Reply:
    """Test an account: what fails, and what to do about it. It takes ten seconds at most.

    Raises:
        NotFoundError: No such account in this workspace.
    """
    found = await account_of(call)
    now = call.desk.now()
    seen = await call.desk.board.of(found.id, now)
    asked = Asked(
        account=_opened(call, found),
        url=webhook_url(call, found),
        token_expires_at=seen.token_expires_at if seen else None,
        now=now,
    )
    async with open_door(stand_in=call.desk.settings.stand_in) as door:
        steps = await checks(door, asked)
    return Reply(
        body=AccountChecked(ok=all(one.result != "failed" for one in steps), steps=tuple(steps))
    )


def _opened(call: Call, found: AccountDocument) -> Account:
    """Return the account with the secrets that open; one that does not counts as absent."""
    secrets = {}
    for name, sealed in found.sealed.items():
        try:
            context = seal_context(found.workspace, found.id, name)
            secrets[name] = call.desk.sealer.open(sealed, context)
        except SealError:
            continue
    return Account(
        workspace=found.workspace,
        slug=found.id,
        channel=found.channel,
        external_id=found.external_id,
        app=found.app,
        api_base=found.api_base,
        enabled=found.enabled,
        secrets=secrets,
    )
