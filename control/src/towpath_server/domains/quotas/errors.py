"""What can be wrong with a quota."""

from towpath_server.core.errors import Kind, TowpathError


class QuotaSet(TowpathError):
    """The team has a quota in this environment already."""

    code = "quota_set"
    kind = Kind.CONFLICT
    title = "Quota is set already"

    def __init__(self, team: str, environment: str, quota_id: str) -> None:
        super().__init__(
            f"The team `{team}` has a quota in {environment} already.",
            fix=f"Change it: `PATCH /api/v1/quotas/{quota_id}`, or `towpath quotas set {team} "
            f"--environment {environment}`.",
        )
