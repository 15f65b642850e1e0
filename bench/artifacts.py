"""Move a large file to a bucket and back, beside rclone, on the same server; rows go to `bench/results/`.

Ours hashes what it moves with SHA-256 both ways and shows nothing that is not whole; rclone is told to
check nothing (`--ignore-checksum`) and to use as many connections and as large parts. Turns alternate, so
that a busy moment of the machine meets both.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from kept import keep

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

import seaweed  # noqa: E402  (it stands with the tests)

from towpath_server.adapters.objectstore.opening import open_store  # noqa: E402
from towpath_server.adapters.objectstore.store import StoredFile  # noqa: E402
from towpath_server.core.secret import Secret  # noqa: E402
from towpath_server.core.storage import ArtifactSettings  # noqa: E402

MIB = 1 << 20
PARALLEL = ("--s3-upload-concurrency=4", "--s3-chunk-size=16M", "--multi-thread-streams=4")
QUIET = ("--ignore-checksum", "--s3-no-check-bucket", "--s3-disable-checksum", "--config=/dev/null")


async def pieces(path: Path) -> AsyncIterator[bytes]:
    """Read a file as an upload would bring it."""
    with path.open("rb") as file:
        while piece := file.read(MIB):
            yield piece


def measured(path: Path) -> tuple[str, int]:
    """Return digest and size, as the sender of an upload knows them before."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}", file.tell()


async def ours(server: seaweed.Seaweed, source: Path, folder: Path) -> dict[str, float]:
    """Push and pull once, into a cache that is empty; returns seconds."""
    settings = ArtifactSettings.model_validate(
        {
            "url": f"s3://{server.bucket}/{folder.name}",
            "endpoint": server.endpoint,
            "access_key_id": Secret(server.access_key),
            "secret_access_key": Secret(server.secret_key),
        }
    )
    store = open_store(settings, folder / "artifacts")
    store.prepare()
    digest, size = measured(source)
    began = time.monotonic()
    await store.put(digest, pieces(source))
    pushed = time.monotonic()
    await store.tree([StoredFile("model", digest, size)])
    pulled = time.monotonic()
    await store.remove(digest, older_than_s=-60)
    return {"push": pushed - began, "pull": pulled - pushed}


def rclone(server: seaweed.Seaweed, source: Path, folder: Path) -> dict[str, float]:
    """Do the same with rclone; returns seconds."""
    remote = f":s3:{server.bucket}/{folder.name}/model"
    env = {  # and nothing else: a bundle of certificates in the environment stops it
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "RCLONE_S3_PROVIDER": "Other",
        "RCLONE_S3_ENDPOINT": server.endpoint,
        "RCLONE_S3_ACCESS_KEY_ID": server.access_key,
        "RCLONE_S3_SECRET_ACCESS_KEY": server.secret_key,
    }

    def call(*arguments: str) -> float:
        began = time.monotonic()
        subprocess.run(["rclone", *QUIET, *PARALLEL, *arguments], env=env, check=True)
        return time.monotonic() - began

    took = {
        "push": call("copyto", str(source), remote),
        "pull": call("copyto", remote, str(folder / "model")),
    }
    call("deletefile", remote)
    return took


def main() -> int:
    """Take turns, print and keep what each took."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--mib", type=int, default=1024)
    reader.add_argument("--turns", type=int, default=3)
    options = reader.parse_args()
    rows: list[dict[str, float | str]] = []
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "source"
        with source.open("wb") as file:
            for _ in range(options.mib):
                file.write(os.urandom(MIB))
        for turn in range(options.turns):
            for name in ("towpath", "rclone"):
                folder = Path(place) / f"{name}-{turn}"
                folder.mkdir()
                with seaweed.server() as server:  # a new one: it keeps the room of what was deleted
                    if name == "towpath":
                        took = asyncio.run(ours(server, source, folder))
                    else:
                        took = rclone(server, source, folder)
                rows.append({"who": name, **{way: round(took[way], 3) for way in took}})
                print(json.dumps(rows[-1]), flush=True)
                subprocess.run(["rm", "-r", str(folder)], check=True)
    medians = {
        f"{name} {way}": round(
            options.mib / statistics.median(float(row[way]) for row in rows if row["who"] == name),
            1,
        )
        for name in ("towpath", "rclone")
        for way in ("push", "pull")
    }
    keep("artifacts", {"mib": options.mib, "mib_per_s": medians, "rows": rows})
    print(", ".join(f"{what} {speed} MiB/s" for what, speed in medians.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
