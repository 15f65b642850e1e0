"""Deployments as they are answered."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from towpath_server.domains.deployments.models import (
    Checked,
    Condition,
    Replica,
    Revision,
    View,
)
from towpath_server.domains.deployments.models.proving import Event
from towpath_server.domains.deployments.schemas.history import OriginOut
from towpath_server.domains.evaluations.models import Outcome
from towpath_server.web.money import PriceOut
from towpath_server.web.problems import FindingOut
from towpath_server.web.schemas import In, Out, Resource, at, at_or_none


class ResultOut(Out):
    """What became of one smoke test or gate."""

    name: str
    outcome: Outcome
    message: str
    fix: str | None
    ms: int | None = Field(description="How long the slowest answer took.")
    first_ms: int | None = Field(description="How long the first event of a stream took.")


class ConditionOut(Out):
    """One step: whether it is done, why, and what to do when it is bad news."""

    type: str
    status: str
    reason: str
    message: str
    fix: str | None = None
    changed_at: datetime
    results: list[ResultOut] = Field(
        default_factory=list, description="What became of each smoke test, or of each gate."
    )

    @classmethod
    def of(cls, condition: Condition) -> "ConditionOut":
        """Write a condition."""
        return cls(
            type=condition.type,
            status=condition.status,
            reason=condition.reason,
            message=condition.message,
            fix=condition.fix,
            changed_at=at(condition.changed_at_ms),
            results=[ResultOut(**vars(one)) for one in condition.results],
        )


class ModelOut(Out):
    """The registry version behind it."""

    name: str
    version: int
    digest: str


class RuntimeOut(Out):
    """What serves it."""

    name: str
    version: str
    args: list[str]


class ReplicaOut(Out):
    """One model server."""

    id: str
    ordinal: int
    revision: int = Field(description="The revision it serves.")
    state: str
    restarts: int
    reason: str | None = None
    message: str | None = None
    retiring: bool = False
    gpus: list[str] = Field(default=[], description="GPUs that are its own, by UUID.")
    isolation: list[str] = Field(
        default=[], description="Measures that shut its process in; none: it is not isolated."
    )

    @classmethod
    def of(cls, replica: Replica) -> "ReplicaOut":
        """Write a replica; where it listens stays inside."""
        return cls(
            id=replica.id,
            ordinal=replica.ordinal,
            revision=replica.number,
            state=replica.state,
            restarts=replica.restarts,
            reason=replica.reason,
            message=replica.message,
            retiring=replica.retiring,
            gpus=list(replica.gpus),
            isolation=list(replica.isolation),
        )


class DeploymentOut(Resource):
    """A model that is served, and how far it is."""

    name: str
    environment: str
    project: str
    endpoint: str = Field(description="Name of the endpoint it declares.")
    phase: str
    conditions: list[ConditionOut]
    warnings: list[FindingOut] = Field(
        description="What policies said of the newest revision, without standing in its way."
    )
    serving_revision: int | None = Field(description="The revision that takes the traffic.")
    model: ModelOut
    runtime: RuntimeOut
    operations: list[str]
    replicas: list[ReplicaOut]
    replicas_wanted: int
    replicas_ready: int
    gpus: int | None = Field(description="GPUs of one replica.")
    prices: list[PriceOut]
    manifest: dict[str, Any]
    origin: OriginOut | None = Field(description="How its newest revision came about.")
    first_ready_at: datetime | None
    expires_at: datetime | None = Field(
        description="When it is taken away from the sandbox unless it is renewed."
    )

    @classmethod
    def of(cls, view: View) -> "DeploymentOut":
        """Write a deployment."""
        deployment, current = view.deployment, view.current
        workload = current.workload
        return cls(
            id=deployment.id,
            revision=deployment.revision,
            created_at=at(deployment.created_at_ms),
            updated_at=at(deployment.updated_at_ms),
            name=deployment.name,
            environment=deployment.environment,
            project=deployment.project_path,
            endpoint=deployment.name,
            phase=deployment.phase,
            conditions=[ConditionOut.of(condition) for condition in deployment.conditions],
            warnings=[FindingOut.of(finding) for finding in current.warnings],
            serving_revision=deployment.serving or None,
            model=_model(workload.model, workload.version, workload.model_digest),
            runtime=RuntimeOut(
                name=workload.runtime,
                version=workload.runtime_version,
                args=list(workload.args),
            ),
            operations=list(current.serving.operations),
            replicas=[ReplicaOut.of(replica) for replica in view.replicas],
            replicas_wanted=view.wanted(current),
            replicas_ready=len(view.exposed),
            gpus=current.serving.gpus,
            prices=[PriceOut.of(price) for price in view.prices],
            manifest=dict(current.manifest),
            origin=OriginOut.of(current.origin) if current.origin else None,
            first_ready_at=at_or_none(deployment.first_ready_at_ms),
            expires_at=at_or_none(deployment.expires_at_ms),
        )


class RevisionOut(Out):
    """What was declared at one time."""

    deployment: str
    revision: int
    model: ModelOut
    runtime: RuntimeOut
    replicas_wanted: int
    manifest: dict[str, Any]
    created_at: datetime
    created_by: str
    exposed_at: datetime | None = Field(description="When it first took the traffic.")
    serving: bool = Field(description="Whether it takes the traffic now.")
    proved_by: int | None = Field(
        description="An earlier revision that was asked the same of the same content."
    )
    note: str | None
    rollout: str | None = Field(
        None, description="How taking over step by step went, such as `rolled_back`."
    )
    rollout_message: str | None = Field(None, description="Why it ended, with its numbers.")

    @classmethod
    def of(cls, view: View, revision: Revision) -> "RevisionOut":
        """Write a revision."""
        workload = revision.workload
        return cls(
            deployment=revision.deployment_id,
            revision=revision.number,
            model=_model(workload.model, workload.version, workload.model_digest),
            runtime=RuntimeOut(
                name=workload.runtime,
                version=workload.runtime_version,
                args=list(workload.args),
            ),
            replicas_wanted=revision.scaling.most,
            manifest=dict(revision.manifest),
            created_at=at(revision.created_at_ms),
            created_by=revision.created_by,
            exposed_at=at_or_none(revision.exposed_at_ms),
            serving=view.deployment.serving == revision.number,
            proved_by=revision.proved_by,
            note=revision.note,
            rollout=revision.rollout.state if revision.rollout else None,
            rollout_message=revision.rollout.message if revision.rollout else None,
        )


class EventOut(Out):
    """One change of a condition, or of the phase (`type` is `Phase` then)."""

    id: str
    at: datetime
    revision: int
    type: str
    status: str
    reason: str
    message: str

    @classmethod
    def of(cls, event: Event) -> "EventOut":
        """Write an event."""
        return cls(
            id=event.id,
            at=at(event.at_ms),
            revision=event.number,
            type=event.type,
            status=event.status,
            reason=event.reason,
            message=event.message,
        )


class RollbackIn(In):
    """Where to go back to."""

    to: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Number of a revision; absent: the last one that took traffic before."
    )


class CheckedOut(Out):
    """What a manifest would come to; nothing was changed."""

    dry_run: bool = True
    name: str
    environment: str
    project: str
    deployment: str | None = Field(description="Id of the deployment it would change.")
    message: str
    warnings: list[FindingOut] = Field(
        description="What policies say, without standing in its way."
    )
    model: ModelOut
    runtime: RuntimeOut
    operations: list[str]
    replicas_wanted: int
    gpus: int | None = Field(description="GPUs of one replica.")
    prices: list[dict[str, str]]

    @classmethod
    def of(cls, checked: Checked) -> "CheckedOut":
        """Write the outcome of a check."""
        workload = checked.workload
        return cls(
            name=checked.name,
            environment=checked.environment,
            project=checked.project_path,
            deployment=checked.deployment_id,
            message=checked.message,
            warnings=[FindingOut.of(finding) for finding in checked.warnings],
            model=_model(workload.model, workload.version, workload.model_digest),
            runtime=RuntimeOut(
                name=workload.runtime,
                version=workload.runtime_version,
                args=list(workload.args),
            ),
            operations=list(checked.serving.operations),
            replicas_wanted=checked.scaling.most,
            gpus=checked.serving.gpus,
            prices=[price.amounts.written() for price in checked.prices],
        )


def _model(name: str, version: int, digest: str) -> ModelOut:
    return ModelOut(name=name, version=version, digest=digest)
