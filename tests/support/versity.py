"""
A second S3 server for tests: Versity's gateway before a folder, on loopback, gone at the end.

It has one bucket, `towpath`, which is a folder, and its objects are files.
"""

import secrets
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import certificates
import ports

PROGRAM = Path(__file__).resolve().parents[2] / ".build" / "versitygw" / "versitygw"
_READY_S = 30.0
_LOOK_AGAIN_S = 0.02
_OWN = ".sgwtmp"  # where it keeps uploads that are not whole


class Versity:
    """One server; `start` it before use. It ends with the process that started it."""

    def __init__(self, tls: certificates.Files | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="towpath-s3-"))
        self.bucket = "towpath"
        self.access_key = "towpath"
        self.secret_key = secrets.token_hex(16)
        (self.port,) = ports.free(1)
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None
        self._objects = self.folder / "data" / self.bucket
        self._objects.mkdir(parents=True)
        (self.folder / "attributes").mkdir()

    @property
    def endpoint(self) -> str:
        """Its address."""
        scheme, host = ("https", "localhost") if self._tls else ("http", "127.0.0.1")
        return f"{scheme}://{host}:{self.port}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        if not PROGRAM.exists():
            raise FileNotFoundError("no versitygw: `tools/setup.py --testing` builds it")
        shown = ("--cert", self._tls.chain, "--key", self._tls.key) if self._tls else ()
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig=KILL", PROGRAM, "--quiet", "--keep-alive"),
                    *("--port", f"127.0.0.1:{self.port}", "--health", "/health", *shown),
                    # Not every file system here keeps extended attributes.
                    *("posix", "--sidecar", self.folder / "attributes", self.folder / "data"),
                ],
                # And nothing else: it takes settings from there.
                env={"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        self._await()

    def objects(self, below: str = "") -> dict[str, bytes]:
        """Return all objects as they lie there, whatever S3 shows."""
        return {
            str(path.relative_to(self._objects)): path.read_bytes()
            for path in (self._objects / below).rglob("*")
            if path.is_file() and _OWN not in path.parts
        }

    def overwrite(self, name: str, content: bytes) -> None:
        """Change an object behind everybody's back."""
        (self._objects / name).write_bytes(content)

    def stop(self) -> None:
        """Take the server away."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=20)
            self._process = None

    def remove(self) -> None:
        """Stop the server and delete its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _await(self) -> None:
        trust = ssl.create_default_context(cafile=self._tls.authority) if self._tls else None
        end = time.monotonic() + _READY_S
        while time.monotonic() < end:
            if self._process is not None and self._process.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"{self.endpoint}/health", timeout=10, context=trust).close()
            except OSError:
                time.sleep(_LOOK_AGAIN_S)
            else:
                return
        raise RuntimeError("versitygw did not start: " + (self.folder / "log").read_text()[-2000:])


@contextmanager
def server(tls: certificates.Files | None = None) -> Iterator[Versity]:
    """Run a server for as long as the block lasts."""
    versity = Versity(tls)
    try:
        versity.start()
        yield versity
    finally:
        versity.remove()
