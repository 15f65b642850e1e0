"""
A real S3 server for tests: SeaweedFS on loopback, its own folder, gone at the end.

It has one bucket, `towpath`, which is a folder of its filer. Tests that take the store away call `stop`, and `start` to bring
it back with the same data on the same ports.
"""

import json
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import ports

_READY_S = 60.0


class Seaweed:
    """One server; `start` it before use. It ends with the process that started it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="towpath-s3-"))
        self.bucket = "towpath"
        self.access_key = "towpath"
        self.secret_key = secrets.token_hex(16)
        self._ports = _ports()
        self._process: subprocess.Popen[bytes] | None = None
        (self.folder / "data").mkdir()
        may = ["Read", "Write", "List", "Tagging"]  # not "Admin": that makes buckets by the way
        keys = [{"accessKey": self.access_key, "secretKey": self.secret_key}]
        identities = [{"name": "towpath", "credentials": keys, "actions": may}]
        (self.folder / "s3.json").write_text(json.dumps({"identities": identities}))

    @property
    def port(self) -> int:
        """Port of its S3 interface."""
        return self._ports["s3.port"]

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        program = Path(sys.executable).with_name("weed")
        options = [f"-{name}={port}" for name, port in self._ports.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = self._run(program, options, log)
        self._await(f"{self.endpoint}/status")
        self._await(self._filer("/"))
        made = urllib.request.Request(self._filer(f"/buckets/{self.bucket}/"), method="POST")
        with suppress(urllib.error.HTTPError):  # it is there, at the second start
            _open(made)
            probe = urllib.request.Request(self._filer("/probe"), data=b"1", method="PUT")
            self._until_done(probe)
        self._until_done(urllib.request.Request(self._filer("/probe")))  # old data, too

    def _run(self, program: Path, options: list[str], log: BinaryIO) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [
                *("setpriv", "--pdeathsig=KILL", str(program), "-v=0"),
                *("server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={self.folder / 'data'}"),
                *("-volume.max=60", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"),
                *(
                    "-filer",
                    "-s3",
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                    f"-s3.config={self.folder / 's3.json'}",
                    *options,
                ),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self.folder,
        )

    def objects(self, below: str = "") -> dict[str, bytes]:
        """Return all objects as its filer has them, whatever S3 shows."""
        found: dict[str, bytes] = {}
        path = f"/buckets/{self.bucket}/{below}".rstrip("/") + "/"
        request = urllib.request.Request(
            self._filer(f"{path}?limit=1000"), headers={"accept": "application/json"}
        )
        try:
            listed = json.loads(_open(request))
        except urllib.error.HTTPError:
            return found  # no such folder
        for entry in listed.get("Entries") or []:
            name = entry["FullPath"].removeprefix(f"/buckets/{self.bucket}/")
            if entry["Mode"] >> 31:  # Go's bit of a folder
                found |= self.objects(name)
            else:
                found[name] = _open(urllib.request.Request(self._filer(entry["FullPath"])))
        return found

    def overwrite(self, name: str, content: bytes) -> None:
        """Change an object behind everybody's back."""
        request = urllib.request.Request(
            self._filer(f"/buckets/{self.bucket}/{name}"),
            data=content,
            method="PUT",
            headers={"content-type": "application/octet-stream"},
        )
        _open(request)

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

    def _filer(self, path: str) -> str:
        return f"http://127.0.0.1:{self._ports['filer.port']}{path}"

    def _until_done(self, request: urllib.request.Request) -> None:
        end = time.monotonic() + _READY_S
        while True:
            try:
                _open(request)
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
            else:
                return

    def _await(self, url: str) -> None:
        end = time.monotonic() + _READY_S
        while time.monotonic() < end:
            if self._process is not None and self._process.poll() is not None:
                break
            try:
                _open(urllib.request.Request(url))
            except urllib.error.HTTPError:
                return  # it answers, if only that it may not
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError("SeaweedFS did not start: " + (self.folder / "log").read_text()[-2000:])


def _ports() -> dict[str, int]:
    """Choose ports whose companions (10,000 above, for gRPC) are free, too."""
    names = ("master.port", "volume.port", "filer.port", "s3.port")
    chosen = ports.free(2 * len(names))
    plain = dict(zip(names, chosen[: len(names)], strict=True))
    grpc = {
        f"{name.removesuffix('.port')}.port.grpc": port
        for name, port in zip(names, chosen[len(names) :], strict=True)
    }
    return {**plain, **grpc}


def _open(request: urllib.request.Request) -> bytes:
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


@contextmanager
def server() -> Iterator[Seaweed]:
    """Run a server for as long as the block lasts."""
    seaweed = Seaweed()
    try:
        seaweed.start()
        yield seaweed
    finally:
        seaweed.remove()
