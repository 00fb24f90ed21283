"""Routes: connecting accounts, changing, testing and disconnecting them."""

from __future__ import annotations

from services.desk.api import account_body as body
from services.desk.api import account_change as change
from services.desk.api import account_edit as edit
from services.desk.api import account_test, act, channel_kinds
from services.desk.api.route import LARGE_BODY, Route

_MATCH = {"If-Match": "The ETag the change is based on; without it the newest"}
_CHANGED = {
    409: "changed_meanwhile: too many changes at once",
    412: "changed_meanwhile: If-Match names another version",
}

ROUTES: tuple[Route, ...] = (
    Route(
        name="channel_kinds",
        method="GET",
        path="/channels/kinds",
        handler=channel_kinds.kinds,
        role="admin",
        summary="The channels that can be connected: what each needs, and how, step by step",
        answers={200: body.ChannelKinds},
    ),
    Route(
        name="create_account",
        method="POST",
        path="/accounts",
        handler=edit.create,
        role="admin",
        summary="Connect an account; secrets that are made for it are shown once",
        body=body.NewAccount,
        body_most=LARGE_BODY,
        answers={200: body.AccountDetail, 201: body.AccountDetail},
        headers={"Idempotency-Key": "1 to 128 visible ASCII characters; repeats have no effect"},
        problems={
            409: "slug_taken, slug_used: another name, please; already_connected: by its id at the "
            "provider, `facts.account`; idempotency_conflict: the key made another one"
        },
    ),
    Route(
        name="account",
        method="GET",
        path="/accounts/{slug}",
        handler=edit.one,
        role="admin",
        summary="A connected account and which secrets are set; ETag names its version",
        answers={200: body.AccountDetail},
    ),
    Route(
        name="patch_account",
        method="PATCH",
        path="/accounts/{slug}",
        handler=change.patch,
        role="admin",
        summary="Change an account, switch it on or off, or give it new secrets",
        body=body.AccountPatch,
        body_most=LARGE_BODY,
        answers={200: body.AccountDetail},
        headers=_MATCH,
        problems=_CHANGED,
    ),
    Route(
        name="delete_account",
        method="DELETE",
        path="/accounts/{slug}",
        handler=change.delete,
        role="admin",
        summary="Disconnect an account, confirmed where sessions are open; what was said is kept",
        query=body.DisconnectQuery,
        answers={204: None},
        headers=_MATCH,
        problems={
            409: "confirmation_required: repeat with the token; in_use: `facts.naming`",
            412: "changed_meanwhile: If-Match names another version",
        },
    ),
    Route(
        name="test_account",
        method="POST",
        path="/accounts/{slug}/test",
        handler=account_test.test,
        role="admin",
        summary="Test an account: its secrets, its address from outside, and its provider",
        body=act.Nothing,
        body_optional=True,
        answers={200: body.AccountChecked},
    ),
)
