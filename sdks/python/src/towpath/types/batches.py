"""Files and batches, as OpenAI's API has them. Times are seconds since the epoch."""

from typing import Any, Literal

from towpath.model import Model


class BatchFile(Model):
    """What was uploaded for a batch, or what a batch answered."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: str


class BatchFlaw(Model):
    """One thing that is wrong with a batch, and on which line of its file."""

    code: str
    message: str
    param: str | None
    line: int | None


class BatchFlaws(Model):
    """What is wrong with a batch."""

    data: list[BatchFlaw]


class BatchCounts(Model):
    """How many lines there are, and how many have ended how."""

    total: int
    completed: int
    failed: int


class Batch(Model):
    """Many calls of one file, made when there is room for them."""

    id: str
    object: Literal["batch"]
    endpoint: str
    errors: BatchFlaws | None
    input_file_id: str
    completion_window: str
    status: str
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
    request_counts: BatchCounts
    metadata: dict[str, Any] | None
