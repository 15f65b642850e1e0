"""What can be wrong with an approval."""

from towpath_server.core.errors import Kind, TowpathError


class ApprovalClosed(TowpathError):
    """The request was decided, has expired, or what it was about has changed."""

    code = "approval_closed"
    kind = Kind.CONFLICT
    title = "No longer open"

    def __init__(self, summary: str, state: str, note: str | None) -> None:
        why = f" ({note})" if note else ""
        super().__init__(
            f"The request `{summary}` is {state}{why}; nothing was changed.",
            fix="Ask anew: what is agreed to then is about what is there now.",
        )


class OwnRequest(TowpathError):
    """Nobody approves what they asked for themselves."""

    code = "own_request"
    kind = Kind.FORBIDDEN
    title = "Own request"

    def __init__(self) -> None:
        super().__init__(
            "Nobody approves their own request.",
            fix="Ask another admin of the team, or those who run the platform.",
        )


class DecidedAlready(TowpathError):
    """One person's word counts once."""

    code = "decided_already"
    kind = Kind.CONFLICT
    title = "Already decided"

    def __init__(self, agreed: int, needed: int) -> None:
        super().__init__(
            f"Your word is among the {agreed} of {needed} that this request needs.",
            fix="Another admin of the team, or those who run the platform, must agree as well.",
        )
