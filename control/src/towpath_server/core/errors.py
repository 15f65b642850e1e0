"""
The published vocabulary of errors.

An error has a stable `code` and a `kind`, never an HTTP status; `web/problems.py` owns those.
Errors that several domains raise are here, the others in the `errors.py` of their domain.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar


class Kind(enum.StrEnum):
    """What the caller can do about it. The HTTP layer owns the status codes."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    NOT_ALLOWED = "not_allowed"
    CONFLICT = "conflict"
    PRECONDITION = "precondition"
    TOO_LARGE = "too_large"
    RANGE = "range"
    EXHAUSTED = "exhausted"
    UPSTREAM = "upstream"
    UNAVAILABLE = "unavailable"
    BUG = "bug"


REGISTRY: dict[str, type["TowpathError"]] = {}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong in a request: where, what, and what to do."""

    path: str
    """JSON pointer into the body (`#/spec/model`), `?parameter` or `header:name`."""
    message: str
    fix: str | None = None
    line: int | None = None
    """Where it stands in a payload that came as text with lines."""
    reason: str = "Invalid"
    """What kind of mistake it is, in one word for programs."""

    def located(self, moved: Mapping[str, str]) -> "Finding":
        """Point to where the value was written: `moved` holds that place by pointer."""
        parts = self.path.split("/")
        for count in range(len(parts), 0, -1):
            around = "/".join(parts[:count])
            if around in moved:
                return replace(self, path=moved[around] + self.path[len(around) :])
        return self


class TowpathError(Exception):
    """
    Base of every error a caller may see.

    Subclasses must name `code`, `kind` and `title`. There is no default, so a new
    error can never become a silent 500.
    """

    code: ClassVar[str]
    kind: ClassVar[Kind]
    title: ClassVar[str]
    audited: ClassVar[bool | None] = None
    """Whether a refusal is written down; none: where its kind is an attempt, and no mistake."""

    def __init_subclass__(cls, **kw: object) -> None:
        super().__init_subclass__(**kw)
        for name in ("code", "kind", "title"):
            if name not in cls.__dict__:
                raise TypeError(f"{cls.__qualname__} must define {name!r}")
        if cls.code in REGISTRY:
            raise TypeError(f"error code {cls.code!r} is already taken")
        REGISTRY[cls.code] = cls

    def __init__(
        self,
        detail: str,
        *,
        fix: str | None = None,
        findings: Sequence[Finding] = (),
        retry_after_s: int | None = None,
        members: Mapping[str, str] | None = None,
        **log: object,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fix = fix
        self.findings = tuple(findings)
        self.retry_after_s = retry_after_s
        self.members = dict(members or {})
        """What the problem document says beside what all of them say."""
        self.log = log  # never leaves the server


class InvalidRequest(TowpathError):
    """The payload, a parameter or a header is not what the route takes; `findings` say where."""

    code = "invalid_request"
    kind = Kind.INVALID
    title = "Request is not valid"


class ManifestUnreadable(TowpathError):
    """The body is neither a JSON nor a YAML document that can be a manifest."""

    code = "manifest_unreadable"
    kind = Kind.INVALID
    title = "Manifest cannot be read"


class Unauthenticated(TowpathError):
    """No credential, or one that is not (or no longer) valid."""

    code = "invalid_api_key"
    kind = Kind.UNAUTHENTICATED
    title = "Not authenticated"


class Forbidden(TowpathError):
    """The caller is known and may see the thing, and may not do this to it."""

    code = "permission_denied"
    kind = Kind.FORBIDDEN
    title = "Not allowed"


class NotFound(TowpathError):
    """The thing is not there, or the caller may not know that it is: one text for both."""

    code = "not_found"
    kind = Kind.NOT_FOUND
    title = "Not found"

    def __init__(self, noun: str, ref: str, *, fix: str | None = None) -> None:
        super().__init__(
            f"There is no {noun.replace('_', ' ')} `{ref}` that you may see.",
            fix=fix or "Check the name or id, and that your key or role belongs to its team.",
        )


class NameTaken(TowpathError):
    """Another resource of the same kind and owner has this name."""

    code = "name_taken"
    kind = Kind.CONFLICT
    title = "Name already in use"

    def __init__(self, noun: str, name: str, *, owner: str = "", fix: str | None = None) -> None:
        where = f" in {owner}" if owner else ""
        super().__init__(
            f"A {noun.replace('_', ' ')} called `{name}` already exists{where}.",
            fix=fix or "Choose another name, or use the existing one.",
        )


class InUse(TowpathError):
    """The thing cannot go while others need it."""

    code = "in_use"
    kind = Kind.CONFLICT
    title = "Still in use"

    def __init__(self, noun: str, name: str, users: Sequence[str]) -> None:
        listed = ", ".join(f"`{user}`" for user in users)
        super().__init__(
            f"The {noun.replace('_', ' ')} `{name}` is still used by {listed}.",
            fix="Delete those first, or point them elsewhere.",
        )


class RevisionConflict(TowpathError):
    """`If-Match` names a revision that is no longer the current one."""

    code = "revision_conflict"
    kind = Kind.PRECONDITION
    title = "Changed in the meantime"

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(
            f'`If-Match` says revision "{expected}", and the resource is at "{actual}".',
            fix="Read the resource again, apply the change to what it is now, and send its `ETag`.",
        )


class ConcurrentChange(TowpathError):
    """Two writes met; this one was rolled back."""

    code = "concurrent_change"
    kind = Kind.CONFLICT
    title = "Changed at the same moment"

    def __init__(self, **log: object) -> None:
        super().__init__(
            "Another change to the same resource was committed at the same moment.",
            fix="Read the resource again and repeat the request.",
        )
        self.log = log


class Unavailable(TowpathError):
    """Something the platform itself needs is not there right now."""

    code = "unavailable"
    kind = Kind.UNAVAILABLE
    title = "Not available right now"

    def __init__(
        self, detail: str, *, fix: str | None = None, retry_after_s: int = 2, **log: object
    ) -> None:
        super().__init__(
            detail,
            fix=fix or "Repeat the request after the time in `Retry-After`.",
            retry_after_s=retry_after_s,
        )
        self.log = log


class DatabaseUnavailable(Unavailable):
    """The database does not answer, is busy beyond patience, or is full."""

    code = "database_unavailable"
    kind = Kind.UNAVAILABLE
    title = "Database not available"
