"""Logged bodies on the wire."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import Field

from towpath_server.domains.bodies.models import Entry
from towpath_server.web.schemas import Out, at


class BodyOut(Out):
    """One body, redacted by its project's rules."""

    content_type: str | None = None
    text: str = Field(description="As it was sent; bytes that are no UTF-8 are replaced.")
    bytes: int = Field(description="Size of the whole body.")
    truncated: bool = Field(description="Whether `text` ends before the body did.")


class BodiesOut(Out):
    """What one request sent and was answered."""

    request_id: str
    time: datetime
    project: str = Field(description="Id of the project.")
    status: int
    request: BodyOut
    response: BodyOut

    @classmethod
    def of(cls, entry: Entry, document: Mapping[str, Any]) -> "BodiesOut":
        """Write the bodies of a request."""
        return cls(
            request_id=entry.request_id,
            time=at(entry.at_ms),
            project=entry.project_id,
            status=document["status"],
            request=BodyOut.model_validate(document["request"]),
            response=BodyOut.model_validate(document["response"]),
        )
