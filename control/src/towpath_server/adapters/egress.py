"""
The one client for what the control plane sends out to addresses that somebody wrote down.

A name is resolved once for a call; every address it has is judged, and only a judged address is
connected to, so that a name which changes its mind in between (rebinding) gains nothing. Redirects
are not followed, and no proxy stands between: whoever follows one asks anew, and is judged anew.
What is judged, and how, is the gateway's list, too (`egress.rs`). A test holds that nothing else
here opens connections.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

import httpx2
import psutil

from towpath_server.core import egress
from towpath_server.core.config import Settings
from towpath_server.core.egress import Network

Place = tuple[str, int]
"""An address and a port."""

# An answer is looked at for its status, and perhaps for a reason; nobody asked for more.
MAX_ANSWER_BYTES = 64 * 1024

CONNECT_S = 10.0
SILENCE_S = 60.0
"""How long a body that streams may say nothing; how long all of it takes has no bound."""

_PIECE_BYTES = 1 << 20
# Of one session: a source, where its files lie, and who gives tokens for it. Beyond them a
# connection is not kept.
_KEPT_HOSTS = 8


class NotSent(Exception):
    """It did not get there; the text says why, for the log."""


class NotAllowed(NotSent):
    """It may not be called."""


class NotTrusted(NotSent):
    """Its certificate is signed by nobody who is trusted, or is not its name's."""


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

    @classmethod
    def of(cls, settings: Settings) -> "EgressClient":
        """Compose from the settings; no connection is made yet."""
        return cls(
            allow=[egress.network(network) for network in settings.egress_allow],
            own=own_places(settings.host, settings.port),
        )

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
                address = await self.judged(host, port)
                return await _exchange(
                    request,
                    url=_pinned(parts, address, port),
                    headers={**request.headers, "host": parts.netloc.rpartition("@")[2]},
                    name=host,
                )
        except (TimeoutError, OSError, httpx2.HTTPError) as error:
            raise NotSent(f"it does not answer: {error!r}") from error

    @asynccontextmanager
    async def session(self, ca_pem: str | None = None) -> AsyncIterator["Session"]:
        """
        Keep connections for as long as the block lasts, for bodies of any size.

        Args:
            ca_pem: Certificates that are trusted beside the system's.

        Raises:
            NotTrusted: They are no certificates.
        """
        try:
            trusted = await asyncio.to_thread(_trusted, ca_pem)
        except (ssl.SSLError, ValueError) as error:
            raise NotTrusted("the certificates to trust cannot be read") from error
        async with AsyncExitStack() as kept:
            yield Session(self, trusted, kept)

    async def judged(self, host: str, port: int) -> str:
        """
        Return the first address of a host that may be called.

        Raises:
            NotAllowed: None of them may.
        """
        why = egress.denied(host, self.allow) if host and port else "it is no web address"
        for address in await self.resolve(host, port) if why is None else ():
            why = egress.denied(address, self.allow) or self._is_own(address, port)
            if why is None:
                return address
        raise NotAllowed(f"it may not be called: {why or 'it has no address'}")

    def _is_own(self, address: str, port: int) -> str | None:
        if (address, port) not in self.own or egress.listed(address, self.allow):
            return None
        return "it is a listener of the platform itself"


_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Incoming:
    """An answer whose body is still on its way."""

    status: int
    headers: Mapping[str, str]
    """By their names in lower case."""
    answer: httpx2.Response = field(repr=False)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """
        Give the body on as it was sent, in pieces of about a MiB, and first of all what came in.

        Raises:
            NotSent: It broke off.
        """
        held, broken = bytearray(), None
        pieces = self.answer.aiter_raw()
        try:
            async for piece in pieces:
                held += piece
                if len(held) >= _PIECE_BYTES:
                    yield bytes(held)
                    held.clear()
        except (OSError, httpx2.HTTPError) as error:
            broken = error
        finally:
            await pieces.aclose()
        if held:
            yield bytes(held)
        if broken is not None:
            raise NotSent(f"it broke off: {broken!r}") from broken


@dataclass
class Session:
    """
    Connections of one piece of work; made by `EgressClient.session`.

    They are kept by the name that was called, never by the address alone: what was proved to be one
    host is not taken for another that lies behind the same address.
    """

    egress: EgressClient
    trusted: ssl.SSLContext
    kept: AsyncExitStack
    clients: dict[str, httpx2.AsyncClient] = field(default_factory=dict)

    @asynccontextmanager
    async def get(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Incoming]:
        """
        Ask once and let the body stream; a redirect is an answer.

        Raises:
            NotAllowed: It may not be called.
            NotTrusted: Its certificate is not trusted.
            NotSent: It is not there, or says nothing.
        """
        parts = _parts(url)
        host, port = parts.hostname or "", _port(parts)
        async with AsyncExitStack() as own:
            with _told():
                async with asyncio.timeout(SILENCE_S):
                    address = await self._judged(host, port)
                    client = await self._client(parts.netloc, own)
                    request = client.build_request(
                        "GET",
                        _pinned(parts, address, port),
                        headers={
                            "accept-encoding": "identity",
                            "user-agent": "towpath",
                            **headers,
                            "host": parts.netloc.rpartition("@")[2],
                        },
                        extensions={"sni_hostname": host},
                    )
                    answer = await client.send(request, stream=True)
            own.push_async_callback(answer.aclose)
            heads = {name.lower(): value for name, value in answer.headers.items()}
            yield Incoming(answer.status_code, heads, answer)

    async def _judged(self, host: str, port: int) -> str:
        async with asyncio.timeout(CONNECT_S):
            return await self.egress.judged(host, port)

    async def _client(self, place: str, own: AsyncExitStack) -> httpx2.AsyncClient:
        if place in self.clients:
            return self.clients[place]
        made = httpx2.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            verify=self.trusted,
            timeout=httpx2.Timeout(SILENCE_S, connect=CONNECT_S),
        )
        if len(self.clients) < _KEPT_HOSTS:
            self.clients[place] = made
            await self.kept.enter_async_context(made)
        else:
            await own.enter_async_context(made)
        return made


@contextmanager
def _told() -> Iterator[None]:
    """Say which kind of failure it is."""
    try:
        yield
    except (TimeoutError, OSError, UnicodeError, httpx2.HTTPError, httpx2.InvalidURL) as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise NotTrusted(f"its certificate is not trusted: {cause}") from error
            cause = cause.__cause__ or cause.__context__
        if isinstance(error, UnicodeError | httpx2.LocalProtocolError | httpx2.InvalidURL):
            # What tells of a header's characters would tell the header, too.
            raise NotSent("it cannot be asked: its name or a credential is malformed") from None
        raise NotSent(f"it does not answer: {error!r}") from error


def _trusted(ca_pem: str | None) -> ssl.SSLContext:
    context = httpx2.create_ssl_context(trust_env=False)
    if ca_pem is not None:
        context.load_verify_locations(cadata=ca_pem)
    return context


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise NotAllowed("it may not be called: it is no web address") from error


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise NotAllowed("it may not be called: it is no web address") from error


def _pinned(parts: SplitResult, address: str, port: int) -> str:
    """Name the judged address in a URL, instead of the name that it belongs to."""
    host = f"[{address}]" if ":" in address else address
    return parts._replace(netloc=f"{host}:{port}").geturl()


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
