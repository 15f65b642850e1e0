"""
Which addresses may be called, for URLs that somebody wrote down.

The gateway judges every address before it connects (`egress.rs`), and so does the control plane's
own client (`adapters/egress.py`). What stands in a URL itself is judged when it is told, too, so
that a mistake shows at once. One list of addresses tests both planes.
"""

import ipaddress
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA_NAMES = {"metadata.google.internal", "metadata", "instance-data"}
_METADATA = {
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "168.63.129.16", "100.100.100.200", "192.0.0.192")
}
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")
_RESERVED = ipaddress.ip_network("240.0.0.0/4")
_TRANSLATED = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "::ffff:0:0:0/96")))
"""IPv4 behind NAT64, and behind a stateless translator (SIIT)."""


def network(text: str) -> Network:
    """
    Read a network in CIDR form, or a single address.

    Raises:
        ValueError: It is neither.
    """
    return ipaddress.ip_network(text.strip(), strict=False)


def denied(host: str, allow: Sequence[Network]) -> str | None:
    """Return why a URL may not have this host; none for names, which are looked up later."""
    plain = host.partition("%")[0].rstrip(".").lower()
    try:
        address = _meant(ipaddress.ip_address(plain))
    except ValueError:
        if plain in _METADATA_NAMES:
            return "it is a cloud's metadata service"
        if plain == "localhost" or plain.endswith(".localhost"):
            lists = any(ipaddress.ip_address("127.0.0.1") in one for one in allow)
            return None if lists else "it is the gateway's own machine"
        return None
    if any(address in one for one in allow):
        return None
    return _inside(address)


def listed(address: str, allow: Sequence[Network]) -> bool:
    """Tell whether an address is in one of the networks that go before every other rule."""
    meant = _meant(ipaddress.ip_address(address.partition("%")[0]))
    return any(meant in one for one in allow)


def _inside(address: Address) -> str | None:
    reasons = (
        (address in _METADATA, "it is a cloud's metadata service"),
        (address.is_loopback, "it is the gateway's own machine"),
        (address.is_link_local, "it is a link-local address, where machines keep their secrets"),
        (address.is_multicast, "it is a multicast address"),
        (address.is_unspecified or address in _THIS_NETWORK, "it is an unspecified address"),
        (address in _RESERVED, "it is a reserved address"),
    )
    return next((reason for holds, reason in reasons if holds), None)


def _meant(address: Address) -> Address:
    """Return the IPv4 address that stands in one of IPv6's clothes."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    translated = any(address in network for network in _TRANSLATED)
    if translated or (address.packed[:12] == bytes(12) and int(address) > 1):
        return ipaddress.IPv4Address(address.packed[12:])
    return address.ipv4_mapped or address.sixtofour or address
