"""Asks the front door whether it lives and is ready, and understands why it is not."""

import asyncio
import contextlib
import http.client
import json

# Longer than a busy machine needs for an answer; a part that is replaced answers late, not never.
_TIMEOUT_S = 2.0
_MAX_BODY_BYTES = 64 * 1024


async def lives(host: str, port: int) -> bool:
    """Tell whether the gateway answers at all."""
    status, _ = await asyncio.to_thread(_get, host, port, "/healthz")
    return status == 200


async def reasons(host: str, port: int) -> list[str] | None:
    """Return why the platform is not ready; empty when it is, none when nobody answered."""
    status, body = await asyncio.to_thread(_get, host, port, "/readyz")
    if status == 0:
        return None
    return [] if status == 200 else _reasons(body)


def _get(host: str, port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    with contextlib.closing(connection):
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read(_MAX_BODY_BYTES)
        except (OSError, http.client.HTTPException):
            return 0, b""


def _reasons(body: bytes) -> list[str]:
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        listed = json.loads(body).get("reasons", [])
        texts = [
            str(one.get("message", one)) if isinstance(one, dict) else str(one) for one in listed
        ]
        if texts:
            return texts
    return ["the gateway is not ready"]
