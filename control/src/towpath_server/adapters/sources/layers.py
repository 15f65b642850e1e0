"""What the layers of an OCI artifact hold, by the conventions of those who push models."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from towpath_server.adapters.sources.errors import SourceFailed

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TITLE = "org.opencontainers.image.title"
_UNPACK = "io.deis.oras.content.unpack"
_PATHS = ("org.cncf.model.filepath", "org.cnai.model.filepath", _TITLE)
_MODELPACK = re.compile(r"application/vnd\.(?:cncf|cnai)\.model\.([a-z]+)\b.*")
_IMAGE = re.compile(
    r"application/vnd\.(?:oci\.image\.layer\.v1\.tar|docker\.image\.rootfs\.diff\.tar)\b.*"
)
_DOCKER_GGUF = "application/vnd.docker.ai.gguf.v3"
_DOCKER_LICENCE = "application/vnd.docker.ai.license"
_IN_IMAGE = "models/"
"""Where an image has its model, by the convention of KServe's modelcars."""
_PACKED = {
    "tar": None,
    "tar.gzip": "gzip",
    "tar+gzip": "gzip",
    "tar.zstd": "zstd",
    "tar+zstd": "zstd",
}


@dataclass(frozen=True)
class Layer:
    """A layer as the manifest has it."""

    digest: str
    size: int
    media_type: str
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str | None:
        """The file's name, where an annotation gives one."""
        named = (self.annotations[key] for key in _PATHS if key in self.annotations)
        return next(named, None)


@dataclass(frozen=True)
class File:
    """A layer that is a file of the model."""

    layer: Layer
    path: str


@dataclass(frozen=True)
class Archive:
    """A layer that is a tar archive."""

    layer: Layer
    packing: str | None
    """What it is packed with: `gzip` or `zstd`; none: with nothing."""
    below: str
    """The folder of the archive that is the model's: empty, or with `/` at its end."""


def read(entries: Any) -> Sequence[File | Archive]:
    """
    Read the layers of a manifest; those that hold nothing of the model are left out.

    Raises:
        SourceFailed: A layer is packed in a way that is not read.
        ValueError: They are no layers.
    """
    if not isinstance(entries, list):
        raise ValueError("it has no layers")  # noqa: TRY004 (of foreign bytes, not of a call)
    layers = [_layer(entry) for entry in entries]
    unnamed = [one for one in layers if one.media_type == _DOCKER_GGUF and one.name is None]
    found = [_file(one, unnamed) or _archive(one, alone=len(layers) == 1) for one in layers]
    return [one for one in found if one is not None]


def descriptor(entry: Any) -> tuple[str, int, str]:
    """
    Read digest, size and media type of whatever a manifest points to.

    Raises:
        ValueError: It is no descriptor.
    """
    if not isinstance(entry, dict):
        raise ValueError("it has a descriptor that is no object")  # noqa: TRY004 (foreign bytes)
    digest, size, kind = entry.get("digest"), entry.get("size"), entry.get("mediaType")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ValueError("it has a descriptor without a SHA-256")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError("it has a descriptor without a size")
    return digest, size, kind if isinstance(kind, str) else ""


def _layer(entry: Any) -> Layer:
    digest, size, kind = descriptor(entry)
    notes = entry.get("annotations")
    notes = notes if isinstance(notes, dict) else {}
    return Layer(digest, size, kind, {str(key): str(value) for key, value in notes.items()})


def _file(layer: Layer, unnamed: Sequence[Layer]) -> File | None:
    """Name the file that a layer is; none when it is none."""
    kind = _MODELPACK.fullmatch(layer.media_type)
    if layer.media_type == _DOCKER_LICENCE:
        return File(layer, layer.name or "LICENSE")
    if layer in unnamed:
        place, count = unnamed.index(layer) + 1, len(unnamed)
        parts = f"-{place:05d}-of-{count:05d}" if count > 1 else ""
        return File(layer, f"model{parts}.gguf")
    if _is_packed(layer) or layer.name is None or (kind and kind[1] == "dataset"):
        return None
    return File(layer, layer.name)


def _archive(layer: Layer, *, alone: bool) -> Archive | None:
    kind = _MODELPACK.fullmatch(layer.media_type)
    if not _is_packed(layer) or (kind and kind[1] == "dataset"):
        return None
    how = re.search(r"tar(?:[.+][a-z0-9]+)?$", layer.media_type)
    packed = how[0] if how else "tar+gzip"  # what ORAS packs says so by its annotation alone
    if packed not in _PACKED:
        raise SourceFailed(
            "Unsupported",
            f"A layer is packed as `{layer.media_type[:100]}`, which is not read.",
            fix="Push it as `tar+gzip`, `tar+zstd` or `tar`, or file by file.",
        )
    below = _IN_IMAGE if _IMAGE.fullmatch(layer.media_type) else ""
    if layer.annotations.get(_UNPACK) == "true":
        below = f"{layer.annotations.get(_TITLE, '').strip('/')}/" if alone else ""
    return Archive(layer, _PACKED[packed], below.lstrip("/"))


def _is_packed(layer: Layer) -> bool:
    if layer.annotations.get(_UNPACK) == "true" or _IMAGE.fullmatch(layer.media_type):
        return True
    return bool(_MODELPACK.fullmatch(layer.media_type)) and ".tar" in layer.media_type
