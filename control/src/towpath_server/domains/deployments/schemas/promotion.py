"""Promotions on the wire."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from towpath_server.core.errors import Finding, InvalidRequest
from towpath_server.domains.deployments.models.history import Promotion
from towpath_server.web.schemas import In, Ref, Text

Environment = Literal["sandbox", "staging", "production"]


class PromotionIn(In):
    """To where, and what differs there."""

    to: Environment
    overrides: dict[str, Any] | None = Field(
        None,
        description="Parts of `spec` that differ there, laid over the manifest's own `overrides`.",
    )
    reason: Text | None = Field(
        None,
        description="Why nobody else is asked, from somebody who may approve; it stays in the "
        "history.",
    )

    def promotion(self, ref: str, environment: str | None) -> Promotion:
        """Read it."""
        return Promotion(
            ref=ref,
            to=self.to,
            environment=environment,
            overrides=self.overrides,
            reason=self.reason,
        )


class _Asked(In):
    deployment: Ref
    environment: Environment | None = None
    to: Environment
    overrides: dict[str, Any] | None = None


def asked(payload: Mapping[str, Any]) -> Promotion:
    """
    Read a promotion that others are to agree to.

    Raises:
        InvalidRequest: It is none; every finding is listed.
    """
    try:
        found = _Asked.model_validate(dict(payload))
    except ValidationError as error:
        findings = [
            Finding(
                "#/payload" + "".join(f"/{part}" for part in entry["loc"]),
                f"{entry['msg']}.",
                "Give `deployment`, `to`, and where needed `environment` and `overrides`.",
            )
            for entry in error.errors(include_url=False)
        ]
        raise InvalidRequest(
            "The payload is no promotion.", fix=findings[0].fix, findings=findings
        ) from error
    return Promotion(found.deployment, found.to, found.environment, found.overrides)
