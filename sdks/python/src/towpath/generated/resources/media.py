"""Derived from `towpath/resources/media.py` by `tools/derive_sync.py`; never edited."""

import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, Required, TypedDict, Unpack, overload

from towpath import form
from towpath.generated.streaming import Stream
from towpath.transport import Response
from towpath.types import Transcript, TranscriptEvent


class TranscriptionParams(TypedDict, total=False):
    """A file of sound and how its text is to be written. What is not given is not sent."""

    model: Required[str]
    file: Required[Path | bytes]
    filename: str
    language: str
    prompt: str
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]
    temperature: float
    timestamp_granularities: Sequence[str]
    include: Sequence[str]


class MediaCaller(Protocol):
    """What these calls need of the client."""

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content: bytes | Path | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
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


class Audio:
    """Sound."""

    def __init__(self, client: MediaCaller) -> None:
        self.transcriptions = Transcriptions(client)


class Transcriptions:
    """What is said in a file."""

    def __init__(self, client: MediaCaller) -> None:
        self._client = client

    @overload
    def create(
        self, *, stream: Literal[False] = False, **params: Unpack[TranscriptionParams]
    ) -> Transcript: ...

    @overload
    def create(
        self, *, stream: Literal[True], **params: Unpack[TranscriptionParams]
    ) -> Stream[TranscriptEvent]: ...

    def create(
        self, *, stream: bool = False, **params: Unpack[TranscriptionParams]
    ) -> Transcript | Stream[TranscriptEvent]:
        """
        Write down what is said in a file; one that is given by its path is never held whole.

        Args:
            stream: Return the text as it is heard; use it as a context.
            params: OpenAI's fields, and any other the model's server understands. `file` is a path,
                or the bytes themselves with their `filename`.

        Raises:
            APIStatusError: The platform refused, or every target failed.
        """
        path, file = "/v1/audio/transcriptions", params["file"]
        boundary = uuid.uuid4().hex
        name = params.get("filename") or (file.name if isinstance(file, Path) else "sound")
        fields = form_fields(params, stream=stream)
        headers = form.content_type(boundary)
        with tempfile.TemporaryDirectory() as folder:
            written = Path(folder) / "form"
            form.write(written, file, boundary=boundary, fields=fields, filename=name)
            if stream:
                headers["accept"] = "text/event-stream"
                opened = self._client.open("POST", path, content=written, headers=headers)
                return Stream(opened, TranscriptEvent, last="transcript.text.done")
            said, answered = self._client.call("POST", path, content=written, headers=headers)
        return Transcript({"text": said} if isinstance(said, str) else said, answered)


def form_fields(params: Mapping[str, Any], *, stream: bool) -> list[tuple[str, str]]:
    """Write what a form says beside its file; a list is a field for each of its values."""
    fields = [("stream", "true")] if stream else []
    for name, value in params.items():
        if name in {"file", "filename"} or value is None:
            continue
        if isinstance(value, str | int | float):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            fields.append((name, text))
        else:
            fields += [(f"{name}[]", str(one)) for one in value]
    return fields
