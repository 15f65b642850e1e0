"""Forms with a file (`multipart/form-data`), read as they come and never held whole."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from towpath_server.core.errors import Finding, InvalidRequest

_MAX_FIELDS = 16
_MAX_FIELD_BYTES = 4 << 10

FORM_BODY: Mapping[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {"type": "string", "enum": ["batch"]},
                        "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
                        "expires_after[seconds]": {"type": "integer"},
                    },
                }
            }
        },
    }
}
"""How the contract describes such a body."""


@dataclass
class _Part:
    headers: dict[str, str] = field(default_factory=dict)
    name: str = ""
    is_file: bool = False
    content: bytearray = field(default_factory=bytearray)


class Form:
    """One form; its file is a stream, and its fields are known once that has ended."""

    def __init__(self, stream: AsyncIterator[bytes], boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self._stream = stream
        self._part = _Part()
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._file: list[bytes] = []
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    @classmethod
    def of(cls, request: Request) -> "Form":
        """
        Begin to read a request's form.

        Raises:
            InvalidRequest: Its body is none.
        """
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise _malformed("it is not `multipart/form-data` with a boundary")
        return cls(request.stream(), options[b"boundary"])

    async def file(self) -> AsyncIterator[bytes]:
        """
        Yield the bytes of the field `file`, then read on to the end of the form.

        Raises:
            InvalidRequest: The form is malformed, or its fields are too many or too long.
        """
        async for piece in self._stream:
            try:
                self._parser.write(piece)
            except FormParserError as error:
                raise _malformed("its parts cannot be told apart") from error
            for content in self._file:
                yield content
            self._file = []
        if not self._ended:
            raise _malformed("it ends before its last part does")

    def _on_part_begin(self) -> None:
        self._part = _Part()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def _on_header_end(self) -> None:
        name, value = (part.decode("utf-8", "replace") for part in self._header)
        self._part.headers[name.strip().lower()] = value.strip()
        self._header = (bytearray(), bytearray())

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._part.headers.get("content-disposition", ""))
        self._part.name = options.get(b"name", b"").decode("utf-8", "replace")
        if not self._part.name:
            raise _malformed("a part of it has no name")
        if self._part.name == "file":
            if self.filename is not None:
                raise _malformed("it has more than one `file`")
            self._part.is_file = True
            self.filename = options.get(b"filename", b"file").decode("utf-8", "replace") or "file"
        elif len(self.fields) >= _MAX_FIELDS:
            raise _malformed(f"it has more than {_MAX_FIELDS} fields")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.is_file:
            self._file.append(data[start:end])
            return
        self._part.content.extend(data[start:end])
        if len(self._part.content) > _MAX_FIELD_BYTES:
            raise _malformed(f"a field of it is longer than {_MAX_FIELD_BYTES} bytes")

    def _on_part_end(self) -> None:
        if not self._part.is_file:
            self.fields[self._part.name] = self._part.content.decode("utf-8", "replace")

    def _on_end(self) -> None:
        self._ended = True


def _malformed(what: str) -> InvalidRequest:
    return InvalidRequest(
        f"The form cannot be read: {what}.",
        fix="Send `multipart/form-data` with the fields `purpose` and `file`.",
        findings=[Finding("#", f"The form cannot be read: {what}.")],
    )
