"""Queries of deployments and their revisions."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Select, Table, delete, or_, select, union, update

from towpath_server.adapters.objectstore.store import StoredFile
from towpath_server.core import ids, queries
from towpath_server.core.access import Reach
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding
from towpath_server.core.paging import Window
from towpath_server.domains.deployments.models import (
    ALIAS,
    Condition,
    Deployment,
    Phase,
    ProbeDraft,
    ReplicaState,
    Reservation,
    Revision,
    Serving,
    Status,
    Step,
    Workload,
)
from towpath_server.domains.deployments.models.history import Origin
from towpath_server.domains.deployments.models.proving import Proving, Result
from towpath_server.domains.deployments.models.scaling import Scaling
from towpath_server.domains.deployments.tables import deployment_revisions, deployments, replicas
from towpath_server.domains.evaluations.models import Outcome

_PORTION = 200  # deployments whose revisions are read at a time when all must be


async def insert(tx: Tx, deployment: Deployment) -> None:
    """Add a deployment, without its revisions."""
    values = asdict(deployment)
    values.pop("project_path")
    await tx.execute(deployments.insert().values(**values))


async def insert_revision(tx: Tx, revision: Revision) -> None:
    """Add a revision."""
    await tx.execute(
        deployment_revisions.insert().values(
            deployment_id=revision.deployment_id,
            number=revision.number,
            manifest=dict(revision.manifest),
            model=revision.workload.model,
            workload=asdict(revision.workload),
            serving=asdict(revision.serving),
            replicas=revision.scaling.most,
            scaling=revision.scaling.document(),
            **asdict(revision.reserved),
            created_at_ms=revision.created_at_ms,
            created_by=revision.created_by,
            warnings=[asdict(warning) for warning in revision.warnings],
            proving=revision.proving.document(),
            proof=proof(revision.workload, revision.proving),
            proved_by=revision.proved_by,
            exposed_at_ms=revision.exposed_at_ms,
            note=revision.note,
            origin=asdict(revision.origin) if revision.origin else None,
        )
    )


def proof(workload: Workload, proving: Proving) -> str:
    """Return the digest by which a revision that was asked the same is found."""
    return proving.digest(workload.digest)


async def proved(tx: Tx, deployment_id: str, wanted: str) -> int | None:
    """Return the last revision of this proof that has taken traffic."""
    columns = deployment_revisions.c
    query = (
        select(columns.number)
        .where(
            columns.deployment_id == deployment_id,
            columns.proof == wanted,
            columns.exposed_at_ms.is_not(None),
        )
        .order_by(columns.number.desc())
        .limit(1)
    )
    return (await tx.execute(query)).scalar_one_or_none()


async def exposed(tx: Tx, deployment_id: str, number: int) -> None:
    """Note when a revision took the traffic first."""
    columns = deployment_revisions.c
    await tx.execute(
        update(deployment_revisions)
        .where(
            columns.deployment_id == deployment_id,
            columns.number == number,
            columns.exposed_at_ms.is_(None),
        )
        .values(exposed_at_ms=tx.now_ms)
    )


async def history(tx: Tx, deployment_id: str, window: Window) -> list[Revision]:
    """List one revision more than the window has, newest first; its cursor is a number."""
    columns = deployment_revisions.c
    query = select(deployment_revisions).where(columns.deployment_id == deployment_id)
    if window.after is not None:
        before = int(window.after) if window.after.isdecimal() else 0
        query = query.where(columns.number < before)
    query = query.order_by(columns.number.desc()).limit(window.limit + 1)
    return [_revision(row) for row in await tx.execute(query)]


async def serving_digests(tx: Tx, name: str, environments: Collection[str]) -> dict[str, str]:
    """Return the content that a name serves, by environment."""
    columns = deployments.c
    query = (
        select(columns.environment, deployment_revisions.c.workload)
        .join(deployment_revisions, deployment_revisions.c.deployment_id == columns.id)
        .where(
            columns.name == name,
            columns.environment.in_(sorted(environments)),
            columns.serving == deployment_revisions.c.number,
            columns.deleting_at_ms.is_(None),
        )
    )
    return {row.environment: row.workload["model_digest"] for row in await tx.execute(query)}


async def awaiting(tx: Tx, digest: str) -> list[str]:
    """Return the deployments whose newest revision serves a content and has no traffic yet."""
    columns = deployments.c
    query = (
        select(columns.id, deployment_revisions.c.workload)
        .join(deployment_revisions, deployment_revisions.c.deployment_id == columns.id)
        .where(
            columns.revision == deployment_revisions.c.number,
            columns.serving != columns.revision,
        )
    )
    rows = await tx.execute(query)
    return [row.id for row in rows if row.workload["model_digest"] == digest]


async def advance(tx: Tx, deployment: Deployment) -> None:
    """Count the revision up."""
    await queries.change(tx, deployments, deployment.id, deployment.revision, {})


async def remove(tx: Tx, deployment_id: str) -> None:
    """Remove a deployment with its revisions."""
    await tx.execute(delete(deployments).where(deployments.c.id == deployment_id))


async def observe(tx: Tx, deployment_id: str, values: Mapping[str, Any]) -> None:
    """Write what was observed; that is no change of what was declared."""
    written = dict(values)
    if "conditions" in written:
        written["conditions"] = [asdict(condition) for condition in written["conditions"]]
    await tx.execute(update(deployments).where(deployments.c.id == deployment_id).values(**written))


async def find(tx: Tx, ref: str, environment: str | None = None) -> list[Deployment]:
    """Find deployments by id, or by name in one or all environments, whoever asks."""
    query = select(deployments)
    if ids.is_id(ref, "dep"):
        query = query.where(deployments.c.id == ref)
    else:
        query = query.where(deployments.c.name == ref).order_by(deployments.c.environment)
        if environment is not None:
            query = query.where(deployments.c.environment == environment)
    return [_deployment(row) for row in await tx.execute(query)]


async def page(
    tx: Tx, reach: Reach, *, environment: str | None, project_id: str | None, window: Window
) -> list[Deployment]:
    """List one deployment more than the window has."""
    columns = deployments.c
    query = select(deployments)
    query = query.where(queries.within(reach, team=columns.team_id, project=columns.project_id))
    if environment is not None:
        query = query.where(columns.environment == environment)
    if project_id is not None:
        query = query.where(columns.project_id == project_id)
    rows = await tx.execute(queries.windowed(query, window, columns.id))
    return [_deployment(row) for row in rows]


async def rows(
    tx: Tx,
    *,
    wanted: Collection[str] | None,
    after: str = "",
    limit: int = 5_000,
    live: bool = False,
) -> list[Deployment]:
    """List deployments by id, or all after one, in order of id; `live`: none that is leaving."""
    query = select(deployments)
    if live:
        query = query.where(deployments.c.deleting_at_ms.is_(None))
    if wanted is None:
        query = query.where(deployments.c.id > after).order_by(deployments.c.id).limit(limit)
    else:
        query = query.where(deployments.c.id.in_(sorted(wanted)))
    return [_deployment(row) for row in await tx.execute(query)]


async def all_ids(tx: Tx) -> list[str]:
    """Return the ids of all deployments, in order of creation."""
    return list((await tx.execute(select(deployments.c.id).order_by(deployments.c.id))).scalars())


async def moving_ids(tx: Tx) -> list[str]:
    """Return the ids of those that are not ready, or of which a replica comes or goes."""
    resting = (Phase.READY, Phase.IDLE)
    away = or_(deployments.c.phase.not_in(resting), deployments.c.deleting_at_ms.is_not(None))
    restless = or_(replicas.c.state != ReplicaState.READY, replicas.c.retire_at_ms.is_not(None))
    query = union(
        select(deployments.c.id).where(away), select(replicas.c.deployment_id).where(restless)
    )
    return sorted((await tx.execute(query)).scalars())


def of_newest(table: Table, deployment_ids: Collection[str]) -> Select[Any]:
    """Return the query of what a table has of the newest revisions of some deployments."""
    columns = table.c
    return (
        select(table)
        .join(deployments, deployments.c.id == columns.deployment_id)
        .where(
            columns.deployment_id.in_(sorted(deployment_ids)),
            columns.number == deployments.c.revision,
        )
    )


async def once_ready(tx: Tx, wanted: Collection[str]) -> set[str]:
    """Return which of these have been ready once."""
    query = select(deployments.c.id).where(
        deployments.c.id.in_(sorted(wanted)), deployments.c.first_ready_at_ms.is_not(None)
    )
    return set((await tx.execute(query)).scalars())


async def revisions(tx: Tx, wanted: Collection[tuple[str, int]]) -> dict[tuple[str, int], Revision]:
    """Return revisions by deployment and number."""
    if not wanted:
        return {}
    owners = sorted({deployment_id for deployment_id, _ in wanted})
    numbers = sorted({number for _, number in wanted})
    found = await tx.execute(
        select(deployment_revisions).where(
            deployment_revisions.c.deployment_id.in_(owners),
            deployment_revisions.c.number.in_(numbers),
        )
    )
    return {
        (row.deployment_id, row.number): _revision(row)
        for row in found
        if (row.deployment_id, row.number) in wanted
    }


async def ending(tx: Tx, *, before_ms: int) -> list[Deployment]:
    """List the deployments that expire before a time, the next first."""
    columns = deployments.c
    query = select(deployments).where(
        columns.expires_at_ms.is_not(None),
        columns.expires_at_ms < before_ms,
        columns.deleting_at_ms.is_(None),
    )
    return [_deployment(row) for row in await tx.execute(query.order_by(columns.expires_at_ms))]


async def of_project(tx: Tx, project_id: str) -> list[str]:
    """Return the names of a project's deployments."""
    query = select(deployments.c.name).where(deployments.c.project_id == project_id).limit(10)
    return list((await tx.execute(query)).scalars())


async def serving_model(tx: Tx, model: str) -> list[str]:
    """Return the names of the deployments that serve a model."""
    query = (
        select(deployments.c.name)
        .join(deployment_revisions, deployments.c.id == deployment_revisions.c.deployment_id)
        .where(deployment_revisions.c.model == model, _in_use())
        .distinct()
        .limit(10)
    )
    return list((await tx.execute(query)).scalars())


async def digests_of_revisions(tx: Tx, digests: Collection[str]) -> set[str]:
    """Return those of some digests that any revision has, former ones included."""
    wanted, found = set(digests), set[str]()
    owners = await all_ids(tx)
    files = deployment_revisions.c.workload["files"]
    for start in range(0, len(owners), _PORTION):
        some = owners[start : start + _PORTION]
        query = select(files).where(deployment_revisions.c.deployment_id.in_(some))
        for listed in (await tx.execute(query)).scalars():
            found |= {file["digest"] for file in listed} & wanted
    return found


async def lists_in_use(tx: Tx) -> list[tuple[StoredFile, ...]]:
    """Return the lists of files that the newest and the serving revisions have."""
    query = (
        select(deployment_revisions.c.workload["files"])
        .join(deployments, deployments.c.id == deployment_revisions.c.deployment_id)
        .where(_in_use())
    )
    return [
        tuple(StoredFile(**file) for file in listed)
        for listed in (await tx.execute(query)).scalars()
    ]


async def declared_by_alias(tx: Tx, model: str, alias: str) -> list[str]:
    """Return the names of the deployments whose manifests name a model by an alias."""
    named = deployment_revisions.c.manifest[("metadata", "annotations", ALIAS)].as_string()
    query = (
        select(deployments.c.name)
        .join(deployment_revisions, deployments.c.id == deployment_revisions.c.deployment_id)
        .where(deployment_revisions.c.model == model, named == alias, _in_use())
        .distinct()
        .limit(10)
    )
    return list((await tx.execute(query)).scalars())


def _in_use() -> Any:
    number = deployment_revisions.c.number
    return or_(number == deployments.c.revision, number == deployments.c.serving)


def _deployment(row: Any) -> Deployment:
    fields: dict[str, Any] = row._asdict()
    fields["phase"] = Phase(row.phase)
    fields["conditions"] = tuple(_condition(entry) for entry in row.conditions)
    return Deployment(**fields)


def _condition(entry: Mapping[str, Any]) -> Condition:
    fields: dict[str, Any] = {**entry, "type": Step(entry["type"])}
    fields["status"] = Status(entry["status"])
    fields["results"] = tuple(result(one) for one in entry.get("results", ()))
    return Condition(**fields)


def _revision(row: Any) -> Revision:
    return Revision(
        deployment_id=row.deployment_id,
        number=row.number,
        manifest=row.manifest,
        workload=_workload(row.workload),
        serving=_serving(row.serving),
        scaling=Scaling.of(row.scaling, row.replicas),
        reserved=Reservation(row.cpu_milli, row.memory_bytes, row.gpus, row.gpu_class),
        created_at_ms=row.created_at_ms,
        created_by=row.created_by,
        warnings=tuple(Finding(**warning) for warning in row.warnings or ()),
        proving=Proving.of(row.proving),
        proved_by=row.proved_by,
        exposed_at_ms=row.exposed_at_ms,
        note=row.note,
        origin=Origin.read(row.origin),
    )


def result(stored: Mapping[str, Any]) -> Result:
    """Read what became of one test or gate."""
    fields: dict[str, Any] = {**stored, "outcome": Outcome(stored["outcome"])}
    return Result(**fields)


def _workload(stored: Mapping[str, Any]) -> Workload:
    fields: dict[str, Any] = dict(stored)
    fields["files"] = tuple(StoredFile(**file) for file in stored["files"])
    fields["args"] = tuple(stored["args"])
    fields["startup"] = ProbeDraft(**stored["startup"])
    fields["readiness"] = ProbeDraft(**stored["readiness"])
    return Workload(**fields)


def _serving(stored: Mapping[str, Any]) -> Serving:
    fields: dict[str, Any] = dict(stored)
    fields["operations"] = tuple(stored["operations"])
    fields["modalities"] = tuple(stored["modalities"])
    return Serving(**fields)
