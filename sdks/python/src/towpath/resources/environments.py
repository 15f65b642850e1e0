"""Who agrees to what goes on, and how much goes on without the platform team."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from towpath.paging import AsyncPages
from towpath.resources.noun import AsyncCaller, AsyncNoun, matching
from towpath.types import Approval, SelfService


class AsyncApprovals(AsyncNoun[Approval]):
    """What somebody asks for and another must agree to."""

    _path = "/api/v1/approvals"
    _kind = Approval

    async def create(
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
        return await self._create({"kind": kind, "payload": payload, "reason": reason})

    async def approve(
        self, ref: str, *, comment: str | None = None, if_match: int | None = None
    ) -> Approval:
        """Agree; the last word that is needed does what was asked."""
        return await self._say(ref, "approve", comment, if_match)

    async def reject(
        self, ref: str, *, comment: str | None = None, if_match: int | None = None
    ) -> Approval:
        """Refuse; one word is enough."""
        return await self._say(ref, "reject", comment, if_match)

    def list(self, **query: Any) -> AsyncPages[Approval]:
        """List requests, newest first; filters: `state`, `kind`."""
        return self._listed(query)

    async def _say(
        self, ref: str, word: str, comment: str | None, if_match: int | None
    ) -> Approval:
        answer = await self._client.call(
            "POST", self._at(ref, word), body={"comment": comment}, headers=matching(if_match)
        )
        return Approval.of(*answer)


class AsyncAdoption:
    """How the platform is taken up."""

    def __init__(self, client: AsyncCaller) -> None:
        self._client = client

    async def self_service(
        self,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        team: str | None = None,
    ) -> SelfService:
        """Say which part of the deployments reached Ready without the platform team's hands."""
        query = {"since": since, "until": until, "team": team}
        return SelfService.of(
            *await self._client.call("GET", "/api/v1/adoption/self-service", query=query)
        )
