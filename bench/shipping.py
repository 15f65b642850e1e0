"""A real control plane for the gateway under measurement, so that records are shipped while it works.

It shares core 1 with generator and upstream: what ingestion costs is part of the row.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
from gateways import Gateway, Place, towpath_alone
from rig import LINK_CREDENTIAL, SECRET_KEY, START_LIMIT_S

STOP_LIMIT_S = 120  # it keeps what it has taken first
ADMIN_KEY = "an-admin-key-for-measurements-of-enough-length"


@contextlib.contextmanager
def control_plane(upstream_port: int) -> Iterator[Gateway]:
    """Run a control plane with one provider, endpoint and key; yields the gateway that is linked to it."""
    with tempfile.TemporaryDirectory(prefix="bench-control-") as folder:
        run = Path(folder)
        api, link = run / "api.sock", run / "link.sock"
        with (run / "out.log").open("wb") as log:
            process = subprocess.Popen(
                ["taskset", "-c", "1", sys.executable, "-m", "towpath_server", "serve", "--data", folder,
                 "--api", f"unix:{api}", "--link", f"unix:{link}", "--no-demo"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={"PATH": "/usr/bin:/bin", "TOWPATH_SECRET_KEY": SECRET_KEY,
                     "TOWPATH_LINK_CREDENTIAL": LINK_CREDENTIAL, "TOWPATH_ADMIN_KEY": ADMIN_KEY, "TOWPATH_EGRESS_ALLOW": "127.0.0.0/8"},
            )  # fmt: skip
            try:
                key = declare(api, upstream_port)

                def command(place: Place) -> list[str]:
                    return [*towpath_alone(place), "--control", f"unix:{link}"]

                yield Gateway(
                    "towpath, shipping",
                    "as towpath, with a control plane",
                    command,
                    (f"Authorization: Bearer {key}",),
                )
            finally:
                process.terminate()
                process.wait(STOP_LIMIT_S)


def declare(api: Path, upstream_port: int) -> str:
    """Declare provider, endpoint and key through the API; returns the key."""
    transport = httpx2.HTTPTransport(uds=str(api))
    with httpx2.Client(
        transport=transport,
        base_url="http://control/api/v1",
        headers={"authorization": f"Bearer {ADMIN_KEY}"},
    ) as client:
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            with contextlib.suppress(httpx2.TransportError):
                if client.get("/teams").status_code == 200:
                    break
            if time.monotonic() > deadline:
                said = (api.parent / "out.log").read_text(encoding="utf-8")[-1_500:]
                raise RuntimeError(f"the control plane does not answer: {said}")
            time.sleep(0.1)

        def create(path: str, **body: object) -> dict:
            answer = client.post(path, json=body)
            answer.raise_for_status()
            return answer.json()

        create("/teams", name="bench")
        create("/projects", team="bench", name="bench")
        price = {"input_per_million": "0.02", "output_per_million": "0.08"}
        create(
            "/providers",
            name="bench",
            dialect="openai",
            base_url=f"http://127.0.0.1:{upstream_port}/v1",
            models=[{"name": "gpt-4o-mini", "prices": [price]}],
        )
        create(
            "/endpoints",
            name="gpt-4o-mini",
            environment="sandbox",
            project="bench/bench",
            targets=[{"provider": "bench", "model": "gpt-4o-mini"}],
            access={"visibility": "organization"},
        )
        return create("/keys", project="bench/bench", environment="sandbox", name="bench")["key"]
