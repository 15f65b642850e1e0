"""Certificates of the tests' own authorities, and a server that shows one before another server."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from urllib.parse import urlsplit

import trustme

_PIECE = 65_536


@dataclass(frozen=True)
class Files:
    """What programs read, all of it PEM."""

    chain: Path
    key: Path
    authority: Path


def write(folder: Path, authority: trustme.CA, *names: str) -> Files:
    """Make a certificate for these names and write it down."""
    made = authority.issue_cert(*names)
    files = Files(folder / "chain.pem", folder / "key.pem", folder / "authority.pem")
    files.chain.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    made.private_key_pem.write_to_path(str(files.key))
    authority.cert_pem.write_to_path(str(files.authority))
    return files


@contextmanager
def before(url: str, authority: trustme.CA) -> Iterator[str]:
    """Stand before a server with a certificate for `localhost`; the address to call instead."""
    context = SSLContext(PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    target = urlsplit(url)
    ports: queue.Queue[int] = queue.Queue()
    stop = threading.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(target.hostname, target.port)
        # Whoever serves would be complained of if this got out.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        ports.put(server.sockets[0].getsockname()[1])
        async with server:
            await asyncio.to_thread(stop.wait)
        # Whoever is served lets go of both ends when it is cancelled.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=asyncio.run, args=(run(),), name="tls-front")
    thread.start()
    try:
        yield f"https://localhost:{ports.get(timeout=30)}{target.path}"
    finally:
        stop.set()
        thread.join()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until either side has gone, and let the other know."""
    with contextlib.suppress(OSError):
        try:
            while piece := await reader.read(_PIECE):
                writer.write(piece)
                await writer.drain()
        finally:
            writer.transport.abort()
