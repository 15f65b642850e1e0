"""The XML with which S3 lists a bucket, read as what a stranger wrote."""

import re
from dataclasses import dataclass, field
from xml.parsers import expat

MAX_BYTES = 4 << 20  # a page has 1,000 keys of at most 1,024 bytes, and as much about each
_TEXTS = {"Key", "ETag", "Size", "IsTruncated", "NextContinuationToken", "Contents"}
_DEEPEST = 8
_CODE = re.compile(rb"<Code>([A-Za-z]{1,60})</Code>")


@dataclass
class Stored:
    """An object."""

    key: str = ""
    etag: str = ""
    size: int = -1


@dataclass
class Page:
    """A part of a list."""

    objects: list[Stored] = field(default_factory=list)
    more: str | None = None
    """What the next part is asked with; none: this is the last."""


def read(body: bytes) -> Page:
    """
    Read a page.

    Raises:
        ValueError: It is no list of objects.
    """
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(body, True)  # noqa: FBT003 (expat's)
    except expat.ExpatError as error:
        raise ValueError(f"it is no XML: {error}") from error
    if reader.root != "ListBucketResult":
        raise ValueError("it is no list of objects")
    if any(not one.key or not one.etag or one.size < 0 for one in reader.page.objects):
        raise ValueError("it lists an object without a key, a size or an ETag")
    return reader.page


def refusal(body: bytes) -> str:
    """Return the code of an error that S3 answers, such as `NoSuchBucket`; empty: it is none."""
    found = _CODE.search(body)
    return found[1].decode() if found else ""


class _Reader:
    def __init__(self) -> None:
        self.page = Page()
        self.root = ""
        self._path: list[str] = []
        self._held: list[str] = []
        self._truncated = False
        self._token = ""

    def doctype(self, *_: object) -> None:
        raise ValueError("it has a document type, which no list of objects has")

    def start(self, name: str, _: object) -> None:
        self._path.append(name.rpartition(" ")[2])
        self._held.clear()
        self.root = self.root or self._path[0]
        if len(self._path) > _DEEPEST:
            raise ValueError("it is nested too deeply")
        if self._path[1:] == ["Contents"]:
            self.page.objects.append(Stored())

    def text(self, text: str) -> None:
        if self._path and self._path[-1] in _TEXTS:
            self._held.append(text)

    def end(self, _: str) -> None:
        text, below = "".join(self._held), self._path[1:]
        self._held.clear()
        if below == ["IsTruncated"]:
            self._truncated = text.strip() == "true"
        elif below == ["NextContinuationToken"]:
            self._token = text
        elif below[:1] == ["Contents"] and len(below) == 2:
            self._note(self.page.objects[-1], below[1], text)
        self._path.pop()
        if not self._path and self._truncated:
            self.page.more = self._token or None

    def _note(self, stored: Stored, name: str, text: str) -> None:
        if name == "Key":
            stored.key = text
        elif name == "ETag":
            stored.etag = text
        elif name == "Size" and text.isdecimal():
            stored.size = int(text[:19])
