"""Batches on the wire, as OpenAI's clients read and write them."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from towpath_server.core.paging import Slice
from towpath_server.domains.batches.models import Batch, Status, Url
from towpath_server.web.schemas import In, Out, Ref

_HOUR_MS = 3_600_000
_MAX_WINDOW_MS = 7 * 24 * _HOUR_MS
_MAX_PAIRS = 16  # of metadata, as OpenAI's API has it
_UNITS = {"h": _HOUR_MS, "d": 24 * _HOUR_MS}


def window_ms(text: str) -> int:
    """Read a completion window such as `24h`."""
    return int(text[:-1]) * _UNITS[text[-1]]


def _window(text: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,2}[hd]", text) or window_ms(text) > _MAX_WINDOW_MS:
        raise ValueError("must be whole hours or days up to a week, such as `24h`")
    return text


MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=512)]


class ExpiresAfter(In):
    """When the files that a batch writes go."""

    anchor: Literal["created_at"]
    seconds: int = Field(ge=3_600, le=30 * 24 * 3_600)


class BatchCreate(In):
    """A new batch."""

    input_file_id: Ref = Field(description="A file of the purpose `batch`.")
    endpoint: Url = Field(description="What every line calls.")
    completion_window: Annotated[str, AfterValidator(_window)] = Field(
        description="How long it may take: `24h`, or other hours or days up to a week."
    )
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=_MAX_PAIRS)] | None = (
        None
    )
    output_expires_after: ExpiresAfter | None = None


class FlawOut(Out):
    """One thing that is wrong with a batch."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


class FlawList(Out):
    """What is wrong with a batch."""

    object: Literal["list"] = "list"
    data: list[FlawOut]


class CountsOut(Out):
    """How many lines there are, and how many have ended how."""

    total: int
    completed: int
    failed: int


class BatchOut(Out):
    """A batch. Times are seconds since the epoch."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    errors: FlawList | None
    input_file_id: str
    completion_window: str
    status: Status
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: CountsOut
    metadata: dict[str, str] | None

    @classmethod
    def of(cls, batch: Batch) -> "BatchOut":
        """Write a batch."""
        flaws = [
            FlawOut(code=flaw.code, message=flaw.message, param=flaw.param, line=flaw.line)
            for flaw in batch.flaws
        ]
        ends: dict[str, Any] = {
            f"{status}_at": _seconds(batch.ended_at_ms if batch.status is status else None)
            for status in (Status.COMPLETED, Status.FAILED, Status.EXPIRED, Status.CANCELLED)
        }
        return cls(
            id=batch.id,
            endpoint=batch.url.value,
            errors=FlawList(data=flaws) if flaws else None,
            input_file_id=batch.input_file,
            completion_window=batch.window,
            status=batch.status,
            output_file_id=batch.output_file,
            error_file_id=batch.error_file,
            created_at=batch.created_at_ms // 1_000,
            in_progress_at=_seconds(batch.in_progress_at_ms),
            expires_at=batch.expires_at_ms // 1_000,
            finalizing_at=_seconds(batch.finalizing_at_ms),
            cancelling_at=_seconds(batch.cancelling_at_ms),
            request_counts=CountsOut(
                total=batch.total, completed=batch.completed, failed=batch.failed
            ),
            metadata=None if batch.metadata is None else dict(batch.metadata),
            **ends,
        )


class BatchList(Out):
    """A part of the list of batches."""

    object: Literal["list"] = "list"
    data: list[BatchOut]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, found: Slice[Batch]) -> "BatchList":
        """Write a slice."""
        data = [BatchOut.of(batch) for batch in found.items]
        return cls(
            data=data,
            first_id=data[0].id if data else None,
            last_id=data[-1].id if data else None,
            has_more=found.next is not None,
        )


def _seconds(ms: int | None) -> int | None:
    return None if ms is None else ms // 1_000
