"""Adoption on the wire."""

from datetime import datetime

from pydantic import Field

from towpath_server.domains.deployments.models.history import SelfService
from towpath_server.web.schemas import Out, at


class ReasonOut(Out):
    """Why deployments did not get there by themselves, and how many."""

    reason: str = Field(
        description="`deployed_by_platform`, `approved_by_platform`, `not_ready_yet`, "
        "`gone_before_ready`, or the condition and reason that stood in the way: "
        "`Loaded: CrashLoop`."
    )
    deployments: int


class SelfServiceOut(Out):
    """How many deployments reached Ready without the platform team's hands."""

    since: datetime
    until: datetime
    deployments: int = Field(description="Deployments that were made in that time.")
    self_service: int = Field(description="Those that reached Ready by their teams alone.")
    rate: float | None = Field(description="The part of them; null: there were none.")
    items: list[ReasonOut] = Field(description="The reasons of the rest, the commonest first.")

    @classmethod
    def of(cls, found: SelfService) -> "SelfServiceOut":
        """Write a rate."""
        return cls(
            since=at(found.since_ms),
            until=at(found.until_ms),
            deployments=found.all,
            self_service=found.reached,
            rate=found.rate,
            items=[
                ReasonOut(reason=reason, deployments=count)
                for reason, count in found.reasons.items()
            ],
        )
