"""What there is to call and to deploy: callable models, the registry with its files, runtimes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, Protocol, TypedDict, Unpack
from urllib.parse import quote

from towpath.paging import AsyncPages
from towpath.resources.artifacts import AsyncArtifacts, Progress
from towpath.resources.noun import AsyncNoun
from towpath.types import CallableModel, ModelList, ModelVersion, RegisteredModel, Runtime


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
    project: NotRequired[str]


class AsyncUploader(Protocol):
    """What uploads need of the client."""

    async def call(
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
        """Change who sees a model, or its description; what is not given stays."""
        return await self._update(ref, changes, if_match)

    def list(self, **query: Any) -> AsyncPages[RegisteredModel]:
        """List registered models."""
        return self._listed(query)

    def versions(self, name: str, **query: Any) -> AsyncPages[ModelVersion]:
        """List the versions of a model."""
        return self._listed(query, path=self._at(name, "versions"), kind=ModelVersion)

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
