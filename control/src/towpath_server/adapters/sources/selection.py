"""
Which files of a folder are the model.

A repository often holds the same weights several times, for several frameworks; what is fetched is
what a model server reads. Where that is not one model, the files are listed and nothing is fetched.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from towpath_server.adapters.objectstore.store import safe_path
from towpath_server.adapters.sources.errors import SourceFailed
from towpath_server.adapters.sources.model import MAX_FILES, RemoteFile
from towpath_server.core.sources import HubAddress

CARD = "README.md"
_OTHER_WEIGHTS = {".bin", ".pt", ".pth", ".h5", ".msgpack", ".ot", ".ckpt", ".tflite", ".mlmodel"}
_OTHER_FOLDERS = {"onnx", "openvino", "coreml", "original", "gguf", "metal"}
_WEIGHTS = {".safetensors", ".gguf", ".onnx", *_OTHER_WEIGHTS}
_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_PROJECTOR = re.compile(r"(^|[-_.])mmproj", re.IGNORECASE)
_LISTED = 12


def model_files(files: Sequence[RemoteFile], *, fix: str) -> tuple[RemoteFile, ...]:
    """
    Choose the files of a model among those of its folder, sorted by path.

    Hidden files and the card stay out. Beside safetensors, so do weights of other frameworks. Of
    GGUF files there may be one, or the parts of one.

    Args:
        fix: What to do where there are several models.

    Raises:
        SourceFailed: There is none, there are several, or a name leads out of the folder.
    """
    if len(files) > MAX_FILES:
        raise too_many()
    for file in files:
        _check(file.path)
    found = [file for file in files if not _hidden(file.path) and file.path != CARD]
    if any(file.path.endswith(".safetensors") and _at_hand(file.path) for file in found):
        found = [file for file in found if not _of_others(file.path)]
    elif any(file.path.lower().endswith(".gguf") for file in found):
        found = _quantisation(found, fix)
    if not found:
        raise SourceFailed(
            "NoModel", "There is no file of a model.", fix="Check the name, and what lies there."
        )
    return tuple(sorted(found, key=lambda file: file.path))


def below(files: Sequence[RemoteFile], path: str) -> list[RemoteFile]:
    """
    Return one file of a repository under its own name, or what lies in one folder of it.

    The first part of a GGUF file stands for all of them.
    """
    if not path:
        return list(files)
    exact = [file for file in files if file.path == path]
    if exact and _PART.search(path):
        stem = _PART.sub("", path)
        exact = [
            file for file in files if _PART.search(file.path) and _PART.sub("", file.path) == stem
        ]
    if exact:
        return [replace(file, path=PurePosixPath(file.path).name) for file in exact]
    start = f"{path}/"
    return [
        replace(file, path=file.path.removeprefix(start))
        for file in files
        if file.path.startswith(start)
    ]


def of_repository(address: HubAddress, files: Sequence[RemoteFile]) -> tuple[RemoteFile, ...]:
    """
    Choose what the address means among the files of its repository.

    Raises:
        SourceFailed: There is nothing, or more than one model.
    """
    found = below(files, address.path)
    if not found and address.path:
        raise SourceFailed(
            "NotFoundThere",
            f"The repository `{address.repository}` has no `{address.path}`.",
            fix="Check the path after the repository's name.",
        )
    example = f"hf://{address.repository}/FILE:{address.revision}"
    return model_files(found, fix=f"Name the one that is meant: `{example}`.")


def too_many() -> SourceFailed:
    """Say that a model has more files than any that is meant."""
    return SourceFailed(
        "TooMany",
        f"There are more than {MAX_FILES} files.",
        fix="Name the folder that holds the one model.",
    )


def is_weights(path: str) -> bool:
    """Tell weights from what else belongs to a model."""
    return PurePosixPath(path).suffix.lower() in _WEIGHTS


def _check(path: str) -> None:
    try:
        safe_path(path)
    except ValueError as error:
        raise SourceFailed(
            "UnsafePath",
            f"There is a file whose name cannot be kept: {error}.",
            fix="Rename it there, or upload the model without it.",
        ) from error


def _hidden(path: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(path).parts)


def _at_hand(path: str) -> bool:
    return PurePosixPath(path).parts[0] not in _OTHER_FOLDERS


def _of_others(path: str) -> bool:
    pure = PurePosixPath(path)
    if not _at_hand(path):
        return True
    return pure.suffix.lower() in _WEIGHTS - {".safetensors"}


def _quantisation(files: list[RemoteFile], fix: str) -> list[RemoteFile]:
    """Keep the one GGUF model, without what only other programs read beside it."""
    weights = [
        file
        for file in files
        if file.path.lower().endswith(".gguf") and not _PROJECTOR.search(file.path)
    ]
    models = {_PART.sub("", file.path) for file in weights}
    if len(models) > 1:
        names = sorted(file.path for file in weights if _first(file.path))
        listed = ", ".join(f"`{name}`" for name in names[:_LISTED])
        rest = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        raise SourceFailed(
            "Ambiguous", f"There are {len(models)} models in GGUF: {listed}{rest}.", fix=fix
        )
    return weights or files


def _first(path: str) -> bool:
    """Tell whether a file stands for its model: it is whole, or the first part."""
    return _PART.search(path) is None or "-00001-of-" in path
