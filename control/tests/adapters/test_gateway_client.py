"""What vouches for the gateway where batches call it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from towpath_server.adapters.gateway.client import GatewayAway, GatewayClient
from towpath_server.core.secret import Secret

NAME = "towpath.example"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"


def shown(authority: trustme.CA, file: Path) -> ssl.SSLContext:
    """Make a certificate for a name that is not this machine's, and what a server shows it with."""
    certificate = authority.issue_cert(NAME)
    certificate.private_key_and_cert_chain_pem.write_to_path(str(file.with_suffix(".key")))
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    file.write_bytes(chain + authority.cert_pem.bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@asynccontextmanager
async def door(context: ssl.SSLContext) -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def client(url: str, *, certificate: Path | None, ca: Path | None = None) -> GatewayClient:
    return GatewayClient(url, ca=ca, certificate=certificate, connections=1, answer_bytes=100)


async def call(gateway: GatewayClient) -> int:
    return (await gateway.post("/v1/chat/completions", b"", Secret("none"), {})).status


async def test_the_doors_own_certificate_is_trusted_whoever_signed_it_and_whatever_its_name(
    tmp_path,
):
    file = tmp_path / "door.pem"
    async with (
        door(shown(trustme.CA(), file)) as url,
        client(url, certificate=file) as gateway,
    ):
        assert await call(gateway) == 200


async def test_no_other_certificate_is_not_even_of_the_same_authority(tmp_path):
    authority, file = trustme.CA(), tmp_path / "door.pem"
    shown(authority, file)
    other = shown(authority, tmp_path / "other.pem")
    async with door(other) as url, client(url, certificate=file) as gateway:
        with pytest.raises(GatewayAway):
            await call(gateway)


async def test_a_certificate_that_was_renewed_is_read_again(tmp_path):
    file = tmp_path / "door.pem"
    authority = trustme.CA()
    former = shown(authority, file)
    renewed = shown(authority, tmp_path / "next.pem")
    async with door(former) as url, client(url, certificate=file) as gateway:
        assert await call(gateway) == 200
    async with door(renewed) as url, client(url, certificate=file) as gateway:
        (tmp_path / "next.pem").replace(file)
        with pytest.raises(GatewayAway):
            await call(gateway)
        assert await call(gateway) == 200


async def test_an_authority_that_is_named_vouches_by_name_as_everywhere(tmp_path):
    authority, file, ca = trustme.CA(), tmp_path / "door.pem", tmp_path / "ca.pem"
    ca.write_bytes(authority.cert_pem.bytes())
    async with door(shown(authority, file)) as url:
        named = url.replace("127.0.0.1", "localhost")
        async with client(named, certificate=None, ca=ca) as gateway:
            with pytest.raises(GatewayAway):
                await call(gateway)
