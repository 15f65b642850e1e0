"""
Models into and out of the registry: files in parallel, verified by digest, resumed.

Blocking code; in asyncio, run it in a thread. What comes from the registry is never written outside
of the folder that was named.
"""

import errno
import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, TypeVar

from towpath.errors import APIConnectionError, ConfigurationError, TowpathError
from towpath.generated.client import Towpath
from towpath.types import ModelVersion

# Files under way at a time: enough to fill a fast line, few enough for one disk.
WORKERS = 4
# Times that a file may break off without a byte of progress before it is given up.
ATTEMPTS = 5
# A model has a handful of files; a folder with more is most likely the wrong one.
MAX_FILES = 10_000
READ_BYTES = 1 << 20

_REF = re.compile(r"(?:models:/{1,3})?([a-z0-9-]{1,63})(?:/([0-9]{1,9})|@([a-z][a-z0-9-]{0,62}))?")
_FULL = {errno.ENOSPC, errno.EDQUOT}
T = TypeVar("T")


class Report(Protocol):
    """Is told of progress, from several threads."""

    def __call__(self, doing: str, path: str, count: int) -> None:
        """
        Take note.

        Args:
            doing: `read`, `sent`, `received` or `found` (what was there already).
            count: Bytes since the last report of this file.
        """
        ...


def silent(doing: str, path: str, count: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class LocalFile:
    """A file of a model, by its path inside it."""

    path: str
    source: Path
    size: int


@dataclass(frozen=True)
class Description:
    """What is said of a new version, beside its files."""

    format: str
    project: str | None = None
    signature: Mapping[str, Any] | None = None
    card: str | None = None
    licence: str | None = None
    lineage: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """Return what was given."""
        return {name: value for name, value in vars(self).items() if value}


def local_files(source: Path) -> Sequence[LocalFile]:
    """
    Return the files of a model: one file, or all of a folder but hidden ones.

    Raises:
        ConfigurationError: There are none, or more than any model has.
    """
    if source.is_file():
        return [LocalFile(source.name, source, source.stat().st_size)]
    if not source.is_dir():
        raise ConfigurationError(
            f"there is no file or folder {source}",
            code="artifact_missing",
            fix="correct the path",
        )
    found: list[LocalFile] = []
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if not path.is_file() or any(part.startswith(".") for part in relative.parts):
            continue
        found.append(LocalFile(relative.as_posix(), path, path.stat().st_size))
        if len(found) > MAX_FILES:
            raise ConfigurationError(
                f"{source} has more than {MAX_FILES:,} files",
                fix="name the folder that has only the model's files",
            )
    if not found:
        raise ConfigurationError(
            f"the folder {source} is empty",
            code="artifact_missing",
            fix="put the model's files there, or correct the path",
        )
    return found


def push(
    client: Towpath,
    name: str,
    source: Path,
    about: Description,
    *,
    report: Report = silent,
    workers: int = WORKERS,
) -> ModelVersion:
    """
    Register a file or folder as the next version of a model; only what is missing is sent.

    Args:
        about: With `project`, a model of this name is made where there is none.

    Raises:
        TowpathError: Files or upload are not in order; nothing was registered.
    """
    files = send(client, local_files(source), report=report, workers=workers)
    made = client.registry.create_version(name, files=files, **about.fields())
    if any(made.tags.get(key) != value for key, value in about.tags.items()):
        # The newest version had just this content, and other tags.
        made = client.registry.tag_version(name, made.version, tags=about.tags)
    return made


def send(
    client: Towpath,
    files: Sequence[LocalFile],
    *,
    report: Report = silent,
    workers: int = WORKERS,
) -> Any:
    """
    Upload files, unless their content is there; return them as a version names them.

    Raises:
        TowpathError: The platform or the network did not take one; what was sent stays.
    """

    def one(file: LocalFile, stop: threading.Event) -> dict[str, Any]:
        digest, _ = _hash(file.source, lambda count: report("read", file.path, count), stop)
        if client.registry.has_file(digest):
            report("found", file.path, file.size)
        else:
            told = 0

            def sent(there: int, _: int) -> None:
                nonlocal told
                _go_on(stop)
                if there > told:  # after a cut it begins again a little before
                    report("sent", file.path, there - told)
                    told = there

            client.registry.upload(file.source, digest=digest, progress=sent)
        return {"path": file.path, "digest": digest, "size": file.size}

    return _all(one, files, workers)


def resolve(client: Towpath, ref: str) -> ModelVersion:
    """
    Return the version of `NAME/3`, `NAME@alias` or `NAME` (the newest), with `models:/` or without.

    Raises:
        ConfigurationError: It is not written like that, or the model has no version.
        NotFoundError: There is none.
    """
    match = _REF.fullmatch(ref)
    if match is None:
        raise ConfigurationError(
            f"`{ref}` does not name a version of a model",
            fix="write `triage`, `triage/3` or `triage@champion`",
        )
    name, number, alias = match.groups()
    if number is not None:
        return client.registry.version(name, int(number))
    if alias is not None:
        return client.registry.version(name, client.registry.alias(name, alias).version)
    newest = client.registry.get(name).latest_version
    if newest is None:
        raise ConfigurationError(
            f"`{name}` has no version yet", fix=f"`towpath models push FILE --name {name}`"
        )
    return client.registry.version(name, newest)


def pull(
    client: Towpath,
    version: ModelVersion,
    folder: Path,
    *,
    report: Report = silent,
    workers: int = WORKERS,
) -> Sequence[Path]:
    """
    Bring the files of a version into a folder, and return where they are.

    What is there already stays; what broke off goes on where it did. A file appears under its own
    name only when it is whole and has its digest.

    Raises:
        TowpathError: A file names a place outside of the folder, or did not arrive as it should.
    """
    places = [place(folder, file["path"]) for file in version.files]

    def one(at: tuple[Path, Mapping[str, Any]], stop: threading.Event) -> Path:
        target, file = at
        with _room(folder):
            _receive(client, version, file, target, report=report, stop=stop)
        return target

    return _all(one, list(zip(places, version.files, strict=True)), workers)


def place(folder: Path, path: str) -> Path:
    """
    Return where a file goes inside a folder.

    Raises:
        TowpathError: It would be outside.
    """
    pure = PurePosixPath(path)
    plain = all(part not in {"..", "."} and part.isprintable() for part in pure.parts)
    ours = plain and bool(path) and not pure.is_absolute() and not set(path) & {"\\", ":"}
    target = folder / pure
    # A link that somebody put into the folder must not lead out of it either.
    if not ours or not target.parent.resolve().is_relative_to(folder.resolve()):
        raise TowpathError(
            f"the file `{path[:200]}` would be written outside of {folder}, nothing was taken",
            code="path_outside",
            fix="do not use this model, and tell whoever registered it",
        )
    return target


def _receive(
    client: Towpath,
    version: ModelVersion,
    file: Mapping[str, Any],
    target: Path,
    *,
    report: Report,
    stop: threading.Event,
) -> None:
    digest, size = file["digest"], file["size"]
    if target.is_file() and target.stat().st_size == size and _hash(target)[0] == digest:
        report("found", file["path"], size)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    # The digest in the name keeps the parts of two versions apart.
    part = target.with_name(f".{target.name}.{digest.removeprefix('sha256:')[:12]}.part")
    if part.is_symlink():
        part.unlink()
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            actual = _append(client, version, file, part, report=report, stop=stop)
            break
        except APIConnectionError:
            failures = 0 if part.exists() and part.stat().st_size > before else failures + 1
            if failures == ATTEMPTS:
                raise
    if actual != digest:
        part.unlink()
        raise TowpathError(
            f"`{file['path']}` of {version.uri} arrived altered: its digest is {actual}",
            code="digest_mismatch",
            fix="pull it again; when it stays like that, the store is damaged: tell its operator",
        )
    part.replace(target)


def _append(
    client: Towpath,
    version: ModelVersion,
    file: Mapping[str, Any],
    part: Path,
    *,
    report: Report,
    stop: threading.Event,
) -> str:
    """Fetch what is missing of a file, and return the digest of all of it."""
    digest, size = file["digest"], file["size"]
    hasher, have = hashlib.sha256(), 0
    if part.exists():
        hasher, have = _hash(part, stop=stop)[1], part.stat().st_size
    if have > size:
        hasher, have = hashlib.sha256(), 0
    if have == size and part.exists():
        return f"sha256:{hasher.hexdigest()}"
    answer = client.registry.download(
        version.model, version.version, file["path"], start=have, digest=digest
    )
    try:
        if have and answer.status != 206:
            hasher, have = hashlib.sha256(), 0
        if have:
            report("found", file["path"], have)
        with part.open("ab" if have else "wb") as written:
            for piece in answer.chunks():
                _go_on(stop)
                written.write(piece)
                hasher.update(piece)
                report("received", file["path"], len(piece))
    finally:
        answer.close()
    return f"sha256:{hasher.hexdigest()}"


def _hash(
    path: Path,
    count: Callable[[int], None] | None = None,
    stop: threading.Event | None = None,
) -> tuple[str, Any]:
    hasher = hashlib.sha256()
    with path.open("rb") as opened:
        while piece := opened.read(READ_BYTES):
            _go_on(stop)
            hasher.update(piece)
            if count is not None:
                count(len(piece))
    return f"sha256:{hasher.hexdigest()}", hasher


def _all(
    work: Callable[[Any, threading.Event], T], items: Sequence[Any], workers: int
) -> Sequence[T]:
    """Do the work side by side, in the order of the items; the first failure ends the others."""
    stop = threading.Event()
    with ThreadPoolExecutor(max(1, min(workers, len(items)))) as pool:
        running: list[Future[T]] = [pool.submit(work, item, stop) for item in items]
        try:
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
            for one in done:
                one.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [one.result() for one in running]


def _go_on(stop: threading.Event | None) -> None:
    if stop is not None and stop.is_set():
        raise TowpathError("another file failed", code="cancelled")


@contextmanager
def _room(folder: Path) -> Iterator[None]:
    """Say what a full disk means."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise TowpathError(
            f"there is no more room in {folder}: {os.strerror(error.errno or 0)}",
            code="disk_full",
            fix="make room and pull again; it goes on where it stopped",
        ) from error
