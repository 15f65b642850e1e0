"""Sources on something that speaks their protocol."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import container_registry
import pytest
from far_server import Asked, FarServer, Reply
from sources_read import LOOPBACK, NO_CACHE

from towpath_server.adapters.egress import EgressClient
from towpath_server.adapters.sources.model import Access, Source
from towpath_server.adapters.sources.opening import open_source
from towpath_server.core.egress import Network
from towpath_server.core.source_settings import SourceSettings
from towpath_server.core.sources import parse

Open = Callable[..., Awaitable[Source]]
Serve = Callable[..., Awaitable[FarServer]]


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
def serve(stack: AsyncExitStack) -> Serve:
    """Start a server that answers by a function; it ends with the test."""

    async def started(answer: Callable[[Asked], Reply], **more: object) -> FarServer:
        return await stack.enter_async_context(FarServer(answer, **more).listening())

    return started


@pytest.fixture
def opened(stack: AsyncExitStack, tmp_path: Path) -> Open:
    """Open a source by its URI."""

    async def source(
        uri: str,
        *,
        settings: SourceSettings = NO_CACHE,
        allow: Sequence[Network] = LOOPBACK,
        **access: str | None,
    ) -> Source:
        given = Access(**access)
        client = EgressClient(allow)
        source = open_source(parse(uri), given, client, settings, tmp_path / "scratch")
        return await stack.enter_async_context(source)

    return source


@pytest.fixture(scope="session")
def registry() -> Iterator[container_registry.Registry]:
    """One real registry for the session."""
    with container_registry.server() as running:
        yield running
