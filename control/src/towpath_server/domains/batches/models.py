"""What a batch is, and how it moves."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Status(enum.StrEnum):
    """Where a batch is; the words are OpenAI's."""

    VALIDATING = "validating"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


ACTIVE = frozenset({Status.VALIDATING, Status.IN_PROGRESS, Status.FINALIZING, Status.CANCELLING})


class Url(enum.StrEnum):
    """What the lines of a batch may call."""

    CHAT = "/v1/chat/completions"
    COMPLETIONS = "/v1/completions"
    EMBEDDINGS = "/v1/embeddings"
    RESPONSES = "/v1/responses"
    MESSAGES = "/v1/messages"


@dataclass(frozen=True)
class Flaw:
    """Why a batch failed: what is wrong, and on which line of its file."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


@dataclass(frozen=True)
class Batch:
    """Many calls to models, of one file."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    team_id: str
    project_id: str
    environment: str
    key_id: str
    """Whose calls the lines are."""
    url: Url
    input_file: str
    input_digest: str
    window: str
    status: Status
    expires_at_ms: int
    total: int = 0
    completed: int = 0
    failed: int = 0
    ends_as: Status | None = None
    """What it will be once its files are written; set when it is `finalizing`."""
    output_file: str | None = None
    error_file: str | None = None
    output_lasts_s: int | None = None
    metadata: Mapping[str, str] | None = None
    flaws: tuple[Flaw, ...] = ()
    in_progress_at_ms: int | None = None
    finalizing_at_ms: int | None = None
    cancelling_at_ms: int | None = None
    ended_at_ms: int | None = None


@dataclass(frozen=True)
class Line:
    """One call of a batch."""

    index: int
    """Place in the file, from 0."""
    custom_id: str
    body: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True)
class Result:
    """What became of a line, as it will stand in a file."""

    index: int
    ok: bool
    document: str = field(repr=False)
