"""What can be wrong with a policy."""

from collections.abc import Sequence

from towpath_server.core.errors import Finding, Kind, TowpathError


class PolicyInvalid(TowpathError):
    """The policy was refused; `findings` hold everything that is wrong, each with its place."""

    code = "policy_invalid"
    kind = Kind.INVALID
    title = "Policy was refused"

    def __init__(self, findings: Sequence[Finding]) -> None:
        first = findings[0]
        more = f" ({len(findings) - 1} more in `findings`)" if len(findings) > 1 else ""
        super().__init__(
            f"The policy is refused at `{first.path}`: {first.message}{more} Nothing was changed.",
            fix=first.fix or "Correct what `findings` names and send it again.",
            findings=findings,
        )
