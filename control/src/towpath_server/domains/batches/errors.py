"""Errors of batches: of the API, and those that stand in a batch or on a line of it."""

from towpath_server.core.errors import Kind, TowpathError


class BatchEnded(TowpathError):
    """A batch that has ended, or is about to, cannot be cancelled."""

    code = "batch_ended"
    kind = Kind.INVALID  # clients repeat what conflicts, and this never passes
    title = "Batch has ended"


class TooManyBatches(TowpathError):
    """The project has as many batches that have not ended as it may have."""

    code = "too_many_batches"
    kind = Kind.EXHAUSTED
    title = "Too many batches"


class FileNotForBatch(TowpathError):
    """The input file was not uploaded for a batch."""

    code = "file_not_for_batch"
    kind = Kind.INVALID
    title = "Not an input of a batch"
