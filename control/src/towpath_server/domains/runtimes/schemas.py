"""Runtimes on the wire."""

from dataclasses import asdict

from towpath_server.domains.runtimes.models import Range, Runtime
from towpath_server.web.schemas import Out


class RangeOut(Out):
    """What a value may be; absent bounds are open."""

    minimum: float | None = None
    maximum: float | None = None
    default: float | None = None
    max_bytes: int | None = None
    max_items: int | None = None

    @classmethod
    def of(cls, rule: Range) -> "RangeOut":
        """Write a range."""
        return cls(**asdict(rule))


class RuntimeOut(Out):
    """A way to serve some formats."""

    name: str
    version: str
    formats: list[str]
    dialect: str
    operations: list[str]
    quirks: list[str]
    """Where it departs from its dialect."""
    request_fields: dict[str, RangeOut]
    """Request fields that reach the engine."""
    args: dict[str, RangeOut]
    """Start arguments that a manifest may set."""
    code_formats: list[str]
    """Formats with code that it is made for."""
    shipped: bool

    @classmethod
    def of(cls, runtime: Runtime) -> "RuntimeOut":
        """Write a runtime; how it is started stays inside."""
        return cls(
            name=runtime.name,
            version=runtime.version,
            formats=list(runtime.formats),
            dialect=runtime.dialect,
            operations=list(runtime.operations),
            quirks=list(runtime.quirks),
            request_fields={n: RangeOut.of(rule) for n, rule in runtime.request_fields.items()},
            args={name: RangeOut.of(rule) for name, rule in runtime.args.items()},
            code_formats=list(runtime.code_formats),
            shipped=runtime.shipped,
        )
