"""
The first start: an admin key, and the demo that makes the first call work within minutes.

Everything is created in one transaction through the domains' own services, so a start that is
interrupted leaves nothing half-created. Keys are announced before the commit: whoever announces
last is the one that committed, and no key can be in force that nobody was told.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from towpath_server.adapters.facilities import Facilities
from towpath_server.core import deferred, documents, revision
from towpath_server.core import log as logging
from towpath_server.core.access import SYSTEM
from towpath_server.core.config import Settings
from towpath_server.core.db import Database, Tx
from towpath_server.core.deferred import Deferred
from towpath_server.core.errors import InvalidRequest, TowpathError
from towpath_server.domains.deployments import service as deployments
from towpath_server.domains.deployments.models import Deployment
from towpath_server.domains.deployments.schemas import read as read_manifest
from towpath_server.domains.keys import service as keys
from towpath_server.domains.keys.models import Environment
from towpath_server.domains.models import service as models
from towpath_server.domains.models.models import VersionDraft, Visibility
from towpath_server.domains.policies import service as policies
from towpath_server.domains.projects import service as projects
from towpath_server.domains.projects.models import Project
from towpath_server.domains.projects.service import applications
from towpath_server.domains.teams import service as teams
from towpath_server.domains.users import service as users
from towpath_server.gatewaylink import platform
from towpath_server.gatewaylink.watch import Watch

log = logging.get(__name__)

TEAM, PROJECT, APPLICATION = "demo", "quickstart", "first-steps"
# The person who starts the platform tries everything with this key, deploying included.
DEMO_SCOPES = ("invoke", "read", "deploy")
_RETRY_S = 0.5
# The demo's models load within seconds; a large one goes on loading after the address was printed.
LOAD_LIMIT_S = 60.0

Applied = Callable[[int], Awaitable[bool]]
"""Wait, bounded, until every connected gateway has a revision in force; false if not in time."""


class Say(Protocol):
    """Tell the supervisor something."""

    def __call__(self, event: str, **fields: object) -> None:
        """Send one event."""
        ...


async def first_start(db: Database, settings: Settings, facilities: Facilities, say: Say) -> None:
    """Create what a platform must have, and on an empty database the demo; once is enough."""
    demo = _Demo(facilities, demo_folder(settings)) if settings.demo else None
    await deferred.write(db, lambda tx: _first_start(tx, settings, demo, say))


@dataclass
class _Demo:
    """The prepared models of this machine."""

    facilities: Facilities
    folder: Path | None
    unsound: set[Path] = field(default_factory=set)
    """Manifests of those that could not be scanned."""


async def _first_start(tx: Tx, settings: Settings, demo: _Demo | None, say: Say) -> None:
    declared = platform.Declared(
        settings.organization,
        settings.currency,
        settings.egress_allow,
        settings.max_table_age.in_ms(),
    )
    await platform.declare(tx, declared)
    admin = await users.ensure_admin_key(tx, settings.admin_key)
    await policies.install_defaults(tx)
    told: dict[str, object] = {"admin_key": admin.reveal()} if admin else {}
    if demo is not None and not await teams.exists(tx):
        project, demo_key = await _project(tx)
        told["demo_key"] = demo_key
        created = await _deployments(tx, project, demo)
        if created:
            await platform.await_endpoints(tx, [found.endpoint_id for found in created])
    if told:
        say("keys", **told)


async def settle(db: Database, watch: Watch) -> None:
    """Watch the demo's models until each has been ready once, then let readiness forget them."""
    while not watch.closed:
        try:
            async with db.read() as tx:
                seen = await revision.current(tx)
                waiting = await platform.awaited(tx)
            if not waiting:
                return
            async with db.write() as tx:
                if await platform.settle(tx):
                    return
        except TowpathError as error:
            log.warning("demo.not_settled", why=error.detail, **error.log)
            await asyncio.sleep(_RETRY_S)
            continue
        await watch.beyond(seen)


async def loaded(db: Database, watch: Watch, say: Say, applied: Applied) -> None:
    """
    Wait until every model that is to run can be called, saying which ones load, and then which did.

    Bounded: a model that cannot be loaded must not keep the person from the others.
    """
    deadline = asyncio.get_running_loop().time() + LOAD_LIMIT_S
    while not watch.closed:
        try:
            async with db.read() as tx:
                seen = await revision.current(tx)
                targets = await deployments.routed_targets(tx)
        except TowpathError as error:
            log.warning("models.not_watched", why=error.detail, **error.log)
            await asyncio.sleep(_RETRY_S)
            continue
        missing = sorted(target.name for target in targets if not target.callable)
        say("loading", names=missing)
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0 or (not missing and await applied(seen)):
            names = sorted(target.name for target in targets if target.callable)
            say("loaded", names=names, missing=missing)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left if missing else _RETRY_S):
                await watch.beyond(seen)


def demo_folder(settings: Settings) -> Path | None:
    """Find the prepared models: as set, else installed, else as a source checkout builds them."""
    if settings.demo_dir is not None:
        return settings.demo_dir
    environment = Path(sys.prefix)
    places = (environment / "share" / "towpath" / "demo", environment.parent / ".build/artifacts")
    return next((place for place in places if place.is_dir()), None)


async def _project(tx: Tx) -> tuple[Project, str]:
    await teams.create(tx, SYSTEM, name=TEAM)
    project = await projects.create(tx, SYSTEM, team=TEAM, name=PROJECT)
    path = f"{TEAM}/{PROJECT}"
    await applications.create(
        tx,
        SYSTEM,
        project=path,
        name=APPLICATION,
        about={"use_case": "Trying the platform out."},
    )
    _, secret = await keys.create(
        tx,
        SYSTEM,
        project=path,
        environment=Environment.SANDBOX,
        name="first",
        application=APPLICATION,
        scopes=DEMO_SCOPES,
    )
    return project, secret.reveal()


async def _deployments(tx: Tx, project: Project, demo: _Demo) -> list[Deployment]:
    """
    Deploy every prepared model; one that cannot be is left out, and the log says why.

    Raises:
        Deferred: Some were not scanned yet.
    """
    if demo.folder is None:
        log.warning("demo.models_missing", fix="`make setup` prepares them")
        return []
    created: list[Deployment] = []
    waiting: dict[Path, Deferred] = {}
    for manifest in await asyncio.to_thread(_manifests, demo.folder):
        if manifest in demo.unsound:
            continue
        try:
            async with tx.connection.begin_nested():
                created.append(await _deploy(tx, demo.facilities, project, manifest))
        except Deferred as first:
            waiting[manifest] = first
        except TowpathError as error:
            _skipped(manifest, error)
    if waiting:
        raise Deferred(lambda db: _scan(db, demo, waiting))
    return created


async def _scan(db: Database, demo: _Demo, waiting: Mapping[Path, Deferred]) -> None:
    for manifest, one in waiting.items():
        try:
            await one.work(db)
        except TowpathError as error:
            demo.unsound.add(manifest)
            _skipped(manifest, error)


def _skipped(manifest: Path, error: TowpathError) -> None:
    found = [finding.message for finding in error.findings]
    log.warning("demo.model_skipped", manifest=str(manifest), why=error.detail, found=found)


async def _deploy(tx: Tx, facilities: Facilities, project: Project, manifest: Path) -> Deployment:
    folder = manifest.parent
    content = await asyncio.to_thread(manifest.read_bytes)
    document, lines = documents.read(content, "application/yaml")
    name, model = _named(document, manifest)
    version = await models.import_version(
        tx,
        SYSTEM,
        facilities,
        owner=(project, Visibility.ORGANIZATION),
        source=_source(folder, str(model.get("uri", ""))),
        draft=VersionDraft(
            format=str(model.get("format", "")),
            signature=_json(folder / "signature.json"),
            card=_text(folder / "card.md"),
            licence=(document["metadata"].get("annotations") or {}).get("licence"),
        ),
        name=name,
    )
    # What the command line does for a user's own file: upload it, then deploy by the registry's
    # name.
    model["uri"] = version.uri
    document["metadata"]["project"] = f"{TEAM}/{PROJECT}"
    draft = read_manifest(document, lines, environment=Environment.SANDBOX)
    return await deployments.apply(
        tx, SYSTEM, draft, environment=Environment.SANDBOX, facilities=facilities
    )


def _manifests(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/towpath.yaml"))


def _named(document: Any, manifest: Path) -> tuple[str, dict[str, Any]]:
    """Return the name and the model section, which must be there before anything is imported."""
    try:
        name, model = document["metadata"]["name"], document["spec"]["model"]
    except (KeyError, TypeError) as error:
        raise InvalidRequest(
            f"`{manifest}` names no model.", fix="It needs `metadata.name` and `spec.model`."
        ) from error
    return str(name), model


def _source(folder: Path, uri: str) -> Path:
    path = (folder / uri.removeprefix("file:")).resolve()
    if not uri.startswith("file:") or not path.is_relative_to(folder.resolve()):
        raise InvalidRequest(
            f"`{uri}` is not a file beside the manifest.", fix="Write it as `file:./model`."
        )
    return path


def _json(path: Path) -> Mapping[str, Any] | None:
    text = _text(path)
    return json.loads(text) if text else None


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
