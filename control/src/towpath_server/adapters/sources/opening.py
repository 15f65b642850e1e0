"""From an address to the source that reads it."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import assert_never

from towpath_server.adapters.egress import EgressClient, NotTrusted
from towpath_server.adapters.sources.asking import Asker
from towpath_server.adapters.sources.errors import SourceFailed
from towpath_server.adapters.sources.hub import HubSource
from towpath_server.adapters.sources.model import Access, Source
from towpath_server.adapters.sources.oci import OciSource
from towpath_server.adapters.sources.s3 import S3Source
from towpath_server.adapters.sources.web import WebSource
from towpath_server.core.source_settings import SourceSettings
from towpath_server.core.sources import Address, HubAddress, OciAddress, S3Address, WebAddress


@asynccontextmanager
async def open_source(
    address: Address,
    access: Access,
    egress: EgressClient,
    settings: SourceSettings,
    scratch: Path,
) -> AsyncIterator[Source]:
    """
    Open a source for as long as the block lasts; nothing is asked before its listing.

    Args:
        scratch: Folder for what must lie somewhere before it is listed; it is made when it is not
            there. What is put there is gone at the end of the block; what a killed process left is
            its owner's to remove.

    Raises:
        SourceFailed: It cannot be read with what is given.
    """
    await asyncio.to_thread(scratch.mkdir, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, ignore_cleanup_errors=True) as own:
        try:
            async with egress.session(access.ca_pem) as session:
                asker = Asker(session, known=access.secret is not None)
                yield _source(address, access, asker, settings, Path(own))
        except NotTrusted as error:
            raise SourceFailed(
                "NotTrusted",
                f"The connection's certificates cannot be used: {error}.",
                fix="Give it one or more certificates in PEM.",
            ) from error


def _source(
    address: Address, access: Access, asker: Asker, settings: SourceSettings, own: Path
) -> Source:
    match address:
        case HubAddress():
            return HubSource(address, access, asker, settings)
        case OciAddress():
            return OciSource(address, access, asker, own)
        case S3Address():
            return S3Source(address, access, asker)
        case WebAddress():
            return WebSource(address, access, asker)
    assert_never(address)
