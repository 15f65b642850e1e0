"""Logs as they are asked for and answered."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from towpath_server.adapters.compute import LogLine
from towpath_server.core import durations
from towpath_server.core.clock import to_ms
from towpath_server.core.errors import Finding, InvalidRequest
from towpath_server.domains.deployments.models import Replica
from towpath_server.domains.deployments.service.logs import Written
from towpath_server.web.schemas import Out, at

LINES = "application/x-ndjson"


class LineOut(Out):
    """One line, and who wrote it."""

    replica: str
    ordinal: int
    revision: int
    at: datetime
    line: str

    @classmethod
    def of(cls, written: Written) -> "LineOut":
        """Write a line."""
        return cls(
            replica=written.replica.id,
            ordinal=written.replica.ordinal,
            revision=written.replica.number,
            at=at(written.line.at_ms),
            line=written.line.text,
        )


class ReplicaLogOut(Out):
    """The last lines that one model server wrote."""

    replica: str
    ordinal: int
    revision: int
    lines: list[str]


class LogsOut(Out):
    """The last lines that the model servers wrote."""

    items: list[ReplicaLogOut]
    next: None = None

    @classmethod
    def of(cls, found: Sequence[tuple[Replica, Sequence[LogLine]]]) -> "LogsOut":
        """Write logs."""
        return cls(
            items=[
                ReplicaLogOut(
                    replica=replica.id,
                    ordinal=replica.ordinal,
                    revision=replica.number,
                    lines=[line.text for line in lines],
                )
                for replica, lines in found
            ]
        )


async def lines(found: AsyncIterator[Written | None]) -> AsyncIterator[bytes]:
    """Write each as a line of JSON; an empty one says that there was nothing."""
    async for written in found:
        yield (LineOut.of(written).model_dump_json().encode() if written else b"") + b"\n"


def since(text: str | None) -> int | None:
    """
    Read a time, or how long ago it was; return it in milliseconds.

    Raises:
        InvalidRequest: It is neither.
    """
    if text is None:
        return None
    now = datetime.now(UTC)
    try:
        return to_ms(now) - durations.to_ms(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(
            f"`since={text}` is neither a duration nor a time.",
            fix="Write `10m`, `2h` or `2026-05-04T10:00:00Z`.",
            findings=[Finding("?since", "It must be a duration or a time.", "Write `10m`.")],
        ) from error
    return to_ms(found if found.tzinfo else found.replace(tzinfo=UTC))
