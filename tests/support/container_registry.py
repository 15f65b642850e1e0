"""
A real registry for tests: CNCF Distribution (Debian's `docker-registry`) on loopback, gone at the end.

It wants a user and a password. `push` puts artifacts there by the protocol, as any client would.
"""

import base64
import hashlib
import json
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ports

USER, PASSWORD = "towpath", "a-word-for-tests"
# Of that password, by bcrypt with the least rounds.
_HASHED = "$2y$04$abcdefghijklmnopqrstuuDBvfuNwMKWaQ4XOy9K/dmFmcNbBJ2Hm"
_READY_S = 30.0
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True)
class Pushed:
    """A layer to push."""

    media_type: str
    data: bytes
    annotations: Mapping[str, str]


class Registry:
    """One server; `start` it before use. It ends with the process that started it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (self.port,) = ports.free(1)
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "users").write_text(f"{USER}:{_HASHED}\n")
        (folder / "config.yml").write_text(
            json.dumps(
                {
                    "version": 0.1,
                    "log": {"level": "error", "accesslog": {"disabled": True}},
                    "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
                    "http": {"addr": f"127.0.0.1:{self.port}"},
                    "auth": {"htpasswd": {"realm": "tests", "path": str(folder / "users")}},
                }
            )
        )

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        program = ("/usr/bin/docker-registry", "serve", str(self.folder / "config.yml"))
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ("setpriv", "--pdeathsig=KILL", *program), stdout=log, stderr=log
            )
        end = time.monotonic() + _READY_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                self._call("GET", "/v2/")
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError("the registry did not start: " + (self.folder / "log").read_text())

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=20)

    def push(
        self,
        repository: str,
        layers: Sequence[Pushed],
        *,
        tag: str = "latest",
        annotations: Mapping[str, str] | None = None,
    ) -> str:
        """Push an artifact; return the digest of its manifest."""
        config = b"{}"
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._blob(
                repository, Pushed("application/vnd.oci.empty.v1+json", config, {})
            ),
            "layers": [self._blob(repository, layer) for layer in layers],
            "annotations": dict(annotations or {}),
        }
        return self.manifest(repository, manifest, MANIFEST, tag)

    def manifest(self, repository: str, document: object, kind: str, tag: str) -> str:
        """Put a manifest; return its digest."""
        body = json.dumps(document).encode()
        self._call("PUT", f"/v2/{repository}/manifests/{tag}", body, kind)
        return f"sha256:{hashlib.sha256(body).hexdigest()}"

    def _blob(self, repository: str, layer: Pushed) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(layer.data).hexdigest()}"
        place = self._call("POST", f"/v2/{repository}/blobs/uploads/", b"")
        mark = "&" if "?" in place else "?"
        self._call("PUT", f"{place}{mark}digest={digest}", layer.data)
        found: dict[str, object] = {
            "mediaType": layer.media_type,
            "digest": digest,
            "size": len(layer.data),
        }
        return {**found, "annotations": dict(layer.annotations)} if layer.annotations else found

    def _call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        kind: str = "application/octet-stream",
    ) -> str:
        url = path if path.startswith("http") else self.endpoint + path
        word = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        headers = {"authorization": f"Basic {word}", "content-type": kind}
        request = urllib.request.Request(url, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.headers.get("location", "")


@contextmanager
def server() -> Iterator[Registry]:
    """Run a registry for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="towpath-registry-") as folder:
        registry = Registry(Path(folder))
        registry.start()
        try:
            yield registry
        finally:
            registry.stop()
