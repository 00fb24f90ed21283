"""Whose connection it is: the peer, or whom a trusted proxy names. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from libs.common.errors import SettingsError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(setting: str) -> tuple[Network, ...]:
    """Read `RELAYDESK_TRUSTED_PROXIES`: addresses or networks by comma.

    Raises:
        SettingsError: One cannot be read.
    """
    try:
        return tuple(
            ipaddress.ip_network(part.strip(), strict=False)
            for part in setting.split(",")
            if part.strip()
        )
    except ValueError as error:
        raise SettingsError(f"RELAYDESK_TRUSTED_PROXIES: {error}") from None


def neighbourhood(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """Return what limits are kept by: an IPv4 address, or the /64 of an IPv6 one.

    Args:
        peer: The address of the connection.
        forwarded: `X-Forwarded-For`. The last name in it that is not a trusted proxy counts, and
            only where the peer is one: everything before it is the client's own word.
        trusted: The proxies.
    """
    address = _address(peer)
    for name in reversed(forwarded.split(",")):
        if address is None or not any(address in network for network in trusted):
            break
        address = _address(name.strip()) or address
    if address is None:
        return peer
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
