"""What may be deployed."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from towpath.paging import AsyncPages
from towpath.resources.noun import AsyncNoun, matching
from towpath.types import DefaultPolicy, Policy, PolicyEvaluation, PolicyVersion


class AsyncPolicies(AsyncNoun[Policy]):
    """The organisation's rules for what may be deployed, and those of teams."""

    _path = "/api/v1/policies"
    _kind = Policy

    async def apply(self, document: Mapping[str, Any], *, if_match: int | None = None) -> Policy:
        """
        Set a policy from its document; the same name again replaces it.

        Raises:
            UnprocessableError: Nothing was changed; `findings` has all that is wrong.
        """
        headers = matching(if_match)
        return Policy.of(
            *await self._client.call("POST", self._path, body=document, headers=headers)
        )

    def list(self, **query: Any) -> AsyncPages[Policy]:
        """List the organisation's policies and those of the own teams."""
        return self._listed(query)

    def versions(self, ref: str, **query: Any) -> AsyncPages[PolicyVersion]:
        """List what a policy said, the newest first."""
        return self._listed(query, path=self._at(ref, "versions"), kind=PolicyVersion)

    async def evaluate(
        self,
        cases: Sequence[Mapping[str, Any]],
        *,
        policies: Sequence[Mapping[str, Any]] | None = None,
        team: str | None = None,
    ) -> PolicyEvaluation:
        """
        Try policies out on manifests that nobody deploys.

        Args:
            cases: Each with `environment`, `manifest` and, where they matter, `facts`.
            policies: Documents that need not be in force; None: those that are.
            team: Whose policies hold beside the organisation's.

        Raises:
            UnprocessableError: A policy or a case cannot be used; `findings` says why.
        """
        body: dict[str, Any] = {"cases": cases}
        if policies is not None:
            body["policies"] = policies
        if team is not None:
            body["team"] = team
        path = f"{self._path}/evaluate"
        return PolicyEvaluation.of(*await self._client.call("POST", path, body=body))

    def defaults(self, **query: Any) -> AsyncPages[DefaultPolicy]:
        """List the policies that come with the platform, as they come."""
        return self._listed(query, path="/api/v1/policy-defaults", kind=DefaultPolicy)

    async def default(self, name: str) -> DefaultPolicy:
        """Return one that comes with the platform, as it comes."""
        path = f"/api/v1/policy-defaults/{quote(name, safe='')}"
        return DefaultPolicy.of(*await self._client.call("GET", path))
