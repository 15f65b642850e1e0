"""A team that imports models, a source that does as it is told, and the runner between them."""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from platform_api import Api

from towpath_server.adapters.facilities import Facilities
from towpath_server.adapters.sources.errors import SourceFailed
from towpath_server.adapters.sources.model import Access, Listing, RemoteFile
from towpath_server.core.clock import FixedClock
from towpath_server.core.db import Database
from towpath_server.core.sources import Address
from towpath_server.domains.imports.reconcile import Runner

HUB = "hf://acme/triage:main"
PIECE = 1 << 20


def digest_of(content: bytes) -> str:
    """Return how the store knows some content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def away(message: str = "The source does not answer.", **more: Any) -> SourceFailed:
    """Return what a source that is away for the moment raises."""
    return SourceFailed("Unreachable", message, fix="Check its address.", transient=True, **more)


def refused(reason: str = "AccessDenied") -> SourceFailed:
    """Return what a source that refuses for good raises."""
    return SourceFailed(reason, "The repository is gated.", fix="Ask for access to it.")


@dataclass
class Scripted:
    """A source with some files, which tells their digests or not, and fails on cue."""

    files: dict[str, bytes] = field(default_factory=lambda: {"model.bin": b"weights"})
    told: bool = True
    """Whether it tells sizes and digests."""
    untold: set[str] = field(default_factory=set)
    """Files of which it does not."""
    lies: dict[str, str] = field(default_factory=dict)
    """Digests that are not those of the files."""
    card: str | None = None
    licence: str | None = None
    listing_cues: list[SourceFailed] = field(default_factory=list)
    cuts: list[tuple[str, int]] = field(default_factory=list)
    """Files that break off, once each, at an offset."""
    before: Callable[[str, int], Awaitable[None]] | None = None
    """Awaited before every piece, with its file and offset."""
    asked: list[tuple[Address, Access]] = field(default_factory=list)
    reads: list[tuple[str, int]] = field(default_factory=list)
    """Every reading that was begun, and from where."""
    sent: Counter[str] = field(default_factory=Counter)
    """Bytes that were given, by file."""

    @asynccontextmanager
    async def open(self, address: Address, access: Access) -> AsyncIterator["Scripted"]:
        """Open it."""
        self.asked.append((address, access))
        yield self

    async def listing(self) -> Listing:
        """Tell what there is."""
        if self.listing_cues:
            raise self.listing_cues.pop(0)
        print_ = digest_of("".join(map(digest_of, self.files.values())).encode())
        address, _ = self.asked[-1]
        pinned = address.text
        if address.scheme == "hf":
            pinned = f"{address.text.rpartition(':')[0]}:{print_[7:47]}"
        files = tuple(self._file(path, self.files[path]) for path in sorted(self.files))
        return Listing(pinned, files, print_, self.card, self.licence)

    def _file(self, path: str, content: bytes) -> RemoteFile:
        if not self.told or path in self.untold:
            return RemoteFile(path, path)
        return RemoteFile(path, path, len(content), self.lies.get(path, digest_of(content)))

    async def read(self, file: RemoteFile, offset: int = 0) -> AsyncIterator[bytes]:
        """Give a file's bytes."""
        self.reads.append((file.path, offset))
        content = self.files[file.path]
        cut = next((one for one in self.cuts if one[0] == file.path and one[1] >= offset), None)
        end = len(content) if cut is None else cut[1]
        while offset < end:
            if self.before is not None:
                await self.before(file.path, offset)
            piece = content[offset : min(offset + PIECE, end)]
            offset += len(piece)
            self.sent[file.path] += len(piece)
            yield piece
        if cut is not None:
            self.cuts.remove(cut)
            raise away("The connection broke off.")


@dataclass
class ImportWorld:
    """A team with a developer, and what runs its imports."""

    db: Database
    clock: FixedClock
    admin: Api
    facilities: Facilities
    api: Api = None  # type: ignore[assignment]  # made by `prepare`
    source: Scripted = field(default_factory=Scripted)

    async def prepare(self) -> None:
        """Make teams, projects and people."""
        for team in ("care", "sales"):
            await self.admin.create("/teams", name=team)
            await self.admin.create("/projects", team=team, name="triage")
        self.api = await self.person("care")

    async def person(self, team: str, role: str = "developer") -> Api:
        """Make somebody of a team."""
        name = f"{team}-{role}"
        user = await self.admin.create("/users", name=name, email=f"{name}@example.org")
        await self.admin.create("/members", team=team, user=user["id"], role=role)
        token = await self.admin.create(f"/users/{user['id']}/tokens", name="laptop")
        return self.admin.as_(token["token"])

    def runner(self, facilities: Facilities | None = None) -> Runner:
        """Return a runner as a fresh process has it."""
        return Runner(self.db, facilities or self.facilities, self.source.open)

    async def begin(
        self,
        uri: str = HUB,
        *,
        model: str = "triage",
        project: str = "care/triage",
        status: int = 202,
        api: Api | None = None,
        **more: Any,
    ) -> Any:
        """Begin an import into a model of the format `tiny`."""
        body = {"uri": uri, "project": project, "format": "tiny", **more}
        answer = await (api or self.api).call(
            "POST", f"/models/{model}/imports", body, status=status
        )
        return answer.json()

    async def get(self, id_: str) -> Any:
        """Return an import as the API shows it."""
        return await self.admin.get(f"/imports/{id_}")

    async def run(self, id_: str, facilities: Facilities | None = None) -> Any:
        """Take all steps of an import that can be taken now, each in a process of its own."""
        for _ in range(20):
            if not await self.runner(facilities).step(id_):
                return await self.get(id_)
        raise AssertionError("it never ends")

    async def patiently(self, id_: str, facilities: Facilities | None = None) -> Any:
        """Run an import to its end, whatever time it takes."""
        for _ in range(10):
            found = await self.run(id_, facilities)
            if found["phase"] in {"done", "failed"}:
                return found
            self.clock.advance(seconds=3_601)
        raise AssertionError("it never ends")

    async def imported(self, uri: str = HUB, **more: Any) -> Any:
        """Import a model, and return its version."""
        begun = await self.begin(uri, **more)
        found = await self.run(begun["id"])
        assert found["phase"] == "done", found
        return await self.admin.get(f"/models/{found['model']}/versions/{found['version']}")

    def left_open(self) -> list[str]:
        """Name the uploads that the store has begun and not ended."""
        return sorted(
            path.name for path in (self.facilities.folder.artifacts / "uploads").glob("*")
        )


__all__ = ["HUB", "ImportWorld", "Scripted", "away", "digest_of", "refused"]
