"""A rollout as it is answered."""

from datetime import datetime

from pydantic import Field

from towpath_server.domains.deployments.models.rollout import Evidence, Plan, Rollout
from towpath_server.domains.deployments.service.rollouts import Standing, progress
from towpath_server.web.schemas import Out, Resource, at, at_or_none


class RolloutEvidenceOut(Out):
    """What gateways counted of both revisions in the same stretch of time."""

    calls: int = Field(description="That came to the newer revision.")
    failed: int = Field(description="Of them, whoever answered them in the end.")
    refused: int = Field(description="That it answered with a 4xx.")
    p95_ms: float | None = Field(description="Of what it answered.")
    serving_calls: int
    serving_failed: int
    serving_refused: int
    serving_p95_ms: float | None
    copies: int = Field(description="Calls that were copied to it.")
    copies_failed: int
    copies_skipped: int = Field(description="Too many were under way, or the call was too large.")
    copies_p95_ms: float | None
    compared: int
    different: int
    differences: dict[str, int] = Field(
        description="Where answers differed, as JSON paths, by how many did."
    )

    @classmethod
    def of(cls, found: Evidence) -> "RolloutEvidenceOut":
        """Write it."""
        mine, other = found.candidate, found.stable
        return cls(
            calls=mine.calls,
            failed=mine.failed,
            refused=mine.refused,
            p95_ms=found.p95_ms(shadows=False),
            serving_calls=other.calls,
            serving_failed=other.failed,
            serving_refused=other.refused,
            serving_p95_ms=found.stable_p95_ms,
            copies=mine.shadow_calls,
            copies_failed=mine.shadow_failed,
            copies_skipped=mine.skipped,
            copies_p95_ms=found.p95_ms(shadows=True),
            compared=mine.compared,
            different=mine.different,
            differences=dict(mine.paths),
        )


class RolloutStageOut(Out):
    """One step of it, and what was counted in it once it is over."""

    step: int = Field(description="From 0; the last one has all of the calls.")
    weight: int = Field(description="Percent of the calls.")
    shadow_percent: int = Field(description="Percent of the calls that are copied.")
    hold_ms: int | None = Field(description="How long it is watched; null: until it is whole.")
    began_at: datetime | None = None
    ended_at: datetime | None = None
    evidence: RolloutEvidenceOut | None = None

    @classmethod
    def listed(cls, found: Rollout) -> "list[RolloutStageOut]":
        """Write all of them."""
        plan, over = found.plan, {one.step: one for one in found.stretches}
        made = []
        for step in range(len(plan.stages) + 1):
            stage = plan.stages[step] if step < len(plan.stages) else None
            told = over.get(step)
            made.append(
                cls(
                    step=step,
                    weight=stage.percent if stage else 100,
                    shadow_percent=stage.shadow_percent if stage else 0,
                    hold_ms=stage.hold_ms if stage else None,
                    began_at=at(told.from_ms) if told else None,
                    ended_at=at(told.until_ms) if told else None,
                    evidence=RolloutEvidenceOut.of(told.evidence) if told else None,
                )
            )
        return made


class RolloutLimitsOut(Out):
    """Above which it is rolled back; null: it is not looked at."""

    error_rate: float | None = Field(description="Part of the calls, from 0 to 1.")
    p95_ms: float | None
    differences: float | None = Field(description="Part of the answers compared, from 0 to 1.")
    minimum_calls: int

    @classmethod
    def of(cls, plan: Plan) -> "RolloutLimitsOut":
        """Write them."""
        return cls(**vars(plan.limits), minimum_calls=plan.minimum_calls)


class RolloutOut(Resource):
    """How a newer revision takes over from the one that serves."""

    deployment: str
    name: str
    environment: str
    deployment_revision: int = Field(description="The revision that takes over.")
    serving_revision: int = Field(description="The revision that takes the traffic.")
    state: str = Field(
        description="`preparing`, `rolling`, `paused`, `completed`, `rolled_back`, `aborted` or "
        "`replaced`."
    )
    step: int = Field(description="The step that is prepared or watched.")
    percent: int = Field(description="Of the calls, that it answers now.")
    stages: list[RolloutStageOut]
    limits: RolloutLimitsOut
    evidence: RolloutEvidenceOut = Field(description="What is counted in the step so far.")
    reason: str | None = Field(description="Why it ended, in a word.")
    message: str
    fix: str | None
    paused_by: str | None
    ended_at: datetime | None
    ended_by: str | None = Field(description="Null: it ended by itself.")

    @classmethod
    def of(cls, standing: Standing) -> "RolloutOut":
        """Write where it stands."""
        view, found = standing.view, standing.rollout
        said = found.message or progress(view, found, standing.evidence, standing.now_ms)
        return cls(
            id=found.id,
            revision=found.revision,
            created_at=at(found.created_at_ms),
            updated_at=at(found.updated_at_ms),
            deployment=found.deployment_id,
            name=view.deployment.name,
            environment=view.deployment.environment,
            deployment_revision=found.number,
            serving_revision=view.deployment.serving,
            state=found.state,
            step=found.step,
            percent=found.percent(view.sides),
            stages=RolloutStageOut.listed(found),
            limits=RolloutLimitsOut.of(found.plan),
            evidence=RolloutEvidenceOut.of(standing.evidence),
            reason=found.reason,
            message=said,
            fix=found.fix,
            paused_by=found.paused_by,
            ended_at=at_or_none(found.ended_at_ms),
            ended_by=found.ended_by,
        )
