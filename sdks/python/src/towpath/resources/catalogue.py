"""What there is to call and to deploy: callable models, the registry with its files, runtimes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, Protocol, TypedDict, Unpack
from urllib.parse import quote

from towpath.paging import AsyncPages
from towpath.resources.artifacts import AsyncArtifacts, Progress
from towpath.resources.noun import AsyncNoun, matching
from towpath.transport import FilePart
from towpath.transport_async import AsyncResponse
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


class AsyncUploader(Protocol):
    """What uploads need of the client."""

    async def call(
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

    async def open(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content: bytes | Path | FilePart | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncResponse:
        """Make a call and return its answer with the body unread."""
        ...


class AsyncModels:
    """Names that this key may call."""

    def __init__(self, client: AsyncUploader) -> None:
        self._client = client

    async def list(self) -> ModelList:
        """Return all of them, with context length, owner and price where known."""
        return ModelList.of(*await self._client.call("GET", "/v1/models"))

    async def get(self, name: str) -> CallableModel:
        """Return one."""
        path = f"/v1/models/{quote(name, safe='')}"
        return CallableModel.of(*await self._client.call("GET", path))


class AsyncRegistry(AsyncNoun[RegisteredModel]):
    """Registered models: names with immutable versions."""

    _path = "/api/v1/models"
    _kind = RegisteredModel

    def __init__(self, client: AsyncUploader) -> None:
        super().__init__(client)
        self._uploader = client

    async def create(
        self, *, name: str, project: str, visibility: str = "project", **more: Any
    ) -> RegisteredModel:
        """Take a name in the registry."""
        return await self._create(
            {"name": name, "project": project, "visibility": visibility, **more}
        )

    async def update(
        self, ref: str, *, if_match: int | None = None, **changes: Any
    ) -> RegisteredModel:
        """
        Change who sees a model, its description or its tags; what is not given stays.

        Args:
            changes: `visibility`, `description`, and `tags`, of which none takes one away.
        """
        return await self._update(ref, changes, if_match)

    def list(self, **query: Any) -> AsyncPages[RegisteredModel]:
        """
        List registered models.

        Args:
            query: `search`, words of name and description; `tag`, as `key` or `key=value`, or a
                list of them; `format`; `licence`.
        """
        return self._listed(query)

    def versions(self, name: str, **query: Any) -> AsyncPages[ModelVersion]:
        """List the versions of a model."""
        return self._listed(query, path=self._at(name, "versions"), kind=ModelVersion)

    def served(self, name: str, **query: Any) -> AsyncPages[Served]:
        """
        List which versions took traffic when, the latest first.

        Filters: `environment`, and `at` for what took it at that time.
        """
        return self._listed(query, path=self._at(name, "served"), kind=Served)

    async def version(self, name: str, number: int) -> ModelVersion:
        """Return one version."""
        path = self._at(name, "versions", str(number))
        return ModelVersion.of(*await self._client.call("GET", path))

    async def create_version(
        self, name: str, **version: Unpack[ModelVersionCreate]
    ) -> ModelVersion:
        """
        Register uploaded files as the next version, or return the newest when it is just that.

        With `project`, a model of this name is made where there is none.
        """
        path = self._at(name, "versions")
        return ModelVersion.of(*await self._client.call("POST", path, body=version))

    async def tag_version(
        self,
        name: str,
        number: int,
        *,
        tags: Mapping[str, str | None],
        if_match: int | None = None,
    ) -> ModelVersion:
        """Change the tags of a version; what is not named stays, none takes one away."""
        answer = await self._client.call(
            "PATCH",
            self._at(name, "versions", str(number)),
            body={"tags": tags},
            headers=matching(if_match),
        )
        return ModelVersion.of(*answer)

    def aliases(self, name: str, **query: Any) -> AsyncPages[ModelAlias]:
        """List the aliases of a model."""
        return self._listed(query, path=self._at(name, "aliases"), kind=ModelAlias)

    async def alias(self, name: str, alias: str) -> ModelAlias:
        """Return where an alias points."""
        return ModelAlias.of(*await self._client.call("GET", self._at(name, "aliases", alias)))

    async def set_alias(
        self, name: str, alias: str, *, version: int, reason: str, if_match: int | None = None
    ) -> ModelAlias:
        """
        Point an alias at a version; deployments stay at the version they resolved to.

        Args:
            reason: Why; it stands in the log.
        """
        answer = await self._client.call(
            "PUT",
            self._at(name, "aliases", alias),
            body={"version": version, "reason": reason},
            headers=matching(if_match),
        )
        return ModelAlias.of(*answer)

    async def delete_alias(
        self, name: str, alias: str, *, reason: str | None = None, if_match: int | None = None
    ) -> None:
        """Delete an alias that no deployment was declared by; its log stays."""
        await self._client.call(
            "DELETE",
            self._at(name, "aliases", alias),
            query={"reason": reason},
            headers=matching(if_match),
        )

    def alias_history(self, name: str, alias: str, **query: Any) -> AsyncPages[AliasMove]:
        """List the moves of an alias, newest first."""
        return self._listed(query, path=self._at(name, "aliases", alias, "history"), kind=AliasMove)

    async def download(
        self, name: str, number: int, path: str, *, start: int = 0, digest: str | None = None
    ) -> AsyncResponse:
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
        return await self._uploader.open("GET", where, headers=headers)

    async def has_file(self, digest: str) -> bool:
        """Tell whether a file of this digest (`sha256:…`) need not be uploaded."""
        return await AsyncArtifacts(self._uploader).has(digest)

    async def upload(self, path: Path, *, digest: str, progress: Progress | None = None) -> None:
        """Upload a file; the platform checks its digest. See `artifacts.upload`."""
        await AsyncArtifacts(self._uploader).upload(path, digest=digest, progress=progress)


class AsyncRuntimes(AsyncNoun[Runtime]):
    """How formats are served."""

    _path = "/api/v1/runtimes"
    _kind = Runtime

    def list(self, **query: Any) -> AsyncPages[Runtime]:
        """List runtimes."""
        return self._listed(query)
