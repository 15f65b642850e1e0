"""
Where models are read from, as people write it: `hf://`, `oci://`, `s3://` and `https://`.

A URI is read into an address without asking anybody. What it says is public: it is shown in lists,
lineage and audit, so nothing secret may stand in it; credentials belong to a connection.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from towpath_server.core import suggest

_OWNER_AND_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HOST = (
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
)
_REGISTRY = re.compile(_HOST)
_REPOSITORY = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_MAX_URI = 2_000
_MAX_REPOSITORY = 255  # of the OCI distribution specification, as its clients hold it


class UriInvalid(ValueError):
    """
    A URI that names no source.

    Args:
        what: Goes on after the name of the field: `has no digest`.
        reason: The kind of mistake, in one word.
    """

    def __init__(self, what: str, fix: str, reason: str = "InvalidUri") -> None:
        super().__init__(what)
        self.fix = fix
        self.reason = reason


@dataclass(frozen=True)
class HubAddress:
    """A repository of the Hugging Face Hub, or one file or one folder of it."""

    scheme: ClassVar[str] = "hf"
    repository: str
    """`owner/name`."""
    revision: str = "main"
    """A branch, a tag, a reference such as `refs/pr/1`, or a commit of 40 hexadecimal digits."""
    path: str = ""
    """The file or the folder that is meant; empty: the repository."""

    @property
    def text(self) -> str:
        """The URI, its revision always named."""
        below = f"/{self.path}" if self.path else ""
        return f"hf://{self.repository}{below}:{self.revision}"

    @property
    def pinned(self) -> bool:
        """Whether it always names the same bytes."""
        return _COMMIT.fullmatch(self.revision) is not None

    @property
    def basename(self) -> str:
        """The last name in it."""
        return (self.path or self.repository).rpartition("/")[2]


@dataclass(frozen=True)
class OciAddress:
    """An artifact or an image in a registry."""

    scheme: ClassVar[str] = "oci"
    registry: str
    """`host` or `host:port`."""
    repository: str
    reference: str = "latest"
    """A tag, or a digest."""

    @property
    def text(self) -> str:
        """The URI, its tag always named."""
        mark = "@" if self.pinned else ":"
        return f"oci://{self.registry}/{self.repository}{mark}{self.reference}"

    @property
    def pinned(self) -> bool:
        """Whether it always names the same bytes."""
        return _DIGEST.fullmatch(self.reference) is not None

    @property
    def basename(self) -> str:
        """The last name in it."""
        return self.repository.rpartition("/")[2]


@dataclass(frozen=True)
class S3Address:
    """An object in a bucket, or all objects below a prefix."""

    scheme: ClassVar[str] = "s3"
    pinned: ClassVar[bool] = False
    """Whether it always names the same bytes: a bucket's objects may be written over."""
    bucket: str
    key: str = ""
    """A key, or a prefix without its last `/`; empty: the bucket."""

    @property
    def text(self) -> str:
        """The URI."""
        return f"s3://{self.bucket}/{self.key}"

    @property
    def basename(self) -> str:
        """The last name in it."""
        return self.key.rpartition("/")[2] or self.bucket


@dataclass(frozen=True)
class WebAddress:
    """One file that any web server has."""

    scheme: ClassVar[str] = "https"
    pinned: ClassVar[bool] = True
    """Whether it always names the same bytes: their digest stands in it."""
    url: str
    """Where it is, without the digest."""
    digest: str
    """`sha256:` and 64 hexadecimal digits."""

    @property
    def text(self) -> str:
        """The URI."""
        return f"{self.url}#{self.digest.replace(':', '=')}"

    @property
    def basename(self) -> str:
        """The file's name."""
        return unquote(urlsplit(self.url).path.rpartition("/")[2])


Address = HubAddress | OciAddress | S3Address | WebAddress
"""All of them have `scheme`, `text` (the URI in its one spelling), `pinned` and `basename`."""


def parse(uri: str) -> Address:
    """
    Read a URI of one of the `SCHEMES`.

    Raises:
        UriInvalid: It names no source; the error says what to write.
    """
    scheme, separator, rest = uri.partition(":")
    read = _READ.get(scheme)
    if not separator or read is None:
        raise _unknown(scheme if separator else "")
    if not rest.startswith("//"):
        raise UriInvalid(f"has no `//` after `{scheme}:`", f"Write it as {_EXAMPLES[scheme]}.")
    if len(uri) > _MAX_URI or not uri.isprintable() or "\\" in uri:
        fix = f"Write it in at most {_MAX_URI} printable characters, with `/` between the parts."
        raise UriInvalid("is no URI", fix)
    return read(rest.removeprefix("//"))


def _unknown(scheme: str) -> UriInvalid:
    if not scheme:
        return UriInvalid("has no scheme", f"Write it as {_EXAMPLES['hf']}.")
    if scheme == "http":
        fix = "Write `https://`; a server inside can have a certificate of your own authority."
        return UriInvalid("has the scheme `http:`, which anybody on the way can alter", fix)
    listed = ", ".join(f"`{name}://`" for name in SCHEMES)
    hint = suggest.did_you_mean(scheme, SCHEMES) or f"Begin it with one of {listed}."
    return UriInvalid(f"has the unknown scheme `{scheme[:40]}:`", hint, "UnknownScheme")


def _hub(rest: str) -> HubAddress:
    fix = f"Write it as {_EXAMPLES['hf']}."
    where, separator, revision = rest.partition(":")
    if "@" in where:
        raise UriInvalid("has `@` in it", "Write the revision at the end, after a colon.")
    owner, _, below = where.partition("/")
    name, _, path = below.partition("/")
    repository, path = f"{owner}/{name}", path.rstrip("/")
    if not _OWNER_AND_NAME.fullmatch(repository) or ".." in repository or "--" in repository:
        raise UriInvalid("names no repository of the Hub", fix)
    if path and not _plain(path):
        raise UriInvalid("names no file and no folder of the repository", fix)
    bad = ("..", "//", "/.", "@{", ".lock/")
    if separator and (
        not _REVISION.fullmatch(revision)
        or revision.endswith(("/", ".", ".lock"))
        or any(part in revision for part in bad)
    ):
        raise UriInvalid("names no revision", "Write a branch, a tag or a commit after the colon.")
    return HubAddress(repository, revision or "main", path)


def _oci(rest: str) -> OciAddress:
    fix = f"Write it as {_EXAMPLES['oci']}."
    registry, _, below = rest.partition("/")
    if not _REGISTRY.fullmatch(registry) or not _is_host(registry):
        raise UriInvalid("names no registry", f"Begin it with the registry's address. {fix}")
    named, separator, digest = below.partition("@")
    repository, colon, tag = named.partition(":")
    if not _REPOSITORY.fullmatch(repository) or len(repository) > _MAX_REPOSITORY:
        raise UriInvalid("names no repository of the registry", fix)
    if colon and not _TAG.fullmatch(tag):
        raise UriInvalid("names no tag", f"Use letters, digits, `.`, `_` and `-`. {fix}")
    if separator and not _DIGEST.fullmatch(digest):
        raise UriInvalid("has no digest after `@`", "Write `@sha256:` and 64 hexadecimal digits.")
    return OciAddress(registry.lower(), repository, digest or tag or "latest")


def _s3(rest: str) -> S3Address:
    fix = f"Write it as {_EXAMPLES['s3']}."
    bucket, _, key = rest.partition("/")
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise UriInvalid("names no bucket", fix)
    key = key.rstrip("/")
    if key and not _plain(key):
        raise UriInvalid("names no key and no prefix", fix)
    return S3Address(bucket, key)


def _web(rest: str) -> WebAddress:
    fix = f"Write it as {_EXAMPLES['https']}."
    address, separator, fragment = rest.partition("#")
    host, _, path = address.partition("/")
    if "@" in host:
        raise UriInvalid("has credentials in it", "Take them out, and put them in a connection.")
    if "?" in address:
        what = "has a query, which may be a secret and would be shown in lists"
        raise UriInvalid(what, "Name the file without it; a connection holds credentials.")
    if not _REGISTRY.fullmatch(host) or not path or not _plain(unquote(path)):
        raise UriInvalid("names no file of a server", fix)
    name, _, digits = fragment.partition("=")
    digest = f"sha256:{digits.lower()}"
    if not separator or name != "sha256":
        what = "has no digest, and what a server answers may change"
        raise UriInvalid(
            what,
            "Add `#sha256=` and the 64 hexadecimal digits that `sha256sum FILE` prints.",
            "DigestMissing",
        )
    if not _DIGEST.fullmatch(digest):
        raise UriInvalid("has no SHA-256 after `#sha256=`", "Write 64 hexadecimal digits there.")
    return WebAddress(f"https://{host.lower()}/{path}", digest)


def _plain(path: str) -> bool:
    """Tell whether a path has names alone: nothing empty, nothing that climbs."""
    names = path.split("/")
    return path.isprintable() and "\\" not in path and not {"", ".", ".."} & set(names)


def _is_host(registry: str) -> bool:
    """Tell an address from the first part of a name that some clients complete by themselves."""
    return "." in registry or ":" in registry or registry == "localhost"


_READ: Mapping[str, Callable[[str], Address]] = {
    "hf": _hub,
    "oci": _oci,
    "s3": _s3,
    "https": _web,
}
_EXAMPLES = {
    "hf": "`hf://owner/name` or `hf://owner/name:revision`",
    "oci": "`oci://registry.example.com/team/model:tag`",
    "s3": "`s3://bucket/models/triage`",
    "https": "`https://host/model.gguf#sha256=…`",
}

SCHEMES: tuple[str, ...] = tuple(_READ)
"""What this reads, without the colon."""
