"""What can be wrong with usage."""

from towpath_server.core.errors import Kind, TowpathError


class SequenceReused(TowpathError):
    """A gateway sent another record under a number that it has used before."""

    code = "usage_sequence_reused"
    kind = Kind.CONFLICT
    title = "Usage record number already used"

    def __init__(self, gateway_id: str, sequence: int) -> None:
        super().__init__(
            f"Gateway `{gateway_id}` sent a record number {sequence}, which the ledger holds for "
            "another request.",
            fix="The gateway's folder was restored or copied: remove the file `id` in it, so that "
            "the gateway takes a new id, and start it again.",
        )
