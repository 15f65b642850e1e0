"""What can be wrong with a block."""

from towpath_server.core.errors import Kind, TowpathError


class AlreadyBlocked(TowpathError):
    """The thing is blocked, and one block is enough."""

    code = "already_blocked"
    kind = Kind.CONFLICT
    title = "Blocked already"

    def __init__(self, what: str, name: str, block: str) -> None:
        super().__init__(
            f"The {what} `{name}` is blocked already, by `{block}`.",
            fix=f"Nothing is needed; to let it go again: `towpath unblock {what} {name}`.",
        )
