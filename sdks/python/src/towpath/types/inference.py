"""What calls to models answer, and which models can be called."""

from collections.abc import Iterator
from typing import Any

from towpath.model import Model


class TokenUsage(Model):
    """Tokens of one call."""

    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None


class FunctionCall(Model):
    """Which function a model wants called, with arguments as JSON text."""

    name: str
    arguments: str


class ToolCall(Model):
    """One wish of a model to use a tool."""

    id: str
    type: str
    function: FunctionCall | None


class ChatMessage(Model):
    """What a model said."""

    role: str | None
    content: str | None
    tool_calls: list[ToolCall] | None


class ChatChoice(Model):
    """One of the answers asked for."""

    index: int
    message: ChatMessage
    finish_reason: str | None
    logprobs: Any | None


class ChatCompletion(Model):
    """The answer to a conversation."""

    id: str
    created: int
    model: str
    choices: list[ChatChoice]
    usage: TokenUsage | None


class ChunkChoice(Model):
    """A piece of one answer."""

    index: int
    delta: ChatMessage
    finish_reason: str | None


class ChatCompletionChunk(Model):
    """One event of a streamed answer."""

    id: str
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: TokenUsage | None


class CompletionChoice(Model):
    """A continuation of the prompt."""

    index: int
    text: str
    finish_reason: str | None


class Completion(Model):
    """The answer to a bare prompt; also one event of its stream."""

    id: str
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: TokenUsage | None


class Embedding(Model):
    """One vector; text in base64 where that was asked for."""

    index: int
    embedding: Any


class EmbeddingList(Model):
    """Vectors in the order of the inputs."""

    model: str
    data: list[Embedding]
    usage: TokenUsage | None


class RankedDocument(Model):
    """How well one document answers the query; `document` where it was asked for."""

    index: int
    relevance_score: float
    document: Any | None


class Ranking(Model):
    """The documents, the best first."""

    model: str | None
    results: list[RankedDocument]
    usage: TokenUsage | None


class TranscriptUsage(Model):
    """What a transcript used: tokens, or the length of the sound."""

    type: str | None
    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None
    seconds: float | None


class TranscriptSegment(Model):
    """A part of what was said, from when to when, in seconds."""

    start: float
    end: float
    text: str


class Transcript(Model):
    """What was said; subtitles are a text like any other."""

    text: str
    language: str | None
    duration: float | None
    segments: list[TranscriptSegment] | None
    usage: TranscriptUsage | None


class TranscriptEvent(Model):
    """One event of a streamed transcript: a piece of it, or at last all of it with its usage."""

    type: str | None
    delta: str | None
    text: str | None
    usage: TranscriptUsage | None
    choices: list[ChunkChoice] | None


class ServedModel(Model):
    """Which model answered."""

    name: str
    version: int | None
    digest: str | None


class PredictUsage(Model):
    """What a prediction used."""

    input_tokens: int | None


class Prediction(Model):
    """Outputs in the order of the inputs, each an object by output name."""

    outputs: list[dict[str, Any]]
    model: ServedModel
    usage: PredictUsage | None
    request_id: str


class ModelPrice(Model):
    """Price in nano-units of `currency` per million tokens."""

    currency: str
    input_nano_per_million: int
    output_nano_per_million: int


class CallableModel(Model):
    """A name that this key may call."""

    id: str
    created: int | None
    owned_by: str | None
    context_length: int | None
    modalities: list[str] | None
    price: ModelPrice | None


class ModelList(Model):
    """All names that this key may call."""

    data: list[CallableModel]

    def __iter__(self) -> Iterator[CallableModel]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)
