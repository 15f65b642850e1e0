"""The application: every domain's router, the edge around them, and what clients start from."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from towpath_server import __version__
from towpath_server.adapters.facilities import Facilities
from towpath_server.core import tokens
from towpath_server.core.access import Principal
from towpath_server.core.config import Settings
from towpath_server.core.db import Database, Tx
from towpath_server.core.signals import Board
from towpath_server.domains.adoption import routes as adoption
from towpath_server.domains.aliases import routes as aliases
from towpath_server.domains.approvals import routes as approvals
from towpath_server.domains.artifacts import routes as artifacts
from towpath_server.domains.audit import routes as audit_routes
from towpath_server.domains.audit import service as audit
from towpath_server.domains.batches import routes as batches
from towpath_server.domains.blocks import routes as blocks
from towpath_server.domains.bodies import routes as bodies
from towpath_server.domains.budgets import routes as budgets
from towpath_server.domains.connections import routes as connections
from towpath_server.domains.deployments import routes as deployments
from towpath_server.domains.deployments.schemas import json_schema
from towpath_server.domains.endpoints import routes as endpoints
from towpath_server.domains.evaluations import routes as evaluations
from towpath_server.domains.files import routes as files
from towpath_server.domains.imports import routes as imports
from towpath_server.domains.keys import routes as keys
from towpath_server.domains.keys import service as key_service
from towpath_server.domains.limits import routes as limits
from towpath_server.domains.models import routes as models
from towpath_server.domains.nodes import routes as nodes
from towpath_server.domains.policies import routes as policies
from towpath_server.domains.prices import routes as prices
from towpath_server.domains.projects import routes as projects
from towpath_server.domains.providers import routes as providers
from towpath_server.domains.quotas import routes as quotas
from towpath_server.domains.runtimes import routes as runtimes
from towpath_server.domains.teams import routes as teams
from towpath_server.domains.usage import routes as usage
from towpath_server.domains.users import routes as users
from towpath_server.domains.users import service as user_service
from towpath_server.web import edge, problems
from towpath_server.web.scope import RequestScope
from towpath_server.web.state import Refusal, State

PREFIX = "/api/v1"

ROUTERS: tuple[APIRouter, ...] = (
    teams.router,
    users.token_router,
    users.router,
    users.member_router,
    projects.router,
    projects.application_router,
    keys.router,
    keys.account_router,
    models.router,
    models.files,
    aliases.router,
    imports.model_router,
    imports.router,
    connections.router,
    artifacts.blobs,
    artifacts.uploads,
    artifacts.router,
    runtimes.router,
    deployments.router,
    deployments.log_router,
    deployments.served_router,
    approvals.router,
    evaluations.router,
    endpoints.router,
    providers.router,
    limits.router,
    budgets.router,
    quotas.router,
    providers.vendor_router,
    prices.router,
    blocks.router,
    policies.router,
    policies.default_router,
    nodes.router,
    bodies.router,
    usage.request_router,
    usage.router,
    adoption.router,
    audit_routes.router,
)
"""Every noun, in the order of the reference."""

OPENAI_ROUTERS: tuple[APIRouter, ...] = (files.streams, files.router, batches.router)
"""What OpenAI's API has once per batch: at its own paths, in its own shapes."""


def create_app(
    db: Database,
    settings: Settings,
    *,
    applied: Callable[[int], Awaitable[bool]] | None = None,
    board: Board | None = None,
    facilities: Facilities | None = None,
) -> FastAPI:
    """
    Compose the application; nothing is started.

    Args:
        applied: Waits, bounded, until every connected gateway has a routing revision in force. May
            also be set later, as `app.state.towpath.applied`.
        board: What the gateways report.
        facilities: What the loops work with, too; without, made of the settings.
    """
    app = routed()
    furnish(app, db, settings, applied=applied, board=board, facilities=facilities)
    return app


def furnish(
    app: FastAPI,
    db: Database,
    settings: Settings,
    *,
    applied: Callable[[int], Awaitable[bool]] | None = None,
    board: Board | None = None,
    facilities: Facilities | None = None,
) -> None:
    """Give a `routed` application what its routes work on, in place of what it had."""
    app.state.towpath = State(
        db, settings.api, _authenticate, _record_refusal, applied, board or Board()
    )
    app.state.facilities = facilities or Facilities.of(settings)
    app.state.settings = settings


def routed() -> FastAPI:
    """Build all routes, which takes a while: tests do it once and furnish it many times."""
    app = FastAPI(
        title="Towpath",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router, prefix=PREFIX)
    for router in OPENAI_ROUTERS:
        app.include_router(router)
    contract = edge.router("openapi", "/openapi.json")
    contract.add_api_route("", _contract(app), include_in_schema=False)
    app.include_router(contract, prefix=PREFIX)
    # Editors fetch it without a key; it says nothing of this platform.
    app.add_api_route(
        f"{PREFIX}/schemas/model-deployment.json", _manifest_schema, include_in_schema=False
    )
    app.add_api_route("/.well-known/towpath", _well_known, include_in_schema=False, methods=["GET"])
    app.add_middleware(RequestScope)
    return app


def openapi_document(app: FastAPI | None = None) -> dict[str, Any]:
    """Return the API's contract, which is committed as `contracts/openapi.json`."""
    app = app or routed()
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary="The control plane of Towpath.",
        description=(
            "Lists take `limit` and `after` and return `items` and `next`. Errors are problem "
            "documents with a `code` and a `fix`. Every resource has a `revision`, which is its "
            "`ETag`; changes take `If-Match`. Every write takes `Idempotency-Key`."
        ),
        routes=app.routes,
    )
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    }
    document["security"] = [{"bearer": []}, {"key": []}]
    for path in document["paths"].values():
        for method, operation in path.items():
            if method in {"post", "patch", "put", "delete"}:
                operation.setdefault("parameters", []).append(
                    {
                        "name": "Idempotency-Key",
                        "in": "header",
                        "required": False,
                        "schema": {"type": "string", "maxLength": 255},
                        "description": "Repeat it with the same request and it is done once.",
                    }
                )
    return document


def _contract(app: FastAPI) -> Callable[[], Awaitable[dict[str, Any]]]:
    async def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = openapi_document(app)
        return app.openapi_schema

    return openapi


async def _manifest_schema() -> dict[str, Any]:
    return _schema()


_schema = functools.cache(json_schema)


def _door(request: Request) -> str:
    """Return the address that was called: the gateway alone relays, and says which it was."""
    base = request.base_url
    scheme = request.headers.get("x-forwarded-proto", base.scheme)
    host = request.headers.get("x-forwarded-host", base.netloc)
    return f"{scheme}://{host}"


async def _well_known(request: Request) -> dict[str, Any]:
    settings: Settings = request.app.state.settings
    return {
        "name": settings.organization,
        "address": settings.public_url or _door(request),
        "version": __version__,
        "api": {"versions": ["v1"], "v1": PREFIX, "openapi": f"{PREFIX}/openapi.json"},
        "inference": {"openai": "/v1", "kserve": "/v2", "predict": "/v1/models/{name}/predict"},
        "auth": {
            "headers": ["authorization", "x-api-key"],
            "schemes": ["bearer"],
            "token_pattern": tokens.PATTERN.pattern,
        },
    }


def _operation_id(route: APIRoute) -> str:
    if "_" in route.name or not route.tags:
        return route.name
    noun = str(route.tags[0])
    plural = "s" if route.name == "list" and noun != "audit" else ""
    return f"{route.name}_{noun}{plural}".replace("policys", "policies")


async def _authenticate(tx: Tx, token: str, *, address: str | None) -> Principal | None:
    kind = tokens.kind_of(token)
    if kind == "user":
        return await user_service.authenticate(tx, token)
    if kind is None or kind == "admin":
        return await user_service.authenticate_admin(tx, token)
    return await key_service.authenticate(tx, token, address=address)


async def _record_refusal(tx: Tx, caller: Principal, refusal: Refusal) -> None:
    await audit.append_refused(
        tx,
        caller,
        action=refusal.action,
        noun=refusal.noun,
        ref=refusal.ref,
        error=refusal.error,
    )
