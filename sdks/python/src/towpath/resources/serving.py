"""What is served and where: deployments, endpoints, providers, nodes."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict, Unpack

from towpath.paging import AsyncPages
from towpath.resources.noun import AsyncNoun, AsyncPlacedNoun, matching
from towpath.types import (
    Deployment,
    DeploymentCheck,
    DeploymentLogs,
    Endpoint,
    Environment,
    Node,
    Provider,
)


class EndpointCreate(TypedDict):
    """A name that callers use, with what stands behind it."""

    name: str
    environment: Environment
    project: NotRequired[str]
    targets: Sequence[Mapping[str, Any]]
    fallback: NotRequired[Sequence[Mapping[str, Any]]]
    access: NotRequired[Mapping[str, Any]]
    timeouts: NotRequired[Mapping[str, int]]


class AsyncDeployments(AsyncPlacedNoun[Deployment]):
    """Models, served from a manifest."""

    _path = "/api/v1/deployments"
    _kind = Deployment

    async def create(
        self,
        *,
        manifest: Mapping[str, Any],
        environment: Environment = "sandbox",
        if_match: int | None = None,
    ) -> Deployment:
        """
        Deploy, or change what is deployed under the manifest's name; model servers follow.

        Raises:
            UnprocessableError: Nothing was changed; `findings` has all that is wrong.
        """
        answer = await self._client.call(
            "POST",
            self._path,
            body=manifest,
            query={"environment": environment},
            headers=matching(if_match),
        )
        return Deployment.of(*answer)

    async def check(
        self, *, manifest: Mapping[str, Any], environment: Environment = "sandbox"
    ) -> DeploymentCheck:
        """
        Say what a manifest would come to, and change nothing.

        Raises:
            UnprocessableError: `findings` has all that is wrong.
        """
        query = {"environment": environment, "dry_run": True}
        return DeploymentCheck.of(
            *await self._client.call("POST", self._path, body=manifest, query=query)
        )

    async def logs(
        self,
        ref: str,
        *,
        environment: Environment | None = None,
        replica: str | None = None,
        tail: int | None = None,
    ) -> DeploymentLogs:
        """Return the last lines of the model servers; `replica` is an id or an ordinal."""
        query = {"environment": environment, "replica": replica, "tail": tail}
        return DeploymentLogs.of(
            *await self._client.call("GET", self._at(ref, "logs"), query=query)
        )

    def list(self, **query: Any) -> AsyncPages[Deployment]:
        """List deployments; filters: `project`, `environment`."""
        return self._listed(query)


class AsyncEndpoints(AsyncPlacedNoun[Endpoint]):
    """Names that callers use, in their environments."""

    _path = "/api/v1/endpoints"
    _kind = Endpoint

    async def create(self, **endpoint: Unpack[EndpointCreate]) -> Endpoint:
        """Create an endpoint."""
        return await self._create(endpoint)

    async def update(self, ref: str, *, if_match: int | None = None, **changes: Any) -> Endpoint:
        """Change an endpoint; what is not given stays."""
        return await self._update(ref, changes, if_match)

    def list(self, **query: Any) -> AsyncPages[Endpoint]:
        """List endpoints; filters: `project`, `environment`."""
        return self._listed(query)


class AsyncProviders(AsyncNoun[Provider]):
    """Vendors' APIs outside."""

    _path = "/api/v1/providers"
    _kind = Provider

    async def create(
        self, *, name: str, base_url: str, dialect: str = "openai", **more: Any
    ) -> Provider:
        """Add a provider; `base_url` is as in OpenAI clients, with `/v1`."""
        return await self._create({"name": name, "dialect": dialect, "base_url": base_url, **more})

    async def update(self, ref: str, *, if_match: int | None = None, **changes: Any) -> Provider:
        """Change a provider; what is not given stays."""
        return await self._update(ref, changes, if_match)

    def list(self, **query: Any) -> AsyncPages[Provider]:
        """List providers."""
        return self._listed(query)


class AsyncNodes(AsyncNoun[Node]):
    """Machines that models run on."""

    _path = "/api/v1/nodes"
    _kind = Node

    def list(self, **query: Any) -> AsyncPages[Node]:
        """List nodes."""
        return self._listed(query)
