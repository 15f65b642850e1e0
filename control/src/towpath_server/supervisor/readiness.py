"""Asks the front door whether it is ready, and understands why it is not."""

import asyncio
import contextlib
import http.client
import json
import re
import ssl

# Longer than a busy machine needs for an answer; a part that is replaced answers late, not never.
_TIMEOUT_S = 2.0
_MAX_BODY_BYTES = 64 * 1024
_QUOTED = re.compile("`([^`]+)`")


async def reasons(host: str, port: int, *, secure: bool = False) -> list[str] | None:
    """Return why the platform is not ready; empty when it is, none when nobody answered."""
    status, body = await asyncio.to_thread(_get, host, port, "/readyz", secure)
    if status == 0:
        return None
    return [] if status == 200 else _reasons(body)


def _get(host: str, port: int, path: str, secure: bool) -> tuple[int, bytes]:  # noqa: FBT001
    connection: http.client.HTTPConnection
    if secure:
        connection = http.client.HTTPSConnection(
            host, port, timeout=_TIMEOUT_S, context=_trusting()
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    with contextlib.closing(connection):
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read(_MAX_BODY_BYTES)
        except ssl.SSLError as error:
            # It asks callers for a certificate and answers those who show one, which is all that
            # can be told from here.
            return (200, b"") if "CERTIFICATE_REQUIRED" in str(error.reason) else (0, b"")
        except (OSError, http.client.HTTPException):
            return 0, b""


def _trusting() -> ssl.SSLContext:
    """Trust whatever is shown: it is our own listener, and nothing secret is said."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _reasons(body: bytes) -> list[str]:
    """Read why; models that load are one reason, however many they are."""
    found, loading = [], []
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        for reason in json.loads(body)["reasons"]:
            message = str(reason["message"]).rstrip(".")
            quoted = _QUOTED.search(message)
            if reason["code"] == "model_loading" and quoted:
                loading.append(quoted[1])
            else:
                found.append(message)
    if loading:
        found.append("loading " + ", ".join(loading))
    return found or ["the gateway is not ready"]
