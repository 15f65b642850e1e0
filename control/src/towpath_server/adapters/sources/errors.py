"""What can go wrong with a source."""

from typing import ClassVar

from towpath_server.core.errors import Kind, TowpathError


class SourceFailed(TowpathError):
    """A source of models is not there, refuses, or has something else than it said."""

    code: ClassVar[str] = "source_failed"
    kind: ClassVar[Kind] = Kind.UPSTREAM
    title: ClassVar[str] = "Model cannot be read from its source"

    def __init__(
        self,
        reason: str,
        detail: str,
        *,
        fix: str,
        transient: bool = False,
        retry_after_s: int | None = None,
    ) -> None:
        """
        Say what it is.

        Args:
            reason: In one word: `docs/reference/model-sources.md` lists them.
            transient: Whether it may go well when it is tried again as it is.
            retry_after_s: How long the source asks to be left alone.
        """
        super().__init__(detail, fix=fix, retry_after_s=retry_after_s)
        self.reason = reason
        self.transient = transient
