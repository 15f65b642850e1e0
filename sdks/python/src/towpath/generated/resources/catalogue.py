"""Derived from `towpath/resources/catalogue.py` by `tools/derive_sync.py`; never edited."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, Protocol, TypedDict, Unpack
from urllib.parse import quote

from towpath.generated.paging import Pages
from towpath.generated.resources.artifacts import Artifacts, Progress
from towpath.generated.resources.noun import Noun, matching
from towpath.transport import FilePart
from towpath.transport import Response
from towpath.types import (
    AliasMove,
    CallableModel,
    ModelAlias,
    ModelList,
    ModelVersion,
    RegisteredModel,
    Runtime,
    Served,
)


class VersionFile(TypedDict):
    """One file of a model version; its content was uploaded before."""

    path: str
    digest: str
    size: int


class ModelVersionCreate(TypedDict):
    """A new version of a model."""

    format: str
    files: Sequence[VersionFile]
    signature: NotRequired[Mapping[str, Any]]
    card: NotRequired[str]
    licence: NotRequired[str]
    lineage: NotRequired[Mapping[str, Any]]
    tags: NotRequired[Mapping[str, str]]
    project: NotRequired[str]


class Uploader(Protocol):
    """What uploads need of the client."""

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content: bytes | Path | FilePart | None = None,
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
        content: bytes | Path | FilePart | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Make a call and return its answer with the body unread."""
        ...


class Models:
    """Names that this key may call."""

    def __init__(self, client: Uploader) -> None:
        self._client = client

    def list(self) -> ModelList:
        """Return all of them, with context length, owner and price where known."""
        return ModelList.of(*self._client.call("GET", "/v1/models"))

    def get(self, name: str) -> CallableModel:
        """Return one."""
        path = f"/v1/models/{quote(name, safe='')}"
        return CallableModel.of(*self._client.call("GET", path))


class Registry(Noun[RegisteredModel]):
    """Registered models: names with immutable versions."""

    _path = "/api/v1/models"
    _kind = RegisteredModel

    def __init__(self, client: Uploader) -> None:
        super().__init__(client)
        self._uploader = client

    def create(
        self, *, name: str, project: str, visibility: str = "project", **more: Any
    ) -> RegisteredModel:
        """Take a name in the registry."""
        return self._create(
            {"name": name, "project": project, "visibility": visibility, **more}
        )

    def update(
        self, ref: str, *, if_match: int | None = None, **changes: Any
    ) -> RegisteredModel:
        """
        Change who sees a model, its description or its tags; what is not given stays.

        Args:
            changes: `visibility`, `description`, and `tags`, of which none takes one away.
        """
        return self._update(ref, changes, if_match)

    def list(self, **query: Any) -> Pages[RegisteredModel]:
        """
        List registered models.

        Args:
            query: `search`, words of name and description; `tag`, as `key` or `key=value`, or a
                list of them; `format`; `licence`.
        """
        return self._listed(query)

    def versions(self, name: str, **query: Any) -> Pages[ModelVersion]:
        """List the versions of a model."""
        return self._listed(query, path=self._at(name, "versions"), kind=ModelVersion)

    def served(self, name: str, **query: Any) -> Pages[Served]:
        """
        List which versions took traffic when, the latest first.

        Filters: `environment`, and `at` for what took it at that time.
        """
        return self._listed(query, path=self._at(name, "served"), kind=Served)

    def version(self, name: str, number: int) -> ModelVersion:
        """Return one version."""
        path = self._at(name, "versions", str(number))
        return ModelVersion.of(*self._client.call("GET", path))

    def create_version(
        self, name: str, **version: Unpack[ModelVersionCreate]
    ) -> ModelVersion:
        """
        Register uploaded files as the next version, or return the newest when it is just that.

        With `project`, a model of this name is made where there is none.
        """
        path = self._at(name, "versions")
        return ModelVersion.of(*self._client.call("POST", path, body=version))

    def tag_version(
        self,
        name: str,
        number: int,
        *,
        tags: Mapping[str, str | None],
        if_match: int | None = None,
    ) -> ModelVersion:
        """Change the tags of a version; what is not named stays, none takes one away."""
        answer = self._client.call(
            "PATCH",
            self._at(name, "versions", str(number)),
            body={"tags": tags},
            headers=matching(if_match),
        )
        return ModelVersion.of(*answer)

    def aliases(self, name: str, **query: Any) -> Pages[ModelAlias]:
        """List the aliases of a model."""
        return self._listed(query, path=self._at(name, "aliases"), kind=ModelAlias)

    def alias(self, name: str, alias: str) -> ModelAlias:
        """Return where an alias points."""
        return ModelAlias.of(*self._client.call("GET", self._at(name, "aliases", alias)))

    def set_alias(
        self, name: str, alias: str, *, version: int, reason: str, if_match: int | None = None
    ) -> ModelAlias:
        """
        Point an alias at a version; deployments stay at the version they resolved to.

        Args:
            reason: Why; it stands in the log.
        """
        answer = self._client.call(
            "PUT",
            self._at(name, "aliases", alias),
            body={"version": version, "reason": reason},
            headers=matching(if_match),
        )
        return ModelAlias.of(*answer)

    def delete_alias(
        self, name: str, alias: str, *, reason: str | None = None, if_match: int | None = None
    ) -> None:
        """Delete an alias that no deployment was declared by; its log stays."""
        self._client.call(
            "DELETE",
            self._at(name, "aliases", alias),
            query={"reason": reason},
            headers=matching(if_match),
        )

    def alias_history(self, name: str, alias: str, **query: Any) -> Pages[AliasMove]:
        """List the moves of an alias, newest first."""
        return self._listed(query, path=self._at(name, "aliases", alias, "history"), kind=AliasMove)

    def download(
        self, name: str, number: int, path: str, *, start: int = 0, digest: str | None = None
    ) -> Response:
        """
        Open a file of a version, its body unread; it must be read to its end, or closed.

        Args:
            start: Send the bytes from here on, as long as the file has this `digest`.
        """
        headers = {"accept": "application/octet-stream"}
        if start:
            headers["range"] = f"bytes={start}-"
        if start and digest:
            headers["if-range"] = f'"{digest}"'
        where = self._at(name, "versions", str(number), "files", quote(path))
        return self._uploader.open("GET", where, headers=headers)

    def has_file(self, digest: str) -> bool:
        """Tell whether a file of this digest (`sha256:…`) need not be uploaded."""
        return Artifacts(self._uploader).has(digest)

    def upload(self, path: Path, *, digest: str, progress: Progress | None = None) -> None:
        """Upload a file; the platform checks its digest. See `artifacts.upload`."""
        Artifacts(self._uploader).upload(path, digest=digest, progress=progress)


class Runtimes(Noun[Runtime]):
    """How formats are served."""

    _path = "/api/v1/runtimes"
    _kind = Runtime

    def list(self, **query: Any) -> Pages[Runtime]:
        """List runtimes."""
        return self._listed(query)
