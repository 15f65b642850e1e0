"""Ask a model server for its health: one plain HTTP request on a connection of its own."""

import asyncio
import contextlib

_STATUS_LINE = 256  # `HTTP/1.1 200 OK` and room for a wordy reason
_ANSWER = 64 << 10  # a health report is a line or a page


async def healthy(address: str, path: str, *, timeout_s: float) -> bool:
    """Tell whether `GET path` answers with a status of 200 to 299 in time."""
    try:
        async with asyncio.timeout(timeout_s):
            return 200 <= await _status(address, path) < 300
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        return False


async def _status(address: str, path: str) -> int:
    kind, _, place = address.partition(":")
    if kind == "unix":
        reader, writer = await asyncio.open_unix_connection(place, limit=_STATUS_LINE)
    else:
        host, _, port = place.removeprefix("//").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=_STATUS_LINE)
    try:
        request = f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        writer.write(request.encode("ascii"))
        await writer.drain()
        status = _read_status(await reader.readuntil(b"\n"))
        left = _ANSWER  # heard out, since some servers complain in their log when it is cut off
        while left > 0 and (part := await reader.read(min(left, _STATUS_LINE))):
            left -= len(part)
    except asyncio.LimitOverrunError as error:
        raise ValueError("the status line does not end") from error
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return status


def _read_status(line: bytes) -> int:
    parts = line.split(b" ", 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/"):
        raise ValueError("not an HTTP status line")
    return int(parts[1])
