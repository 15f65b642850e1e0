"""The file of a batch, line by line: JSON objects `{custom_id, method, url, body}`."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from towpath_server.core.config import BatchSettings
from towpath_server.domains.batches.models import Batch, Flaw, Line, Url

# A file that is wrong on every line is one mistake, made often.
MAX_FLAWS = 100
_MAX_CUSTOM_ID = 512
Wrong = tuple[str, str, str | None]
"""Code, message and parameter."""

_FIELDS = {"custom_id", "method", "url", "body"}


@dataclass(frozen=True)
class Raw:
    """A line as it stands in the file; without its text where it is too long."""

    index: int
    text: bytes | None


async def split(content: AsyncIterator[bytes], *, line_bytes: int) -> AsyncIterator[Raw]:
    """Yield the lines that are not empty; no more than one of them is in memory."""
    index, held, too_long = 0, bytearray(), False
    async for piece in content:
        start = 0
        while (end := piece.find(b"\n", start)) >= 0:
            if not too_long:
                held += piece[start:end]
            if too_long or len(held) > line_bytes:
                yield Raw(index, None)
            elif held.strip():
                yield Raw(index, bytes(held))
            index, held, too_long, start = index + 1, bytearray(), False, end + 1
        if not too_long:
            held += piece[start:]
            too_long = len(held) > line_bytes
            held = bytearray() if too_long else held
    if too_long:
        yield Raw(index, None)
    elif held.strip():
        yield Raw(index, bytes(held))


def read(raw: Raw, url: Url) -> Line | Flaw:
    """Read one line, or say what is wrong with it; lines are counted from 1 for people."""
    try:
        document: Any = json.loads(raw.text or b"{}")
    except (ValueError, RecursionError):
        return Flaw("invalid_json_line", "This line is not valid JSON.", raw.index + 1)
    found: Wrong | None
    if raw.text is None:
        found = ("line_too_long", "This line is longer than a request may be.", None)
    elif not isinstance(document, dict):
        found = ("invalid_json_line", "This line is not a JSON object.", None)
    elif (missing := next(iter(sorted(_FIELDS - set(document))), None)) is not None:
        found = ("missing_required_parameter", f"This line has no `{missing}`.", missing)
    else:
        found = _field(document, url) or _body(document["body"])
    if found is None:
        return Line(raw.index, document["custom_id"], document["body"])
    code, message, param = found
    return Flaw(code, message, raw.index + 1, param)


def _field(document: dict[str, Any], url: Url) -> Wrong | None:
    custom_id = document["custom_id"]
    if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= _MAX_CUSTOM_ID:
        message = f"`custom_id` is not a text of 1 to {_MAX_CUSTOM_ID} characters."
        return "invalid_custom_id", message, "custom_id"
    if document["method"] != "POST":
        return "invalid_method", "`method` is not `POST`.", "method"
    if document["url"] != url:
        message = f"`url` is not `{url}`, the endpoint of the batch."
        return "mismatched_url", message, "url"
    return None


def _body(body: object) -> Wrong | None:
    if not isinstance(body, dict):
        return "invalid_body", "`body` is not a JSON object.", "body"
    if body.get("stream"):
        message = "A batch cannot stream: leave `stream` out."
        return "stream_not_supported", message, "body.stream"
    if not isinstance(body.get("model"), str):
        return "missing_required_parameter", "`body` has no `model`.", "body.model"
    return None


async def validate(
    batch: Batch, content: AsyncIterator[bytes], limits: BatchSettings
) -> tuple[int, list[Flaw]]:
    """Return how many lines a batch has, and what is wrong with them."""
    total, flaws, seen = 0, list[Flaw](), set[str]()
    async for raw in split(content, line_bytes=limits.line_bytes):
        total += 1
        if total > limits.lines:
            message = f"The file has more than {limits.lines} lines."
            return total, [*flaws, Flaw("too_many_lines", message, raw.index + 1)]
        line = read(raw, batch.url)
        if isinstance(line, Line) and line.custom_id in seen:
            message = f"`custom_id` `{line.custom_id[:64]}` stands on an earlier line too."
            line = Flaw("duplicate_custom_id", message, raw.index + 1, "custom_id")
        if isinstance(line, Flaw):
            flaws.append(line)
            if len(flaws) >= MAX_FLAWS:
                return total, flaws
        else:
            seen.add(line.custom_id)
    if total == 0:
        flaws.append(Flaw("empty_file", "The file has no lines."))
    return total, flaws
