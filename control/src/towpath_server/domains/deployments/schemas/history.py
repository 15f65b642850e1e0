"""What took traffic when, and how many got there by themselves, on the wire."""

from datetime import datetime

from pydantic import Field

from towpath_server.domains.deployments.models.history import Exposure, Origin
from towpath_server.web.schemas import Out, at, at_or_none


class SourceOut(Out):
    """What a promotion carried on, or a rollback came back to."""

    deployment: str
    environment: str
    revision: int


class OriginOut(Out):
    """How a revision came about."""

    how: str = Field(description="`manifest`, `promotion` or `rollback`.")
    by: str
    by_id: str
    source: SourceOut | None
    approval: str | None = Field(description="Id of the approval.")
    approved_by: list[str]
    reason: str | None = Field(description="Why it went on without approval.")

    @classmethod
    def of(cls, origin: Origin) -> "OriginOut":
        """Write an origin."""
        source = origin.source
        return cls(
            how=origin.how,
            by=origin.by,
            by_id=origin.by_id,
            source=SourceOut(
                deployment=source.deployment_id,
                environment=source.environment,
                revision=source.revision,
            )
            if source
            else None,
            approval=origin.approval,
            approved_by=[*origin.approved_by],
            reason=origin.reason,
        )


class ServedOut(Out):
    """A stretch of time in which a version took traffic."""

    id: str
    deployment: str
    name: str
    environment: str
    project: str
    revision: int
    version: int
    digest: str
    runtime: str
    from_: datetime = Field(serialization_alias="from")
    until: datetime | None = Field(description="Null: it still does.")
    origin: OriginOut | None

    @classmethod
    def of(cls, exposure: Exposure) -> "ServedOut":
        """Write an exposure."""
        return cls(
            id=exposure.id,
            deployment=exposure.deployment_id,
            name=exposure.name,
            environment=exposure.environment,
            project=exposure.project_path,
            revision=exposure.number,
            version=exposure.version,
            digest=exposure.digest,
            runtime=exposure.runtime,
            from_=at(exposure.from_ms),
            until=at_or_none(exposure.until_ms),
            origin=OriginOut.of(exposure.origin) if exposure.origin else None,
        )
