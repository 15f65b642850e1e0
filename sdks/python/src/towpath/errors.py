"""
What can go wrong, as exceptions.

Every error has `code`, `fix` and `request_id` where they are known. A code that this version does
not know still arrives: it degrades to the class of its HTTP status.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# More than this of a foreign body (a proxy's HTML page) helps nobody in a message.
_EXCERPT_CHARS = 200


@dataclass(frozen=True)
class Finding:
    """
    One thing wrong in a request.

    Attributes:
        path: Where: a JSON pointer into the body, `?parameter` or `header:name`.
        message: What is wrong.
        fix: What to do.
        reason: What kind of mistake it is, in one word.
        line: Line of a YAML body.
    """

    path: str
    message: str
    fix: str | None = None
    reason: str = "Invalid"
    line: int | None = None


class TowpathError(Exception):
    """
    Base of everything this library raises on purpose.

    Attributes:
        message: What went wrong, in one sentence.
        code: Stable word to branch on.
        fix: What to do about it.
        request_id: Id of the request's row in the log, once there is one.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        fix: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.fix = fix
        self.request_id = request_id

    def __str__(self) -> str:
        return f"{self.message} (fix: {self.fix})" if self.fix else self.message


class ConfigurationError(TowpathError):
    """Address or key are missing, or the configuration file cannot be read."""


class APIError(TowpathError):
    """The call was made and did not succeed."""


class APIConnectionError(APIError):
    """No answer came: name, network, TLS, or the connection broke."""


class APITimeoutError(APIConnectionError):
    """Nothing came within the timeout."""


class APIStreamError(APIError):
    """A stream carried an error, or ended before it was whole. What came before is incomplete."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        fix: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, code=code, fix=fix, request_id=request_id)
        self.retry_after_s = retry_after_s


class APIStatusError(APIError):
    """
    The platform answered with an error.

    Attributes:
        status: HTTP status.
        param: Name of the parameter at fault, where the answer says it.
        findings: Everything wrong with the payload, each with its fix.
        retry_at: When a spent budget or quota has room again.
        body: The answer as it came; JSON is decoded.
        headers: The answer's headers, names in lower case.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        code: str | None = None,
        fix: str | None = None,
        request_id: str | None = None,
        detail: "ErrorDetail | None" = None,
    ) -> None:
        super().__init__(message, code=code, fix=fix, request_id=request_id)
        detail = detail or ErrorDetail()
        self.status = status
        self.param = detail.param
        self.findings = detail.findings
        self.retry_at = detail.retry_at
        self.body = detail.body
        self.headers = detail.headers


@dataclass(frozen=True)
class ErrorDetail:
    """The parts of an error answer that only some answers have."""

    param: str | None = None
    findings: tuple[Finding, ...] = ()
    retry_at: datetime | None = None
    body: Any = None
    headers: Mapping[str, str] | None = None


class BadRequestError(APIStatusError):
    """400: the request itself is wrong."""


class AuthenticationError(APIStatusError):
    """401: no key, a wrong key, or one that expired or was revoked."""


class PermissionDeniedError(APIStatusError):
    """403: the key or role does not allow it."""


class NotFoundError(APIStatusError):
    """404: not there, or not for this caller to see."""


class ConflictError(APIStatusError):
    """409: it collides with what is there, or is still in use."""


class PreconditionFailedError(APIStatusError):
    """412: it was changed since the revision named in `if_match`."""


class PayloadTooLargeError(APIStatusError):
    """413: the body is above the platform's limit."""


class UnprocessableError(APIStatusError):
    """422: the payload is malformed; `findings` say where."""


class RateLimitError(APIStatusError):
    """429: too much at once; comes back by itself."""


class QuotaExhaustedError(RateLimitError):
    """429 that waiting seconds does not cure: a budget is spent until `retry_at`."""


class ServerError(APIStatusError):
    """5xx: not the caller's fault."""


class UnavailableError(ServerError):
    """503: not right now; the platform says when."""


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    412: PreconditionFailedError,
    413: PayloadTooLargeError,
    422: UnprocessableError,
    429: RateLimitError,
    503: UnavailableError,
}
# Answers to HEAD have no body to say it.
_EMPTY = {401: "The key was not accepted (401).", 403: "This key may not do that (403)."}
_BY_CODE: dict[str, type[APIStatusError]] = {"insufficient_quota": QuotaExhaustedError}


def of_answer(status: int, headers: Mapping[str, str], content: bytes) -> APIStatusError:
    """Read an error answer of any shape the platform's routes speak."""
    text = content.decode("utf-8", "replace")
    try:
        body: Any = json.loads(text)
    except ValueError:
        body = text
    said = _said(body)
    code = said.get("code")
    message = said.get("message") or _unreadable(status, headers, text)
    # Routes whose shape has no field for a fix end the message with it.
    if fix := said.get("fix"):
        message = message.removesuffix(fix).rstrip() or message
    chosen = _BY_CODE.get(code or "") or _BY_STATUS.get(status)
    if chosen is None:
        chosen = ServerError if status >= 500 else APIStatusError
    return chosen(
        message,
        status=status,
        code=code,
        fix=said.get("fix"),
        request_id=headers.get("x-request-id") or said.get("request_id"),
        detail=ErrorDetail(
            param=said.get("param"),
            findings=_findings(body),
            retry_at=_instant(headers.get("x-towpath-retry-at")),
            body=body,
            headers=headers,
        ),
    )


def of_event(error: Any, request_id: str | None) -> APIStreamError:
    """Read the error event of a stream."""
    said = _said({"error": error})
    after = error.get("retry_after_s") if isinstance(error, Mapping) else None
    return APIStreamError(
        said.get("message") or "The stream ended with an error that says nothing.",
        code=said.get("code"),
        fix=said.get("fix"),
        request_id=request_id or said.get("request_id"),
        retry_after_s=float(after) if isinstance(after, int | float) else None,
    )


def _said(body: Any) -> dict[str, str]:
    """Bring OpenAI's, Anthropic's, KServe's and problem+json's words to one set of names."""
    if not isinstance(body, Mapping):
        return {}
    inner = body.get("error", body)
    if isinstance(inner, str):
        inner = {"message": inner}
    if not isinstance(inner, Mapping):
        return {}
    found = {
        name: inner.get(name, body.get(name)) for name in ("code", "fix", "param", "request_id")
    }
    found["message"] = inner.get("message") or inner.get("detail") or inner.get("title")
    return {name: str(value) for name, value in found.items() if value is not None}


def _findings(body: Any) -> tuple[Finding, ...]:
    listed = body.get("findings") if isinstance(body, Mapping) else None
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        return ()
    return tuple(
        Finding(
            path=str(one.get("path", "")),
            message=str(one.get("message", "")),
            fix=one.get("fix"),
            reason=str(one.get("reason", "Invalid")),
            line=one.get("line"),
        )
        for one in listed
        if isinstance(one, Mapping)
    )


def _unreadable(status: int, headers: Mapping[str, str], text: str) -> str:
    if location := headers.get("location"):
        return f"The address answers {status} and points to {location}; it is not Towpath's own."
    if not text and status in _EMPTY:
        return _EMPTY[status]
    excerpt = " ".join(text.split())[:_EXCERPT_CHARS]
    return f"The answer was {status}: {excerpt}" if excerpt else f"The answer was {status}, empty."


def _instant(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
