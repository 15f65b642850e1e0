"""
The cache of the Hub's library, in the layout that it documents; read and never written.

    models--owner--name/refs/main                what a revision was when it was last asked for
    models--owner--name/snapshots/<commit>/…     links, or files where links are not had
    models--owner--name/blobs/<etag>             of large files the SHA-256
    models--owner--name/trees/<commit>.json      all files of the commit, since version 2

https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from towpath_server.adapters.sources import card, selection
from towpath_server.adapters.sources.errors import SourceFailed
from towpath_server.adapters.sources.model import MAX_FILES, RemoteFile
from towpath_server.core.sources import HubAddress

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_DOCUMENT_BYTES = 32 << 20
_PIECE_BYTES = 1 << 20
_GGUF_PARTS = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)


@dataclass(frozen=True)
class Snapshot:
    """What the cache has of a commit; all of the model."""

    commit: str
    files: tuple[RemoteFile, ...]
    card: bytes | None


@dataclass(frozen=True)
class HubCache:
    """Reads one cache folder."""

    folder: Path

    def find(self, address: HubAddress) -> Snapshot | None:
        """
        Find the files of an address; none unless they are all there. It blocks.

        Raises:
            SourceFailed: A link leads out of the repository's folder, or it is not one model.
        """
        home = self._home(address)
        commit = address.revision if address.pinned else _ref(home / "refs" / address.revision)
        if commit is None or not _COMMIT.fullmatch(commit):
            return None
        present = _present(home, home / "snapshots" / commit)
        listed = _tree(home / "trees" / f"{commit}.json")
        told = listed or [RemoteFile(path, path, one.size) for path, one in present.items()]
        if not selection.below(told, address.path) or (not listed and not _complete(present)):
            return None
        files = []
        for file in selection.of_repository(address, told):
            here = present.get(file.key)
            if here is None or file.size not in {None, here.size}:
                return None
            files.append(replace(here, path=file.path))
        return Snapshot(commit, tuple(files), _card(present.get(selection.CARD)))

    async def read(
        self, address: HubAddress, file: RemoteFile, offset: int = 0
    ) -> AsyncIterator[bytes]:
        """
        Read a file that was found.

        Raises:
            SourceFailed: It is not there any more, or is another one.
        """
        try:
            path = _inside(self._home(address), Path(file.key))
            with await asyncio.to_thread(path.open, "rb") as opened:
                if file.size != os.fstat(opened.fileno()).st_size:
                    raise _gone(path)
                await asyncio.to_thread(opened.seek, offset)
                while piece := await asyncio.to_thread(opened.read, _PIECE_BYTES):
                    yield piece
        except OSError as error:
            raise _gone(Path(file.key)) from error

    def _home(self, address: HubAddress) -> Path:
        return self.folder / f"models--{address.repository.replace('/', '--')}"


def _present(home: Path, root: Path) -> dict[str, RemoteFile]:
    """Return the files of a snapshot by path, each where it really lies."""
    found: dict[str, RemoteFile] = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            with suppress(FileNotFoundError):  # a link to what was cleared away
                real = _inside(home, path)
                digest = f"sha256:{real.name}" if _SHA256.fullmatch(real.name) else None
                relative = path.relative_to(root).as_posix()
                found[relative] = RemoteFile(relative, str(real), real.stat().st_size, digest)
        if len(found) > MAX_FILES:
            raise selection.too_many()
    return found


def _inside(home: Path, path: Path) -> Path:
    """
    Return where a file of the cache really lies.

    Raises:
        SourceFailed: Out of the repository's own folder, or it is no plain file.
        FileNotFoundError: It is not there.
    """
    real = path.resolve(strict=True)
    if real.is_relative_to(home.resolve()) and real.is_file():
        return real
    raise SourceFailed(
        "UnsafePath",
        f"`{path}` in the cache leads out of `{home}`, or is no plain file.",
        fix="Remove it, and download the model into the cache anew.",
    )


def _ref(path: Path) -> str | None:
    try:
        with path.open("rb") as opened:
            return opened.read(100).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _tree(path: Path) -> list[RemoteFile]:
    """Return the files of a commit as the library noted them; none where it did not."""
    try:
        if path.stat().st_size > _MAX_DOCUMENT_BYTES:
            return []
        files = json.loads(path.read_bytes())["files"]
        return [RemoteFile(name, name, _size(entry)) for name, entry in files.items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def _size(entry: Mapping[str, Any]) -> int:
    return int(entry.get("lfs_size") or entry["size"])


def _complete(present: Mapping[str, RemoteFile]) -> bool:
    """Tell whether weights are there, with all of the parts that they name."""
    wanted: set[str] = set()
    for path, file in present.items():
        if path.endswith(".safetensors.index.json"):
            folder = path.rpartition("/")[0]
            wanted |= {f"{folder}/{name}".lstrip("/") for name in _shards(Path(file.key))}
        elif part := _GGUF_PARTS.search(path):
            stem, last = path[: part.start()], int(part[2])
            names = (f"{stem}-{number:05d}-of-{part[2]}.gguf" for number in range(1, last + 1))
            wanted |= set(names)
    return wanted <= set(present) and any(selection.is_weights(path) for path in present)


def _shards(index: Path) -> Iterable[str]:
    try:
        if index.stat().st_size > _MAX_DOCUMENT_BYTES:
            return ["?"]
        return [str(name) for name in json.loads(index.read_bytes())["weight_map"].values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ["?"]  # what cannot be read names what is not there


def _card(file: RemoteFile | None) -> bytes | None:
    if file is None or (file.size or 0) > card.MAX_BYTES:
        return None
    return Path(file.key).read_bytes()


def _gone(path: Path) -> SourceFailed:
    return SourceFailed(
        "Changed",
        f"`{path}` in the cache is not what it was.",
        fix="Import it anew, once nobody writes there.",
    )
