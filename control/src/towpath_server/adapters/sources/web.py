"""One file of a web server, known by its digest."""

import base64
from collections.abc import AsyncIterator, Mapping

from towpath_server.adapters.sources.asking import Asker
from towpath_server.adapters.sources.model import Access, Listing, RemoteFile
from towpath_server.core.sources import WebAddress


class WebSource:
    """Reads a file of `https:`; whoever stores it proves the digest."""

    def __init__(self, address: WebAddress, access: Access, asker: Asker) -> None:
        self._address = address
        self._headers = authorization(access)
        self._asker = asker

    async def listing(self) -> Listing:
        """List the one file, with the size that the server says."""
        url, digest = self._address.url, self._address.digest
        async with self._asker.get(url, self._headers) as answer:
            if answer.status != 200:
                raise self._asker.refused(url, answer)
            length = answer.headers.get("content-length", "")
        size = int(length[:19]) if length.isdecimal() else None
        file = RemoteFile(self._address.basename, url, size, digest)
        return Listing(self._address.text, (file,), fingerprint=digest)

    async def read(self, file: RemoteFile, offset: int = 0) -> AsyncIterator[bytes]:
        """Read it."""
        async for piece in self._asker.content(
            file.key, self._headers, size=file.size, offset=offset
        ):
            yield piece


def authorization(access: Access) -> Mapping[str, str]:
    """Write who asks: user and password, or a token alone."""
    if access.secret is None:
        return {}
    if access.username is None:
        return {"authorization": f"Bearer {access.secret}"}
    pair = f"{access.username}:{access.secret}".encode()
    return {"authorization": f"Basic {base64.b64encode(pair).decode()}"}
