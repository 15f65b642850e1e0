"""The outermost layer: a request id for every request, and a bare 500 for what nobody expected."""

import re

import structlog
from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from towpath_server.core import ids, log
from towpath_server.web import problems

_REQUEST_ID = re.compile(r"req_[0-9a-hjkmnp-tv-z]{26}")
_log = log.get()


class RequestScope:
    """ASGI middleware; the gateway's request id goes on when it is well-formed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = given if _REQUEST_ID.fullmatch(given) else ids.new("req")
        scope["towpath.request_id"] = request_id
        started = False

        async def numbered(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, numbered)
            except Exception:  # noqa: BLE001 (the HTTP edge: the text goes to the log alone)
                _log.exception("request.failed", method=scope["method"], path=scope["path"])
                if not started:
                    refused = problems.response(Request(scope), _bug())
                    await refused(scope, receive, numbered)


def _bug() -> problems.InternalError:
    return problems.InternalError(
        "Something went wrong that should not have: a bug of the platform.",
        fix="Give the `request_id` to the people who run it; the log has the cause.",
    )
