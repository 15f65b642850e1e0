"""The audit log on the wire."""

from datetime import datetime
from typing import Any

from towpath_server.domains.audit.models import Event, Outcome
from towpath_server.web.schemas import Out, at


class ActorOut(Out):
    """Who acted."""

    kind: str
    id: str
    name: str


class EventOut(Out):
    """One attempt to change something."""

    id: str
    time: datetime
    principal: ActorOut
    action: str
    noun: str
    resource_id: str | None
    team: str | None
    outcome: Outcome
    code: str | None
    detail: str | None
    request_id: str | None
    changes: dict[str, Any] | None

    @classmethod
    def of(cls, event: Event) -> "EventOut":
        """Write an event."""
        return cls(
            id=event.id,
            time=at(event.at_ms),
            principal=ActorOut(
                kind=event.principal_kind, id=event.principal_id, name=event.principal_name
            ),
            action=event.action,
            noun=event.noun,
            resource_id=event.resource_id,
            team=event.team_id,
            outcome=event.outcome,
            code=event.code,
            detail=event.detail,
            request_id=event.request_id,
            changes=dict(event.changes) if event.changes is not None else None,
        )
