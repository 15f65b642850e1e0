"""
The one client for what the control plane sends out to addresses that somebody wrote down.

A name is resolved once for a call; every address it has is judged, and only a judged address is
connected to, so that a name which changes its mind in between (rebinding) gains nothing. Redirects
are not followed, and no proxy stands between. What is judged, and how, is the gateway's list, too
(`egress.rs`). A test holds that nothing else here opens connections.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

import httpx2
import psutil

from towpath_server.core import egress
from towpath_server.core.egress import Network

Place = tuple[str, int]
"""An address and a port."""

# An answer is looked at for its status, and perhaps for a reason; nobody asked for more.
MAX_ANSWER_BYTES = 64 * 1024


class NotSent(Exception):
    """It did not get there; the text says why, for the log."""


class Resolve(Protocol):
    """Look up all addresses of a host."""

    def __call__(self, host: str, port: int) -> Awaitable[Sequence[str]]:
        """Return them as they came."""
        ...


@dataclass(frozen=True)
class Outgoing:
    """A request that leaves."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    within_s: float = 10.0


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes


async def system(host: str, port: int) -> list[str]:
    """Ask the operating system, `/etc/hosts` included."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(place[0]) for *_, place in found]


def own_places(host: str, port: int) -> frozenset[Place]:
    """Name all addresses of a listener of this machine; an unspecified one is the machine's all."""
    try:
        unspecified = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return frozenset()
    if not unspecified:
        return frozenset({(host, port)})
    cards = psutil.net_if_addrs().values()
    families = {socket.AF_INET, socket.AF_INET6}
    own = (
        one.address.partition("%")[0] for card in cards for one in card if one.family in families
    )
    return frozenset((address, port) for address in own)


@dataclass(frozen=True)
class EgressClient:
    """Sends to what may be called, and to nothing else."""

    allow: Sequence[Network] = ()
    """Networks inside that may be called whatever else forbids it."""
    own: Collection[Place] = ()
    """The platform's own listeners."""
    resolve: Callable[[str, int], Awaitable[Sequence[str]]] = system

    async def send(self, request: Outgoing) -> Answer:
        """
        Send a request once; trying again is for whoever calls this.

        Raises:
            NotSent: It may not be called, is not there, or did not answer in time.
        """
        parts = urlsplit(request.url)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
        try:
            async with asyncio.timeout(request.within_s):
                address = await self._judged(host, port)
                pinned = f"[{address}]" if ":" in address else address
                return await _exchange(
                    request,
                    url=parts._replace(netloc=f"{pinned}:{port}").geturl(),
                    headers={**request.headers, "host": parts.netloc.rpartition("@")[2]},
                    name=host,
                )
        except (TimeoutError, OSError, httpx2.HTTPError) as error:
            raise NotSent(f"it does not answer: {error!r}") from error

    async def _judged(self, host: str, port: int) -> str:
        """Return the first address of a host that may be called."""
        why = egress.denied(host, self.allow) if host and port else "it is no web address"
        for address in await self.resolve(host, port) if why is None else ():
            why = egress.denied(address, self.allow) or self._is_own(address, port)
            if why is None:
                return address
        raise NotSent(f"it may not be called: {why or 'it has no address'}")

    def _is_own(self, address: str, port: int) -> str | None:
        if (address, port) not in self.own or egress.listed(address, self.allow):
            return None
        return "it is a listener of the platform itself"


_PORTS = {"http": 80, "https": 443}


async def _exchange(
    request: Outgoing, *, url: str, headers: Mapping[str, str], name: str
) -> Answer:
    """Call the pinned address; the certificate must be that of the name."""
    async with (
        httpx2.AsyncClient(trust_env=False, follow_redirects=False) as http,
        http.stream(
            request.method,
            url,
            content=request.body,
            headers=dict(headers),
            extensions={"sni_hostname": name},
        ) as answer,
    ):
        body = b""
        async for chunk in answer.aiter_raw():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise NotSent(f"its answer is larger than {MAX_ANSWER_BYTES} bytes")
        return Answer(answer.status_code, body)
