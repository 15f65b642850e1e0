"""What can be wrong with an evaluation."""

from towpath_server.core.errors import Kind, TowpathError


class DigestOfAnother(TowpathError):
    """The result is of another content than the version has."""

    code = "digest_of_another"
    kind = Kind.CONFLICT
    title = "Another content was evaluated"

    def __init__(self, uri: str, digest: str, given: str) -> None:
        super().__init__(
            f"`{uri}` has the digest `{digest}`, and the result is of `{given}`.",
            fix="Record it for the version that has this digest, or evaluate this one.",
        )
