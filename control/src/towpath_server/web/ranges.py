"""Parts of files that are named by digest: `Range`, `If-Range`, `If-None-Match` (RFC 9110)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from towpath_server.core.errors import Kind, TowpathError

# One part at a time: several would come as a multipart body, which no client of ours reads.
_ONE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


class RangeNotSatisfiable(TowpathError):
    """`Range` names bytes that the file does not have."""

    code = "range_not_satisfiable"
    kind = Kind.RANGE
    title = "Range is outside of the file"

    def __init__(self, size: int) -> None:
        super().__init__(
            f"The file has {size} bytes, and the range begins behind them.",
            fix="Ask for a range that begins within the file, or for all of it.",
        )


@dataclass(frozen=True)
class Part:
    """What of a file is sent: `length` bytes from `start` on."""

    start: int
    length: int
    size: int
    """Of the whole file."""
    tag: str
    """The `ETag`, quotes included."""
    unchanged: bool = False
    """Whether the caller has it already, and nothing is sent."""

    @property
    def status(self) -> int:
        """The status of the answer."""
        if self.unchanged:
            return 304
        return 206 if self.length < self.size else 200

    @property
    def headers(self) -> dict[str, str]:
        """The headers that go with the status."""
        found = {"etag": self.tag, "accept-ranges": "bytes"}
        if not self.unchanged:
            found["content-length"] = str(self.length)
        if self.status == 206:
            last = self.start + self.length - 1
            found["content-range"] = f"bytes {self.start}-{last}/{self.size}"
        return found


def part(headers: Mapping[str, str], *, digest: str, size: int) -> Part:
    """
    Say what of a file a request asks for; a range that cannot be read is not one.

    Raises:
        RangeNotSatisfiable: It begins behind the last byte.
    """
    tag = f'"{digest}"'
    known = [one.strip().removeprefix("W/") for one in headers.get("if-none-match", "").split(",")]
    if tag in known:
        return Part(0, 0, size, tag, unchanged=True)
    asked = _ONE.fullmatch(headers.get("range", "").strip())
    if asked is None or headers.get("if-range", tag).strip() != tag:
        return Part(0, size, size, tag)
    first, last = asked.groups()
    if not first and not last:
        return Part(0, size, size, tag)
    if not first:
        start, end = max(0, size - int(last)), size - 1
        satisfiable = int(last) > 0 and size > 0
    else:
        start, end = int(first), min(int(last) if last else size - 1, size - 1)
        satisfiable = start < size
    if not satisfiable:
        raise RangeNotSatisfiable(size)
    if end < start:
        return Part(0, size, size, tag)  # `bytes=5-2` is no range
    return Part(start, end - start + 1, size, tag)
