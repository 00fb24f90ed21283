"""Whose a request is: it is verified, and each account gets its own part of the body. Pure.

An address that many accounts share (the Meta family's) may name accounts of several workspaces,
some of them with a secret of their own choosing. Only accounts that hold the very secret that
signed the body receive from it, and each receives its own items only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from libs.common.channel import Account, Channel, WebhookRequest
from libs.common.errors import BadSignatureError, MalformedPayloadError
from services.ingest.prepare import Share, legible
from services.ingest.slices import Address, slices


class Group(msgspec.Struct, frozen=True):
    """Accounts behind one address that hold the same secret; the first one stands for all."""

    channel: Channel
    accounts: tuple[Account, ...]
    at: Mapping[Address, tuple[Account, ...]]


class Selected(msgspec.Struct, frozen=True):
    """The parts of a verified request, and how many addressees nobody connected."""

    shares: Sequence[Share]
    unknown: int = 0


def grouped(channels: Mapping[str, Channel], accounts: Sequence[Account]) -> tuple[Group, ...]:
    """Return *accounts* by secret; those of other channels are left out.

    The first name in `Channel.secrets` is the secret that signs webhooks.
    """
    by_secret: dict[str, list[Account]] = {}
    for account in accounts:
        channel = channels.get(account.channel)
        if channel is not None:
            by_secret.setdefault(account.secrets.get(channel.secrets[0], ""), []).append(account)
    by_secret.pop("", None)  # an account without its secret receives nothing
    return tuple(
        Group(channels[held[0].channel], tuple(held), _by_address(held))
        for held in by_secret.values()
    )


def select_own(channel: Channel, account: Account, request: WebhookRequest) -> Selected:
    """Verify a request to an account's own address.

    Raises:
        BadSignatureError: Not from the provider.
    """
    channel.verify(account, request)
    return Selected((Share(channel, account, request),))


def select_shared(
    channels: Mapping[str, Channel], groups: Sequence[Group], request: WebhookRequest
) -> Selected:
    """Verify a request to a shared address with each distinct secret, and share it out.

    Raises:
        BadSignatureError: No secret fits.
    """
    fitting = [group for group in groups if _fits(group, request)]
    if not fitting:
        raise BadSignatureError("no secret of this address fits")
    try:
        return _shared_out(channels, fitting, request)
    except MalformedPayloadError:
        first = min((a for group in fitting for a in group.accounts), key=lambda a: a.slug)
        return Selected((Share(channels[first.channel], first, request, readable=False),))


def _shared_out(
    channels: Mapping[str, Channel], fitting: Sequence[Group], request: WebhookRequest
) -> Selected:
    addressees = fitting[0].channel.addressees
    assert addressees is not None  # noqa: S101 (what makes an address a shared one)
    readable = legible(request)
    found = addressees(readable)
    if len(found) == 1:  # nearly always
        (address,) = found
        owners = _owners(fitting, address)
        shares = [Share(channels[account.channel], account, request) for account in owners]
        return Selected(shares, not owners)
    return _cut(channels, fitting, readable, found)


def _cut(
    channels: Mapping[str, Channel],
    fitting: Sequence[Group],
    request: WebhookRequest,
    found: frozenset[Address],
) -> Selected:
    """Give each account its own items only."""
    addressees = fitting[0].channel.addressees
    assert addressees is not None  # noqa: S101 (as above)
    owners = {address: _owners(fitting, address) for address in sorted(found)}
    parts = slices(request, addressees) if any(owners.values()) else {}
    shares = [
        Share(
            channels[account.channel],
            account,
            msgspec.structs.replace(request, body=parts[address]),
            sliced=True,
        )
        for address in owners
        if address in parts
        for account in owners[address]
    ]
    return Selected(shares, sum(not accounts for accounts in owners.values()))


def _fits(group: Group, request: WebhookRequest) -> bool:
    try:
        group.channel.verify(group.accounts[0], request)
    except BadSignatureError:
        return False
    return True


def _owners(fitting: Sequence[Group], address: Address) -> tuple[Account, ...]:
    if len(fitting) == 1:
        return fitting[0].at.get(address, ())
    return tuple(account for group in fitting for account in group.at.get(address, ()))


def _by_address(accounts: Sequence[Account]) -> dict[Address, tuple[Account, ...]]:
    found: dict[Address, tuple[Account, ...]] = {}
    for account in accounts:
        address = (account.channel, account.external_id)
        found[address] = (*found.get(address, ()), account)
    return found
