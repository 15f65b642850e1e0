"""
Calls to models through the front door, as any program makes them.

One attempt a call: whoever calls decides what comes next. Bodies have a bound both ways.
"""

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx2

from towpath_server.core.secret import Secret

_CONNECT_S = 5.0
# A call may wait in a queue and for a model to wake; the gateway ends what takes longer.
_READ_S = 900.0
_END = "-----END CERTIFICATE-----"
_LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True)
class Answer:
    """What the gateway answered."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    first_s: float | None = None
    """Seconds until the first data: of a stream, its first event."""


class GatewayAway(Exception):
    """No whole answer came: the gateway is down, or restarts."""


class AnswerTooLarge(Exception):
    """The answer is larger than may be kept; it was cut off."""


class GatewayClient:
    """Connections to one gateway; use it as a context."""

    def __init__(
        self,
        url: str,
        *,
        ca: Path | None,
        certificate: Path | None = None,
        connections: int,
        answer_bytes: int,
    ) -> None:
        """
        Prepare connections; none is opened yet.

        Args:
            ca: Authorities (PEM) that alone are trusted; default: the system's.
            certificate: What the gateway itself shows (PEM, first of its chain). It is trusted
                instead of authorities, by whatever name the gateway is reached, and read again
                when it no longer fits.
        """
        self._certificate = certificate
        self._context = (
            ssl.create_default_context(cafile=ca) if certificate is None else _trusting(certificate)
        )
        self._answer_bytes = answer_bytes
        self._http = httpx2.AsyncClient(
            base_url=url,
            verify=self._context,
            trust_env=False,  # a proxy of the environment must not see a call to ourselves
            timeout=httpx2.Timeout(_READ_S, connect=_CONNECT_S),
            limits=httpx2.Limits(
                max_connections=connections, max_keepalive_connections=connections
            ),
        )

    async def post(
        self, path: str, body: bytes, token: Secret, headers: Mapping[str, str]
    ) -> Answer:
        """
        Make one call.

        Raises:
            GatewayAway: No whole answer came.
            AnswerTooLarge: It is larger than may be kept.
        """
        sent = {
            **headers,
            "authorization": f"Bearer {token.reveal()}",
            "content-type": "application/json",
            "accept-encoding": "identity",
        }
        clock = asyncio.get_running_loop().time
        began, first_s = clock(), None
        try:
            async with self._http.stream("POST", path, content=body, headers=sent) as answer:
                content = bytearray()
                async for piece in answer.aiter_raw():
                    content += piece
                    if first_s is None and (not _streams(answer) or b"data:" in content):
                        first_s = clock() - began
                    if len(content) > self._answer_bytes:
                        raise AnswerTooLarge
                return Answer(answer.status_code, dict(answer.headers), bytes(content), first_s)
        except httpx2.HTTPError as error:
            if self._certificate is not None and isinstance(error, httpx2.ConnectError):
                await asyncio.to_thread(_add, self._context, self._certificate)
            raise GatewayAway(type(error).__name__) from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()


def _streams(answer: httpx2.Response) -> bool:
    """Tell whether it is a stream of events: before the first of them it may have comments."""
    return answer.headers.get("content-type", "").startswith("text/event-stream")


def _trusting(certificate: Path) -> ssl.SSLContext:
    """Trust this certificate alone, whoever signed it and whatever names it has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    _add(context, certificate)
    return context


def _add(context: ssl.SSLContext, certificate: Path) -> None:
    """
    Add the first certificate of the file: those behind it may vouch for others.

    A file that cannot be read adds nothing, so no call succeeds until it can.
    """
    with contextlib.suppress(OSError, ValueError):
        first, end, _ = certificate.read_text(encoding="ascii", errors="ignore").partition(_END)
        context.load_verify_locations(cadata=first + end)


def sources_for(url: str) -> tuple[str, ...] | None:
    """Return the networks from which calls to this address come, where it is on this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return _LOOPBACK
    try:
        return _LOOPBACK if ipaddress.ip_address(host).is_loopback else None
    except ValueError:
        return None
