"""Derived from `towpath/resources/batches.py` by `tools/derive_sync.py`; never edited."""

import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from towpath import form
from towpath.model import Model, Page
from towpath.generated.paging import Pages
from towpath.transport import Response
from towpath.types import Batch, BatchFile


class BatchCaller(Protocol):
    """What files and batches need of the client."""

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


class Files:
    """What was uploaded for batches, and what batches answered."""

    def __init__(self, client: BatchCaller) -> None:
        self._client = client

    def create(
        self, *, file: Path | bytes, purpose: str = "batch", filename: str | None = None
    ) -> BatchFile:
        """
        Upload a file; one that is given by its path is never held whole.

        Args:
            file: A path, or the bytes themselves.
            filename: Default: the path's last part.

        Raises:
            PayloadTooLargeError: It is larger than a file may be.
        """
        boundary = uuid.uuid4().hex
        name = filename or (file.name if isinstance(file, Path) else "file.jsonl")
        with tempfile.TemporaryDirectory() as folder:
            written = Path(folder) / "form"
            fields = [("purpose", purpose)]
            form.write(written, file, boundary=boundary, fields=fields, filename=name)
            headers = form.content_type(boundary)
            return BatchFile.of(
                *self._client.call("POST", "/v1/files", content=written, headers=headers)
            )

    def get(self, file: str) -> BatchFile:
        """Return what is known of a file."""
        return BatchFile.of(*self._client.call("GET", _at("files", file)))

    def list(self, **query: Any) -> Pages[BatchFile]:
        """List files, newest first; filters: `purpose`, `order`, `limit`."""
        return _pages(self._client, "/v1/files", BatchFile, query)

    def content(self, file: str) -> Response:
        """Return a file's bytes, unread: `chunks()` or `read()` them, or close it."""
        return self._client.open("GET", _at("files", file, "content"))

    def delete(self, file: str) -> None:
        """Delete a file that no batch needs."""
        self._client.call("DELETE", _at("files", file))


class Batches:
    """Many calls of one file each."""

    def __init__(self, client: BatchCaller) -> None:
        self._client = client

    def create(
        self,
        *,
        input_file_id: str,
        endpoint: str = "/v1/chat/completions",
        completion_window: str = "24h",
        metadata: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Batch:
        """
        Run the requests of a file, each as a call of this key, when there is room for them.

        Args:
            endpoint: What every line calls.
            completion_window: Hours or days up to a week: `6h`, `3d`.
        """
        body = {
            "input_file_id": input_file_id,
            "endpoint": endpoint,
            "completion_window": completion_window,
            **more,
        }
        if metadata is not None:
            body["metadata"] = dict(metadata)
        return Batch.of(*self._client.call("POST", "/v1/batches", body=body))

    def get(self, batch: str) -> Batch:
        """Return a batch: where it is, and how many of its lines have ended."""
        return Batch.of(*self._client.call("GET", _at("batches", batch)))

    def list(self, **query: Any) -> Pages[Batch]:
        """List batches, newest first."""
        return _pages(self._client, "/v1/batches", Batch, query)

    def cancel(self, batch: str) -> Batch:
        """End a batch before its time; what was answered is kept."""
        return Batch.of(*self._client.call("POST", _at("batches", batch, "cancel")))


def _at(noun: str, ref: str, *more: str) -> str:
    return "/".join((f"/v1/{noun}", quote(ref, safe=""), *more))


def _pages(
    client: BatchCaller, path: str, kind: type[Model], query: Mapping[str, Any]
) -> Pages[Any]:
    def fetch(after: str | None) -> Page[Any]:
        asked = {**query, "after": after} if after is not None else query
        document, headers = client.call("GET", path, query=asked)
        rest = document["last_id"] if document.get("has_more") else None
        return Page([kind.of(item) for item in document["data"]], rest, document, headers)

    return Pages(fetch)
