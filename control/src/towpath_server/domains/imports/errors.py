"""What can be wrong with an import."""

from towpath_server.core.errors import Kind, TowpathError


class TooManyImports(TowpathError):
    """A project has as many imports under way as it may have."""

    code = "too_many_imports"
    kind = Kind.CONFLICT
    title = "Too many imports under way"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit} imports of the project are under way, as many as may be.",
            fix="Wait until one ends, or cancel one: `towpath imports list`.",
        )


class SourceUnusable(TowpathError):
    """A URI names no source, or one that the team has no connection for; `findings` say which."""

    code = "source_unusable"
    kind = Kind.INVALID
    title = "Source cannot be used"
