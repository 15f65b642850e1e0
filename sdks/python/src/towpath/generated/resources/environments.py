"""Derived from `towpath/resources/environments.py` by `tools/derive_sync.py`; never edited."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from towpath.generated.paging import Pages
from towpath.generated.resources.noun import Caller, Noun, matching
from towpath.types import Approval, SelfService


class Approvals(Noun[Approval]):
    """What somebody asks for and another must agree to."""

    _path = "/api/v1/approvals"
    _kind = Approval

    def create(
        self, *, kind: str, payload: Mapping[str, Any], reason: str | None = None
    ) -> Approval:
        """
        Ask for something that others must agree to.

        Args:
            payload: Of a `promotion`: `deployment`, `to`, and where needed `environment` and
                `overrides`; of a `quota`: `team`, `environment` and amounts; of a `policy`:
                `policy`, `project`, `name`, `environment` and `until`, which needs a reason.

        Raises:
            UnprocessableError: `findings` has all that is wrong with it.
        """
        return self._create({"kind": kind, "payload": payload, "reason": reason})

    def approve(
        self, ref: str, *, comment: str | None = None, if_match: int | None = None
    ) -> Approval:
        """Agree; the last word that is needed does what was asked."""
        return self._say(ref, "approve", comment, if_match)

    def reject(
        self, ref: str, *, comment: str | None = None, if_match: int | None = None
    ) -> Approval:
        """Refuse; one word is enough."""
        return self._say(ref, "reject", comment, if_match)

    def list(self, **query: Any) -> Pages[Approval]:
        """List requests, newest first; filters: `state`, `kind`."""
        return self._listed(query)

    def _say(
        self, ref: str, word: str, comment: str | None, if_match: int | None
    ) -> Approval:
        answer = self._client.call(
            "POST", self._at(ref, word), body={"comment": comment}, headers=matching(if_match)
        )
        return Approval.of(*answer)


class Adoption:
    """How the platform is taken up."""

    def __init__(self, client: Caller) -> None:
        self._client = client

    def self_service(
        self,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        team: str | None = None,
    ) -> SelfService:
        """Say which part of the deployments reached Ready without the platform team's hands."""
        query = {"since": since, "until": until, "team": team}
        return SelfService.of(
            *self._client.call("GET", "/api/v1/adoption/self-service", query=query)
        )
