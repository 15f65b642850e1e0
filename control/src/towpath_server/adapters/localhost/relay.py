"""
Carries connections from a Unix socket to a port of the network that it runs in.

A program of its own, run as `python -I -S relay.py SOCKET PORT PROGRAM ARGUMENT…` inside the
namespaces of a replica: a server that can only listen on a port has a network of its own all the
same. It is the first process there: it starts the program, passes on the request to end, and ends
with it.
"""

# ruff: noqa: TID251 (a program of its own: it reads its own arguments)
import asyncio
import contextlib
import os
import signal
import sys

_CHUNK = 64 << 10
_BACKLOG = 1024


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while part := await reader.read(_CHUNK):
            writer.write(part)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.transport.abort()  # a cut connection is cut on the other side too


async def _serve(socket: str, port: int, program: list[str]) -> int:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(
                "127.0.0.1", port, limit=_CHUNK
            )
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(_carry(reader, server_writer), _carry(server_reader, writer))
        for one in (server_writer, writer):
            with contextlib.suppress(OSError):
                one.close()

    child = os.posix_spawnp(  # noqa: ASYNC221 (it returns at once, and nothing is served yet)
        program[0], program, os.environ, setpgroup=0, setsigdef=[signal.SIGTERM, signal.SIGPIPE]
    )
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def reap() -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == child and not ended.done():
                ended.set_result(status)

    def end() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)

    loop.add_signal_handler(signal.SIGCHLD, reap)
    loop.add_signal_handler(signal.SIGTERM, end)
    reap()
    server = await asyncio.start_unix_server(accept, socket, backlog=_BACKLOG, limit=_CHUNK)
    status = await ended
    server.close()
    return os.waitstatus_to_exitcode(status)


def main() -> None:
    """Relay until the program ends; then end as it did."""
    socket, port, *program = sys.argv[1:]
    code = asyncio.run(_serve(socket, int(port), program))
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
