"""Derived from `towpath/client.py` by `tools/derive_sync.py`; never edited."""

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
from towpath.generated.resources.admission import Blocks, Budgets, Limits, Quotas
from towpath.generated.resources.artifacts import Artifacts
from towpath.generated.resources.batches import Batches, Files
from towpath.generated.resources.catalogue import Models, Registry, Runtimes
from towpath.generated.resources.environments import Adoption, Approvals
from towpath.generated.resources.evaluations import Evaluations
from towpath.generated.resources.inference import (
    Chat,
    Completions,
    Embeddings,
    predict_body,
    predict_path,
)
from towpath.generated.resources.media import Audio
from towpath.generated.resources.organisation import (
    Applications,
    Keys,
    Members,
    Projects,
    ServiceAccounts,
    Teams,
    Users,
)
from towpath.generated.resources.policies import Policies
from towpath.generated.resources.record import Audit, Requests, Usage
from towpath.generated.resources.serving import (
    Deployments,
    Endpoints,
    Nodes,
    Prices,
    Providers,
    Vendors,
)
from towpath.generated.resources.sources import Connections, Imports
from towpath.retry import MAX_RETRIES, Retry
from towpath.transport import FilePart, Request, Timeout
from towpath.transport import HTTPTransport, Response, Transport
from towpath.types import Health, Prediction, Ranking
from towpath.version import __version__


class Towpath:
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
        transport: Transport | None = None,
        retry: Retry | None = None,
    ) -> None:
        credentials = resolve(api_key=api_key, address=address, profile=profile)
        self.address = credentials.address
        self._api_key = credentials.api_key
        self._timeout = _timeout(timeout) or Timeout()
        self._retry = retry or Retry(limit=max_retries)
        self._headers = {name.lower(): value for name, value in (headers or {}).items()}
        self._transport: Transport = transport or HTTPTransport(ssl_context=ssl_context)

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
    def chat(self) -> Chat:
        """Conversations."""
        return Chat(self)

    @cached_property
    def completions(self) -> Completions:
        """Continuations of a bare prompt."""
        return Completions(self)

    @cached_property
    def embeddings(self) -> Embeddings:
        """Texts as vectors."""
        return Embeddings(self)

    @cached_property
    def audio(self) -> Audio:
        """Sound."""
        return Audio(self)

    @cached_property
    def files(self) -> Files:
        """What was uploaded for batches, and what batches answered."""
        return Files(self)

    @cached_property
    def batches(self) -> Batches:
        """Many calls in one file, made when there is room."""
        return Batches(self)

    @cached_property
    def models(self) -> Models:
        """What this key may call."""
        return Models(self)

    @cached_property
    def registry(self) -> Registry:
        """Registered models, their versions and files."""
        return Registry(self)

    @cached_property
    def artifacts(self) -> Artifacts:
        """Bytes of models, by digest."""
        return Artifacts(self)

    @cached_property
    def runtimes(self) -> Runtimes:
        """How formats are served."""
        return Runtimes(self)

    @cached_property
    def teams(self) -> Teams:
        """Teams."""
        return Teams(self)

    @cached_property
    def members(self) -> Members:
        """Roles of users in teams."""
        return Members(self)

    @cached_property
    def users(self) -> Users:
        """People."""
        return Users(self)

    @cached_property
    def projects(self) -> Projects:
        """Projects."""
        return Projects(self)

    @cached_property
    def applications(self) -> Applications:
        """Programs of projects."""
        return Applications(self)

    @cached_property
    def keys(self) -> Keys:
        """API keys."""
        return Keys(self)

    @cached_property
    def service_accounts(self) -> ServiceAccounts:
        """Programs that act for a project."""
        return ServiceAccounts(self)

    @cached_property
    def deployments(self) -> Deployments:
        """Models, served."""
        return Deployments(self)

    @cached_property
    def approvals(self) -> Approvals:
        """What somebody asks for and another must agree to."""
        return Approvals(self)

    @cached_property
    def adoption(self) -> Adoption:
        """How the platform is taken up."""
        return Adoption(self)

    @cached_property
    def evaluations(self) -> Evaluations:
        """What suites found out about versions."""
        return Evaluations(self)

    @cached_property
    def endpoints(self) -> Endpoints:
        """Names that callers use."""
        return Endpoints(self)

    @cached_property
    def connections(self) -> Connections:
        """How models outside are reached."""
        return Connections(self)

    @cached_property
    def imports(self) -> Imports:
        """Models on their way into the registry."""
        return Imports(self)

    @cached_property
    def providers(self) -> Providers:
        """Vendors' APIs outside."""
        return Providers(self)

    @cached_property
    def vendors(self) -> Vendors:
        """The catalogue that providers are made from."""
        return Vendors(self)

    @cached_property
    def prices(self) -> Prices:
        """What records name by `price_id`."""
        return Prices(self)

    @cached_property
    def limits(self) -> Limits:
        """How much may be asked for at a time."""
        return Limits(self)

    @cached_property
    def budgets(self) -> Budgets:
        """How much may be used in a period."""
        return Budgets(self)

    @cached_property
    def quotas(self) -> Quotas:
        """What teams may reserve."""
        return Quotas(self)

    @cached_property
    def blocks(self) -> Blocks:
        """What is stopped."""
        return Blocks(self)

    @cached_property
    def policies(self) -> Policies:
        """What may be deployed."""
        return Policies(self)

    @cached_property
    def nodes(self) -> Nodes:
        """Machines that models run on."""
        return Nodes(self)

    @cached_property
    def requests(self) -> Requests:
        """The log."""
        return Requests(self)

    @cached_property
    def usage(self) -> Usage:
        """Sums of the log."""
        return Usage(self)

    @cached_property
    def audit(self) -> Audit:
        """Who changed what."""
        return Audit(self)

    def predict(
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
            *self.call(
                "POST", predict_path(model, version), body=predict_body(inputs, parameters)
            )
        )

    def rerank(
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
        return Ranking.of(*self.call("POST", "/v1/rerank", body=body))

    def health(self) -> Health:
        """Ask whether the address can take requests; the answer has the reasons when it cannot."""
        try:
            data, headers = self.with_options(max_retries=0).call("GET", "/readyz")
        except errors.UnavailableError as error:
            data = error.body if isinstance(error.body, dict) else {"reasons": [error.message]}
            return Health({**data, "ready": False}, error.headers)
        return Health({**(data if isinstance(data, dict) else {}), "ready": True}, headers)

    def call(
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
        response = self.open(
            method, path, body=body, content=content, query=query, headers=headers
        )
        raw = response.read()
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

    def open(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content: bytes | Path | FilePart | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
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
                response = self._transport.send(request, self._timeout)
                if response.status < 300:
                    return response
                raw = response.read()
            except errors.APIConnectionError:
                pause = self._retry.after_failure(done)
                if pause is None:
                    raise
            else:
                pause = self._retry.after_status(done, response.status, response.headers)
                if pause is None:
                    raise errors.of_answer(response.status, response.headers, raw)
            self._transport.sleep(pause)
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

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _timeout(given: float | Timeout | None) -> Timeout | None:
    return Timeout(read_s=given) if isinstance(given, int | float) else given


def _written(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if hasattr(value, "isoformat") else value
