"""The link's own application, on a listener that the front door never relays to."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from towpath_server.adapters.objectstore.store import ArtifactStore
from towpath_server.core import log as logging
from towpath_server.core.db import Database
from towpath_server.core.errors import Kind, TowpathError, Unavailable
from towpath_server.core.secret import Secret
from towpath_server.core.signals import TargetReport
from towpath_server.domains.bodies import service as bodies
from towpath_server.domains.bodies.models import Logged
from towpath_server.domains.budgets.models import News as BudgetNews
from towpath_server.domains.budgets.service import books
from towpath_server.domains.deployments.service import rollouts, scaling
from towpath_server.gatewaylink import budgets, routing
from towpath_server.gatewaylink.gateways import Gateways
from towpath_server.gatewaylink.recent import Recent
from towpath_server.gatewaylink.routing import Catalog, News
from towpath_server.gatewaylink.schemas import BodyBatch, RoutingPoll, Signals, UsageBatch
from towpath_server.gatewaylink.usage import Intake
from towpath_server.gatewaylink.watch import Watch

log = logging.get(__name__)

Model = TypeVar("Model", bound=BaseModel)

# 1,000 records with everything a caller may put into them.
MAX_BODY_BYTES = 16 * 1024 * 1024
# Longer than any gateway asks for; keeps a wrong figure from holding a poll for ever.
MAX_WAIT_S = 60.0
_STATUS = {
    Kind.INVALID: 422,
    Kind.UNAUTHENTICATED: 401,
    Kind.CONFLICT: 409,
    Kind.TOO_LARGE: 413,
    Kind.UNAVAILABLE: 503,
}


class LinkRefused(TowpathError):
    """The call has not the link's credential."""

    code = "link_refused"
    kind = Kind.UNAUTHENTICATED
    title = "Not a gateway of this platform"


class LinkMessageInvalid(TowpathError):
    """A message is not what `contracts/` says."""

    code = "link_message_invalid"
    kind = Kind.INVALID
    title = "Message of the link is not valid"


class LinkMessageTooLarge(TowpathError):
    """A message is larger than any gateway of ours sends."""

    code = "link_message_too_large"
    kind = Kind.TOO_LARGE
    title = "Message of the link is too large"


class Link:
    """What gateways ask and tell."""

    def __init__(
        self,
        db: Database,
        catalog: Catalog,
        watch: Watch,
        gateways: Gateways,
        credential: Secret,
        *,
        bodies: ArtifactStore,
        recent: Recent | None = None,
    ) -> None:
        self._db = db
        self._catalog = catalog
        self._recent = recent
        self._watch = watch
        self._gateways = gateways
        self._credential = credential.reveal().encode()
        self._intake = Intake(db)
        watch.count = self._connected
        self._bodies_store = bodies
        self.wake: Callable[[], None] = _nothing
        """Called when somebody waits for a deployment that is asleep."""

    def app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/link/v1/routing", self._guarded(self._routing), methods=["POST"]),
                Route("/link/v1/usage", self._guarded(self._usage), methods=["POST"]),
                Route("/link/v1/signals", self._guarded(self._signals), methods=["POST"]),
                Route("/link/v1/bodies", self._guarded(self._bodies), methods=["POST"]),
            ]
        )

    async def _routing(self, request: Request) -> Response:
        poll = await _read(request, RoutingPoll)
        with self._gateways.polling(poll) as gateway:
            deadline = asyncio.get_running_loop().time() + min(poll.wait_ms / 1000, MAX_WAIT_S)
            while True:
                # What is committed after this is seen by the next round.
                seen = self._watch.seen
                found = await self._news(poll)
                counted = await self._budgets(poll)
                connected = self._connected()
                nothing = found.nothing and not counted.uses and connected == gateway.told
                if not nothing or not await self._held(request, seen, deadline):
                    break
            if await request.is_disconnected():
                self._gateways.left(gateway)
            gateway.told = connected
        beside = {
            "budgets": budgets.written(counted),
            "budgets_to": counted.position,
            "gateways": connected,
        }
        beside = {name: value for name, value in beside.items() if value}
        if found.snapshot:
            return StreamingResponse(
                routing.stream(self._db, self._catalog, poll, beside),
                media_type="application/json",
            )
        return JSONResponse(found.document() | beside)

    def _connected(self) -> int:
        return self._gateways.connected(self._watch.active)

    async def _news(self, poll: RoutingPoll) -> News:
        async with self._db.read() as tx:
            return await routing.news(tx, self._catalog, poll, self._recent)

    async def _budgets(self, poll: RoutingPoll) -> BudgetNews:
        """Return the uses that changed; none while the ledger is away: the table must go on."""
        try:
            async with self._db.ledger_read() as ledger:
                return await books.since(ledger, poll.budgets_after, gateway=poll.gateway_id)
        except Unavailable as error:
            log.warning("budgets.unknown", detail=error.detail, **error.log)
            return BudgetNews(position=poll.budgets_after)

    async def _held(self, request: Request, seen: int, deadline: float) -> bool:
        """Hold the answer back; true when there is something new to look at."""
        if asyncio.get_running_loop().time() >= deadline:
            return False
        changed = asyncio.ensure_future(self._watch.news(seen))
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            left = deadline - asyncio.get_running_loop().time()
            done, _ = await asyncio.wait(
                {changed, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in (changed, gone):
                task.cancel()
        return changed in done and gone not in done and not self._watch.closed

    async def _usage(self, request: Request) -> Response:
        batch = await _read(request, UsageBatch)
        taken = await self._intake.take(batch)
        answer: dict[str, Any] = {"acknowledged": taken.acknowledged}
        if taken.budgets.uses:
            answer["budgets"] = budgets.written(taken.budgets)
        return JSONResponse(answer)

    async def _signals(self, request: Request) -> Response:
        reports = self._gateways.take(await _read(request, Signals))
        try:
            await self._hear(reports)
        except Unavailable as error:  # it is said again within a second
            log.warning("signals.not_kept", detail=error.detail, **error.log)
        return Response(status_code=204)

    async def _hear(self, reports: Sequence[tuple[str, TargetReport]]) -> None:
        """Let the load of deployments be known to whoever scales them."""
        if not reports:
            return
        if not any(one.waiting_for_wake for _, one in reports):  # who waits, is worth a write
            async with self._db.read() as tx:
                known = await scaling.concerns(tx, reports)
                if not known and not await rollouts.concerns(tx, reports):
                    return
        async with self._db.write() as tx:
            somebody_waits = await scaling.hear(tx, reports)
            await rollouts.hear(tx, reports)
        if somebody_waits:
            self.wake()

    async def _bodies(self, request: Request) -> Response:
        batch = await _read(request, BodyBatch)
        if batch.lost:
            log.warning("bodies.lost", gateway=batch.gateway_id, requests=batch.lost)
        found = [
            Logged(
                one.request_id,
                one.time_ms,
                one.project,
                one.model_dump(include={"status", "request", "response"}),
            )
            for one in batch.bodies
        ]
        await bodies.keep(self._db, self._bodies_store, found)
        return Response(status_code=204)

    def _guarded(
        self, handle: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                self._check(request)
                return await handle(request)
            except TowpathError as error:
                log.warning("link.refused", code=error.code, detail=error.detail, **error.log)
                return _problem(error)

        return guarded

    def _check(self, request: Request) -> None:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, b"Bearer " + self._credential):
            raise LinkRefused(
                "This is the gateways' own link, and the call has not its credential.",
                fix="Start the gateway with the platform's `TOWPATH_LINK_CREDENTIAL`.",
            )


def _nothing() -> None:
    """Where nothing is scaled here."""


async def _read(request: Request, model: type[Model]) -> Model:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise LinkMessageTooLarge(f"The message is larger than {MAX_BODY_BYTES} bytes.")
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "/".join(str(part) for part in first["loc"])
        raise LinkMessageInvalid(
            f"The message is not a {model.__name__}: `{where}`: {first['msg']}.",
            fix="Gateway and control plane have different versions: upgrade them together.",
        ) from error


async def _disconnected(request: Request) -> None:
    """Return when the gateway's connection has ended; its body was read before."""
    try:
        while (await request.receive())["type"] != "http.disconnect":
            pass
    except ClientDisconnect:
        return


def _problem(error: TowpathError) -> Response:
    document = {"code": error.code, "title": error.title, "detail": error.detail, "fix": error.fix}
    status = _STATUS.get(error.kind, 500)
    headers = {"retry-after": str(error.retry_after_s or 1)} if status == 503 else {}
    return JSONResponse(document, status, headers, media_type="application/problem+json")
