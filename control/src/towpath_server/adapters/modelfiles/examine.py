"""Examines one file: finds out what it is, and has the reader of that kind note what is in it."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from towpath_server.adapters.modelfiles import (
    archives,
    documents,
    gguf,
    mlflow,
    onnx,
    pickles,
    reasons,
    safetensors,
    skops,
    sniff,
    triton,
)
from towpath_server.adapters.modelfiles.report import Examined, Issue, Notes, Unsound
from towpath_server.adapters.modelfiles.window import Window

VERSION = 5
"""Raised when readers change what they find: what was found before is then examined anew."""

# What a file of this name is read as by the engines; another content is a trap or a mistake.
_SUFFIXES = {
    ".gguf": "gguf",
    ".onnx": "onnx",
    ".safetensors": "safetensors",
    ".skops": "zip",
    ".keras": "zip",
    ".npz": "zip",
    ".whl": "zip",
    ".zip": "zip",
    ".json": "json",
}
_DATA = {"gguf", "onnx", "safetensors", "npy", "hdf5"}
_PIECE = 8 << 20
_H5_BYTES = 1 << 30  # a configuration stands near the front; weights follow
_LAMBDA = re.compile(rb'"class_name": ?"(?:Lambda|__lambda__)"')
_TENSORFLOW = re.compile(
    rb"(?<![A-Za-z])(PyFunc|PyFuncStateless|EagerPyFunc|ReadFile|WriteFile)(?![A-Za-z])"
)
_END_OF_ZIP = b"PK\x05\x06"
_HEAD = 4096  # an array's header of NumPy
_TAIL = 66_000  # the end of a ZIP stands within its longest comment


def examine(file: BinaryIO, name: str) -> Examined:
    """
    Say what a file is, what runs when it is loaded, and what is wrong with it.

    Reads no more than headers need; imports and runs nothing of it.

    Args:
        name: Its name, by which engines choose how to read it.
    """
    notes = Notes()
    kind = _examine(file, PurePosixPath(name).name, notes, depth=0, whole=True)
    return notes.examined(kind)


def _examine(file: BinaryIO, name: str, notes: Notes, *, depth: int, whole: bool) -> str:
    window = Window(file)
    kind = sniff.kind(window)
    try:
        kind = _named(window, name, kind, notes)
        read = _READERS.get(kind)
        if read is not None:
            kind = read(_Subject(file, window, name, notes, depth, whole)) or kind
        if kind in _DATA and whole:
            _tail(window, notes)
    except Unsound as error:
        if whole or error.issue.reason != reasons.TRUNCATED:
            issue = error.issue
            notes.add(issue.reason, issue.message)
    return kind


def _named(window: Window, name: str, kind: str, notes: Notes) -> str:
    """Compare what a file is with what its name makes engines take it for."""
    expected = _SUFFIXES.get(PurePosixPath(name.lower()).suffix)
    if expected is None or kind in {expected, "empty"}:
        return kind
    if kind in {"unknown", "text"} and expected != "json":
        if window.size >= 8 and expected == "safetensors" and window.at(8, 1) == b"{":
            return "safetensors"  # its own reader says what is wrong with the header
        detail = f"`{name}` is not {expected}: nothing of that format is in it."
        notes.add(reasons.FORMAT_MISMATCH, detail)
    elif kind in {"unknown", "text"}:
        return kind
    else:
        notes.add(reasons.FORMAT_MISMATCH, f"`{name}` is {_words(kind)}, not {_words(expected)}.")
    return kind


def _words(kind: str) -> str:
    return {
        "native": "a program or library",
        "zip": "a ZIP archive",
        "tar": "a tar archive",
        "pickle": "a pickle",
        "script": "a script",
        "opaque": "a packed archive",
        "json": "JSON",
    }.get(kind, kind)


def _tail(window: Window, notes: Notes) -> None:
    """Look for an archive that is read from the end of a file of another kind."""
    tail = window.some(max(0, window.size - _TAIL), _TAIL)
    at = tail.rfind(_END_OF_ZIP)
    if at < 0 or len(tail) - at < 22:
        return
    comment = int.from_bytes(tail[at + 20 : at + 22], "little")
    if len(tail) - at == 22 + comment:
        notes.add(reasons.POLYGLOT, "A ZIP archive hides at its end.")


@dataclass(frozen=True)
class _Subject:
    """One file under examination."""

    file: BinaryIO
    window: Window
    name: str
    notes: Notes
    depth: int
    whole: bool
    """Whether this is all of it, or the beginning of a large file of an archive."""

    def member(self, file: BinaryIO, name: str, *, whole: bool) -> None:
        """Examine a file within this one."""
        inside = "/".join(part for part in (self.notes.inside, name) if part)
        notes = Notes(inside[-300:])
        base = PurePosixPath(name).name or self.name.rpartition(".")[0]
        if self.depth >= archives.MAX_DEPTH:
            raise Unsound(
                reasons.ARCHIVE_BOMB, f"Archives stand within archives, {self.depth} deep."
            )
        _examine(file, base, notes, depth=self.depth + 1, whole=whole)
        self.notes.take(notes)


Reader = Callable[[_Subject], str | None]
"""Notes what is in a file; may name its kind more closely."""


def _gguf(subject: _Subject) -> None:
    gguf.examine(subject.window, subject.notes)


def _onnx(subject: _Subject) -> None:
    onnx.examine(subject.window, subject.notes)


def _safetensors(subject: _Subject) -> None:
    safetensors.examine(subject.window, subject.notes)


def _pickle(subject: _Subject) -> None:
    data = subject.window.some(0, pickles.MAX_BYTES)
    pickles.check(data, subject.notes, whole=len(data) == subject.window.size)


def _npy(subject: _Subject) -> None:
    head = subject.window.some(0, 4096)
    if re.search(rb"'descr': *(?:'[|<>=]?O|\[.*'[|<>=]?O)", head):
        length = int.from_bytes(head[8:10] if head[6] == 1 else head[8:12], "little")
        start = (10 if head[6] == 1 else 12) + length
        data = subject.window.some(start, pickles.MAX_BYTES)
        pickles.check(data, subject.notes)


def _zip(subject: _Subject) -> str | None:
    names = archives.examine_zip(subject.file, subject.notes, subject.member)
    bare = {name.partition("/")[2] or name for name in names}
    if "constants.pkl" in bare and any(name.startswith("code/") for name in bare):
        detail = "The archive is a TorchScript program."
        subject.notes.add(reasons.TORCHSCRIPT, detail)
        return "torchscript"
    if any(".dist-info/" in name or name.startswith("EGG-INFO/") for name in names):
        subject.notes.add(reasons.PYTHON_CODE, "It is a Python package.")
        return "wheel"
    if "schema.json" in names:
        return _skops(subject, names)
    if "model.weights.h5" in names:
        return "keras"
    if "data.pkl" in bare:
        return "torch"
    return None


def _skops(subject: _Subject, names: Collection[str]) -> str | None:
    data = archives.member(subject.file, "schema.json", documents.MAX_BYTES)
    if b'"__class__"' not in data:
        return None

    def head(name: str) -> bytes:
        return archives.member(subject.file, name, _HEAD) if name in names else b""

    skops.examine(data, subject.notes, head)
    return "skops"


def _tar(subject: _Subject) -> None:
    subject.file.seek(0)
    archives.examine_tar(subject.file, subject.notes, subject.member)


def _stream(kind: str) -> Reader:
    def read(subject: _Subject) -> None:
        subject.file.seek(0)
        size = subject.window.size
        archives.examine_stream(subject.file, kind, size, subject.notes, subject.member)

    return read


def _hdf5(subject: _Subject) -> None:
    if _found(subject.window, _LAMBDA):
        subject.notes.add(reasons.LAMBDA_LAYER, "The model has a Lambda layer.")


def _found(window: Window, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
    """Search a file by pieces that overlap."""
    for start in range(0, min(window.size, _H5_BYTES), _PIECE):
        if match := pattern.search(window.some(start, _PIECE + 256)):
            return match
    return None


def _json(subject: _Subject) -> None:
    data = subject.window.some(0, documents.MAX_BYTES + 1)
    if subject.name.lower().endswith(".ipynb"):
        return  # a notebook is read by people
    if subject.name.lower().endswith(".json") or subject.name == "":
        documents.check_json(subject.name, data, subject.notes)
    else:
        documents.check_text(subject.name, data, subject.notes)


def _text(subject: _Subject) -> str | None:
    data = subject.window.some(0, 8 << 20)
    if subject.name == "MLmodel":
        documents.check_text(subject.name, data, subject.notes)
        if not subject.notes.issues:
            mlflow.examine(data, subject.notes)
        return "mlmodel"
    if subject.name == "config.pbtxt":
        triton.examine(data, subject.notes)
        return "pbtxt"
    documents.check_text(subject.name, data, subject.notes)
    return None


def _xml(subject: _Subject) -> None:
    documents.check_xml(subject.window.some(0, 4 << 20), subject.notes)


def _unknown(subject: _Subject) -> str | None:
    if subject.name in {"saved_model.pb", "saved_model.pbtxt"} and (
        match := _found(subject.window, _TENSORFLOW)
    ):
        operation = match[1].decode()
        subject.notes.add(reasons.GRAPH_REACHES_OUT, f"The graph has the operation `{operation}`.")
        return "savedmodel"
    if subject.name.lower().endswith((".py", ".sh")):
        documents.check_text(subject.name, b"", subject.notes)
    return None


def _says(reason: str, message: str) -> Reader:
    def read(subject: _Subject) -> None:
        subject.notes.add(reason, message)

    return read


_READERS: dict[str, Reader] = {
    "gguf": _gguf,
    "onnx": _onnx,
    "safetensors": _safetensors,
    "pickle": _pickle,
    "npy": _npy,
    "zip": _zip,
    "tar": _tar,
    "gzip": _stream("gzip"),
    "bzip2": _stream("bzip2"),
    "xz": _stream("xz"),
    "zlib": _stream("zlib"),
    "hdf5": _hdf5,
    "json": _json,
    "xml": _xml,
    "text": _text,
    "unknown": _unknown,
    "opaque": _says(reasons.ARCHIVE_OPAQUE, "It is packed in a way that is not read here."),
    "native": _says(reasons.NATIVE_CODE, "It is a program or a library of machine code."),
    "bytecode": _says(reasons.PYTHON_CODE, "It is compiled Python code."),
    "script": _says(reasons.SCRIPT, "It is a script."),
    "r": _says(reasons.OBJECT_TAG, "It is a serialised R object, which runs code when it is read."),
}


def failed(message: str) -> Examined:
    """Say that a file could not be examined."""
    return Examined("unknown", (Issue(reasons.SCAN_FAILED, message),))
