"""
The edge of a request: its caller, its one transaction, and what stands around the answer.

Order: authenticate, read the body within its bound, open the transaction, look at the idempotency
key, run the route, keep the answer, commit, wait (bounded) for the gateways, answer. So nothing is
promised that is not committed, and a route cannot forget any of it.
"""

import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.types import Message, Receive

from towpath_server.core import deferred, log, suggest, tokens
from towpath_server.core.access import Principal
from towpath_server.core.db import Tx
from towpath_server.core.errors import (
    DatabaseUnavailable,
    Finding,
    InvalidRequest,
    Kind,
    TowpathError,
    Unauthenticated,
)
from towpath_server.web import idempotency, state
from towpath_server.web.problems import BodyTooLarge
from towpath_server.web.state import Refusal, State

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_SAFE = {"GET", "HEAD", "OPTIONS"}
# A payload that is not one and a platform that is away are no attempts at a change.
_NOT_AUDITED = {Kind.INVALID, Kind.UNAVAILABLE, Kind.UPSTREAM, Kind.TOO_LARGE, Kind.BUG}
_KEPT_HEADERS = ("content-type", "etag", "location")
_log = log.get()


def router(noun: str, prefix: str, *, streaming: bool = False) -> APIRouter:
    """
    Make the router of a noun.

    Args:
        streaming: Routes that take or give more than fits in memory: they are authenticated, and
            open their own transactions.
    """
    return APIRouter(
        prefix=prefix, tags=[noun], route_class=StreamingRoute if streaming else TransactionRoute
    )


class AuthenticatedRoute(APIRoute):
    """A route that knows its caller and its own parameters."""

    def get_route_handler(self) -> Handler:
        """Wrap FastAPI's handler."""
        inner = super().get_route_handler()
        known = _query_names(self.dependant)

        async def handle(request: Request) -> Response:
            request.state.caller = await _authenticate(request)
            _check_parameters(request, known)
            return await self.run(request, inner)

        return handle

    async def run(self, request: Request, inner: Handler) -> Response:
        """Run the route for a caller who is known."""
        raise NotImplementedError


class StreamingRoute(AuthenticatedRoute):
    """A route that reads or writes a stream, and opens its own transactions."""

    async def run(self, request: Request, inner: Handler) -> Response:
        """Run the route without a transaction around it."""
        return await inner(request)


class TransactionRoute(AuthenticatedRoute):
    """A route that is one transaction."""

    async def run(self, request: Request, inner: Handler) -> Response:
        """Run the route in a transaction that reads, or in one that writes."""
        platform = state.of(request)
        bounded = Request(request.scope, _bounded(request.receive, platform.settings.body_bytes))
        if request.method in _SAFE:
            async with platform.db.read() as tx:
                bounded.state.tx = tx
                return _tagged(await inner(bounded))
        try:
            return await _write(bounded, inner)
        except TowpathError as error:
            by_kind = error.kind not in _NOT_AUDITED
            if by_kind if error.audited is None else error.audited:
                await self._record(request, error)
            raise

    async def _record(self, request: Request, error: TowpathError) -> None:
        noun = str(self.tags[0]) if self.tags else "request"
        ref = next(iter(request.path_params.values()), None)
        verb = self.name.partition("_")[0]
        refusal = Refusal(noun, f"{noun}.{verb}", str(ref) if ref else None, error)
        platform = state.of(request)
        with suppress(DatabaseUnavailable):  # the refusal itself is answered all the same
            async with platform.db.write() as tx:
                await platform.record_refusal(tx, request.state.caller, refusal)


async def _write(request: Request, inner: Handler) -> Response:
    platform = state.of(request)
    caller: Principal = request.state.caller
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    claim = idempotency.claim(
        caller.id,
        request.headers.get(idempotency.HEADER),
        request.method,
        target,
        await request.body(),
    )
    answer, tx = await deferred.attempt(
        platform.db, lambda: _transact(platform, request, inner, claim)
    )
    if tx is not None:
        await _await_gateways(request, tx, answer)
    return answer


async def _transact(
    platform: State, request: Request, inner: Handler, claim: idempotency.Claim | None
) -> tuple[Response, Tx | None]:
    """Run the route in a transaction; none is returned where the answer is a former one's."""
    async with platform.db.write() as tx:
        former = await idempotency.begin(tx, claim) if claim else None
        if former is not None:
            return _replayed(former), None
        request.state.tx = tx
        answer = _tagged(await inner(request))
        if claim:
            await idempotency.keep(tx, claim, _kept(answer))
    return answer, tx


async def _authenticate(request: Request) -> Principal:
    token = _token(request)
    platform = state.of(request)
    if not token.startswith("tp_") or tokens.well_formed(token):
        async with platform.db.read() as tx:
            caller = await platform.authenticate(tx, token, address=_address(request))
        if caller is not None:
            return caller
    raise Unauthenticated(
        "The key is unknown, expired or revoked, or not valid from this network.",
        fix="Check that the whole key was copied; `towpath keys` lists the valid ones.",
    )


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if token := request.headers.get("x-api-key", "").strip():
        return token
    raise Unauthenticated(
        "The request has no key.", fix="Send `Authorization: Bearer <key>` or `x-api-key: <key>`."
    )


def _address(request: Request) -> str | None:
    """
    Return the address of the client, by which keys may be restricted.

    On the Unix socket the peer is our gateway, which says whom it speaks for; on TCP the peer
    itself counts, since anyone could write the header.
    """
    if request.client is not None and request.client.host:
        return request.client.host
    return request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip() or None


def _query_names(dependant: Dependant) -> set[str]:
    names = {field.alias for field in dependant.query_params}
    return names.union(*(_query_names(inner) for inner in dependant.dependencies))


def _check_parameters(request: Request, known: set[str]) -> None:
    findings = [
        Finding(
            f"?{name}",
            f"`{name}` is not a parameter here.",
            suggest.did_you_mean(name, known),
            reason="UnknownParameter",
        )
        for name in request.query_params
        if name not in known
    ]
    if findings:
        valid = ", ".join(f"`{name}`" for name in sorted(known)) or "none"
        raise InvalidRequest(
            findings[0].message,
            fix=findings[0].fix or f"Parameters of this route: {valid}.",
            findings=findings,
        )


def _bounded(receive: Receive, limit: int) -> Receive:
    """Refuse a body beyond `limit` while it comes in, whatever its headers say."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise BodyTooLarge(
                f"The body is larger than {limit} bytes.",
                fix="Send less at once; files are uploaded as artifacts.",
            )
        return message

    return bounded


def _tagged(answer: Response) -> Response:
    """Set the `ETag` of an answer that is a resource."""
    if answer.body and answer.status_code < 300:
        document = json.loads(bytes(answer.body))
        if isinstance(document, dict) and isinstance(document.get("revision"), int):
            answer.headers["etag"] = f'"{document["revision"]}"'
    return answer


def _kept(answer: Response) -> idempotency.Answer:
    headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
    return idempotency.Answer(answer.status_code, headers, bytes(answer.body).decode())


def _replayed(former: idempotency.Answer) -> Response:
    return Response(
        former.body or None, former.status, former.headers | {idempotency.REPLAYED: "true"}
    )


async def _await_gateways(request: Request, tx: Tx, answer: Response) -> None:
    if tx.revision is None:
        return
    applied = state.of(request).applied
    in_force = applied is not None and await applied(tx.revision)
    answer.headers["x-towpath-applied"] = "true" if in_force else "pending"
