"""Where an outgoing call may go: https, public addresses, and an account's own origin."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network, ip_address

import msgspec
from yarl import URL

from libs.common.errors import RejectedError, SettingsError

HTTPS_PORT = 443
FIRST_UNPRIVILEGED_PORT = 1024

_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")

AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
SocketFactory = Callable[[AddressInfo], socket.socket]


class ForbiddenTargetError(RejectedError):
    """The URL or the address behind its name may not be called; nothing was sent.

    The same words for every reason, so that an answer reveals nothing about the inside.
    """

    code = "forbidden_target"

    def __init__(self) -> None:
        super().__init__("target is not allowed", reason="forbidden_target")


class AllowedBase(msgspec.Struct, frozen=True):
    """The one origin that may be http and on loopback: an account's own `api_base`.

    Attributes:
        inside: It may lie in a private network, too. For what the operator names in the process's
            settings, never for what is set by API.
    """

    origin: str
    inside: bool = False


def allowed_base(api_base: str) -> AllowedBase | None:
    """Return the exception that an account's *api_base* makes; None when it is empty.

    Raises:
        ForbiddenTargetError: It is no absolute http or https URL.
    """
    return AllowedBase(origin_of(parsed(api_base))) if api_base else None


def check_stand_in(stand_in: str) -> None:
    """Check the setting that names the providers' stand-in.

    Raises:
        SettingsError: It is no origin.
    """
    try:
        url = parsed(stand_in) if stand_in else None
    except ForbiddenTargetError:
        url = None
    if stand_in and (url is None or url.path_qs != "/" or url.user is not None):
        raise SettingsError(
            "RELAYDESK_STAND_IN must be like `http://simulator:8099`, without a path"
        )


def is_public(address: str) -> bool:
    """Tell whether *address* (IPv4 or IPv6, as dialled) lies in the public internet.

    Not public: loopback, private, link-local, CGNAT, multicast, reserved, unspecified,
    IPv4-mapped and Teredo; NAT64 and 6to4 are as public as the IPv4 address inside.
    """
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        if found in _NAT64:
            return is_public(str(ip_address(int(found) & 0xFFFFFFFF)))
        if found in _SIX_TO_FOUR:
            return is_public(str(ip_address((int(found) >> 80) & 0xFFFFFFFF)))
        if found.ipv4_mapped or found.teredo or found.is_site_local:
            return False
    return found.is_global and not (found.is_multicast or found.is_reserved)


def is_loopback(address: str) -> bool:
    """Tell whether *address* is this machine itself."""
    return ip_address(address.partition("%")[0]).is_loopback


def is_inside(address: str) -> bool:
    """Tell whether *address* is this machine's or in a private network.

    Never link-local, where clouds answer with a machine's credentials, nor multicast.
    """
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        return False
    odd = found.is_link_local or found.is_multicast or found.is_unspecified or found.is_reserved
    return found.is_loopback or (found.is_private and not odd)


def dialler(permitted: Callable[[str], bool]) -> SocketFactory:
    """Return what makes every socket.

    Here names, literals and odd spellings have all become the address that is really dialled.
    """

    def dial(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        if not permitted(address[0]):
            raise ForbiddenTargetError
        return socket.socket(family, kind, protocol)

    return dial


def parsed(text: str) -> URL:
    try:
        url = URL(text)
        if url.scheme in {"http", "https"} and url.host and url.port is not None:
            return url
    except ValueError:
        pass
    raise ForbiddenTargetError from None


def origin_of(url: URL) -> str:
    return f"{url.scheme}://{url.host}:{url.port}"


def fits(port: int | None) -> bool:
    """Tell whether *port* is one that is called: that of https, or one of no system service."""
    return port is not None and (port == HTTPS_PORT or port >= FIRST_UNPRIVILEGED_PORT)


def check(url: URL) -> None:
    named = url.user is not None or url.password is not None
    if url.scheme != "https" or named or not fits(url.port):
        raise ForbiddenTargetError
