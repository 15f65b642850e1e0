"""
Telling another program over HTTP what happened: signed, to an address that was checked, once.

The form is that of Standard Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature`), so
that receivers verify with any of its libraries. Trying again is for whoever calls this.
"""

import asyncio
import base64
import hmac
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2

from towpath_server.core import egress
from towpath_server.core.egress import Network
from towpath_server.core.secret import Secret

# A receiver takes note and answers; what it does about it is done afterwards.
TIMEOUT_S = 10.0


class NotDelivered(Exception):
    """The receiver did not take it; the text says why."""


@dataclass(frozen=True)
class Webhook:
    """One receiver."""

    url: str
    secret: Secret
    allow: Sequence[Network] = ()
    """Networks inside that it may be in."""

    async def deliver(self, id_: str, at_s: int, body: bytes) -> None:
        """
        Send a message; the receiver tells repetitions by the id.

        Raises:
            NotDelivered: It did not answer 2xx in time, or may not be called.
        """
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                address = await self._address(host, port)
                pinned = f"[{address}]" if ":" in address else address
                url = parts._replace(netloc=f"{pinned}:{port}").geturl()
                # The address that was checked is the one that is called: a name may change between.
                async with httpx2.AsyncClient(trust_env=False, follow_redirects=False) as http:
                    answer = await http.post(
                        url,
                        content=body,
                        headers={
                            "host": parts.netloc.rpartition("@")[2],
                            "content-type": "application/json",
                            "webhook-id": id_,
                            "webhook-timestamp": str(at_s),
                            "webhook-signature": sign(self.secret, id_, at_s, body),
                        },
                        extensions={"sni_hostname": host},
                    )
        except (TimeoutError, OSError, httpx2.HTTPError) as error:
            raise NotDelivered(f"it does not answer: {error!r}") from error
        if not 200 <= answer.status_code < 300:
            raise NotDelivered(f"it answered {answer.status_code}")

    async def _address(self, host: str, port: int) -> str:
        why = egress.denied(host, self.allow)
        if why is None:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            for *_, place in found:
                address = str(place[0])
                why = egress.denied(address, self.allow)
                if why is None:
                    return address
        raise NotDelivered(f"it may not be called: {why or 'it has no address'}")


def sign(secret: Secret, id_: str, at_s: int, body: bytes) -> str:
    """Return the signature of a message: HMAC-SHA256 over id, time and body."""
    signed = f"{id_}.{at_s}.".encode() + body
    digest = hmac.digest(secret.reveal().encode(), signed, "sha256")
    return "v1," + base64.b64encode(digest).decode()
