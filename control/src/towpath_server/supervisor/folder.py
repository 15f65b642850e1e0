"""The data folder at start: made, checked, locked to one `towpath up`, with its secrets."""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import stat
from pathlib import Path

import psutil

from towpath_server.core.folder import DataFolder
from towpath_server.core.secret import Secret
from towpath_server.supervisor.errors import CannotStart

# Room for the first journal segments, the database and the logs of a start.
MIN_FREE_BYTES = 64 * 1024 * 1024
_SECRET_BYTES = 32
_OWNER_ONLY = 0o700


def prepare(folder: DataFolder) -> None:
    """
    Make what is missing and check that it can be written.

    Raises:
        CannotStart: The folder cannot be made or written, belongs to others, or its disk is full.
    """
    for part in folder.parts():
        try:
            part.mkdir(parents=True, exist_ok=True, mode=_OWNER_ONLY)
            if part == folder.run:
                _check_owner(part)
            if not os.access(part, os.W_OK | os.X_OK):
                raise PermissionError(13, os.strerror(13))
        except OSError as error:
            raise CannotStart(
                f"the data folder `{folder.root}` cannot be written: "
                f"{part}: {error.strerror or error}",
                fix="correct its owner and mode, or choose another: `towpath up --data DIR`",
            ) from error
    folder.secrets.chmod(_OWNER_ONLY)
    free = shutil.disk_usage(folder.root).free
    if free < MIN_FREE_BYTES:
        raise CannotStart(
            f"the disk of the data folder `{folder.root}` is full: {free // 2**20} MiB are free, "
            f"and a start needs {MIN_FREE_BYTES // 2**20} MiB",
            fix="free space there, or choose a folder on another disk: `towpath up --data DIR`",
        )


def _check_owner(path: Path) -> None:
    """Refuse a folder that another user made below a shared temporary folder."""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(1, "it belongs to another user")
    path.chmod(_OWNER_ONLY)


def leave(folder: DataFolder) -> None:
    """Remove the sockets' folder where it lies in the temporary folder; a start makes it anew."""
    if not folder.run.is_relative_to(folder.root):
        shutil.rmtree(folder.run, ignore_errors=True)


class Lock:
    """The folder belongs to one supervisor; the kernel gives it back however that one ends."""

    def __init__(self, folder: DataFolder, held: int | None = None) -> None:
        """
        Take nothing yet.

        Args:
            held: Descriptor of the lock that this process had as another program image.
        """
        self._path = folder.root / "up.lock"
        self._folder = folder
        self._descriptor = -1 if held is None else held

    @property
    def descriptor(self) -> int:
        """Return the open file that holds the lock."""
        return self._descriptor

    def acquire(self) -> None:
        """
        Take the folder.

        Raises:
            CannotStart: Another `towpath up` runs on it.
        """
        if self._descriptor >= 0:
            return
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = self._holder()
            self.release()
            pid, address = holder.get("pid", "?"), holder.get("address")
            serving = f", and serves {address}" if address else ""
            raise CannotStart(
                f"another `towpath up` (process {pid}) runs on `{self._folder.root}`{serving}",
                fix=f"use that one, stop it with `kill {pid}`, or give this one its own folder: "
                "`towpath up --data DIR --port N`",
            ) from error
        self.describe(None)

    def describe(self, address: str | None) -> None:
        """Say for others who holds the folder and what it serves."""
        text = json.dumps({"pid": os.getpid(), "address": address}).encode()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text, 0)

    def release(self) -> None:
        """Give the folder back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _holder(self) -> dict[str, object]:
        try:
            found = json.loads(os.pread(self._descriptor, 4096, 0))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def secret(path: Path, given: Secret | None) -> Secret:
    """
    Return the secret the settings give, else the one kept in the folder, made at first use.

    Raises:
        CannotStart: The file cannot be read or made.
    """
    if given is not None:
        return given
    try:
        if not path.exists():
            _keep(path, secrets.token_urlsafe(_SECRET_BYTES))
        value = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise CannotStart(
            f"the secret `{path}` cannot be read or made: {error}",
            fix="correct the file's owner and mode; a lost secret is restored from a backup",
        ) from error
    if len(value) < _SECRET_BYTES:
        raise CannotStart(
            f"the secret `{path}` has {len(value)} characters, and {_SECRET_BYTES} are the least",
            fix="restore it from a backup; what was sealed with it cannot be opened without",
        )
    return Secret(value)


def _keep(path: Path, value: str) -> None:
    """Write a secret so that it is either whole on disk or not there."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, value.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(path)


def record(pid_file: Path, pid: int) -> None:
    """Note a part's process, so that a later `towpath up` finds it if this one is killed."""
    # A part that is gone already leaves nothing to find; a full disk must not stop the platform.
    with contextlib.suppress(psutil.Error, OSError):
        noted = {"pid": pid, "created": psutil.Process(pid).create_time()}
        pid_file.write_text(json.dumps(noted), encoding="ascii")


def orphan(pid_file: Path) -> psutil.Process | None:
    """Return the process a part's pid file names, if it still is that process."""
    try:
        noted = json.loads(pid_file.read_text(encoding="ascii"))
        process = psutil.Process(int(noted["pid"]))
        # Start times are compared, since pids are reused; the clock they are derived from may be
        # adjusted by fractions of a second.
        same = abs(process.create_time() - float(noted["created"])) < 1.0
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return None
    return process if same and process.status() != psutil.STATUS_ZOMBIE else None
