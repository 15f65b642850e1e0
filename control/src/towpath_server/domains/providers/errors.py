"""What can be wrong with a provider."""

from collections.abc import Sequence

from towpath_server.core.errors import Kind, TowpathError


class DialectUnsupported(TowpathError):
    """The gateway does not speak this wire protocol to this kind of upstream."""

    code = "dialect_unsupported"
    kind = Kind.INVALID
    title = "Dialect is not spoken yet"

    def __init__(self, dialect: str, spoken: Sequence[str]) -> None:
        listed = ", ".join(f"`{name}`" for name in spoken)
        super().__init__(
            f"The gateway does not speak `{dialect}` here.",
            fix=f"Use one of {listed}; most vendors and servers also speak `openai`.",
        )


class UpstreamAddressInvalid(TowpathError):
    """A URL cannot be the address of an upstream."""

    code = "upstream_address_invalid"
    kind = Kind.INVALID
    title = "Not the address of an upstream"
