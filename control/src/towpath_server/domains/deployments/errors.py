"""What can be wrong with a deployment."""

from collections.abc import Sequence

from towpath_server.core.errors import Finding, Kind, TowpathError


class ManifestInvalid(TowpathError):
    """The manifest was refused; `findings` hold everything that is wrong, each with its fix."""

    code = "manifest_invalid"
    kind = Kind.INVALID
    title = "Manifest was refused"

    def __init__(self, findings: Sequence[Finding]) -> None:
        count = len(findings)
        first = findings[0]
        more = f" ({count - 1} more in `findings`)" if count > 1 else ""
        super().__init__(
            f"The manifest is refused at `{first.path}`: {first.message}{more} "
            "Nothing was changed.",
            fix=first.fix or "Correct what `findings` names and send it again.",
            findings=findings,
        )


class BeingDeleted(TowpathError):
    """A deployment of this name is still on its way out."""

    code = "being_deleted"
    kind = Kind.CONFLICT
    title = "Deployment is being deleted"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The deployment `{name}` is being deleted; its model servers are still ending.",
            fix="Repeat the request in a few seconds.",
        )


class SourceFetching(TowpathError):
    """The model comes from outside and is on its way; nothing else is wrong so far."""

    code = "source_fetching"
    kind = Kind.CONFLICT
    title = "Model is on its way"
    audited = False  # whoever waits asks once a second

    def __init__(self, finding: Finding, *, id: str) -> None:  # noqa: A002
        super().__init__(
            f"{finding.message} Nothing was deployed yet.",
            fix=finding.fix,
            findings=[finding],
            retry_after_s=1,
            members={"import": id},
        )


class NothingBefore(TowpathError):
    """There is no earlier revision to go back to."""

    code = "nothing_before"
    kind = Kind.CONFLICT
    title = "Nothing to go back to"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"No revision of `{name}` before the newest one has taken traffic.",
            fix=f"Name one of `towpath deployments history {name}`, or deploy another manifest.",
        )


class RolloutOver(TowpathError):
    """What is asked for would change a rollout that has ended."""

    code = "rollout_over"
    kind = Kind.CONFLICT
    title = "Rollout is over"

    def __init__(self, name: str, number: int, how: str) -> None:
        super().__init__(
            f"The rollout of revision {number} of `{name}` is over: {how.replace('_', ' ')}.",
            fix=f"See how it went: `towpath deployments rollout {name}`.",
        )
