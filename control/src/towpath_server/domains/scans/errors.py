"""What can be wrong with the content of a model."""

from collections.abc import Sequence

from towpath_server.core.errors import Finding, Kind, TowpathError


class ArtifactRefused(TowpathError):
    """The scan found what no model may have; `findings` name files, reasons and fixes."""

    code = "artifact_refused"
    kind = Kind.INVALID
    title = "Artifact was refused"
    audited = True

    def __init__(self, findings: Sequence[Finding]) -> None:
        first = findings[0]
        count = len(findings) - 1
        more = f" ({count} more in `findings`)" if count else ""
        super().__init__(
            f"The model is refused: {first.message}{more} Nothing was registered.",
            fix=first.fix,
            findings=findings,
        )
