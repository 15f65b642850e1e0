"""Ask a model server for its health: one plain HTTP request on a connection of its own."""

import asyncio
import contextlib

_STATUS_LINE = 256  # `HTTP/1.1 200 OK` and room for a wordy reason


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
        line = await reader.readuntil(b"\n")
        return int(line.split(b" ", 2)[1])
    except (asyncio.LimitOverrunError, IndexError) as error:
        raise ValueError("not an HTTP status line") from error
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
