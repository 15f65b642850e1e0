"""Which addresses an upstream may have."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from towpath_server.core import egress
from towpath_server.core.db import Tx
from towpath_server.domains.providers.errors import UpstreamAddressInvalid
from towpath_server.domains.providers.store import providers as store


def upstream_url(text: str) -> str:
    """
    Check the address of an upstream, and write it without a slash at the end.

    Raises:
        UpstreamAddressInvalid: It is not one that the gateway may call.
    """
    url = text.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise _refused(text, f"it cannot be read: {error}") from error
    if parts.scheme not in {"http", "https"}:
        raise _refused(text, "it does not begin with `http://` or `https://`")
    if not host or any(ord(letter) <= 32 or ord(letter) == 127 for letter in url):
        raise _refused(text, "it names no host")
    if parts.username is not None or parts.password is not None:
        raise UpstreamAddressInvalid(
            "The URL holds a user or a password.", fix="Give the secret as `credential`."
        )
    if parts.query or parts.fragment:
        raise _refused(text, "it has a query or a fragment")
    return url


async def reachable_url(tx: Tx, text: str) -> str:
    """
    Check the address of an upstream, and that the gateway may connect to it as far as it says.

    Raises:
        UpstreamAddressInvalid: It is not one that the gateway may call.
    """
    url = upstream_url(text)
    allow = [egress.network(network) for network in await store.networks(tx)]
    why = egress.denied(urlsplit(url).hostname or "", allow)
    if why is not None:
        raise UpstreamAddressInvalid(
            f"`{url[:200]}` may not be called: {why}.",
            fix="Name an address outside, or ask the platform team to list its network in "
            "`TOWPATH_EGRESS_ALLOW`.",
        )
    return url


async def egress_allow(tx: Tx) -> Sequence[str]:
    """Return the networks that upstreams given by URL may be in, whatever else forbids it."""
    return await store.networks(tx)


async def declare_egress(tx: Tx, networks: Sequence[str]) -> bool:
    """Let these be those networks; return whether that is a change."""
    if set(await store.networks(tx)) == set(networks):
        return False
    await store.replace_networks(tx, networks)
    return True


def _refused(url: str, why: str) -> UpstreamAddressInvalid:
    return UpstreamAddressInvalid(
        f"`{url.rpartition('@')[2][:200]}` is not the address of an upstream: {why}.",
        fix="Give the base URL as OpenAI clients take it, such as `https://api.example.com/v1`.",
    )
