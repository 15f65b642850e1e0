"""
Errors as problem documents (RFC 9457): the only table from kinds to status codes.

Below `/v1/` callers are OpenAI's clients, so errors leave in their shape there, with our code.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from towpath_server.core import log, suggest
from towpath_server.core.errors import Finding, InvalidRequest, Kind, TowpathError

STATUS: Mapping[Kind, int] = {
    Kind.INVALID: 422,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.NOT_ALLOWED: 405,
    Kind.CONFLICT: 409,
    Kind.PRECONDITION: 412,
    Kind.TOO_LARGE: 413,
    Kind.RANGE: 416,
    Kind.EXHAUSTED: 429,
    Kind.UPSTREAM: 502,
    Kind.UNAVAILABLE: 503,
    Kind.BUG: 500,
}
MEDIA_TYPE = "application/problem+json"
_OPENAI_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_RETRY_AFTER_S = 2  # for what is unavailable and does not know better
REASONS = {
    "missing": "Missing",
    "extra_forbidden": "UnknownField",
    "literal_error": "UnknownValue",
}
_VALUE = re.compile(r"'([^']+)'")  # in what pydantic says was expected
_MAX_FINDINGS = 100  # an answer stays readable, whatever was sent

_log = log.get()


class RouteNotFound(TowpathError):
    """No route has this path."""

    code = "route_not_found"
    kind = Kind.NOT_FOUND
    title = "No such route"


class MethodNotAllowed(TowpathError):
    """The path is known, and not with this method."""

    code = "method_not_allowed"
    kind = Kind.NOT_ALLOWED
    title = "Method not allowed"


class BodyTooLarge(TowpathError):
    """The body is larger than the route takes."""

    code = "body_too_large"
    kind = Kind.TOO_LARGE
    title = "Body too large"


class InternalError(TowpathError):
    """A bug of ours; the log has the text."""

    code = "internal_error"
    kind = Kind.BUG
    title = "Internal error"


class FindingOut(BaseModel):
    """One thing that is wrong in the request."""

    path: str = Field(description="JSON pointer into the body, `?parameter` or `header:name`.")
    reason: str = Field(description="What kind of mistake it is, in one word.")
    message: str
    line: int | None = Field(None, description="Line of a YAML body.")
    fix: str | None = None

    @classmethod
    def of(cls, finding: Finding) -> "FindingOut":
        """Write a finding that is no error."""
        return cls(**vars(finding))


class Problem(BaseModel):
    """What went wrong, and what to do."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    fix: str | None = None
    findings: list[FindingOut] | None = None


def problems(*errors: type[TowpathError]) -> dict[int | str, dict[str, Any]]:
    """Describe errors for a route's `responses`."""
    described: dict[int | str, dict[str, Any]] = {}
    for error in errors:
        status = STATUS[error.kind]
        known = described.setdefault(
            status, {"model": Problem, "content": {MEDIA_TYPE: {}}, "description": ""}
        )
        text = f"`{error.code}`: {error.title}."
        known["description"] = f"{known['description']} {text}".strip()
    return described


def response(request: Request, error: TowpathError) -> Response:
    """Write an error as the answer to a request."""
    request_id = request_id_of(request)
    openai = request.url.path.startswith("/v1/")
    status = 400 if openai and error.kind is Kind.INVALID else STATUS[error.kind]
    document = _openai(error, status, request_id) if openai else _problem(request, error, status)
    headers = {}
    if status == 503 or error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s or _RETRY_AFTER_S)
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if error.log or status >= 500:
        _log.warning("request.refused", code=error.code, status=status, **error.log)
    media_type = "application/json" if openai else MEDIA_TYPE
    return JSONResponse(document, status, headers, media_type=media_type)


def _problem(request: Request, error: TowpathError, status: int) -> dict[str, Any]:
    document: dict[str, Any] = {
        "type": f"/docs/problems#{error.code}",
        "title": error.title,
        "status": status,
        "detail": error.detail,
        "instance": request.url.path,
        "code": error.code,
        "request_id": request_id_of(request),
    }
    if error.fix:
        document["fix"] = error.fix
    if error.findings:
        document["findings"] = [_entry(finding) for finding in error.findings[:_MAX_FINDINGS]]
    return {**error.members, **document}


def _openai(error: TowpathError, status: int, request_id: str) -> dict[str, Any]:
    """Write an error as OpenAI's clients read it, word for word as the gateway does."""
    message = error.detail.rstrip(".") + "."
    param = error.findings[0].path.lstrip("#/?") if error.findings else ""
    inner: dict[str, Any] = {
        "message": f"{message} {error.fix}" if error.fix else message,
        "type": _OPENAI_TYPES.get(
            status, "invalid_request_error" if status < 500 else "server_error"
        ),
        "param": param.replace("/", ".") or None,
        "code": error.code,
        "request_id": request_id,
    }
    if error.fix:
        inner["fix"] = error.fix
    return {"error": inner}


def request_id_of(request: Request) -> str:
    """Return the id under which a request is logged and answered."""
    return request.scope.get("towpath.request_id", "")


def install(app: FastAPI) -> None:
    """Let every error of the application leave as a problem document."""
    app.add_exception_handler(TowpathError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)


async def _on_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, TowpathError):
        raise error
    return response(request, error)


async def _on_invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    return response(request, invalid(error.errors(), _body_model(request)))


async def _on_http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 404:
        return response(
            request,
            RouteNotFound(
                f"There is nothing at `{request.url.path}`.",
                fix="`/api/v1/openapi.json` lists every route.",
            ),
        )
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        refused = response(
            request,
            MethodNotAllowed(
                f"`{request.url.path}` does not take {request.method}.", fix=f"It takes {allowed}."
            ),
        )
        refused.headers["allow"] = allowed
        return refused
    return response(
        request,
        InvalidRequest(
            "The body cannot be read as JSON.", fix="Send UTF-8 JSON of reasonable depth."
        ),
    )


def invalid(entries: Sequence[Any], model: type[BaseModel] | None = None) -> InvalidRequest:
    """Make one error of everything pydantic found; what was sent is never quoted."""
    findings = [_finding(entry, model) for entry in entries]
    first = findings[0]
    count = len(findings)
    where = f" at `{first.path}`" if first.path not in {"#", ""} else ""
    more = f" ({count - 1} more in `findings`)" if count > 1 else ""
    return InvalidRequest(
        f"The request is not valid{where}: {first.message}{more}",
        fix=first.fix or "Correct what `findings` names and send it again.",
        findings=findings,
    )


def _finding(entry: Any, model: type[BaseModel] | None) -> Finding:
    place, *path = entry["loc"]
    message = str(entry["msg"]).removeprefix("Value error, ")
    detail = message[:1].upper() + message[1:]
    if entry["type"] == "json_invalid":
        where = f" near character {path[0]}" if path else ""
        return Finding(
            "#",
            f"This is not valid JSON{where}.",
            "Send one JSON document in UTF-8.",
            reason="InvalidJSON",
        )
    reason = REASONS.get(entry["type"], "Invalid")
    if entry["type"] == "missing" and place == "body" and not path:
        return Finding("#", "The body is missing.", "Send a JSON object.", reason="Missing")
    if place == "body":
        fix = None
        if entry["type"] == "extra_forbidden":
            detail = f"`{path[-1]}` is not a field here."
            fix = suggest.did_you_mean(str(path[-1]), _fields(model, path[:-1]))
        elif entry["type"] == "literal_error":
            known = _VALUE.findall(entry["ctx"]["expected"])
            detail = f"It must be one of {', '.join(f'`{one}`' for one in known)}."
            fix = (
                suggest.did_you_mean(str(entry.get("input", "")), known)
                or f"Use `{known[0]}`, or another."
            )
        pointer = "#" + "".join(f"/{_escaped(part)}" for part in path)
        return Finding(pointer, detail, fix, reason=reason)
    name = str(path[-1]) if path else ""
    return Finding(f"header:{name}" if place == "header" else f"?{name}", detail, reason=reason)


def _entry(finding: Finding) -> dict[str, str | int]:
    entry: dict[str, str | int] = {
        "path": finding.path,
        "reason": finding.reason,
        "message": finding.message,
    }
    if finding.line is not None:
        entry["line"] = finding.line
    if finding.fix:
        entry["fix"] = finding.fix
    return entry


def _escaped(part: object) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")


def _body_model(request: Request) -> type[BaseModel] | None:
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or route.body_field is None:
        return None
    annotation = route.body_field.field_info.annotation
    return annotation if _is_model(annotation) else None


def _fields(model: type[BaseModel] | None, path: Sequence[object]) -> list[str]:
    """List the fields of the model that stands at `path` in a body of `model`."""
    found: Any = model
    for part in path:
        if not _is_model(found) or part not in found.model_fields:
            if not isinstance(part, int):
                return []
            continue
        found = _inner_model(found.model_fields[part].annotation)
    if not _is_model(found):
        return []
    return [info.alias or name for name, info in found.model_fields.items()]


def _inner_model(annotation: Any) -> Any:
    if _is_model(annotation):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        inner = _inner_model(argument)
        if inner is not None:
            return inner
    return None


def _is_model(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
