"""What tests of sources do with them."""

import pytest

from towpath_server.adapters.sources.errors import SourceFailed
from towpath_server.adapters.sources.model import RemoteFile, Source
from towpath_server.core import egress
from towpath_server.core.source_settings import SourceSettings

LOOPBACK = [egress.network("127.0.0.1/32")]
NO_CACHE = SourceSettings(hf_cache_dir=None)


async def whole(source: Source, file: RemoteFile, offset: int = 0) -> bytes:
    """Read a file to its end."""
    return b"".join([piece async for piece in source.read(file, offset)])


async def contents(source: Source) -> dict[str, bytes]:
    """Read all files of a source."""
    listing = await source.listing()
    return {file.path: await whole(source, file) for file in listing.files}


async def refusal(source: Source) -> SourceFailed:
    """List what must not be listed; return what is said."""
    with pytest.raises(SourceFailed) as caught:
        await source.listing()
    assert caught.value.fix
    return caught.value
