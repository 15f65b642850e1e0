"""
The client: one call from its arguments to its answer, with retries in between.

Written once, for asyncio; `generated/client.py` is derived from it for blocking code.
"""

import json
import ssl
import uuid
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

from towpath import errors
from towpath.auth import resolve
from towpath.resources.admission import AsyncBlocks, AsyncBudgets, AsyncLimits, AsyncQuotas
from towpath.resources.artifacts import AsyncArtifacts
from towpath.resources.batches import AsyncBatches, AsyncFiles
from towpath.resources.catalogue import AsyncModels, AsyncRegistry, AsyncRuntimes
from towpath.resources.environments import AsyncAdoption, AsyncApprovals
from towpath.resources.evaluations import AsyncEvaluations
from towpath.resources.inference import (
    AsyncChat,
    AsyncCompletions,
    AsyncEmbeddings,
    predict_body,
    predict_path,
)
from towpath.resources.media import AsyncAudio
from towpath.resources.organisation import (
    AsyncApplications,
    AsyncKeys,
    AsyncMembers,
    AsyncProjects,
    AsyncServiceAccounts,
    AsyncTeams,
    AsyncUsers,
)
from towpath.resources.policies import AsyncPolicies
from towpath.resources.record import AsyncAudit, AsyncRequests, AsyncUsage
from towpath.resources.serving import (
    AsyncDeployments,
    AsyncEndpoints,
    AsyncNodes,
    AsyncPrices,
    AsyncProviders,
    AsyncVendors,
)
from towpath.resources.sources import AsyncConnections, AsyncImports
from towpath.retry import MAX_RETRIES, Retry
from towpath.transport import FilePart, Request, Timeout
from towpath.transport_async import AsyncHTTPTransport, AsyncResponse, AsyncTransport
from towpath.types import Health, Prediction, Ranking
from towpath.version import __version__


class AsyncTowpath:
    """
    Towpath at one address, as one caller. May be shared; close it, or use it as a context.

    Args:
        api_key: Default: `TOWPATH_API_KEY`, then the profile. An empty string sends none.
        address: Default: `TOWPATH_ADDRESS`, then the profile, then `http://127.0.0.1:8080`.
        profile: Part of the configuration file; default `TOWPATH_PROFILE`, then `default`.
        timeout: Seconds without a byte of an answer (600), or a `Timeout`.
        max_retries: Further attempts after the first.
        headers: Sent with every call.
        ssl_context: For an own certificate authority or client certificates.
        transport: Replaces HTTP, time included; for tests.
        retry: Replaces `max_retries`, clock and jitter included; for tests.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        address: str | None = None,
        profile: str | None = None,
        timeout: float | Timeout | None = None,
        max_retries: int = MAX_RETRIES,
        headers: Mapping[str, str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        transport: AsyncTransport | None = None,
        retry: Retry | None = None,
    ) -> None:
        credentials = resolve(api_key=api_key, address=address, profile=profile)
        self.address = credentials.address
        self._api_key = credentials.api_key
        self._timeout = _timeout(timeout) or Timeout()
        self._retry = retry or Retry(limit=max_retries)
        self._headers = {name.lower(): value for name, value in (headers or {}).items()}
        self._transport: AsyncTransport = transport or AsyncHTTPTransport(ssl_context=ssl_context)

    def with_options(
        self,
        *,
        timeout: float | Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Self:
        """
        Return a client that differs in these and shares the connections.

        Args:
            idempotency_key: Sent with every write, so that repeating it has no second effect. Each
                write has a fresh one by default, which covers the retries of that call.
        """
        other = object.__new__(type(self))
        other.address = self.address
        other._api_key = self._api_key
        other._transport = self._transport
        other._timeout = _timeout(timeout) or self._timeout
        other._retry = (
            self._retry
            if max_retries is None
            else Retry(max_retries, self._retry.chance, self._retry.now)
        )
        merged = dict(self._headers)
        merged.update({name.lower(): value for name, value in (headers or {}).items()})
        if idempotency_key is not None:
            merged["idempotency-key"] = idempotency_key
        other._headers = merged
        return other

    @cached_property
    def chat(self) -> AsyncChat:
        """Conversations."""
        return AsyncChat(self)

    @cached_property
    def completions(self) -> AsyncCompletions:
        """Continuations of a bare prompt."""
        return AsyncCompletions(self)

    @cached_property
    def embeddings(self) -> AsyncEmbeddings:
        """Texts as vectors."""
        return AsyncEmbeddings(self)

    @cached_property
    def audio(self) -> AsyncAudio:
        """Sound."""
        return AsyncAudio(self)

    @cached_property
    def files(self) -> AsyncFiles:
        """What was uploaded for batches, and what batches answered."""
        return AsyncFiles(self)

    @cached_property
    def batches(self) -> AsyncBatches:
        """Many calls in one file, made when there is room."""
        return AsyncBatches(self)

    @cached_property
    def models(self) -> AsyncModels:
        """What this key may call."""
        return AsyncModels(self)

    @cached_property
    def registry(self) -> AsyncRegistry:
        """Registered models, their versions and files."""
        return AsyncRegistry(self)

    @cached_property
    def artifacts(self) -> AsyncArtifacts:
        """Bytes of models, by digest."""
        return AsyncArtifacts(self)

    @cached_property
    def runtimes(self) -> AsyncRuntimes:
        """How formats are served."""
        return AsyncRuntimes(self)

    @cached_property
    def teams(self) -> AsyncTeams:
        """Teams."""
        return AsyncTeams(self)

    @cached_property
    def members(self) -> AsyncMembers:
        """Roles of users in teams."""
        return AsyncMembers(self)

    @cached_property
    def users(self) -> AsyncUsers:
        """People."""
        return AsyncUsers(self)

    @cached_property
    def projects(self) -> AsyncProjects:
        """Projects."""
        return AsyncProjects(self)

    @cached_property
    def applications(self) -> AsyncApplications:
        """Programs of projects."""
        return AsyncApplications(self)

    @cached_property
    def keys(self) -> AsyncKeys:
        """API keys."""
        return AsyncKeys(self)

    @cached_property
    def service_accounts(self) -> AsyncServiceAccounts:
        """Programs that act for a project."""
        return AsyncServiceAccounts(self)

    @cached_property
    def deployments(self) -> AsyncDeployments:
        """Models, served."""
        return AsyncDeployments(self)

    @cached_property
    def approvals(self) -> AsyncApprovals:
        """What somebody asks for and another must agree to."""
        return AsyncApprovals(self)

    @cached_property
    def adoption(self) -> AsyncAdoption:
        """How the platform is taken up."""
        return AsyncAdoption(self)

    @cached_property
    def evaluations(self) -> AsyncEvaluations:
        """What suites found out about versions."""
        return AsyncEvaluations(self)

    @cached_property
    def endpoints(self) -> AsyncEndpoints:
        """Names that callers use."""
        return AsyncEndpoints(self)

    @cached_property
    def connections(self) -> AsyncConnections:
        """How models outside are reached."""
        return AsyncConnections(self)

    @cached_property
    def imports(self) -> AsyncImports:
        """Models on their way into the registry."""
        return AsyncImports(self)

    @cached_property
    def providers(self) -> AsyncProviders:
        """Vendors' APIs outside."""
        return AsyncProviders(self)

    @cached_property
    def vendors(self) -> AsyncVendors:
        """The catalogue that providers are made from."""
        return AsyncVendors(self)

    @cached_property
    def prices(self) -> AsyncPrices:
        """What records name by `price_id`."""
        return AsyncPrices(self)

    @cached_property
    def limits(self) -> AsyncLimits:
        """How much may be asked for at a time."""
        return AsyncLimits(self)

    @cached_property
    def budgets(self) -> AsyncBudgets:
        """How much may be used in a period."""
        return AsyncBudgets(self)

    @cached_property
    def quotas(self) -> AsyncQuotas:
        """What teams may reserve."""
        return AsyncQuotas(self)

    @cached_property
    def blocks(self) -> AsyncBlocks:
        """What is stopped."""
        return AsyncBlocks(self)

    @cached_property
    def policies(self) -> AsyncPolicies:
        """What may be deployed."""
        return AsyncPolicies(self)

    @cached_property
    def nodes(self) -> AsyncNodes:
        """Machines that models run on."""
        return AsyncNodes(self)

    @cached_property
    def requests(self) -> AsyncRequests:
        """The log."""
        return AsyncRequests(self)

    @cached_property
    def usage(self) -> AsyncUsage:
        """Sums of the log."""
        return AsyncUsage(self)

    @cached_property
    def audit(self) -> AsyncAudit:
        """Who changed what."""
        return AsyncAudit(self)

    async def predict(
        self,
        model: str,
        inputs: list[Any],
        *,
        version: int | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Prediction:
        """
        Ask any model, by its signature.

        Args:
            inputs: One entry per prediction: a value when the model has one input, else an object
                by input name.
            version: Exactly this version of the model.

        Raises:
            APIStatusError: The platform refused; `findings` and `message` name the input at fault.
        """
        return Prediction.of(
            *await self.call(
                "POST", predict_path(model, version), body=predict_body(inputs, parameters)
            )
        )

    async def rerank(
        self,
        model: str,
        query: str,
        documents: Sequence[str | Mapping[str, Any]],
        *,
        top_n: int | None = None,
        **more: Any,
    ) -> Ranking:
        """
        Ask how well documents answer a query; the best comes first.

        Args:
            top_n: At most so many.
            more: Any other field the model's server understands.

        Raises:
            APIStatusError: The platform refused, or every target failed.
        """
        body = {"model": model, "query": query, "documents": list(documents), **more}
        if top_n is not None:
            body["top_n"] = top_n
        return Ranking.of(*await self.call("POST", "/v1/rerank", body=body))

    async def health(self) -> Health:
        """Ask whether the address can take requests; the answer has the reasons when it cannot."""
        try:
            data, headers = await self.with_options(max_retries=0).call("GET", "/readyz")
        except errors.UnavailableError as error:
            data = error.body if isinstance(error.body, dict) else {"reasons": [error.message]}
            return Health({**data, "ready": False}, error.headers)
        return Health({**(data if isinstance(data, dict) else {}), "ready": True}, headers)

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content: bytes | Path | FilePart | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Any, Mapping[str, str]]:
        """
        Make any call and return the decoded answer with its headers: the way to what has no method.

        Raises:
            APIStatusError: The answer was an error.
            APIConnectionError: No answer came.
        """
        response = await self.open(
            method, path, body=body, content=content, query=query, headers=headers
        )
        raw = await response.read()
        if not raw:
            return None, response.headers
        if response.headers.get("content-type", "").startswith("text/plain"):
            return raw.decode("utf-8", "replace"), response.headers
        try:
            return json.loads(raw), response.headers
        except ValueError as error:
            raise errors.APIError(
                "The answer is not JSON.",
                code="invalid_answer",
                fix=f"check that {self.address} is Towpath: `towpath doctor`",
                request_id=response.headers.get("x-request-id"),
            ) from error

    async def open(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content: bytes | Path | FilePart | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncResponse:
        """
        Make a call and return its answer with the body unread; what is not read must be closed.

        Raises:
            APIStatusError: The answer was an error.
            APIConnectionError: No answer came.
        """
        request = self._request(
            method, path, body=body, content=content, query=query, headers=headers or {}
        )
        done = 0
        while True:
            try:
                response = await self._transport.send(request, self._timeout)
                if response.status < 300:
                    return response
                raw = await response.read()
            except errors.APIConnectionError:
                pause = self._retry.after_failure(done)
                if pause is None:
                    raise
            else:
                pause = self._retry.after_status(done, response.status, response.headers)
                if pause is None:
                    raise errors.of_answer(response.status, response.headers, raw)
            await self._transport.sleep(pause)
            done += 1

    def _request(
        self,
        method: str,
        path: str,
        *,
        body: Any,
        content: bytes | Path | FilePart | None,
        query: Mapping[str, Any] | None,
        headers: Mapping[str, str],
    ) -> Request:
        sent = {
            "accept": "application/json",
            "accept-encoding": "identity",
            "user-agent": f"towpath-python/{__version__}",
            **self._headers,
        }
        if self._api_key:
            sent["authorization"] = f"Bearer {self._api_key}"
        if method == "GET" or not path.startswith(("/api/", "/v1/batches")):
            sent.pop("idempotency-key", None)
        else:
            sent.setdefault("idempotency-key", str(uuid.uuid4()))
        if body is not None:
            content = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
            sent["content-type"] = "application/json"
        asked = {
            name: _written(value) for name, value in (query or {}).items() if value is not None
        }
        url = f"{self.address}{path}"
        if asked:
            url += f"?{urlencode(asked, doseq=True, quote_via=quote)}"
        return Request(method, url, {**sent, **headers}, content)

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _timeout(given: float | Timeout | None) -> Timeout | None:
    return Timeout(read_s=given) if isinstance(given, int | float) else given


def _written(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if hasattr(value, "isoformat") else value
