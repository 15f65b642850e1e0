"""
The ONNX server's model behind Ray Serve: run by `surge.py` in Ray's own environment.

`python bench/ray_serve.py FOLDER PORT MOST SETTINGS`, with `runtimes/src` in PYTHONPATH, serves the model
of a folder on a port with 1 to MOST replicas; SETTINGS is JSON of `AutoscalingConfig` beside them. A line
on standard output says when it is up; then one line follows each quarter of a second with the number of
running replicas.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from towpath_runtimes.kserve.engine import Job, ModelEngine
from towpath_runtimes.onnx import model


class Served:
    """One replica: the same engine as the ONNX server's, one request at a time."""

    def __init__(self, folder: str) -> None:
        loaded = model.load(Path(folder), limits=model.Limits(batch=64, tokens=512))
        self._engine = ModelEngine(loaded, name="subject", version="1", rows=1)
        self._turn = ThreadPoolExecutor(1)

    async def __call__(self, request: Request) -> Response:
        """Answer one inference."""
        job = Job(await request.body(), None)
        loop = asyncio.get_running_loop()
        done = (await loop.run_in_executor(self._turn, self._engine.run, [job]))[0]
        return Response(done[0] if isinstance(done, tuple) else str(done))


def main() -> None:
    """Serve until it is ended."""
    folder, port, most, settings = sys.argv[1:5]
    ray.init(num_cpus=8, include_dashboard=False)  # more than there are: ours share cores, too
    serve.start(http_options={"host": "127.0.0.1", "port": int(port)})
    scaled = {"min_replicas": 1, "max_replicas": int(most), **json.loads(settings)}
    app = serve.deployment(
        Served,
        name="subject",
        max_ongoing_requests=200,
        autoscaling_config=scaled,
        ray_actor_options={"num_cpus": 1},
    ).bind(folder)
    serve.run(app, name="surge", route_prefix="/")
    print("up", flush=True)
    while True:
        states = serve.status().applications["surge"].deployments["subject"].replica_states
        print(json.dumps([time.time(), states.get("RUNNING", 0)]), flush=True)
        time.sleep(0.25)  # a sample of what it says, and no wait for anything


if __name__ == "__main__":
    main()
