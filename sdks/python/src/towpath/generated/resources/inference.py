"""Derived from `towpath/resources/inference.py` by `tools/derive_sync.py`; never edited."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, Required, TypedDict, Unpack, overload
from urllib.parse import quote

from towpath.generated.streaming import Stream
from towpath.transport import Response
from towpath.types import ChatCompletion, ChatCompletionChunk, Completion, EmbeddingList


class SamplingParams(TypedDict, total=False):
    """How an answer is chosen. What is not given is not sent; other fields pass as they are."""

    model: Required[str]
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    stop: str | Sequence[str] | None
    seed: int | None
    n: int | None
    presence_penalty: float | None
    frequency_penalty: float | None
    stream_options: Mapping[str, Any] | None
    user: str


class ChatParams(SamplingParams, total=False):
    """A conversation and what the model may do with it."""

    messages: Required[Sequence[Mapping[str, Any]]]
    max_completion_tokens: int | None
    tools: Sequence[Mapping[str, Any]]
    tool_choice: str | Mapping[str, Any]
    response_format: Mapping[str, Any]
    logprobs: bool | None
    top_logprobs: int | None


class CompletionParams(SamplingParams, total=False):
    """A text to be continued."""

    prompt: Required[str | Sequence[str]]
    echo: bool | None
    suffix: str | None


class EmbeddingParams(TypedDict, total=False):
    """Texts to be turned into vectors."""

    model: Required[str]
    input: Required[str | Sequence[str]]
    encoding_format: Literal["float", "base64"]
    dimensions: int
    user: str


class InferenceCaller(Protocol):
    """What these calls need of the client."""

    def call(
        self, method: str, path: str, *, body: Any = None
    ) -> tuple[Any, Mapping[str, str]]:
        """Make a call and return the decoded answer with its headers."""
        ...

    def open(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content: bytes | Path | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Make a call and return its answer unread."""
        ...


class Chat:
    """Conversations."""

    def __init__(self, client: InferenceCaller) -> None:
        self.completions = ChatCompletions(client)


class ChatCompletions:
    """Answers to conversations."""

    def __init__(self, client: InferenceCaller) -> None:
        self._client = client

    @overload
    def create(
        self, *, stream: Literal[False] = False, **params: Unpack[ChatParams]
    ) -> ChatCompletion: ...

    @overload
    def create(
        self, *, stream: Literal[True], **params: Unpack[ChatParams]
    ) -> Stream[ChatCompletionChunk]: ...

    def create(
        self, *, stream: bool = False, **params: Unpack[ChatParams]
    ) -> ChatCompletion | Stream[ChatCompletionChunk]:
        """
        Ask a model to go on with a conversation.

        Args:
            stream: Return chunks as they are made; use it as a context.
            params: OpenAI's fields, and any other the model's server understands.

        Raises:
            APIStatusError: The platform refused, or every target failed.
        """
        path = "/v1/chat/completions"
        if stream:
            opened = self._client.open(
                "POST", path, body={**params, "stream": True}, headers=_SSE
            )
            return Stream(opened, ChatCompletionChunk)
        return ChatCompletion.of(*self._client.call("POST", path, body=params))


class Completions:
    """Continuations of a bare prompt."""

    def __init__(self, client: InferenceCaller) -> None:
        self._client = client

    @overload
    def create(
        self, *, stream: Literal[False] = False, **params: Unpack[CompletionParams]
    ) -> Completion: ...

    @overload
    def create(
        self, *, stream: Literal[True], **params: Unpack[CompletionParams]
    ) -> Stream[Completion]: ...

    def create(
        self, *, stream: bool = False, **params: Unpack[CompletionParams]
    ) -> Completion | Stream[Completion]:
        """
        Ask a model to go on with a text.

        Args:
            stream: Return chunks as they are made; use it as a context.
            params: OpenAI's fields, and any other the model's server understands.

        Raises:
            APIStatusError: The platform refused, or every target failed.
        """
        path = "/v1/completions"
        if stream:
            opened = self._client.open(
                "POST", path, body={**params, "stream": True}, headers=_SSE
            )
            return Stream(opened, Completion)
        return Completion.of(*self._client.call("POST", path, body=params))


class Embeddings:
    """Texts as vectors."""

    def __init__(self, client: InferenceCaller) -> None:
        self._client = client

    def create(self, **params: Unpack[EmbeddingParams]) -> EmbeddingList:
        """
        Turn texts into vectors, in their order.

        Raises:
            APIStatusError: The platform refused, or every target failed.
        """
        return EmbeddingList.of(*self._client.call("POST", "/v1/embeddings", body=params))


_SSE = {"accept": "text/event-stream"}


def predict_path(model: str, version: int | None) -> str:
    """Return where a model is asked, at a version if one is given."""
    at = "" if version is None else f"/versions/{version}"
    return f"/v1/models/{quote(model, safe='')}{at}/predict"


def predict_body(inputs: list[Any], parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a model is asked."""
    return (
        {"inputs": inputs} if parameters is None else {"inputs": inputs, "parameters": parameters}
    )
