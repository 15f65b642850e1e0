"""
Models in a registry of containers: artifacts of files, and images with a folder `/models`.

What a layer says it is, it must be: manifests and layers are proved by their digests, a layer that
is an archive before anything of it is listed.
"""

import asyncio
import base64
import hashlib
import json
import re
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from towpath_server.adapters.sources import card, layers, selection
from towpath_server.adapters.sources.asking import Asker, Document, shown
from towpath_server.adapters.sources.errors import SourceFailed
from towpath_server.adapters.sources.layers import Archive
from towpath_server.adapters.sources.model import Access, Listing, RemoteFile
from towpath_server.adapters.sources.unpacking import Unpacked, Unpacker, room_for
from towpath_server.core import licences
from towpath_server.core.sources import OciAddress

_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_LICENCES = "org.opencontainers.image.licenses"
_MAX_MANIFEST_BYTES = 4 << 20  # what registries take at most
_MAX_TOKEN_BYTES = 1 << 20
_MAX_LAYERS = 2_000
_PARAMETER = re.compile(r'([a-z_]+)="([^"]{0,2000})"')
_DOCKER_HUB = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}


class OciSource:
    """Reads an artifact or an image; archives are unpacked into `scratch` when it is listed."""

    def __init__(self, address: OciAddress, access: Access, asker: Asker, scratch: Path) -> None:
        registry = _DOCKER_HUB.get(address.registry, address.registry)
        self._base = f"{(access.endpoint or f'https://{registry}').rstrip('/')}/v2"
        repository = address.repository
        if registry in _DOCKER_HUB.values() and "/" not in repository:
            repository = f"library/{repository}"
        self._repository = repository
        self._address = address
        self._access = access
        self._asker = asker
        self._scratch = scratch
        self._numbers = count()
        alone = access.secret is not None and access.username is None
        self._known: Mapping[str, str] = (
            {"authorization": f"Bearer {access.secret}"} if alone else {}
        )

    async def listing(self) -> Listing:
        """Read the manifest, unpack the layers that are archives, and list the files."""
        digest, manifest = await self._manifest(self._address.reference)
        try:
            found = layers.read(manifest.get("layers"))
        except ValueError as error:
            raise self._unreadable(str(error)) from error
        if len(found) > _MAX_LAYERS:
            raise selection.too_many()
        files: dict[str, RemoteFile] = {}
        for one in found:
            if isinstance(one, Archive):
                unpacked = await self._unpacked(one)
                files |= {file.path: _spooled(file) for file in unpacked}
            else:
                layer = one.layer
                key = f"{self._base}/{self._repository}/blobs/{layer.digest}"
                files[one.path] = RemoteFile(one.path, key, layer.size, layer.digest)
        if not files:
            raise self._no_model(manifest)
        text, licence = await self._card(files.get(selection.CARD))
        fix = "Push the one that is meant as an artifact of its own."
        return Listing(
            pinned=f"oci://{self._address.registry}/{self._address.repository}@{digest}",
            files=selection.model_files([*files.values()], fix=fix),
            fingerprint=digest,
            card=text,
            licence=_licence(manifest) or licence,
        )

    async def read(self, file: RemoteFile, offset: int = 0) -> AsyncIterator[bytes]:
        """Read a file from the registry, or one that was unpacked."""
        pieces = self._spool(file, offset) if file.key.startswith("/") else self._blob(file, offset)
        async for piece in pieces:
            yield piece

    async def _spool(self, file: RemoteFile, offset: int) -> AsyncGenerator[bytes, None]:
        with await asyncio.to_thread(open, file.key, "rb") as opened:
            await asyncio.to_thread(opened.seek, offset)
            while piece := await asyncio.to_thread(opened.read, 1 << 20):
                yield piece

    async def _blob(self, file: RemoteFile, offset: int) -> AsyncGenerator[bytes, None]:
        """Read a blob; a token that ended since the last one is asked for once more."""
        for last in (False, True):
            try:
                async with aclosing(
                    self._asker.content(file.key, self._known, size=file.size, offset=offset)
                ) as pieces:
                    async for piece in pieces:
                        yield piece
            except SourceFailed as error:
                if last or error.reason != "AccessDenied":
                    raise
                await self._manifest(self._address.reference)
            else:
                return

    async def _manifest(self, reference: str) -> tuple[str, Mapping[str, Any]]:
        """Return digest and content of the manifest of the one platform that is meant."""
        digest, manifest = await self._document(reference)
        if "manifests" in manifest:
            digest, manifest = await self._document(self._platform(manifest["manifests"]))
        if "layers" not in manifest:
            raise self._unreadable("it is no manifest of an image or an artifact")
        return digest, manifest

    async def _document(self, reference: str) -> tuple[str, Mapping[str, Any]]:
        url = f"{self._base}/{self._repository}/manifests/{reference}"
        answer = await self._ask(url, {"accept": ", ".join(_INDEXES + _MANIFESTS)})
        digest = f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
        if reference.startswith("sha256:") and digest != reference:
            raise SourceFailed(
                "DigestMismatch",
                f"`{shown(url)}` answers a manifest with the digest `{digest}`.",
                fix="Look at the registry, or at the proxy before it.",
            )
        try:
            manifest = json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            raise self._unreadable("it is no JSON") from error
        if not isinstance(manifest, dict):
            raise self._unreadable("it is no object")
        return digest, manifest

    def _platform(self, entries: Any) -> str:
        """Choose the manifest of an index: the one for every machine, or for ours."""
        found: dict[str, str] = {}
        try:
            for entry in entries:
                digest, _, _ = layers.descriptor(entry)
                told = entry.get("platform") or {}
                name = f"{told.get('os')}/{told.get('architecture')}" if told else ""
                if name != "unknown/unknown":  # what builders attest beside the image
                    found.setdefault(name, digest)
        except (ValueError, TypeError, AttributeError) as error:
            raise self._unreadable("it is no index") from error
        chosen = found.get("") or found.get("linux/amd64")
        if chosen is not None:
            return chosen
        listed = ", ".join(f"`{name[:60]}` ({digest})" for name, digest in sorted(found.items()))
        raise SourceFailed(
            "Ambiguous",
            f"`{self._address.text}` is for other platforms: {listed or 'none at all'}.",
            fix="Name the one that is meant by its digest: `oci://…@sha256:…`.",
        )

    async def _ask(self, url: str, headers: Mapping[str, str]) -> Document:
        """Ask, and where the registry wants to know who asks, say so and ask once more."""
        limit = _MAX_MANIFEST_BYTES
        answer = await self._asker.document(
            url, {**headers, **self._known}, limit=limit, passing=(401,)
        )
        if answer.status != 401:
            return answer
        await self._introduce(url, answer)
        return await self._asker.document(url, {**headers, **self._known}, limit=limit)

    async def _introduce(self, url: str, answer: Document) -> None:
        """Do what the registry's challenge says: send the password, or fetch a token with it."""
        challenge = answer.headers.get("www-authenticate", "")
        scheme, _, rest = challenge.partition(" ")
        told = dict(_PARAMETER.findall(rest))
        if scheme.lower() == "basic" and self._basic():
            self._known = self._basic()
            return
        if scheme.lower() != "bearer" or "realm" not in told:
            raise self._asker.refused(url, answer)
        realm = told["realm"]
        if urlsplit(realm).scheme != "https" and self._base.startswith("https:"):
            raise SourceFailed(
                "NotAllowed",
                f"`{shown(url)}` wants a token from `{shown(realm)}`, which is not by TLS.",
                fix="Name a registry whose tokens come by `https:`.",
            )
        query = {"scope": told.get("scope") or f"repository:{self._repository}:pull"}
        if "service" in told:
            query["service"] = told["service"]
        mark = "&" if "?" in realm else "?"
        document = await self._asker.document(
            f"{realm}{mark}{urlencode(query)}", self._basic(), limit=_MAX_TOKEN_BYTES
        )
        self._known = {"authorization": f"Bearer {self._token(document)}"}

    def _token(self, document: Document) -> str:
        try:
            told = json.loads(document.body)
            token = told.get("token") or told.get("access_token")
        except (ValueError, AttributeError, RecursionError):
            token = None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise self._unreadable("its token is none")
        return token

    def _basic(self) -> Mapping[str, str]:
        if self._access.username is None or self._access.secret is None:
            return {}
        pair = f"{self._access.username}:{self._access.secret}".encode()
        return {"authorization": f"Basic {base64.b64encode(pair).decode()}"}

    async def _unpacked(self, archive: Archive) -> Sequence[Unpacked]:
        """Bring an archive whole, prove it, and take the model's files out."""
        folder = self._scratch / "files"
        await asyncio.to_thread(folder.mkdir, exist_ok=True)
        packed = self._scratch / "layer"
        await self._bring(archive, packed)
        stop = threading.Event()
        unpacker = Unpacker(folder, stop, self._numbers)
        work = asyncio.create_task(
            asyncio.to_thread(unpacker.files, packed, packing=archive.packing, below=archive.below)
        )
        try:
            return await asyncio.shield(work)
        finally:
            stop.set()
            await asyncio.wait([work])  # the folder goes away after this, and not before
            await asyncio.to_thread(packed.unlink)

    async def _bring(self, archive: Archive, to: Path) -> None:
        """
        Write a layer to a file, going on where it broke off for as long as each try brings more.

        Raises:
            SourceFailed: It has another digest, or does not come.
            StorageFull: There is no room for it.
        """
        layer = archive.layer
        key = f"{self._base}/{self._repository}/blobs/{layer.digest}"
        file, hashed, done, before = RemoteFile("", key, layer.size), hashlib.sha256(), 0, -1
        await asyncio.to_thread(room_for, self._scratch, layer.size)
        with await asyncio.to_thread(to.open, "wb") as out:
            while done < layer.size:
                try:
                    async with aclosing(self._blob(file, done)) as pieces:
                        async for piece in pieces:
                            await asyncio.to_thread(hashed.update, piece)
                            await asyncio.to_thread(out.write, piece)
                            done += len(piece)
                except SourceFailed as error:
                    if not error.transient or done == before:
                        raise
                    before = done
        if f"sha256:{hashed.hexdigest()}" != layer.digest:
            raise SourceFailed(
                "DigestMismatch",
                f"The layer `{layer.digest}` has another digest: `sha256:{hashed.hexdigest()}`.",
                fix="Look at the registry, or at the proxy before it.",
            )

    async def _card(self, file: RemoteFile | None) -> tuple[str | None, str | None]:
        if file is None or (file.size or 0) > card.MAX_BYTES:
            return None, None
        return card.read(b"".join([piece async for piece in self.read(file)]))

    def _no_model(self, manifest: Mapping[str, Any]) -> SourceFailed:
        kinds = sorted({str(one.get("mediaType"))[:80] for one in manifest["layers"]})
        listed = ", ".join(f"`{kind}`" for kind in kinds[:10])
        return SourceFailed(
            "NoModel",
            f"No layer of `{self._address.text}` is a file of a model: {listed or 'it has none'}.",
            fix="Push the files with their names, as ORAS and ModelPack do, or an image that has "
            "them in `/models`.",
        )

    def _unreadable(self, why: str) -> SourceFailed:
        return SourceFailed(
            "Unreadable",
            f"`{self._address.text}` cannot be read: {why}.",
            fix="Push it anew, as an OCI image or artifact.",
        )


def _spooled(file: Unpacked) -> RemoteFile:
    return RemoteFile(file.path, str(file.file), file.size, file.digest)


def _licence(manifest: Mapping[str, Any]) -> str | None:
    notes = manifest.get("annotations")
    told = notes.get(_LICENCES) if isinstance(notes, dict) else None
    return licences.canonical(told) if isinstance(told, str) and 0 < len(told) <= 100 else None
