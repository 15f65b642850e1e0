"""
A real PostgreSQL for tests: its own folder, a port from the operating system, gone at the end.

It runs as a user that is not root, as the server insists. Tests that take the database away call
`stop` or `kill`, and `start` to bring it back with the same data on the same port.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import ports

_USER = "postgres"
_SETTINGS = {
    # Commits outlive a kill of the server, though not of the machine.
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
}


def binaries() -> Path:
    """Find the newest server that is installed; Debian keeps it off the path."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name)
    )
    if found:
        return found[-1]
    on_path = shutil.which("postgres")
    if on_path:
        return Path(on_path).resolve().parent
    raise RuntimeError(
        "PostgreSQL is not installed; `make setup` installs it (Debian package `postgresql`)"
    )


class Postgres:
    """One server; `start` it before use. It ends with the process that started it."""

    def __init__(self, settings: Mapping[str, str] = _SETTINGS) -> None:
        self._settings = settings
        self.folder = Path(tempfile.mkdtemp(prefix="towpath-pg-"))
        (self.port,) = ports.free(1)
        self.password = secrets.token_urlsafe(16)
        self._bin = binaries()
        self._data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            account = pwd.getpwnam(_USER)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self._as_user = [
                f"--reuid={account.pw_uid}",
                f"--regid={account.pw_gid}",
                "--clear-groups",
            ]
        secret = self.folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)  # inside a folder that only the server's user may enter
        made = self._run(
            *("initdb", "-D", str(self._data), "-U", _USER, "-A", "scram-sha-256"),
            *(f"--pwfile={secret}", "--no-sync", "--no-instructions", "-E", "UTF8"),
            *("--locale=C.UTF-8",),
        )
        said, _ = made.communicate()
        if made.returncode:
            raise RuntimeError(f"initdb failed: {said.decode()}")

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database."""
        return f"postgresql://{_USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it says that it is ready."""
        settings = {
            **self._settings,
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = process = self._run("postgres", "-D", str(self._data), *options)
        said = []
        for line in process.stdout or ():
            said.append(line.decode())
            if b"ready to accept connections" in line:
                # Its log is read on, or the pipe would fill and block the server.
                threading.Thread(target=process.communicate, daemon=True).start()
                return
        self._process = None
        raise RuntimeError("PostgreSQL did not start: " + "".join(said))

    def stop(self) -> None:
        """Stop the server in order; open connections are cut."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """Stop the server as a power cut would; it recovers at the next start."""
        self._signal(signal.SIGQUIT)

    @property
    def running(self) -> bool:
        """Tell whether the server runs."""
        return self._process is not None

    def remove(self) -> None:
        """Stop the server where it runs, and delete its folder."""
        if self.running:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("PostgreSQL does not run")
        self._process.send_signal(number)
        self._process.wait(timeout=20)
        self._process = None

    def _run(self, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        # `setpriv` becomes the program, so signals and the death of this process reach it
        return subprocess.Popen(
            ["setpriv", "--pdeathsig=QUIT", *self._as_user, str(self._bin / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(self.folder)},
        )


@contextmanager
def server(settings: Mapping[str, str] = _SETTINGS) -> Iterator[Postgres]:
    """Run a server for as long as the block lasts; without `settings`, fast and not durable."""
    postgres = Postgres(settings)
    try:
        postgres.start()
        yield postgres
    finally:
        postgres.remove()
