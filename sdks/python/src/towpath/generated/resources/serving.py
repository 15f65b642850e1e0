"""Derived from `towpath/resources/serving.py` by `tools/derive_sync.py`; never edited."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict, Unpack

from towpath.generated.paging import Pages
from towpath.generated.resources.noun import Noun, PlacedNoun, matching
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


class Deployments(PlacedNoun[Deployment]):
    """Models, served from a manifest."""

    _path = "/api/v1/deployments"
    _kind = Deployment

    def create(
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
        answer = self._client.call(
            "POST",
            self._path,
            body=manifest,
            query={"environment": environment},
            headers=matching(if_match),
        )
        return Deployment.of(*answer)

    def check(
        self, *, manifest: Mapping[str, Any], environment: Environment = "sandbox"
    ) -> DeploymentCheck:
        """
        Say what a manifest would come to, and change nothing.

        Raises:
            UnprocessableError: `findings` has all that is wrong.
        """
        query = {"environment": environment, "dry_run": True}
        return DeploymentCheck.of(
            *self._client.call("POST", self._path, body=manifest, query=query)
        )

    def logs(
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
            *self._client.call("GET", self._at(ref, "logs"), query=query)
        )

    def list(self, **query: Any) -> Pages[Deployment]:
        """List deployments; filters: `project`, `environment`."""
        return self._listed(query)


class Endpoints(PlacedNoun[Endpoint]):
    """Names that callers use, in their environments."""

    _path = "/api/v1/endpoints"
    _kind = Endpoint

    def create(self, **endpoint: Unpack[EndpointCreate]) -> Endpoint:
        """Create an endpoint."""
        return self._create(endpoint)

    def update(self, ref: str, *, if_match: int | None = None, **changes: Any) -> Endpoint:
        """Change an endpoint; what is not given stays."""
        return self._update(ref, changes, if_match)

    def list(self, **query: Any) -> Pages[Endpoint]:
        """List endpoints; filters: `project`, `environment`."""
        return self._listed(query)


class Providers(Noun[Provider]):
    """Vendors' APIs outside."""

    _path = "/api/v1/providers"
    _kind = Provider

    def create(
        self, *, name: str, base_url: str, dialect: str = "openai", **more: Any
    ) -> Provider:
        """Add a provider; `base_url` is as in OpenAI clients, with `/v1`."""
        return self._create({"name": name, "dialect": dialect, "base_url": base_url, **more})

    def update(self, ref: str, *, if_match: int | None = None, **changes: Any) -> Provider:
        """Change a provider; what is not given stays."""
        return self._update(ref, changes, if_match)

    def list(self, **query: Any) -> Pages[Provider]:
        """List providers."""
        return self._listed(query)


class Nodes(Noun[Node]):
    """Machines that models run on."""

    _path = "/api/v1/nodes"
    _kind = Node

    def list(self, **query: Any) -> Pages[Node]:
        """List nodes."""
        return self._listed(query)
