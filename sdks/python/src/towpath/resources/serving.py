"""What is served and where: deployments, endpoints, providers, nodes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NotRequired, Protocol, TypedDict, Unpack
from urllib.parse import quote

from towpath.paging import AsyncPages
from towpath.resources.noun import AsyncCaller, AsyncNoun, AsyncPlacedNoun, matching, pages
from towpath.transport_async import AsyncResponse
from towpath.types import (
    Deployment,
    DeploymentCheck,
    DeploymentEvent,
    DeploymentLogs,
    DeploymentRevision,
    DeploymentScaling,
    Endpoint,
    EndpointHealth,
    Environment,
    Node,
    Price,
    Provider,
    Rollout,
    ScalingDecision,
    Vendor,
)


class EndpointCreate(TypedDict):
    """A name that callers use, with what stands behind it."""

    name: str
    environment: Environment
    project: NotRequired[str]
    targets: Sequence[Mapping[str, Any]]
    fallback: NotRequired[Sequence[Mapping[str, Any]]]
    access: NotRequired[Mapping[str, Any]]
    timeouts: NotRequired[Mapping[str, str]]
    balance: NotRequired[Mapping[str, str]]
    retries: NotRequired[Mapping[str, int]]
    stream_recovery: NotRequired[str]
    cache: NotRequired[Mapping[str, str] | None]
    tier: NotRequired[Mapping[str, Any] | None]


class Placed(TypedDict, total=False):
    """Which deployment of a name is meant, and the revision that it must be at."""

    environment: Environment
    if_match: int


class AsyncReader(AsyncCaller, Protocol):
    """What following needs of the client, beside calls."""

    async def open(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None
    ) -> AsyncResponse:
        """Make a call and return its answer with the body unread."""
        ...


class AsyncDeployments(AsyncPlacedNoun[Deployment]):
    """Models, served from a manifest."""

    _path = "/api/v1/deployments"
    _kind = Deployment

    def __init__(self, client: AsyncReader) -> None:
        super().__init__(client)
        self._reader = client

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

    async def promote(
        self,
        ref: str,
        *,
        to: Environment,
        environment: Environment | None = None,
        overrides: Mapping[str, Any] | None = None,
        reason: str | None = None,
        if_match: int | None = None,
    ) -> Deployment:
        """
        Serve in another environment what serves here: same content, same runtime.

        Args:
            environment: Where it serves now; the nearest before `to` otherwise.
            overrides: Parts of `spec` that differ there.
            reason: Why nobody else is asked, from somebody who may approve.

        Raises:
            UnprocessableError: Nothing was changed; `findings` has all that is wrong.
        """
        answer = await self._client.call(
            "POST",
            self._at(ref, "promote"),
            body={"to": to, "overrides": overrides, "reason": reason},
            query={"environment": environment},
            headers=matching(if_match),
        )
        return Deployment.of(*answer)

    async def check_promotion(
        self,
        ref: str,
        *,
        to: Environment,
        environment: Environment | None = None,
        overrides: Mapping[str, Any] | None = None,
        reason: str | None = None,
    ) -> DeploymentCheck:
        """
        Say what a promotion would come to, and change nothing.

        Raises:
            UnprocessableError: `findings` has all that is wrong.
        """
        answer = await self._client.call(
            "POST",
            self._at(ref, "promote"),
            body={"to": to, "overrides": overrides, "reason": reason},
            query={"environment": environment, "dry_run": True},
        )
        return DeploymentCheck.of(*answer)

    async def renew(
        self,
        ref: str,
        *,
        environment: Environment | None = None,
        if_match: int | None = None,
    ) -> Deployment:
        """Let a deployment stay in the sandbox for another lifetime."""
        answer = await self._client.call(
            "POST",
            self._at(ref, "renew"),
            query={"environment": environment},
            headers=matching(if_match),
        )
        return Deployment.of(*answer)

    async def logs(
        self,
        ref: str,
        *,
        environment: Environment | None = None,
        replica: str | None = None,
        tail: int | None = None,
        since: str | None = None,
        search: str | None = None,
    ) -> DeploymentLogs:
        """
        Return the last lines of the model servers.

        Args:
            replica: Id or ordinal of one.
            since: How long ago at most, such as `10m`, or since when.
            search: Only lines that contain this.
        """
        query = {"environment": environment, "replica": replica, "tail": tail}
        query |= {"since": since, "search": search}
        return DeploymentLogs.of(
            *await self._client.call("GET", self._at(ref, "logs"), query=query)
        )

    async def follow(
        self,
        ref: str,
        *,
        environment: Environment | None = None,
        replica: str | None = None,
        tail: int | None = None,
        since: str | None = None,
        search: str | None = None,
    ) -> AsyncResponse:
        """
        Return the last lines of the model servers and those that come, unread.

        `chunks()` gives JSON objects, one a line; an empty line says that there was nothing.
        It ends after an hour, or with the deployment.
        """
        query = {"environment": environment, "replica": replica, "tail": tail}
        query |= {"since": since, "search": search, "follow": True}
        return await self._reader.open("GET", self._at(ref, "logs"), query=query)

    def revisions(self, ref: str, **query: Any) -> AsyncPages[DeploymentRevision]:
        """List what was declared, newest first; `environment` where the name is not enough."""
        return self._listed(query, path=self._at(ref, "revisions"), kind=DeploymentRevision)

    async def revision(
        self, ref: str, number: int, *, environment: Environment | None = None
    ) -> DeploymentRevision:
        """Return what was declared as one revision."""
        query = {"environment": environment}
        path = self._at(ref, "revisions", str(number))
        return DeploymentRevision.of(*await self._client.call("GET", path, query=query))

    async def roll_back(
        self,
        ref: str,
        *,
        to: int | None = None,
        environment: Environment | None = None,
        if_match: int | None = None,
    ) -> Deployment:
        """
        Serve what an earlier revision served; by default the last that took traffic before.

        Raises:
            ConflictError: No earlier revision has taken traffic.
        """
        answer = await self._client.call(
            "POST",
            self._at(ref, "rollback"),
            body={} if to is None else {"to": to},
            query={"environment": environment},
            headers=matching(if_match),
        )
        return Deployment.of(*answer)

    def events(self, ref: str, **query: Any) -> AsyncPages[DeploymentEvent]:
        """List every change of a condition or of the phase, oldest first."""
        return self._listed(query, path=self._at(ref, "events"), kind=DeploymentEvent)

    async def scaling(
        self, ref: str, *, environment: Environment | None = None
    ) -> DeploymentScaling:
        """Say by what the number of replicas is decided, what the load is, how fast it wakes."""
        query = {"environment": environment}
        return DeploymentScaling.of(
            *await self._client.call("GET", self._at(ref, "scaling"), query=query)
        )

    def scaling_decisions(self, ref: str, **query: Any) -> AsyncPages[ScalingDecision]:
        """List how the number of replicas changed and by which numbers, newest first."""
        return self._listed(query, path=self._at(ref, "scaling/decisions"), kind=ScalingDecision)

    async def rollout(
        self, ref: str, *, environment: Environment | None = None, of_revision: int | None = None
    ) -> Rollout:
        """Say how far a newer revision has taken over; by default that of the last rollout."""
        query = {"environment": environment, "of_revision": of_revision}
        return Rollout.of(*await self._client.call("GET", self._at(ref, "rollout"), query=query))

    async def pause_rollout(self, ref: str, **placed: Unpack[Placed]) -> Rollout:
        """Stop the clock of a rollout: its step stays, and is still judged."""
        return await self._roll(ref, "pause", placed)

    async def resume_rollout(self, ref: str, **placed: Unpack[Placed]) -> Rollout:
        """Let a rollout go on; the pause does not count towards its step."""
        return await self._roll(ref, "resume", placed)

    async def finish_rollout(self, ref: str, **placed: Unpack[Placed]) -> Rollout:
        """Skip the steps that are left: all of the traffic, once all replicas are healthy."""
        return await self._roll(ref, "finish", placed)

    async def abort_rollout(self, ref: str, **placed: Unpack[Placed]) -> Rollout:
        """Roll a newer revision back now; the one that serves goes on alone."""
        return await self._roll(ref, "abort", placed)

    async def _roll(self, ref: str, what: str, placed: Placed) -> Rollout:
        answer = await self._client.call(
            "POST",
            self._at(ref, f"rollout/{what}"),
            query={"environment": placed.get("environment")},
            headers=matching(placed.get("if_match")),
        )
        return Rollout.of(*answer)

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

    async def update(
        self,
        ref: str,
        *,
        environment: Environment | None = None,
        if_match: int | None = None,
        **changes: Any,
    ) -> Endpoint:
        """Change an endpoint; what is not given stays, each part that is given is replaced."""
        answer = await self._client.call(
            "PATCH",
            self._at(ref),
            body=changes,
            query={"environment": environment},
            headers=matching(if_match),
        )
        return Endpoint.of(*answer)

    async def health(self, ref: str, *, environment: Environment | None = None) -> EndpointHealth:
        """Say how its targets are: who is ejected until when, as the gateways said last."""
        query = {"environment": environment}
        return EndpointHealth.of(
            *await self._client.call("GET", self._at(ref, "health"), query=query)
        )

    def list(self, **query: Any) -> AsyncPages[Endpoint]:
        """List endpoints; filters: `project`, `environment`."""
        return self._listed(query)


class AsyncProviders(AsyncNoun[Provider]):
    """Vendors' APIs outside."""

    _path = "/api/v1/providers"
    _kind = Provider

    async def create(
        self, *, name: str, vendor: str | None = None, base_url: str | None = None, **more: Any
    ) -> Provider:
        """
        Add a provider.

        Args:
            vendor: A row of `vendors.list()`, which fills what is not given.
            base_url: As the dialect's own clients take it; for OpenAI's with `/v1`.
        """
        given = {"vendor": vendor, "base_url": base_url}
        body = {name: value for name, value in given.items() if value is not None}
        return await self._create({"name": name, **body, **more})

    async def update(self, ref: str, *, if_match: int | None = None, **changes: Any) -> Provider:
        """Change a provider; what is not given stays."""
        return await self._update(ref, changes, if_match)

    async def add_price(
        self,
        ref: str,
        *,
        model: str,
        from_: datetime | str | None = None,
        if_match: int | None = None,
        **amounts: str,
    ) -> Price:
        """
        Add a price to a model of a provider; what was recorded before keeps the former one.

        Args:
            from_: When it begins to hold; from now on where it is not given.
            amounts: Decimal strings: `input_per_million`, `output_per_million`, `per_request`…
        """
        begin = from_.isoformat() if isinstance(from_, datetime) else from_
        body = {"model": model, **({"from": begin} if begin else {}), **amounts}
        answer = await self._client.call(
            "POST", self._at(ref, "prices"), body=body, headers=matching(if_match)
        )
        return Price.of(*answer)

    def list(self, **query: Any) -> AsyncPages[Provider]:
        """List providers."""
        return self._listed(query)


class AsyncVendors:
    """The catalogue that providers are made from."""

    def __init__(self, client: AsyncCaller) -> None:
        self._client = client

    def list(self) -> AsyncPages[Vendor]:
        """List the vendors that the platform knows."""
        return pages(self._client, "/api/v1/vendors", Vendor, {})


class AsyncPrices:
    """What records name by `price_id`."""

    def __init__(self, client: AsyncCaller) -> None:
        self._client = client

    async def get(self, price_id: str) -> Price:
        """Return a price, whether it still counts or not."""
        return Price.of(*await self._client.call("GET", f"/api/v1/prices/{quote(price_id)}"))

    def list(self, *, owner: str | None = None, model: str | None = None) -> AsyncPages[Price]:
        """
        List prices in order of creation, those that count no more included.

        Args:
            owner: Id of the provider, the target or the deployment.
        """
        return pages(self._client, "/api/v1/prices", Price, {"owner": owner, "model": model})


class AsyncNodes(AsyncNoun[Node]):
    """Machines that models run on."""

    _path = "/api/v1/nodes"
    _kind = Node

    def list(self, **query: Any) -> AsyncPages[Node]:
        """List nodes."""
        return self._listed(query)
