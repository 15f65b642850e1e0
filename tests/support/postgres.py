"""
A real PostgreSQL for tests: its own folder, a port from the operating system, gone at the end.

It runs as a user that is not root, as the server insists. Tests that take the database away call
`stop` or `kill`, and `start` to bring it back with the same data on the same port.
"""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_USER = "postgres"
_SETTINGS = {
    # Commits outlive a kill of the server, though not of the machine.
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "log_min_messages": "warning",
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
    """One server; `start` it before use."""

    def __init__(self, settings: Mapping[str, str] = _SETTINGS) -> None:
        self._settings = settings
        self.folder = Path(tempfile.mkdtemp(prefix="towpath-pg-"))
        self.port = _free_port()
        self.password = secrets.token_urlsafe(16)
        self._bin = binaries()
        self._data = self.folder / "data"
        self._prefix: list[str] = []
        if os.geteuid() == 0:
            account = pwd.getpwnam(_USER)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self._prefix = [
                "setpriv",
                f"--reuid={account.pw_uid}",
                f"--regid={account.pw_gid}",
                "--clear-groups",
            ]
        secret = self.folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)  # inside a folder that only the server's user may enter
        self._run(
            *("initdb", "-D", str(self._data), "-U", _USER, "-A", "scram-sha-256"),
            *(f"--pwfile={secret}", "--no-sync", "--no-instructions", "-E", "UTF8"),
            *("--locale=C.UTF-8",),
        )

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database."""
        return f"postgresql://{_USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = {
            **self._settings,
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
        }
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._control("start", "-w", "-l", str(self.folder / "log"), "-o", options)

    def stop(self) -> None:
        """Stop the server in order; open connections are cut."""
        self._control("stop", "-w", "-m", "fast")

    def kill(self) -> None:
        """Stop the server as a power cut would; it recovers at the next start."""
        self._control("stop", "-w", "-m", "immediate")

    @property
    def running(self) -> bool:
        """Tell whether the server runs."""
        return (self._data / "postmaster.pid").exists()

    def remove(self) -> None:
        """Stop the server where it runs, and delete its folder."""
        if self.running:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-s", *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        # stdin and the outputs are files: the server inherits them, and a pipe would never close
        with tempfile.TemporaryFile() as output:
            status = subprocess.call(
                [*self._prefix, str(self._bin / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(self.folder)},
            )
            if status:
                output.seek(0)
                raise RuntimeError(f"{program} failed: {output.read().decode()}")


@contextmanager
def server(settings: Mapping[str, str] = _SETTINGS) -> Iterator[Postgres]:
    """Run a server for as long as the block lasts; without `settings`, fast and not durable."""
    postgres = Postgres(settings)
    try:
        postgres.start()
        yield postgres
    finally:
        postgres.remove()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
