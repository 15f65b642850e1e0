"""
Telling another program over HTTP what happened: signed, to an address that was checked, once.

The form is that of Standard Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature`), so
that receivers verify with any of its libraries. Trying again is for whoever calls this.
"""

import base64
import hmac
from dataclasses import dataclass

from towpath_server.adapters.egress import EgressClient, NotSent, Outgoing
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
    client: EgressClient

    async def deliver(self, id_: str, at_s: int, body: bytes) -> None:
        """
        Send a message; the receiver tells repetitions by the id.

        Raises:
            NotDelivered: It did not answer 2xx in time, or may not be called.
        """
        headers = {
            "content-type": "application/json",
            "webhook-id": id_,
            "webhook-timestamp": str(at_s),
            "webhook-signature": sign(self.secret, id_, at_s, body),
        }
        try:
            answer = await self.client.send(Outgoing("POST", self.url, headers, body, TIMEOUT_S))
        except NotSent as error:
            raise NotDelivered(str(error)) from error
        if not 200 <= answer.status < 300:
            raise NotDelivered(f"it answered {answer.status}")


def sign(secret: Secret, id_: str, at_s: int, body: bytes) -> str:
    """Return the signature of a message: HMAC-SHA256 over id, time and body."""
    signed = f"{id_}.{at_s}.".encode() + body
    digest = hmac.digest(secret.reveal().encode(), signed, "sha256")
    return "v1," + base64.b64encode(digest).decode()
