"""Approvals on the wire."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from towpath_server.domains.approvals.models import Answer, Approval, Decision, State
from towpath_server.web.schemas import In, Out, Resource, Text, at


class ApprovalCreate(In):
    """What is asked for, and why."""

    kind: Annotated[str, Field(min_length=1, max_length=32, examples=["promotion"])]
    payload: dict[str, Any] = Field(
        description="What the kind takes; of a `promotion`: `deployment`, `environment`, `to` and "
        "`overrides`, as `POST /deployments/{deployment}/promote` does; of a `quota`: what "
        "`POST /quotas` takes; of a `policy`: `policy`, `project`, `name` and `environment` of the "
        "deployment, and `until`."
    )
    reason: Text | None = Field(None, description="Why, for who decides.")


class DecisionIn(In):
    """What is said with a decision."""

    comment: Text | None = None


class DecisionOut(Out):
    """One person's word."""

    by: str
    by_id: str
    answer: Answer
    at: datetime
    comment: str | None

    @classmethod
    def of(cls, decision: Decision) -> "DecisionOut":
        """Write a decision."""
        return cls(
            by=decision.by,
            by_id=decision.by_id,
            answer=decision.answer,
            at=at(decision.at_ms),
            comment=decision.comment,
        )


class ApprovalOut(Resource):
    """A request that others must agree to, and what became of it."""

    kind: str
    state: State = Field(
        description="`approved`: enough agreed, and it was done at once. `void`: what it was about "
        "has changed since."
    )
    summary: str = Field(description="What would be done, in a sentence.")
    team: str
    environment: str | None
    name: str | None = Field(description="The deployment that would change.")
    digest: str | None = Field(description="The exact content that it is about.")
    payload: dict[str, Any]
    reason: str | None
    requested_by: str
    requested_by_id: str
    needed: int = Field(description="How many others must agree.")
    decisions: list[DecisionOut]
    expires_at: datetime
    note: str | None = Field(description="Why it is void.")
    result: dict[str, Any] | None = Field(description="What came of it.")

    @classmethod
    def of(cls, approval: Approval) -> "ApprovalOut":
        """Write a request."""
        return cls(
            id=approval.id,
            revision=approval.revision,
            created_at=at(approval.created_at_ms),
            updated_at=at(approval.updated_at_ms),
            kind=approval.kind,
            state=approval.state,
            summary=approval.summary,
            team=approval.team,
            environment=approval.environment,
            name=approval.name,
            digest=approval.digest,
            payload=dict(approval.payload),
            reason=approval.reason,
            requested_by=approval.requested_by_name,
            requested_by_id=approval.requested_by,
            needed=approval.needed,
            decisions=[DecisionOut.of(one) for one in approval.decisions],
            expires_at=at(approval.expires_at_ms),
            note=approval.note,
            result=dict(approval.result) if approval.result is not None else None,
        )
