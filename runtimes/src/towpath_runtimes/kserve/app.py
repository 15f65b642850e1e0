"""
The protocol's routes, and the bounds that keep callers from hurting each other.

Reading, computing and writing happen in worker threads (numpy, the tokenizer and the engine let go
of Python's lock) or processes; the event loop only moves bytes.
"""

import argparse
import asyncio
import hmac
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from towpath_runtimes.kserve import protocol
from towpath_runtimes.kserve.engine import Engine, Job
from towpath_runtimes.kserve.errors import Refused
from towpath_runtimes.kserve.model import Described
from towpath_runtimes.kserve.tensors import TensorSpec
from towpath_runtimes.kserve.workers import Workers

BODY_MAXIMUM = 32 << 20  # the gateway's own default; a setting there
BODIES_MAXIMUM = 4 * BODY_MAXIMUM  # of all requests together
BODY_TIMEOUT_S = 30  # the gateway has the whole body before it calls


@dataclass(frozen=True)
class Served:
    """The model, by the name and version that callers use."""

    server: str
    """Name of the server, after `towpath-`."""
    name: str
    version: str
    described: Described
    engines: Sequence[Engine]
    """What computes, each for one call at a time; the same one several times where it may."""
    waiting: int
    """Most requests that wait."""
    joined: int
    """Most requests that one engine is given at once."""
    delay_s: float
    """How long a request waits at most for others to be joined with."""

    @classmethod
    def of(
        cls,
        arguments: argparse.Namespace,
        described: Described,
        engines: Sequence[Engine],
        *,
        server: str,
    ) -> "Served":
        """Compose it from the arguments of `serving.parser`."""
        return cls(
            server=server,
            name=arguments.name,
            version=arguments.model_version,
            described=described,
            engines=engines,
            waiting=arguments.max_waiting,
            joined=arguments.batch_rows,
            delay_s=arguments.batch_delay_ms / 1_000,
        )


class Door:
    """Let through only who shows the secret; whether the server is well is for everyone."""

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self._app = app
        self._wanted = f"Bearer {secret}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        if scope["type"] == "http" and not scope["path"].startswith("/v2/health/"):
            shown = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(shown, self._wanted):
                await error("the secret of this replica is missing or wrong", 401)(
                    scope, receive, send
                )
                return
        await self._app(scope, receive, send)


class Routes:
    """The routes over one model."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._workers = Workers(served.engines, most=served.joined, delay_s=served.delay_s)
        self._inside = 0
        self._bytes = 0

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Stop the workers when the server stops."""
        yield
        await asyncio.to_thread(self._workers.close)

    async def live(self, _: Request) -> Response:
        """Answer that the process runs."""
        return document({"live": True})

    async def ready(self, _: Request) -> Response:
        """Answer that the model is loaded: the server listens only then."""
        return document({"ready": True})

    async def metrics(self, _: Request) -> Response:
        """Say in Prometheus' words how much is going on."""
        found = {"inside": self._inside, "waiting": self._workers.waiting}
        lines = [
            f"# TYPE towpath_model_requests_{name} gauge\ntowpath_model_requests_{name} {value}\n"
            for name, value in found.items()
        ]
        return Response("".join(lines), media_type="text/plain; version=0.0.4")

    async def server(self, _: Request) -> Response:
        """Name the server and the protocol's extensions that it speaks."""
        return document(
            {
                "name": f"towpath-{self._served.server}",
                "version": installed_version("towpath-runtimes"),
                "extensions": ["binary_tensor_data"],
            }
        )

    async def model(self, request: Request) -> Response:
        """Describe the model's inputs and outputs."""
        self._known(request)
        return document(
            {
                "name": self._served.name,
                "versions": [self._served.version],
                "platform": self._served.described.platform,
                "inputs": [tensor(spec) for spec in self._served.described.inputs],
                "outputs": [tensor(spec) for spec in self._served.described.outputs],
            }
        )

    async def model_ready(self, request: Request) -> Response:
        """Answer that the model can be asked."""
        self._known(request)
        return document({"name": self._served.name, "ready": True})

    async def infer(self, request: Request) -> Response:
        """Run the model on a request's tensors."""
        self._known(request)
        if self._inside >= len(self._served.engines) + self._served.waiting:
            raise Refused(f"{self._inside} requests wait for this model already", status=503)
        self._inside += 1
        size = 0
        try:
            body = bytearray()
            async with asyncio.timeout(BODY_TIMEOUT_S):
                async for chunk in request.stream():
                    size += len(chunk)
                    self._bytes += len(chunk)
                    self._admit(size)
                    body += chunk
            header_length = request.headers.get(protocol.HEADER_LENGTH)
            done = await self._workers.run(Job(bytes(body), header_length))
        except TimeoutError as late:
            raise Refused(
                f"the body did not arrive within {BODY_TIMEOUT_S} s", status=408
            ) from late
        except ClientDisconnect:
            return Response(status_code=499)
        finally:
            self._inside -= 1
            self._bytes -= size
        if isinstance(done, Refused):
            raise done
        answer, json_size = done
        if json_size is None:
            return Response(answer, media_type="application/json")
        headers = {protocol.HEADER_LENGTH: str(json_size)}
        return Response(answer, media_type="application/octet-stream", headers=headers)

    def _admit(self, size: int) -> None:
        if size > BODY_MAXIMUM:
            raise Refused(f"the body is larger than {BODY_MAXIMUM} bytes", status=413)
        if self._bytes > BODIES_MAXIMUM:
            raise Refused(
                "the bodies of all requests together are too large, try again", status=503
            )

    def _known(self, request: Request) -> None:
        name = request.path_params["name"]
        if name != self._served.name:
            raise Refused(
                f"there is no model `{name}` here, this server has `{self._served.name}`",
                status=404,
            )
        version = request.path_params.get("version", self._served.version)
        if version != self._served.version:
            raise Refused(
                f"`{name}` has no version `{version}` here, it has `{self._served.version}`",
                status=404,
            )


def build(served: Served, secret: str) -> ASGIApp:
    """Put the routes together behind the door."""
    inference = Routes(served)
    routes = [
        Route("/metrics", inference.metrics),
        Route("/v2", inference.server),
        Route("/v2/health/live", inference.live),
        Route("/v2/health/ready", inference.ready),
    ]
    for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        routes += [
            Route(model, inference.model),
            Route(f"{model}/ready", inference.model_ready),
            Route(f"{model}/infer", inference.infer, methods=["POST"]),
        ]
    app = Starlette(
        routes=routes,
        lifespan=inference.lifespan,
        exception_handlers={Refused: refused, HTTPException: unrouted, Exception: failed},
    )
    return Door(app, secret)


def tensor(spec: TensorSpec) -> dict[str, Any]:
    """Write a tensor's description."""
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def document(value: object, status: int = 200) -> Response:
    """Answer with a JSON document."""
    return Response(json.dumps(value, ensure_ascii=False), status, media_type="application/json")


def error(message: str, status: int) -> Response:
    """Answer in the protocol's error shape."""
    response = document({"error": message}, status)
    if status == 503:
        response.headers["retry-after"] = "1"
    if status in {408, 413, 503}:
        response.headers["connection"] = "close"  # the rest of the body is not read
    return response


async def refused(_: Request, exception: Exception) -> Response:
    """Answer a refusal."""
    assert isinstance(exception, Refused)  # noqa: S101 - registered for it alone
    return error(exception.message, exception.status)


async def unrouted(request: Request, exception: Exception) -> Response:
    """Answer a path or method that does not exist."""
    assert isinstance(exception, HTTPException)  # noqa: S101 - registered for it alone
    return error(
        f"{request.method} {request.url.path}: {exception.detail.lower()}", exception.status_code
    )


async def failed(_: Request, exception: Exception) -> Response:
    """Answer a mistake of ours without telling its text, which goes to the log."""
    sys.stderr.write(f"infer.failed error={exception!r}\n")
    return error("the server made a mistake; its log has more", 500)
