"""
The Hugging Face Hub, a mirror of it, or the cache that its library keeps on this machine.

A revision is asked for once and becomes a commit; files are read by that commit. The library itself
is not used here: it opens connections of its own (ADR 0023).
"""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from towpath_server.adapters.sources import card, selection
from towpath_server.adapters.sources.asking import Asker, Document, shown
from towpath_server.adapters.sources.errors import SourceFailed
from towpath_server.adapters.sources.hubcache import HubCache
from towpath_server.adapters.sources.model import Access, Listing, RemoteFile
from towpath_server.core.source_settings import SourceSettings
from towpath_server.core.sources import HubAddress

_MAX_LISTING_BYTES = 32 << 20
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CODES = {401, 403, 404}


class HubSource:
    """Reads a repository of the Hub, or of its library's cache where that is told or must be."""

    def __init__(
        self, address: HubAddress, access: Access, asker: Asker, settings: SourceSettings
    ) -> None:
        self._address = address
        self._base = (access.endpoint or settings.hf_endpoint).rstrip("/")
        self._headers = {"authorization": f"Bearer {access.secret}"} if access.secret else {}
        self._asker = asker
        self._offline = settings.hf_offline
        self._cache = HubCache(settings.hf_cache_dir) if settings.hf_cache_dir else None
        self._gated = False

    async def listing(self) -> Listing:
        """
        Ask the Hub, unless the commit is named and lies whole in the cache.

        When the Hub cannot be reached, what the cache has for the revision is taken.
        """
        if self._offline:
            found = await self._from_cache()
            if found is None:
                raise self._not_cached()
            return found
        if self._address.pinned and (found := await self._from_cache()) is not None:
            return found
        try:
            return await self._from_hub()
        except SourceFailed as error:
            if error.transient and (found := await self._from_cache()) is not None:
                return found
            raise

    async def read(self, file: RemoteFile, offset: int = 0) -> AsyncIterator[bytes]:
        """Read a file from where it was listed."""
        if file.key.startswith("/") and self._cache is not None:
            pieces = self._cache.read(self._address, file, offset)
        else:
            pieces = self._asker.content(file.key, self._headers, size=file.size, offset=offset)
        try:
            async for piece in pieces:
                yield piece
        except SourceFailed as error:
            if self._gated and error.reason == "AccessDenied":
                raise self._for_some() from error
            raise

    async def _from_cache(self) -> Listing | None:
        if self._cache is None:
            return None
        snapshot = await asyncio.to_thread(self._cache.find, self._address)
        if snapshot is None:
            return None
        text, licence = card.read(snapshot.card) if snapshot.card is not None else (None, None)
        return self._listing(snapshot.commit, snapshot.files, text, licence)

    async def _from_hub(self) -> Listing:
        revision = quote(self._address.revision, safe="")
        url = f"{self._base}/api/models/{self._address.repository}/revision/{revision}?blobs=true"
        answer = await self._asker.document(
            url, self._headers, limit=_MAX_LISTING_BYTES, passing=tuple(_CODES)
        )
        if answer.status != 200:
            raise self._refused(url, answer)
        commit, files, self._gated = await asyncio.to_thread(read_listing, answer.body, shown(url))
        if self._gated and not self._headers:
            raise self._for_some()
        if self._address.pinned and commit != self._address.revision:
            raise _unreadable(shown(url), "it names another commit than the one asked for")
        where = f"{self._base}/{self._address.repository}/resolve/{commit}"
        found = [replace(file, key=f"{where}/{quote(file.path)}") for file in files]
        text, licence = await self._card(found)
        return self._listing(commit, selection.of_repository(self._address, found), text, licence)

    async def _card(self, files: Sequence[RemoteFile]) -> tuple[str | None, str | None]:
        for file in files:
            if file.path == selection.CARD and (file.size or 0) <= card.MAX_BYTES:
                whole = b"".join([piece async for piece in self.read(file)])
                return card.read(whole)
        return None, None

    def _listing(
        self, commit: str, files: Sequence[RemoteFile], text: str | None, licence: str | None
    ) -> Listing:
        pinned = replace(self._address, revision=commit).text
        fingerprint = f"sha256:{hashlib.sha256(pinned.encode()).hexdigest()}"
        return Listing(pinned, tuple(files), fingerprint, text, licence)

    def _refused(self, url: str, answer: Document) -> SourceFailed:
        """Say what the Hub means, which names it in a header of its own."""
        address, said = self._address, answer.headers.get("x-error-code", "")
        page = f"{self._base}/{address.repository}"
        if said == "GatedRepo":
            return self._for_some()
        if said == "RevisionNotFound":
            return SourceFailed(
                "NotFoundThere",
                f"The repository `{address.repository}` has no revision `{address.revision}`.",
                fix=f"Choose one of {page}/commits, or leave it out.",
            )
        if said == "RepoNotFound":
            return SourceFailed(
                "NotFoundThere",
                f"There is no repository `{address.repository}`, or only members may see it.",
                fix=f"Check the name at {page}; a private one needs a connection with a token.",
            )
        return self._asker.refused(url, answer)

    def _for_some(self) -> SourceFailed:
        repository = self._address.repository
        return SourceFailed(
            "Gated",
            f"The repository `{repository}` is for those who agreed to its terms.",
            fix=f"Agree to them at {self._base}/{repository}, and give a connection for `hf://` a "
            "token of that account: `towpath connections create`.",
        )

    def _not_cached(self) -> SourceFailed:
        folder = "none is set" if self._cache is None else f"it is `{self._cache.folder}`"
        return SourceFailed(
            "NotCached",
            f"`{self._address.text}` is not whole in the cache, and the Hub is not asked.",
            fix=f"Download it into the cache folder ({folder}), or set "
            "`TOWPATH_SOURCES__HF_OFFLINE=false`.",
        )


def read_listing(body: bytes, where: str) -> tuple[str, list[RemoteFile], bool]:
    """
    Read commit and files out of what the Hub says, and whether only some may have them.

    Raises:
        SourceFailed: It is not what the Hub says.
    """
    try:
        told = json.loads(body)
        commit, siblings, gated = told["sha"], told["siblings"], told.get("gated", False)
        files = [_file(entry) for entry in siblings]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _unreadable(where, "it is no list of a repository's files") from error
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise _unreadable(where, "it names no commit")
    return commit, files, bool(gated)


def _file(entry: Mapping[str, Any]) -> RemoteFile:
    lfs = entry.get("lfs") or {}
    size, sha256 = lfs.get("size", entry.get("size")), lfs.get("sha256", "")
    digest = f"sha256:{sha256}" if _SHA256.fullmatch(sha256) else None
    whole = isinstance(size, int) and not isinstance(size, bool) and size >= 0
    return RemoteFile(str(entry["rfilename"]), "", size if whole else None, digest)


def _unreadable(where: str, why: str) -> SourceFailed:
    return SourceFailed(
        "Unreadable",
        f"`{where}` answers what the Hub does not: {why}.",
        fix="Check `TOWPATH_SOURCES__HF_ENDPOINT`, or the connection's endpoint.",
    )
